"""Pages for a browser: images and places of a real PDF, text where there is no image, nothing without the key."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.documents import ReadingLimits
from app.documents import read as read_document
from app.page.open_paper import OpenPaper, Range, find_open, open_paper
from app.page.paper_view import CLOSED, paper_layout, paper_page, paper_places, paper_position, paper_search
from tests.app.page.papers import TEXT, document
from tests.page_server import paper_pdf

LIMITS = ReadingLimits()


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPaper]:
    file = paper_pdf(tmp_path_factory.mktemp("paper") / "sparse.pdf")
    opened = open_paper(read_document(file), file, LIMITS, None)
    yield opened
    opened.close()


def test_pages_have_sizes_images_and_places(paper: OpenPaper) -> None:
    layout = paper_layout({"key": paper.key})
    assert layout["drawn"]
    assert [page["number"] for page in layout["pages"]] == [1, 2, 3]
    assert layout["pages"][0]["size"] == pytest.approx((595.3, 841.9), abs=0.1)
    image = paper_page({"key": paper.key, "page": 2, "scale": 1.2})["image"]
    assert base64.b64decode(image.partition(",")[2])[:2] == b"\xff\xd8"
    start = paper.document.text.index("3.5 ")
    ((place,),) = paper_places({"key": paper.key, "ranges": [[start, start + 30]]})["places"]
    assert place["page"] == 3
    left, top, right, bottom = place["rectangles"][0]
    assert abs(top - (841.9 - 780 + 4 * 18 - 8) / 841.9) < 0.012
    at = paper_position({"key": paper.key, "page": 3, "x": (left + right) / 2, "y": (top + bottom) / 2})
    assert start <= at["position"] < start + 30


def test_words_are_found_with_their_pages(paper: OpenPaper) -> None:
    answer = paper_search({"key": paper.key, "words": "SPARSE  attention reads"})
    assert not answer["more"]
    for start, end, page in answer["hits"]:
        assert paper.document.text[start:end].lower() == "sparse attention reads"
        assert paper.document.page_of(start) == page


def test_a_text_has_pages_too() -> None:
    paper = open_paper(document(), None, LIMITS, None)
    assert not paper.layout()["drawn"]
    assert paper.page(2, 1.0) == {"text": TEXT[36:], "start": 36}
    assert paper.places([Range(30, 40)]) == [[{"page": 1, "rectangles": []}, {"page": 2, "rectangles": []}]]


def test_pages_that_can_t_be_drawn_show_their_text_and_say_so(tmp_path: Path) -> None:
    file = paper_pdf(tmp_path / "gone.pdf")
    paper = open_paper(read_document(file), file, LIMITS, None)
    file.unlink()
    layout = paper.layout()
    assert not layout["drawn"] and layout["problem"].endswith(".")
    assert paper.page(1, 1.0)["text"].startswith("Sparse attention")


@pytest.mark.parametrize("asked", [None, {}, {"key": ""}, {"key": ["x"]}, {"key": "guess", "page": 1}])
def test_without_the_key_there_is_nothing(paper: OpenPaper, asked: object) -> None:
    for answer in (paper_layout, paper_page, paper_places, paper_search, paper_position):
        assert answer(asked) == {"gone": CLOSED}


def test_a_closed_paper_is_gone_and_so_is_a_forgotten_one() -> None:
    closed, forgotten = OpenPaper(document()), OpenPaper(document())
    keys = closed.key, forgotten.key
    closed.close()
    del forgotten
    assert [find_open(key) for key in keys] == [None, None]


@pytest.mark.parametrize("page", [0, 4, -1, 1.5, "1", None, True])
def test_a_page_that_is_none_is_refused(paper: OpenPaper, page: object) -> None:
    with pytest.raises(ValueError):
        paper_page({"key": paper.key, "page": page, "scale": 1})
