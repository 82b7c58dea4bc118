from __future__ import annotations

from app.documents import Document, Page, Section
from app.models import ModelStore
from app.summarizing.merging import frame, sources_of
from app.summarizing.summary import Evidence, Sentence, WindowTrace
from app.summarizing.windows import tokenize

TEXT = (
    "Abstract\nWe read. All of it.\n1 Introduction\nPapers are long. Models are short.\n2 Methods\nTiles are used. "
    "They are small.\n3 Conclusions\nIt works. Try it.\n"
)
STARTS = [TEXT.index(heading) for heading in ("Abstract", "1 Intro", "2 Meth", "3 Conc")]
SECTIONS = tuple(
    Section(TEXT[start : TEXT.index("\n", start)], start, end)
    for start, end in zip(STARTS, [*STARTS[1:], len(TEXT)], strict=True)
)
PAPER = Document("x.txt", "X", TEXT, (Page(1, 0, len(TEXT)),), SECTIONS, ())


def test_introduction_and_conclusion_frame_what_the_parts_say(store: ModelStore) -> None:
    with store.use("tiny") as loaded:
        text = tokenize(loaded.tokenizer, PAPER, PAPER.body_ranges)
        before, after = frame(PAPER, text, most=20)
    assert before.offsets[0, 0] == STARTS[1] and len(before) == 20
    assert after.offsets[0, 0] >= STARTS[3] and TEXT[: after.offsets[-1, 1]].endswith("Try it.")
    plain = Document("x.txt", "X", TEXT, PAPER.pages, (Section("", 0, len(TEXT)),), ())
    with store.use("tiny") as loaded:
        before, after = frame(plain, text, most=10)
    assert before.offsets[0, 0] == 0 and after.offsets[-1, 1] == text.offsets[-1, 1]
    assert len(before) == len(after) == 10


def test_a_short_text_is_not_read_twice(store: ModelStore) -> None:
    with store.use("tiny") as loaded:
        text = tokenize(loaded.tokenizer, PAPER, PAPER.body_ranges)
        before, after = frame(PAPER, text, most=10_000)
    assert len(before) + len(after) <= len(text)


def test_each_token_of_a_sentence_stands_for_its_passage(store: ModelStore) -> None:
    start = TEXT.index("Tiles")
    passage = Evidence(start, start + 15, 1, "Tiles are used.", 0.4)
    with store.use("tiny") as loaded:
        text = tokenize(loaded.tokenizer, PAPER, PAPER.body_ranges)
        own = tuple(loaded.tokenizer("We use tiles. Nothing.", add_special_tokens=False)["input_ids"])
        trace = WindowTrace("page 1", (), (), own, (0, 0))
        sentences = [
            Sentence("We use tiles.", 0, 0, 4, (passage,)),
            Sentence("Nothing.", 0, 4, len(own)),
            Sentence(passage.quote, 0, 0, 4, (Evidence(start, start + 15, 1, passage.quote, 1.0),)),
        ]
        said = sources_of(sentences, [trace], text)
        assert tuple(said.ids[:4]) == own[:4]
        assert said.offsets[:4].tolist() == [[start, start + 15]] * 4
        assert said.sentence_starts.tolist() == [0, 4]
        quote = said.offsets[4:]
        assert TEXT[quote[0, 0] : quote[-1, 1]] == "Tiles are used."
    assert len(sources_of([], [], text)) == 0
