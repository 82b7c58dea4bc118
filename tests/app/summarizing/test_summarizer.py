from __future__ import annotations

import dataclasses
import gc
import threading
import time
from collections.abc import Callable, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from app import models
from app.documents import Document, DocumentError, PasswordNeeded
from app.models import ModelStore
from app.settings import Settings
from app.summarizing import job, progress, summarizer
from app.summarizing.job import Job
from app.summarizing.settings import LENGTHS, SummaryError, SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import (
    Done,
    Event,
    LoadingModel,
    Part,
    Queued,
    Read,
    Reading,
    Summary,
    Working,
)
from app.work import Stopped
from longt5.maps import TeacherForced, teacher_force
from longt5.text.citations import without_citations
from tests.app.factories import make_model, make_pdf, paragraphs, plain_document, wrapped
from tests.app.summarizing.test_plan import PAPER

REFERENCES = "References\n" + "\n".join(
    f"[{i}] A. Author and B. Writer. A paper on papers. 20{i:02}." for i in range(1, 30)
)


def _settings(**changes: object) -> SummarySettings:
    values: dict = {"max_new_tokens": 40, "num_beams": 2, **changes}
    return SummarySettings(model="tiny", **values)


def _done(events: list[Event]) -> Summary:
    assert isinstance(events[-1], Done)
    return events[-1].summary


def _summary(store: ModelStore, document: Document, **changes: object) -> Summary:
    return _done(list(summarize(document, _settings(**changes), store)))


@pytest.fixture(scope="module")
def pdf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pages = [wrapped(paragraphs(5, seed=page)) for page in range(3)]
    return make_pdf(
        tmp_path_factory.mktemp("papers") / "paper.pdf", [["A Paper on Papers", "", *pages[0]], *pages[1:]]
    )


def test_a_pdf_becomes_a_summary_by_typed_events(model_folder: Path, pdf: Path) -> None:
    store = ModelStore(Settings(models=(str(model_folder),)))
    events = list(summarize(str(pdf), _settings(), store, name="my paper.pdf"))
    kinds = list(dict.fromkeys(type(event) for event in events))
    assert kinds == [Reading, Read, LoadingModel, Working, Done]
    working = [event for event in events if isinstance(event, Working)]
    assert list(dict.fromkeys(event.doing for event in working)) == ["reading", "writing", "looking up"]
    assert {(event.what, event.steps) for event in working} == {("the paper", 2)}
    reading = [event for event in events if isinstance(event, Reading)]
    assert reading[0] == events[0] == Reading(0, None)  # before the child that reads has started
    assert reading[-1] == Reading(3, 3)
    fractions = [event.fraction for event in working]
    assert fractions == sorted(fractions) and 0 < fractions[-1] <= 1.0
    summary = _done(events)
    assert summary.document.name == "my paper.pdf"
    written = next(part for part in working[-1].parts if part.kind == "summary")
    assert set(summary.text.split()) <= set(written.text.split())
    assert summary.pages_read == (1, 2, 3)
    assert summary.seconds > 0


def test_a_text_file_too(store: ModelStore, tmp_path: Path) -> None:
    path = tmp_path / "paper.txt"
    path.write_text("\n".join(paragraphs(3)))
    summary = _done(list(summarize(path, _settings(), store)))
    assert summary.document.name == "paper.txt" and summary.tokens_left_out == 0


def test_sentences_are_the_text_and_know_their_tokens(store: ModelStore, paper: Document) -> None:
    summary = _summary(store, paper, max_input_tokens=500)
    (whole,) = [part for part in summary.parts if part.kind == "summary"]
    assert " ".join(sentence.text for sentence in whole.sentences) == summary.text
    with store.use("tiny") as loaded:
        for sentence in summary.sentences:
            ids = summary.windows[sentence.window].summary_ids[sentence.token_start : sentence.token_end]
            # Of what melts into another sentence, as all does that a random model writes, the end is shown.
            assert without_citations(loaded.tokenizer.decode(ids)).endswith(sentence.text)
    for window in summary.windows:
        assert len(window.input_ids) == len(window.offsets) == len(window.decoder_mask) <= 500
        assert window.input_ids[-1] == 1  # the end token


def test_sections_are_summarized_from_what_the_encoder_made_of_the_whole(store: ModelStore) -> None:
    # In quotes: of what a random model writes in own words hardly a sentence may be shown.
    summary = _summary(store, PAPER, num_beams=1, writing="quotes")
    assert [part.kind for part in summary.parts][-2:] == ["section", "section"]
    sections = [part for part in summary.parts if part.kind == "section"]
    assert [part.heading for part in sections] == ["1 Introduction", "2 Methods"]
    assert len({window.input_ids for window in summary.windows}) == 1
    for part in sections:
        section = PAPER.section_of(part.start)
        assert section.heading == part.heading
        trace = summary.windows[part.sentences[0].window]
        first, after = trace.decoder_reads
        assert trace.name == part.heading and section.start <= trace.offsets[first][0]
        assert trace.decoder_mask.sum() == after - first + 1  # and the end token
        for sentence in part.sentences:
            for passage in sentence.evidence:
                assert trace.offsets[first][0] <= passage.start < passage.end <= trace.offsets[after - 1][1]
    assert not _sections(_summary(store, PAPER, num_beams=1, writing="quotes", sections=False))


def test_a_long_paper_gets_one_summary_of_its_parts(store: ModelStore) -> None:
    for writing in ("own words", "quotes"):
        summary = _summary(store, PAPER, max_input_tokens=700, writing=writing, length="short", num_beams=1)
        *parts, merged = [trace for trace in summary.windows if trace.name not in _headings(PAPER)]
        assert len(parts) > 1 and all(trace.name.startswith("page") for trace in parts)
        assert merged.name == "the parts’ summaries" and len(merged.input_ids) <= 700
        (whole,) = [part for part in summary.parts if part.kind == "summary"]
        assert {summary.windows[sentence.window] for sentence in whole.sentences} == {merged}
        for sentence in whole.sentences:
            for passage in sentence.evidence:
                assert PAPER.text[passage.start : passage.end].split() == passage.quote.split()
                assert (writing == "quotes") == sentence.quoted
        assert _sections(summary)
        assert any("in parts" in note or "parts, and" in note for note in summary.notes)


def test_parts_stand_for_sections_where_a_paper_has_none(store: ModelStore, paper: Document) -> None:
    summary = _summary(store, paper, max_input_tokens=700, num_beams=1)
    assert _sections(summary)[0].heading.startswith("Page")


def _sections(summary: Summary) -> list[Part]:
    return [part for part in summary.parts if part.kind == "section"]


def _headings(document: Document) -> set[str]:
    return {section.heading for section in document.sections}


def test_windows_read_everything_and_less_is_said_to_be_left_out(store: ModelStore, paper: Document) -> None:
    whole = _summary(store, paper)
    assert len(whole.windows) == 1 and whole.tokens_left_out == 0
    windows = _summary(store, paper, max_input_tokens=600)
    assert len(windows.windows) > 3
    assert (windows.tokens_read, windows.tokens_left_out) == (whole.tokens_read, 0)
    assert windows.pages_read == (1, 2, 3, 4)
    assert any("were read in" in note and "parts" in note for note in windows.notes)
    cut = _summary(store, paper, max_input_tokens=600, long_papers="truncate")
    assert len(cut.windows) == 1
    assert cut.tokens_read == 599  # and the end token
    assert cut.tokens_read + cut.tokens_left_out == whole.tokens_read
    assert cut.pages_read == (1, 2)
    assert any(f"{cut.tokens_left_out:,}" in note and "pages 3 to 4" in note for note in cut.notes)
    ends = _summary(store, paper, max_input_tokens=600, long_papers="beginning and end")
    assert len(ends.windows) == 1 and len(ends.windows[0].input_ids) <= 600
    assert 400 < ends.tokens_read == whole.tokens_read - ends.tokens_left_out
    assert (ends.pages_read[0], ends.pages_read[-1]) == (1, 4)
    assert any(f"the {ends.tokens_left_out:,} between them" in note for note in ends.notes)
    read = [whole.windows[0].offsets.index(offset) for offset in ends.windows[0].offsets[:-1]]
    assert read[0] == 0 and read[-1] == whole.tokens_read - 1
    assert sum(after - before > 1 for before, after in pairwise(read)) == 1
    summaries = (whole, windows, cut, ends)
    assert all("A note of the reader." in summary.notes for summary in summaries)


def test_the_longest_summary_is_that_of_the_whole(store: ModelStore, paper: Document) -> None:
    summary = _summary(store, paper, max_input_tokens=600, max_new_tokens=50)
    assert len(summary.windows[-1].summary_ids) <= 50


def test_the_reference_list_is_left_out_unless_asked_for(store: ModelStore) -> None:
    body = "\n".join(paragraphs(3)) + "\n"
    document = plain_document(body + REFERENCES, (len(body), len(body + REFERENCES)))
    without = _summary(store, document)
    assert any("Left out: reference list" in note for note in without.notes)
    assert max(end for _, end in without.windows[0].offsets) <= len(body)
    with_them = _summary(store, document, include_references=True)
    assert with_them.tokens_left_out == 0
    assert without.tokens_read + without.tokens_left_out == with_them.tokens_read


def test_a_prefix_is_read_but_is_not_the_paper(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "tiny", generation={"prefix": "summarize: "})
    store = ModelStore(Settings(models=(str(folder),)))
    text = paragraphs(1)[0]
    summary = _summary(store, plain_document(text))
    (window,) = summary.windows
    first = next(i for i, (start, end) in enumerate(window.offsets) if start < end)
    with store.use("tiny") as loaded:
        assert loaded.tokenizer.decode(window.input_ids[:first]).strip() == "summarize:"
    assert summary.tokens_read == len(window.input_ids) - first - 1


def test_sampling_is_repeated_by_its_seed_and_disturbs_nobody(store: ModelStore, paper: Document) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = _summary(store, paper, do_sample=True, seed=1)
    torch.testing.assert_close(torch.rand(3), expected)
    assert first.settings.num_beams == 1
    assert _summary(store, paper, do_sample=True, seed=1).text == first.text
    assert _summary(store, paper, do_sample=True, seed=2).text != first.text
    assert _summary(store, paper, do_sample=True, seed=1, temperature=0.05).text != first.text


def test_settings_reach_the_model(store: ModelStore, paper: Document) -> None:
    usual = _summary(store, paper, num_beams=1, no_repeat_ngram_size=0)
    assert _summary(store, paper, num_beams=1, no_repeat_ngram_size=0).text == usual.text
    ids = _summary(store, paper, num_beams=1, no_repeat_ngram_size=1).windows[0].summary_ids
    assert len(set(ids)) == len(ids)
    assert len(_summary(store, paper, max_new_tokens=9).windows[0].summary_ids) <= 9
    penalised = _summary(store, paper, num_beams=1, no_repeat_ngram_size=0, repetition_penalty=5.0)
    assert penalised.text != usual.text


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"num_beams": 0}, "Beams"),
        ({"num_beams": 2.5}, "Beams"),
        ({"max_new_tokens": 10**6}, "Longest summary"),
        ({"length_penalty": float("nan")}, "Length penalty"),
        ({"repetition_penalty": 0}, "Repetition penalty"),
        ({"temperature": -1.0}, "Temperature"),
        ({"top_p": 1.5}, "Top-p"),
        ({"seed": -1}, "Seed"),
        ({"seed": "one"}, "Seed"),
        ({"max_input_tokens": 10}, "Input limit"),
        ({"max_input_tokens": 10**6}, "Input limit"),
        ({"long_papers": "skim"}, "long_papers"),
        ({"length": "endless"}, "Length"),
        ({"no_repeat_ngram_size": None}, "it is empty"),
    ],
)
def test_settings_out_of_range_are_one_sentence(
    store: ModelStore, paper: Document, changes: dict, name: str
) -> None:
    with pytest.raises(SummaryError, match=name) as error:
        list(summarize(paper, _settings(**changes), store))
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_settings_from_sliders_are_made_whole(store: ModelStore) -> None:
    checked = summarizer.checked(_settings(num_beams=3.0, length_penalty=1, seed=5.0), store)
    assert (checked.num_beams, checked.length_penalty, checked.seed) == (3, 1.0, 5)
    assert isinstance(checked.num_beams, int) and isinstance(checked.length_penalty, float)


@pytest.mark.parametrize("length", LENGTHS)
def test_a_chosen_length_is_met_however_the_model_would_like_to_end(
    store: ModelStore, paper: Document, length: str
) -> None:
    # Without capitals, so that no sentence of a random model is taken for one that melts into another.
    lower = plain_document(paper.text.lower())
    summary = _summary(store, lower, length=length, num_beams=1, max_new_tokens=8)
    assert len(summary.text.split()) == pytest.approx(LENGTHS[length], rel=0.15)


@pytest.mark.parametrize("length", ["short", "medium"])
def test_a_length_is_one_of_quotes_too(store: ModelStore, paper: Document, length: str) -> None:
    summary = _summary(store, paper, writing="quotes", length=length, num_beams=1)
    assert len(summary.text.split()) == pytest.approx(LENGTHS[length], rel=0.15)


def test_the_length_of_quotes_does_not_depend_on_references_left_out(
    store: ModelStore, paper: Document
) -> None:
    references = paper.text.index("\n", len(paper.text) // 3)
    document = plain_document(paper.text, references=(references, len(paper.text)))
    summary = _summary(store, document, writing="quotes", length="short", num_beams=1)
    assert len(summary.text.split()) == pytest.approx(LENGTHS["short"], rel=0.25)


def test_what_cannot_be_read_or_summarized_is_said(
    store: ModelStore, tmp_path: Path, paper: Document
) -> None:
    with pytest.raises(DocumentError):
        list(summarize(tmp_path / "missing.pdf", _settings(), store))
    with pytest.raises(SummaryError, match="no text"):
        list(summarize(plain_document(" \n "), _settings(), store))
    with pytest.raises(SummaryError, match="no model named"):
        list(summarize(paper, dataclasses.replace(_settings(), model="other"), store))
    assert issubclass(PasswordNeeded, DocumentError)


class _Broken(Document):
    """A document that fails in the midst of the work."""

    def page_of(self, character: int) -> int:
        raise RuntimeError("page 7 is missing")


def test_a_failing_request_neither_keeps_the_model_nor_shows_its_trace(
    store: ModelStore, paper: Document, caplog: pytest.LogCaptureFixture
) -> None:
    expected = _summary(store, paper).text
    broken = _Broken(*(getattr(paper, field.name) for field in dataclasses.fields(Document)))
    with pytest.raises(SummaryError) as error:
        list(summarize(broken, _settings(), store))
    assert "RuntimeError" in str(error.value) and "page 7" not in str(error.value)
    assert _summary(store, paper).text == expected
    assert "A summary failed" in caplog.text and "page_of" in caplog.text  # for whoever runs the server
    assert "page 7" not in caplog.text  # which may be words of a paper
    assert _alive(Job) == 0


def _alive(kind: type) -> int:
    gc.collect()
    return sum(type(thing) is kind for thing in gc.get_objects())


def test_requests_at_once_take_turns_and_get_what_they_would_alone(
    store: ModelStore, paper: Document
) -> None:
    requests = [_settings(do_sample=True, seed=seed, max_new_tokens=100) for seed in range(4)]
    alone = [_done(list(summarize(paper, settings, store))).text for settings in requests]
    together: dict[int, list[Event]] = {}
    start = threading.Barrier(len(requests))

    def work(number: int) -> None:
        start.wait()
        together[number] = list(summarize(paper, requests[number], store))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [_done(together[number]).text for number in range(len(requests))] == alone
    places = sorted(
        max((event.position for event in events if isinstance(event, Queued)), default=0)
        for events in together.values()
    )
    assert places[-1] >= 2  # the last of four saw that it was not next


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelStore, Document]:
    """A model and a paper large enough for every phase to take a while."""
    folder = make_model(
        tmp_path_factory.mktemp("models") / "tiny", d_model=128, num_layers=6, global_block_size=16
    )
    document = plain_document("\n".join(paragraphs(40)))
    return ModelStore(Settings(models=(str(folder),), kept_encodings_bytes=1)), document


PHASES: dict[str, Callable[[Event], bool]] = {
    "loading": lambda event: isinstance(event, LoadingModel),
    "tokenizing": lambda event: isinstance(event, Read),
    "reading": lambda event: isinstance(event, Working) and event.doing == "reading",
    "writing": lambda event: isinstance(event, Working) and event.doing == "writing" and bool(event.parts),
    "looking up": lambda event: isinstance(event, Working) and event.doing == "looking up",
}


@pytest.mark.parametrize("phase", PHASES)
def test_stopping_takes_effect_within_a_second(slow: tuple[ModelStore, Document], phase: str) -> None:
    store, document = slow
    stop = threading.Event()
    settings = _settings(max_new_tokens=200, num_beams=4, max_input_tokens=32_000)
    if phase != "loading":
        with store.use("tiny"):
            pass
    events = summarize(document, settings, store, stop=stop)
    if not any(PHASES[phase](event) for event in iter(lambda: next(events), None)):
        pytest.fail(f"there was no {phase}")
    stopped_at = 0.0

    def set_stop() -> None:
        nonlocal stopped_at
        stopped_at = time.monotonic()
        stop.set()

    if phase == "looking up":  # a fast machine has found it all before a timer goes off
        set_stop()
    else:
        threading.Timer(0.05, set_stop).start()
    with pytest.raises(Stopped) as stopped:
        list(events)
    assert time.monotonic() - stopped_at < 1.0
    del stopped
    assert _alive(Job) == 0  # and with it all that it held
    assert not store.turns._served and not len(store.turns)


def test_the_decoder_reads_what_it_wrote_once(
    slow: tuple[ModelStore, Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which words it meant and what sentences rest on come from one pass, also where nothing is kept."""
    store, document = slow
    read: list[tuple[int, ...]] = []

    def counted(model: Any, encoded: Any, summary_ids: Any) -> TeacherForced:
        read.append(tuple(summary_ids))
        return teacher_force(model, encoded, summary_ids)

    monkeypatch.setattr(models, "teacher_force", counted)
    with store.use("tiny") as loaded:
        monkeypatch.setattr(loaded.model.generation_config, "least_log_probability", -1e9, raising=False)
        summary = _done(list(summarize(document, _settings(max_new_tokens=30), store)))
    assert summary.windows
    assert read == [trace.summary_ids for trace in summary.windows]


def _end(events: Generator[Event, None, None], stop: threading.Event, by_closing: bool) -> None:
    """Ends the work in one of the two ways that there are."""
    if by_closing:
        events.close()
    else:
        stop.set()
        with pytest.raises(Stopped):
            list(events)


@pytest.mark.parametrize("by_closing", [False, True])
def test_stopping_while_reading(store: ModelStore, tmp_path: Path, by_closing: bool) -> None:
    path = make_pdf(tmp_path / "long.pdf", [wrapped(paragraphs(9, seed=page)) for page in range(100)])
    stop = threading.Event()
    events = summarize(path, _settings(), store, stop=stop)
    assert isinstance(next(events), Reading)
    start = time.monotonic()
    _end(events, stop, by_closing)
    assert time.monotonic() - start < 1.0


def test_closing_takes_effect_within_a_second(slow: tuple[ModelStore, Document]) -> None:
    store, document = slow
    for phase in ("reading", "writing"):
        events = summarize(document, _settings(max_input_tokens=32_000), store)
        next(event for event in events if PHASES[phase](event))
        start = time.monotonic()
        events.close()
        assert time.monotonic() - start < 1.0
        assert _alive(Job) == 0
        assert not store.turns._served and not len(store.turns)


def test_stopping_while_waiting_for_the_model(slow: tuple[ModelStore, Document], paper: Document) -> None:
    store, document = slow
    first = summarize(document, _settings(), store)
    next(event for event in first if isinstance(event, Working))
    stop = threading.Event()
    second = summarize(paper, _settings(), store, stop=stop)
    assert next(event for event in second if isinstance(event, Queued)).position == 1
    start = time.monotonic()
    stop.set()
    with pytest.raises(Stopped):
        list(second)
    assert time.monotonic() - start < 1.0
    first.close()
    assert _summary(store, paper).text


def test_time_left_is_said_once_it_can_be_foreseen(
    slow: tuple[ModelStore, Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fast machine is done with this paper before the half second from which the page would foresee anything.
    monkeypatch.setattr(progress, "LEAST_SECONDS", 0.0)
    store, document = slow
    events = list(
        summarize(document, _settings(max_new_tokens=200, num_beams=4, max_input_tokens=20_000), store)
    )
    left = [event.seconds_left for event in events if isinstance(event, Working)]
    assert left[0] is None and left[-1] is not None
    assert all(seconds is None or seconds >= 0 for seconds in left)


@pytest.mark.parametrize("writing", ["own words", "quotes"])
@pytest.mark.parametrize("by_closing", [False, True])
def test_what_was_written_when_it_was_stopped_is_kept(
    store: ModelStore, by_closing: bool, writing: str
) -> None:
    kept: list[Summary] = []
    stop = threading.Event()
    settings = _settings(length="medium", num_beams=1, writing=writing)
    events = summarize(PAPER, settings, store, stop=stop, keep=kept.append)
    # A random model ends hardly a sentence by itself: its first piece is finished, of quotes a part of it is.
    enough = 3 if writing == "own words" else 2
    next(e for e in events if isinstance(e, Working) and e.step >= enough and e.parts)
    _end(events, stop, by_closing)
    (summary,) = kept
    assert not summary.complete and summary.seconds > 0
    assert summary.sentences and all(sentence.evidence for sentence in summary.sentences)
    assert any("Stopped" in note for note in summary.notes)
    assert _done(list(summarize(PAPER, settings, store, keep=kept.append))).complete
    assert len(kept) == 1


@pytest.mark.parametrize("max_input_tokens", [16_384, 700])
def test_a_stop_in_the_first_piece_keeps_what_little_there_is(
    store: ModelStore, max_input_tokens: int
) -> None:
    kept: list[Summary] = []
    settings = _settings(length="medium", num_beams=1, max_input_tokens=max_input_tokens)
    events = summarize(PAPER, settings, store, keep=kept.append)
    next(event for event in events if isinstance(event, Working) and event.parts)
    events.close()
    (summary,) = kept
    assert summary.sentences and not summary.complete


def test_a_stop_after_a_part_that_came_to_nothing_keeps_it(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "presentable", lambda *_: [])
    kept: list[Summary] = []
    settings = _settings(length="medium", num_beams=1, max_input_tokens=700, sections=False)
    events = summarize(PAPER, settings, store, keep=kept.append)
    last = next(e for e in events if isinstance(e, Working) and e.doing == "reading" and e.step == 3)
    assert not last.parts
    events.close()
    (summary,) = kept
    assert summary.sentences and not summary.complete


def test_nothing_is_kept_where_nothing_was_written(store: ModelStore) -> None:
    kept: list[Summary] = []
    events = summarize(PAPER, _settings(), store, keep=kept.append)
    next(event for event in events if isinstance(event, Read))
    events.close()
    assert not kept
