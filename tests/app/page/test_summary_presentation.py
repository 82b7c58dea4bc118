"""A paper and its summary as HTML: every sentence a button, its pages behind it, nothing a stranger wrote run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import Document, Page, Section, undivided
from app.page import summary_presentation
from app.page.summary_presentation import UNSUPPORTED, found, listed, parts
from app.summarizing.job import unsupported_ranges
from app.summarizing.settings import SummarySettings
from app.summarizing.summary import Evidence, Part, Sentence
from longt5.evaluation.faithfulness import ReadText
from tests.app.page.html import read_html
from tests.app.page.papers import TEXT, document, summary
from tests.page_server import HOSTILE

SETTINGS = SummarySettings(model="tiny")
EVIL = " ".join(HOSTILE)


def evil() -> Document:
    pages = (Page(1, 0, 40, HOSTILE[0]), Page(2, 40, len(EVIL)))
    sections = (Section(HOSTILE[1], 0, 50), Section("Acknowledgements", 50, len(EVIL), "back"))
    return Document(f"{HOSTILE[0]}.pdf", HOSTILE[1], EVIL, pages, sections, (HOSTILE[2],))


@pytest.mark.parametrize(
    "page",
    [
        found(evil(), SETTINGS),
        parts(
            (
                Part(
                    "section",
                    (Sentence(EVIL, 0, 0, 3, (Evidence(0, 30, 1, EVIL[:30], 0.5),), ((0, 5),)),),
                    EVIL,
                ),
            ),
            evil(),
            HOSTILE[3],
        ),
        summary_presentation.summary(
            summary(document=evil(), notes=(HOSTILE[4],), settings=SummarySettings(model=HOSTILE[0])), "id"
        ),
    ],
)
def test_nothing_a_stranger_writes_becomes_an_element(page: str) -> None:
    shown = read_html(page)
    ours = "button details div h2 h3 h4 li p section span summary ul".split()
    assert shown.tags <= set(ours)
    assert not {name for name in shown.attributes if name.startswith("on") or name in {"href", "src"}}
    assert any(words in shown.text for words in HOSTILE)


def test_sentences_count_through_all_parts() -> None:
    shown = read_html(summary_presentation.summary(summary(), "id"))
    sentences = shown.of_class("sentence")
    assert [each["data-sentence"] for each in sentences] == ["0", "1", "2", "3"]
    assert all(each["role"] == "button" and each["tabindex"] == "0" for each in sentences)
    for words in ("TL;DR", "Summary", "Section by section", "1 Method"):
        assert words in shown.text


def test_each_page_of_its_evidence_is_a_chip_that_leads_to_the_best_passage_there() -> None:
    evidence = (
        Evidence(40, 50, 2, TEXT[40:50], 0.6),
        Evidence(0, 10, 1, TEXT[:10], 0.3),
        Evidence(60, 70, 2, TEXT[60:70], 0.1),
    )
    labelled = replace(document(), pages=(Page(1, 0, 36, "iv"), Page(2, 36, len(TEXT), "1")))
    shown = read_html(parts((Part("summary", (Sentence("So.", 0, 0, 2, evidence),)),), labelled, "id"))
    chips = [(chip["data-sentence"], chip["data-passage"]) for chip in shown.of_class("chip")]
    assert chips == [("0", "0"), ("0", "1")]
    assert "p. 1" in shown.text and "p. iv" in shown.text
    (sentence,) = shown.of_class("sentence")
    assert json.loads(str(sentence["data-passages"])) == [
        [40, 50, 2, "1", 0.6, False],
        [0, 10, 1, "iv", 0.3, False],
        [60, 70, 2, "1", 0.1, False],
    ]


@given(score=st.floats(0, 1))
def test_evidence_that_would_say_nothing_is_not_listed(score: float) -> None:
    sentence = Sentence("So.", 0, 0, 2, (Evidence(0, 10, 1, TEXT[:10], score),))
    assert bool(listed(sentence)) == (f"{score:.0%}" != "0%")


@given(
    words=st.text(min_size=1, max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=6, unique=True).map(sorted),
)
def test_what_is_not_in_the_paper_is_marked_and_nothing_is_lost(words: str, cuts: list[int]) -> None:
    cuts = [cut for cut in cuts if cut <= len(words)]
    ranges = tuple(zip(cuts[::2], cuts[1::2]))
    sentence = Sentence(words, 0, 0, 2, (), ranges)
    page = parts((Part("summary", (sentence,)),), document(), "id")
    shown = read_html(page)
    assert len(shown.of_class("unsupported")) == len(ranges)
    assert all(each["title"] == UNSUPPORTED for each in shown.of_class("unsupported"))
    plain = read_html(parts((Part("summary", (replace(sentence, unsupported=()),)),), document(), "id"))
    assert shown.text.replace(f" ({UNSUPPORTED})", "") == plain.text


@pytest.mark.parametrize(
    ("sentence", "marked"),
    [
        ("It took 7 mg in Paris and Rome.", ["7", "mg", "Paris", "Rome"]),
        (
            "It took 5 MHz and 5 mg/L-Rome.",
            ["5", "MHz", "5", "mg/L-Rome"],
        ),  # units, and names or parts of such
    ],
)
def test_what_a_model_made_up_is_marked_once_where_it_stands(sentence: str, marked: list[str]) -> None:
    ranges = unsupported_ranges(ReadText("It is so."), sentence)
    assert [sentence[start:end] for start, end in ranges] == marked
    shown = read_html(parts((Part("summary", (Sentence(sentence, 0, 0, 2, (), ranges),)),), document(), "id"))
    assert sentence in shown.text.replace(f" ({UNSUPPORTED})", "")


def test_what_will_be_read_is_said_with_a_switch_for_what_is_left_out() -> None:
    cut = TEXT.index("The cost")
    paper = replace(
        document(),
        sections=(Section("1 Method", 0, cut), Section("References", cut, len(TEXT), "references")),
    )
    shown = read_html(found(paper, SETTINGS))
    assert "Reads all 2 pages; leaves out reference list (page 2)." in shown.text
    assert [each["data-switch"] for each in shown.of_class("link")] == ["include_references"]
    everything = read_html(found(paper, replace(SETTINGS, include_references=True)))
    assert "Reads all 2 pages." in everything.text
    assert "leave the reference list out" in everything.text
    assert "Reads all 2 pages." in read_html(found(document(), SETTINGS)).text
    foreign = read_html(found(paper, SETTINGS, "The model reads <English>."))
    assert "The model reads <English>." in foreign.text and "Reads all" not in foreign.text


def test_words_of_a_script_without_spaces_are_counted_too() -> None:
    text = "稀疏注意力读长论文。" * 40
    chinese = replace(document(), text=text, pages=(Page(1, 0, len(text)),), sections=undivided(text))
    assert "about 180 words" in read_html(found(chinese, SETTINGS)).text


def test_what_is_written_and_read_has_the_direction_of_its_script() -> None:
    page = read_html(found(document(), SETTINGS) + summary_presentation.summary(summary(), "id"))
    directed = [tag for tag, given in page.elements if given.get("dir") == "auto"]
    assert directed == ["h2", "p", "p", "h4", "p"]  # title, TL;DR, summary, a section and its heading


def test_what_was_read_and_left_out_is_counted_in_one_line() -> None:
    words = read_html(summary_presentation.summary(summary(), "id")).text
    assert "Read 20 tokens, 3 left out · pages 1 to 2 · 12 s · tiny" in words
    assert "The reference list was left out (3 tokens)." in words
