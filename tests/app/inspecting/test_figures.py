"""Drawings as the browser gets them, as SVG and as PDF: what is drawn, what is written, what never is markup."""

from __future__ import annotations

import io
import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pypdf import PdfReader

from app.inspecting import colours
from app.inspecting.drawing import Axis, Bars, Drawing, Heatmap, Tile, Tiles
from app.inspecting.figures import difference, to_npz
from app.inspecting.layout import WIDTH, Picture, Text, _width, laid_out, marks_of_kind, placed
from app.inspecting.page_figure import to_fragment, to_html, to_json
from app.inspecting.pdf import to_pdf
from app.inspecting.svg import png, to_svg

HOSTILE = '</script><script>alert(1)</script><a href="javascript:alert(1)">x</a> &amp; \x00 \u202e'


def axis(count: int, words: str = "word") -> Axis:
    texts = tuple(f"{words}{i}" for i in range(count))
    return Axis("tokens", texts, tuple(enumerate(texts)))


def heat_map(rows: int = 3, columns: int = 4, words: str = "word", measure: str = "share") -> Heatmap:
    values = np.random.default_rng(0).random((rows, columns)).astype(np.float32)
    return Heatmap(values, axis(rows), axis(columns, words), measure)  # type: ignore[arg-type]


def drawing(*panels: object, words: str = "A title") -> Drawing:
    return Drawing(words, f"{words} says this.", f"{words} is defined in a paper.", panels)  # type: ignore[arg-type]


def tiles() -> Tiles:
    names = tuple(Tile(i // 3, i % 3, "previous token", "label", "42 %") for i in range(6))
    return Tiles(names, np.full((6, 5, 7), 0.1, np.float32), by_layer=True, chosen=(1, 2))


@pytest.mark.parametrize("heads", [12, 16, 32, 64])
def test_a_line_of_heads_is_a_layer_however_many_there_are(heads: int) -> None:
    layers = 3
    names = tuple(
        Tile(layer, head, "previous token", "label", "42 %")
        for layer in range(layers)
        for head in range(heads)
    )
    panel = Tiles(names, np.full((len(names), 5, 7), 0.1, np.float32), by_layer=True)
    marks, _ = laid_out(drawing(panel))
    *pictures, _ = marks_of_kind(marks, Picture)
    lines = [{picture.y for picture in pictures[heads * i : heads * (i + 1)]} for i in range(layers)]
    assert [len(line) for line in lines] == [1] * layers and len(set.union(*lines)) == layers
    texts = marks_of_kind(marks, Text)
    labels = [text for text in texts if text.words.startswith("layer ")]
    assert [text.words for text in labels] == [f"layer {layer}" for layer in range(layers)]
    for label, (top,) in zip(labels, map(sorted, lines)):
        assert top < label.y < top + pictures[0].height
    assert all(picture.width > 2 for picture in pictures)
    assert max(picture.x + picture.width for picture in pictures) <= WIDTH
    for y in {text.y for text in texts}:  # what stands on one line does not touch
        ends = sorted(
            (text.x - _width(text.words, text.size), text.x)
            if text.anchor == "end"
            else (text.x, text.x + _width(text.words, text.size))
            for text in texts
            if text.y == y and text.anchor != "middle"
        )
        assert all(before[1] <= after[0] for before, after in pairwise(ends))


def bars() -> Bars:
    return Bars(axis(5), np.linspace(0, 1, 5), np.arange(5) < 2, threshold=0.4)


@pytest.mark.parametrize("scale", ["log", "linear"])
@pytest.mark.parametrize("measure", ["share", "difference", "change"])
def test_a_colour_means_the_same_whatever_is_beside_it(measure: str, scale: str) -> None:
    values = np.array([1e-5, 0.001, 0.3, 1.0])
    alone = [colours.positions(values[i : i + 1], measure, scale)[0] for i in range(4)]
    np.testing.assert_array_equal(alone, colours.positions(values, measure, scale))
    assert sorted(alone) == alone and alone[-1] == 1
    assert np.isnan(colours.positions(np.array([0.0, np.nan]), "share", scale)).all()
    assert colours.positions(np.array([0.0]), "difference", scale)[0] == 0.5


def test_ticks_of_the_colour_bar_stand_where_their_numbers_are() -> None:
    for scale in ("log", "linear"):
        for at, text in colours.ticks("share", scale):
            share = float(text.removesuffix(" %")) / 100
            if share:
                assert colours.positions(np.array([share]), "share", scale)[0] == pytest.approx(at)


def test_a_fragment_holds_the_numbers_and_no_markup() -> None:
    fragment = to_fragment(drawing(heat_map(words=HOSTILE)), "map")
    assert "<script" not in fragment and fragment.count("</") == 2
    inside = re.search(r"hidden>(.*?)</div>", fragment, re.S)
    assert inside
    panel = json.loads(inside[1])["panels"][0]
    assert panel["columns"]["labels"][0] == f"{HOSTILE}0"
    import base64

    numbers = np.frombuffer(base64.b64decode(panel["values"]["data"]), "<f2").reshape(
        panel["values"]["shape"]
    )
    np.testing.assert_allclose(numbers, heat_map().values, rtol=1e-3)


def test_a_page_stands_alone() -> None:
    page = to_html(drawing(heat_map(), words=HOSTILE))
    assert "<script>alert(" not in page
    assert "src=" not in page and "href=" not in page.replace("&lt;a href=", "")
    assert "longt5-figure" in page or "heatmap-grid" in page  # script and styles are inside


@pytest.mark.parametrize("panel", [heat_map(), tiles(), bars()], ids=["heatmap", "tiles", "bars"])
def test_svg_is_well_formed_and_names_everything(panel: object) -> None:
    svg = to_svg(drawing(panel, words=HOSTILE))
    root = ElementTree.fromstring(svg)
    words = " ".join(element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "alert(1)" in words and "says this." in words.replace("  ", " ")
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))
    width = float(root.attrib["width"].removesuffix("pt"))
    assert width == pytest.approx(WIDTH + 16)


def test_pdf_holds_the_words_and_the_cells() -> None:
    source = heat_map(40, 50, words="wörd")
    reader = PdfReader(io.BytesIO(to_pdf(drawing(source, words="Übersicht \u4e2d"))))
    (page,) = reader.pages
    text = page.extract_text()
    assert "Übersicht" in text and "wörd0" in text
    assert (50, 40) in [image.image.size for image in page.images if image.image]


def test_cells_of_a_file_are_pixels() -> None:
    source = heat_map()
    cells = next(
        m for m in marks_of_kind(laid_out(drawing(source))[0], Picture) if m.pixels.shape[:2] == (3, 4)
    )
    expected = colours.palette("share")[colours.colour_indices(source.values, "share", "log")]
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(png(cells.pixels)))), expected)


@given(
    ticks=st.lists(st.tuples(st.integers(0, 99), st.text(min_size=1, max_size=12)), max_size=30),
    length=st.floats(20, 800),
)
def test_labels_never_touch(ticks: list, length: float) -> None:
    shown = placed(Axis("", (), tuple(ticks)), 100, length, lambda words: 6.0 * len(words))
    spans = sorted((at - 3.0 * len(words), at + 3.0 * len(words)) for at, words in shown)
    assert all(end < start for (_, end), (start, _) in pairwise(spans))
    if ticks:
        assert shown[0][1] == ticks[0][1]  # the most important one is always there


def test_everything_stays_on_the_sheet() -> None:
    long = heat_map(100, 300, words="pneumonoultramicroscopic")
    for panel in (long, tiles(), bars()):
        marks, height = laid_out(drawing(panel, words="many words " * 40))
        for mark in marks:
            assert mark.y <= height
            if isinstance(mark, Text) and not mark.turned and mark.anchor == "start":
                assert mark.x <= WIDTH


def test_a_difference_is_that_of_equal_sides() -> None:
    first, second = heat_map(), heat_map()
    second.values[:] = 0.5
    gap = difference(first, second)
    assert gap is not None and gap.measure == "difference"
    np.testing.assert_allclose(gap.values, 0.5 - first.values)
    assert difference(first, heat_map(words="other")) is None
    assert difference(first, heat_map(rows=4)) is None


def test_numbers_come_back_from_their_file() -> None:
    written = {
        "weights": heat_map().values,
        "question": np.array('{"view": "band"}'),
        "texts": np.array([HOSTILE]),
    }
    with np.load(io.BytesIO(to_npz(written)), allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["weights"], written["weights"])
        assert json.loads(str(saved["question"])) == {"view": "band"}


def test_the_largest_figure_stays_small() -> None:
    assert len(to_json(drawing(heat_map(512, 512)))) < 1_000_000
