"""Figures on synthetic arrays: what is drawn, what is written along the axes, what is in the files."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from app.inspecting import figures
from app.inspecting.inspector import Label, LabelledMap
from app.inspecting.views import VIEWS
from longt5.maps import AttentionMap

CROSS = VIEWS["cross"].sides
HOSTILE = '<a href="javascript:alert(1)">x</a> <b>&amp; $\\frac12$ %{z}'


def labelled(
    kind: str = "cross",
    rows: int = 3,
    columns: int = 4,
    *,
    pooling: str = "none",
    width: int = 1,
    texts: tuple[str, ...] = (),
    tokens: tuple[str, ...] = (),
) -> LabelledMap:
    """A map of known numbers; `width` tokens a column."""
    generator = np.random.default_rng(0)
    radius = columns // 2
    starts = np.arange(columns) * width - (radius if kind == "band" else 0)
    attention = AttentionMap(
        weights=generator.random((rows, columns), dtype=np.float32),
        row_spans=np.stack([np.arange(rows), np.arange(rows) + 1], axis=1),
        column_spans=np.stack([starts, starts + width], axis=1),
        layer=1,
        heads=(2,),
        kind=kind,
        pooling=pooling,
    )
    column_labels = tuple(
        Label(f"{start:+d}", None, "")
        if kind == "band"
        else Label(texts[i] if i < len(texts) else f"word{i}", 1 + i // 2, f"quote {i}")
        for i, start in enumerate(starts)
    )
    row_labels = tuple(Label("same", 1, "same") for _ in range(rows))
    return LabelledMap(attention, row_labels, column_labels, tokens)


def drawn(figure: figures.go.Figure) -> dict:
    """The figure as a browser gets it."""
    return json.loads(figure.to_json())


def numbers(packed: dict) -> np.ndarray:
    """An array as Plotly packs it."""
    kind = {"f4": np.float32, "f8": np.float64}[packed["dtype"]]
    shape = [int(size) for size in packed["shape"].split(",")]
    return np.frombuffer(base64.b64decode(packed["bdata"]), kind).reshape(shape)


def test_linear_colours_are_the_weights_themselves() -> None:
    source = labelled()
    trace = drawn(figures.map_figure(source, CROSS, title="T", subtitle=""))["data"][0]
    np.testing.assert_array_equal(numbers(trace["z"]), source.map.weights)
    assert trace["zmin"] == 0


def test_logarithmic_colours_leave_nothing_blank_but_zeros() -> None:
    source = labelled()
    source.map.weights[0, 0] = 0.0
    source.map.weights[1, 1] = 1e-12
    trace = drawn(figures.map_figure(source, CROSS, title="T", subtitle="", scale="log"))["data"][0]
    logs = numbers(trace["z"])
    assert np.isnan(logs[0, 0])
    assert logs[1, 1] == pytest.approx(np.log10(figures.LOG_FLOOR))
    assert logs[2, 2] == pytest.approx(np.log10(source.map.weights[2, 2]), rel=1e-5)
    np.testing.assert_array_equal(numbers(trace["customdata"]), source.map.weights)
    assert "customdata" in trace["hovertemplate"]


def test_every_row_stays_a_row_although_labels_are_equal() -> None:
    trace = drawn(figures.map_figure(labelled(rows=5), CROSS, title="T", subtitle=""))["data"][0]
    assert len(set(trace["y"])) == 5


def test_the_first_row_is_on_top() -> None:
    assert (
        drawn(figures.map_figure(labelled(), CROSS, title="T", subtitle=""))["layout"]["yaxis"]["autorange"]
        == "reversed"
    )


def test_text_of_a_paper_is_never_markup() -> None:
    source = labelled(texts=(HOSTILE,))
    figure = figures.map_figure(source, CROSS, title=HOSTILE, subtitle=HOSTILE)
    layout = drawn(figure)["layout"]
    for words in (layout["xaxis"]["ticktext"][0], layout["title"]["text"]):
        assert "<a" not in words
        assert "&lt;a" in words
    assert figures.plain("<b>&amp;</b>") == "&lt;b&gt;&amp;amp;&lt;/b&gt;"
    assert figures.plain("a\u202eb\x00c") == "a b c"


def test_pages_stand_along_an_axis_too_long_for_words() -> None:
    layout = drawn(figures.map_figure(labelled(columns=200), CROSS, title="T", subtitle=""))["layout"]
    ticks = layout["xaxis"]["ticktext"]
    assert ticks[0] == "p. 1"
    assert ticks[-1] == "p. 100"
    assert len(ticks) <= 16


def test_words_stand_along_a_short_axis() -> None:
    layout = drawn(figures.map_figure(labelled(columns=5), CROSS, title="T", subtitle=""))["layout"]
    assert layout["xaxis"]["ticktext"] == [f"word{i}" for i in range(5)]


def test_a_band_of_single_tokens_names_the_key_of_each_cell() -> None:
    source = labelled("band", rows=3, columns=5, tokens=("a", "b", "<c>"))
    trace = drawn(figures.map_figure(source, VIEWS["band"].sides, title="T", subtitle=""))["data"][0]
    assert trace["text"] == [
        ["", "", "a", "b", "&lt;c&gt;"],
        ["", "a", "b", "&lt;c&gt;", ""],
        ["a", "b", "&lt;c&gt;", "", ""],
    ]


@pytest.mark.parametrize(
    ("kind", "width", "note"),
    [
        ("cross", 8, "Pooled: mean of 8 tokens a column; zoom in for single ones."),
        ("band", 2, "Pooled: mean of 2 offsets a column; zoom in for single ones."),
        ("global", 32, "Pooled: mean of 2 blocks a column; zoom in for single ones."),
    ],
)
def test_pooling_is_said(kind: str, width: int, note: str) -> None:
    sides = VIEWS[kind].sides
    assert figures.pooling_note(labelled(kind, pooling="mean", width=width), sides, 16) == note
    assert figures.pooling_note(labelled(kind, width=width), sides, 16) == ""


def test_no_figure_is_too_large_for_a_browser() -> None:
    with pytest.raises(ValueError, match="at most 512"):
        figures.map_figure(labelled(rows=513), CROSS, title="T", subtitle="")
    with pytest.raises(ValueError, match="labels"):
        figures.map_figure(replace(labelled(), row_labels=()), CROSS, title="T", subtitle="")


def test_the_largest_figure_stays_small() -> None:
    source = labelled(rows=512, columns=512)
    assert len(figures.map_figure(source, CROSS, title="T", subtitle="", scale="log").to_json()) < 4_000_000


def test_the_overview_frames_the_chosen_head() -> None:
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    figure = drawn(figures.overview_map(values, title="Share", unit="%", selected=(1, 2)))
    (box,) = figure["layout"]["shapes"]
    assert (box["y0"], box["y1"], box["x0"], box["x1"]) == (0.5, 1.5, 1.5, 2.5)
    assert figure["data"][0]["y"] == ["layer 0", "layer 1"]
    free = figures.overview_map(values, title="Share", unit="tokens", selected=None)
    assert "shapes" not in drawn(free)["layout"]


def test_an_untitled_figure_remembers_its_title() -> None:
    figure = figures.map_figure(labelled(), CROSS, title="Local band", subtitle="Tokens 0 to 3")
    bare = drawn(figures.untitled(figure))["layout"]
    assert "text" not in bare.get("title", {})
    assert "Local band" in bare["meta"]["title"]["text"]
    assert bare["meta"]["height"] == figure.layout.height
    assert figure.layout.title.text is not None


def test_a_page_stands_alone() -> None:
    figure = figures.map_figure(
        labelled(texts=("</script><script>alert(1)</script>",)), CROSS, title="T", subtitle=""
    )
    page = figures.to_html(figure, "</title><script>alert(2)</script>")
    assert "</script><script>alert(" not in page
    assert "<script>alert(2)" not in page
    assert 'src="http' not in page
    assert len(page) > 3_000_000  # Plotly itself is inside


def test_numbers_come_back_from_their_file() -> None:
    source = labelled(texts=(HOSTILE, "Wörter"))
    with np.load(io.BytesIO(figures.to_npz(figures.arrays(source))), allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["weights"], source.map.weights)
        np.testing.assert_array_equal(saved["column_spans"], source.map.column_spans)
        assert saved["kind"] == "cross"
        assert saved["heads"].tolist() == [2]
        assert saved["column_texts"].tolist() == [f"quote {i}" for i in range(4)]
        assert saved["column_pages"].tolist() == [1, 1, 2, 2]
