"""Every view: its arrays, labels and figure against the paper's own text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.inspecting import figures, inspector
from app.inspecting.views import ALL_HEADS, VIEWS, View
from app.models import ModelStore
from app.summarizing.summary import Summary
from tests.app.inspecting.conftest import shown


def test_the_band_knows_its_queries_and_keys(store: ModelStore, summary: Summary) -> None:
    trace, text = summary.windows[1], summary.document.text
    labelled = shown(store, summary, "band", window=1, layer=1, head=2, start=40, end=60)
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
    edge = shown(store, summary, "band", head=1, end=5)
    assert edge.tokens_start == 0 and len(edge.tokens) == 20
    last = len(summary.windows[0].input_ids)
    end = shown(store, summary, "band", head=1, start=last - 3)
    assert end.row_labels[-1].text == end.tokens[-1] == "</s>"
    whole = shown(store, summary, "band", head=ALL_HEADS)
    assert whole.map.pooling == "mean" and whole.tokens == ()
    assert len(whole.row_labels) == len(whole.map.weights) <= 512
    assert " " in whole.row_labels[3].quote or len(whole.row_labels[3].quote) > 0


def test_globals_carry_the_text_of_their_block(store: ModelStore, summary: Summary) -> None:
    labelled = shown(store, summary, "global", layer=1, head=3, start=10, end=30)
    trace, text = summary.windows[0], summary.document.text
    assert len(labelled.row_labels) == 20
    assert len(labelled.column_labels) == labelled.map.weights.shape[1]
    for (first, after), label in zip(labelled.map.column_spans.tolist(), labelled.column_labels):
        block = text[trace.offsets[first][0] : trace.offsets[after - 1][1]]
        assert label.quote == inspector.shorten(block, inspector.QUOTE_CHARACTERS)
        assert label.page in (1, 2)
    band = shown(store, summary, "band", layer=1, head=3, start=10, end=30)
    np.testing.assert_allclose(band.map.weights.sum(1) + labelled.map.weights.sum(1), 1, rtol=1e-5)


def test_cross_attention_of_a_sentence(store: ModelStore, summary: Summary) -> None:
    for index, sentence in enumerate(summary.sentences):
        labelled = shown(store, summary, "cross", window=sentence.window, layer=1, head=1, sentence=index)
        assert len(labelled.row_labels) == sentence.token_end - sentence.token_start
        assert all(label.page is None for label in labelled.row_labels)
        assert labelled.row_labels[0].text.strip() and labelled.row_labels[0].text in sentence.text
        assert all(label.page for label in labelled.column_labels)
    zoomed = shown(store, summary, "cross", layer=1, head=ALL_HEADS, start=100, end=120)
    assert zoomed.map.weights.shape[1] == len(zoomed.column_labels) == 20


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_has_all_that_page_and_files_want(store: ModelStore, summary: Summary, view: View) -> None:
    outline = inspector.outline(store, summary, 0)
    assert view.exists(outline)
    assert view.label and view.caption.endswith(".") and " 20" in view.source
    for layer in range(view.layers(outline)):
        for head in (ALL_HEADS, *range(outline.heads)):
            labelled = shown(store, summary, view.name, layer=layer, head=head)
            assert (labelled.map.layer, len(labelled.map.heads)) == (layer, 4 if head == ALL_HEADS else 1)
            assert figures.map_figure(labelled, view.sides, title="T", subtitle="", scale="log").data
            assert figures.arrays(labelled)["weights"].shape == labelled.map.weights.shape
            spans = labelled.map.row_spans if view.zoomed == "rows" else labelled.map.column_spans
            assert (spans[0][0], spans[-1][1]) == (0, outline.tokens)  # where a click comes closer


def test_globals_are_for_models_that_have_some(store: ModelStore, summary: Summary) -> None:
    outline = replace(inspector.outline(store, summary, 0), has_globals=False)
    assert [name for name, view in VIEWS.items() if not view.exists(outline)] == ["global"]
