"""Every view: its arrays, labels and figure against the paper's own text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from app.inspecting import inspector
from app.inspecting.drawing import Bars, ColouredText, Drawing, Heatmap, Tiles
from app.inspecting.layout import laid_out
from app.inspecting.page_figure import to_json
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY
from app.inspecting.views import VIEWS, View
from app.models import ModelStore
from app.summarizing.summary import Summary
from longt5.maps import cross_map
from tests.app.inspecting.conftest import shown


def test_the_band_knows_its_queries_and_keys(store: ModelStore, summary: Summary) -> None:
    trace, text = summary.windows[1], summary.document.text
    answer = shown(store, summary, "band", window=1, layer=1, head=2, start=40, end=60)
    (panel,) = answer.panels
    assert isinstance(panel, Heatmap)
    assert panel.values.shape == (20, 31)
    for row in (0, 7, 19):
        start, end = trace.offsets[40 + row]
        assert f"token {40 + row}" in panel.rows.labels[row]
        assert f"p. {summary.document.page_of(start)}" in panel.rows.labels[row]
        for offset in (-15, 0, 15):
            start, end = trace.offsets[40 + row + offset]
            key = panel.keys[row * panel.keys_per_row + (offset + 15) * panel.keys_per_column]
            assert key == (text[start:end].strip() or "\u2581")
    assert panel.columns.labels[14:17] == ("1 token before", "the token itself", "1 token after")


def test_the_band_at_the_edges_and_pooled(store: ModelStore, summary: Summary) -> None:
    last = len(summary.windows[0].input_ids)
    edge = shown(store, summary, "band", head=1, end=5).panels[0]
    assert edge.keys[:15] == ("",) * 15 and edge.keys[15]
    end = shown(store, summary, "band", head=1, start=last - 3).panels[0]
    assert end.keys[2 + 15] == "</s>" and end.keys[2 + 16] == ""
    whole = shown(store, summary, "band", head=ALL_HEADS)
    assert whole.note.startswith("Pooled: mean of up to 2 tokens a row")
    panel = whole.panels[0]
    assert panel.keys_per_row == 2 and len(panel.values) <= 512


def test_globals_carry_the_text_of_their_block(store: ModelStore, summary: Summary) -> None:
    answer = shown(store, summary, "globals", layer=1, head=3, start=10, end=30)
    trace, text = summary.windows[0], summary.document.text
    for (first, after), quote in zip(answer.arrays["column_spans"].tolist(), answer.arrays["column_texts"]):
        block = text[trace.offsets[first][0] : trace.offsets[after - 1][1]]
        assert quote == inspector.shorten(block, inspector.QUOTE_CHARACTERS)
    band = shown(store, summary, "band", layer=1, head=3, start=10, end=30)
    sums = band.arrays["weights"].sum(1) + answer.arrays["weights"].sum(1)
    np.testing.assert_allclose(sums, 1, rtol=1e-5)


def test_cross_attention_of_a_sentence_and_of_all(store: ModelStore, summary: Summary) -> None:
    for index, sentence in enumerate(summary.sentences):
        answer = shown(store, summary, "cross", window=sentence.window, layer=1, head=1, sentence=index)
        assert len(answer.arrays["weights"]) == sentence.token_end - sentence.token_start
        assert all(answer.arrays["column_pages"])
    whole = shown(
        store, summary, "cross", layer=1, head=ALL_HEADS, start=100, end=120, sentence=WHOLE_SUMMARY
    )
    assert whole.arrays["weights"].shape == (len(summary.windows[0].summary_ids), 20)


def test_own_words_are_numbered_as_the_steps_that_wrote_them(store: ModelStore, summary: Summary) -> None:
    for sentence in (WHOLE_SUMMARY, 0):
        (panel,) = shown(store, summary, "self", layer=1, head=1, sentence=sentence).panels
        start, *read = panel.columns.labels
        assert start == "\u201cthe start token\u201d"
        assert list(panel.rows.labels[:-1]) == read


def test_files_say_how_cells_were_pooled(
    store: ModelStore, summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, part = (shown(store, summary, "band", head=1, end=end) for end in (None, 20))
    assert (str(whole.arrays["pooling"]), str(part.arrays["pooling"])) == ("mean", "none")
    flow = shown(store, summary, "flow")
    assert str(flow.arrays["pooling"]) == "sum" and flow.note.startswith("A column is the sum over ")
    single = shown(store, summary, "zeroing", end=10)
    assert str(single.arrays["pooling"]) == "none" and not single.note
    monkeypatch.setattr("app.inspecting.views.MAX_CELLS", 8)
    pooled = shown(store, summary, "zeroing", end=10)
    group = -(-single.arrays["weights"].shape[1] // 8)
    assert str(pooled.arrays["pooling"]) == "max"
    assert pooled.note == f"A column is the largest change by one of {group} blocks."
    first = single.arrays["weights"][:, :group].max(axis=1)
    np.testing.assert_allclose(pooled.arrays["weights"][:, 0], first)


def test_weights_and_norms_are_two_options_of_one_view(store: ModelStore, summary: Summary) -> None:
    plain = shown(store, summary, "cross", layer=1, head=1, option="attention").arrays["weights"]
    weighed = shown(store, summary, "cross", layer=1, head=1, option="norms").arrays["weights"]
    assert plain.shape == weighed.shape and np.abs(plain - weighed).max() > 1e-5


def test_what_the_decoder_was_not_shown_gets_nothing(store: ModelStore, summary: Summary) -> None:
    section = replace(summary.windows[0], decoder_reads=(100, 200))
    changed = replace(summary, windows=(section, *summary.windows[1:]))
    with inspector.encoded_window(store, changed, 0) as window:
        mask = section.decoder_mask
        found = cross_map(window.loaded.model, window.shown(), window.teacher_forced(), 0, (0,))
    spans = found.column_spans
    hidden = np.array([not mask[start:end].any() for start, end in spans])
    assert hidden.any() and not found.weights[:, hidden].any()


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_has_all_that_page_and_files_want(store: ModelStore, summary: Summary, view: View) -> None:
    outline = inspector.outline(store, summary, 0)
    assert view.exists(outline)
    assert view.label and view.caption.endswith(".") and view.question.endswith("?")
    assert " 20" in view.source
    for layer in range(view.layers(outline)) if "layer" in view.controls else (0,):
        for head in (ALL_HEADS, 0, outline.heads - 1) if "head" in view.controls else (0,):
            for _, option in view.options:
                answer = shown(store, summary, view.name, layer=layer, head=head, option=option, end=300)
                assert answer.says.endswith(".") and "\n" not in answer.says and "nan" not in answer.says
                assert answer.arrays and all(isinstance(a, np.ndarray) for a in answer.arrays.values())
                drawing = Drawing("T", answer.says, "C", answer.panels)
                assert len(to_json(drawing)) > 100
                assert laid_out(drawing)[1] > 50
                if view.is_map:
                    assert {"weights", "row_spans", "column_spans", "row_texts"} <= set(answer.arrays)


def test_heads_are_sorted_filtered_and_named(store: ModelStore, summary: Summary) -> None:
    with inspector.encoded_window(store, summary, 0) as window:
        overview = window.overview("encoder")
    from app.inspecting.figures import head_tiles

    shares = overview.statistics.measures["global_share"]
    by_share = head_tiles(overview, "global", "global_share", "", None)
    values = [shares[tile.layer, tile.head] for tile in by_share.tiles]
    assert values == sorted(values, reverse=True) and not by_share.by_layer
    names = {tile.name for tile in by_share.tiles if tile.name}
    for name in names:
        assert {tile.name for tile in head_tiles(overview, "band", "", name, None).tiles} == {name}
    assert not head_tiles(overview, "band", "", "no such name", None).tiles
    whole = head_tiles(overview, "band", "", "", (0, 1))
    assert whole.by_layer and len(whole.tiles) == 8 == len(whole.images)
    assert all(f"Layer {tile.layer}, head {tile.head}:" in tile.label for tile in whole.tiles)


def test_the_text_is_the_papers_and_its_attention_that_of_the_maps(
    store: ModelStore, summary: Summary
) -> None:
    start, end = 40, 90
    (panel,) = shown(store, summary, "text", layer=1, head=2, start=start, end=end).panels
    assert isinstance(panel, ColouredText)
    trace = summary.windows[0]
    words = "".join(word.text for word in panel.words)
    assert words == summary.document.text[trace.offsets[start][0] : trace.offsets[end - 1][1]]
    band = shown(store, summary, "band", layer=1, head=2, start=start, end=end).arrays["weights"]
    np.testing.assert_allclose(panel.band, band, atol=1e-6)
    globals_ = shown(store, summary, "globals", layer=1, head=2, start=start, end=end).arrays
    np.testing.assert_allclose(panel.strip.sum(1), globals_["weights"].sum(1), atol=1e-5)
    for word, block in enumerate(panel.block_of_word):
        column = next(i for i, (a, b) in enumerate(globals_["column_spans"]) if a <= start + word < b)
        np.testing.assert_allclose(panel.blocks[:, block], globals_["weights"][:, column], atol=1e-6)
    assert panel.cross.shape == (len(panel.written), end - start)
    np.testing.assert_allclose(panel.cross_strip.sum(1), 1, atol=1e-5)


def test_what_was_not_read_is_marked(store: ModelStore, summary: Summary) -> None:
    trace = summary.windows[0]
    keep = [i for i in range(len(trace.input_ids)) if not 60 <= i < 80]
    cut = replace(
        trace,
        input_ids=tuple(trace.input_ids[i] for i in keep),
        offsets=tuple(trace.offsets[i] for i in keep),
        decoder_reads=(0, len(keep)),
    )
    changed = replace(summary, windows=(cut, *summary.windows[1:]))
    (panel,) = shown(store, changed, "text", start=50, end=70).panels
    (gap,) = [word for word in panel.words if not word.read]
    assert "not read" in gap.text and len(panel.band) == len(panel.words) - 1


def test_steps_that_leave_the_paper_are_warned_of(store: ModelStore, summary: Summary) -> None:
    answer = shown(store, summary, "source", sentence=WHOLE_SUMMARY)
    (panel,) = answer.panels
    assert isinstance(panel, Bars)
    assert len(panel.values) == len(summary.windows[0].summary_ids) == len(panel.axis.labels)
    assert (panel.warned == (panel.values < panel.threshold)).all()


def test_views_are_for_models_and_texts_that_have_them(store: ModelStore, summary: Summary) -> None:
    outline = inspector.outline(store, summary, 0)
    local, silent = replace(outline, globals=0), replace(outline, sentences=())
    assert [name for name, view in VIEWS.items() if not view.exists(local)] == ["globals", "zeroing"]
    missing = [name for name, view in VIEWS.items() if not view.exists(silent)]
    assert missing == ["self", "cross", "flow", "source"]
    assert isinstance(shown(store, summary, "heads").panels[0], Tiles)
