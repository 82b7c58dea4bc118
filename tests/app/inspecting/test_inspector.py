from __future__ import annotations

import threading

import numpy as np
import pytest

from app.documents import Document, Page
from app.inspecting import inspector
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.summarizer import Done, Summary, SummaryError, SummarySettings, summarize
from app.work import Stopped
from tests.app.factories import make_model, paragraphs


@pytest.fixture(scope="module")
def summary(store: ModelStore) -> Summary:
    text = "\n".join(paragraphs(8))
    middle = text.index("\n", len(text) // 2) + 1
    document = Document("x.txt", "X", text, (Page(1, 0, middle), Page(2, middle, len(text))), None, ())
    settings = SummarySettings(model="tiny", max_new_tokens=40, num_beams=1, max_input_tokens=700)
    *_, done = summarize(document, settings, store)
    assert isinstance(done, Done)
    return done.summary


def test_the_outline_bounds_the_controls(store: ModelStore, summary: Summary) -> None:
    outlines = [inspector.outline(store, summary, window) for window in range(len(summary.windows))]
    assert len(outlines) > 1
    for outline, trace in zip(outlines, summary.windows):
        assert outline.tokens == len(trace.input_ids)
        assert outline.pages[0][1] == 0 and outline.pages[-1][2] == outline.tokens
        for page, start, end in outline.pages:
            assert start < end
            assert summary.document.page_of(trace.offsets[start][0]) == page
    assert outlines[0].pages[0][0] == 1 and outlines[-1].pages[-1][0] == 2
    assert sorted(i for outline in outlines for i in outline.sentences) == list(range(len(summary.sentences)))
    first = outlines[0]
    assert (first.encoder_layers, first.decoder_layers, first.heads) == (2, 2, 4)
    assert (first.local_radius, first.global_block_size, first.has_globals) == (15, 4, True)


def test_the_band_knows_its_queries_and_keys(store: ModelStore, summary: Summary) -> None:
    trace, text = summary.windows[1], summary.document.text
    labelled = inspector.band(store, summary, 1, 1, (0, 2), 40, 60)
    assert labelled.map.weights.shape == (20, 31)
    assert labelled.map.pooling == "none"
    for row, label in enumerate(labelled.row_labels):
        start, end = trace.offsets[40 + row]
        assert label.text == (text[start:end] or "▁")
        assert label.page == summary.document.page_of(start)
    assert [label.text for label in labelled.column_labels[14:17]] == ["-1", "0", "+1"]
    assert labelled.column_labels[0].quote == "15 tokens before"
    assert labelled.tokens_start == 25 and len(labelled.tokens) == 20 + 30
    for row, offset in ((0, -15), (3, 0), (19, 15)):
        start, end = trace.offsets[40 + row + offset]
        assert labelled.tokens[40 + row + offset - labelled.tokens_start] == (text[start:end] or "▁")


def test_the_band_at_the_edges_and_pooled(store: ModelStore, summary: Summary) -> None:
    edge = inspector.band(store, summary, 0, 0, (1,), 0, 5)
    assert edge.tokens_start == 0 and len(edge.tokens) == 20
    last = len(summary.windows[0].input_ids)
    end = inspector.band(store, summary, 0, 0, (1,), last - 3)
    assert end.row_labels[-1].text == end.tokens[-1] == "</s>"
    whole = inspector.band(store, summary, 0, 0, (0, 1, 2, 3))
    assert whole.map.pooling == "mean" and whole.tokens == ()
    assert len(whole.row_labels) == len(whole.map.weights) <= 512
    assert " " in whole.row_labels[3].quote or len(whole.row_labels[3].quote) > 0


def test_globals_carry_the_text_of_their_block(store: ModelStore, summary: Summary) -> None:
    labelled = inspector.globals_(store, summary, 0, 1, (3,), 10, 30)
    trace, text = summary.windows[0], summary.document.text
    assert len(labelled.row_labels) == 20
    assert len(labelled.column_labels) == labelled.map.weights.shape[1]
    for (first, after), label in zip(labelled.map.column_spans.tolist(), labelled.column_labels):
        block = text[trace.offsets[first][0] : trace.offsets[after - 1][1]]
        assert label.quote == inspector._quote(block)
        assert label.page in (1, 2)
    band = inspector.band(store, summary, 0, 1, (3,), 10, 30)
    np.testing.assert_allclose(band.map.weights.sum(1) + labelled.map.weights.sum(1), 1, rtol=1e-5)


def test_cross_attention_of_a_sentence(store: ModelStore, summary: Summary) -> None:
    for index, sentence in enumerate(summary.sentences):
        labelled = inspector.cross(store, summary, index, 1, (0, 1))
        assert len(labelled.row_labels) == sentence.token_end - sentence.token_start
        assert all(label.page is None for label in labelled.row_labels)
        assert labelled.row_labels[0].text.strip() and labelled.row_labels[0].text in sentence.text
        assert all(label.page for label in labelled.column_labels)
    zoomed = inspector.cross(store, summary, 0, 1, (0, 1), 100, 120)
    assert zoomed.map.weights.shape[1] == len(zoomed.column_labels) == 20


def test_statistics_of_every_head(store: ModelStore, summary: Summary) -> None:
    assert inspector.overview(store, summary, 0).entropy.shape == (2, 4)


def test_what_does_not_exist_is_one_sentence(store: ModelStore, summary: Summary) -> None:
    questions = (
        lambda: inspector.outline(store, summary, 99),
        lambda: inspector.band(store, summary, -1, 0, (0,)),
        lambda: inspector.band(store, summary, 0, 7, (0,)),
        lambda: inspector.band(store, summary, 0, 0, (9,)),
        lambda: inspector.band(store, summary, 0, 0, (0,), 50, 40),
        lambda: inspector.globals_(store, summary, 0, 0, (0,), 0, 10**6),
        lambda: inspector.cross(store, summary, 99, 0, (0,)),
    )
    for question in questions:
        with pytest.raises(SummaryError) as error:
            question()
        assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_questions_work_after_the_states_were_dropped_and_the_model_replaced(
    model_folder, tmp_path, summary: Summary, store: ModelStore
) -> None:
    expected = inspector.band(store, summary, 0, 1, (0,), 0, 30)
    other = make_model(tmp_path / "other", seed=1)
    fresh = ModelStore(Settings(models=(str(model_folder), str(other)), kept_encodings_bytes=1))
    with fresh.use("other"):
        pass
    again = inspector.band(fresh, summary, 0, 1, (0,), 0, 30)
    np.testing.assert_allclose(again.map.weights, expected.map.weights, rtol=1e-5)
    assert again.row_labels == expected.row_labels


def test_a_question_can_be_stopped(model_folder, summary: Summary) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        inspector.overview(ModelStore(Settings(models=(str(model_folder),))), summary, 0, stop)
