"""Real papers and hostile files, kept outside the repository: each behaves as its manifest says.

They lie in a folder `shared` beside the checkout, or in the one that LONGT5_SHARED names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.documents import (
    Document,
    DocumentError,
    PageImages,
    PasswordNeeded,
    ReadingLimits,
    find_places,
    position_at,
    read,
)
from app.documents.page_images import ANSWER_PATIENCE
from longt5.text.sentences import split_sentences
from tests.app.documents.test_reading import assert_sentence, assert_sound, children
from tests.app.documents.test_recognition import word_f1

PDFS = Path(os.environ.get("LONGT5_SHARED") or Path(__file__).resolve().parents[4] / "shared") / "pdfs"
MANIFEST: list[dict[str, Any]] = (
    json.loads((PDFS / "manifest.json").read_text()) if (PDFS / "manifest.json").exists() else []
)
HOSTILE: list[str] = list(json.loads((PDFS / "hostile.json").read_text())["files"]) if MANIFEST else []
PASSWORDS = {"enc_aes128_user_password.pdf": "asdfzxcv", "enc_user_password_openpassword.pdf": "openpassword"}
# A page in the middle of a book, that begins with half a sentence.
HARD_TITLES = {"scan_ocr_vicksburg.pdf"}
NO_REFERENCES = {
    "chinese_contest_paper.pdf",
    "german_geotopo_117p.pdf",
    "scan_ocr_vicksburg.pdf",
    "odd_rotated_table.pdf",
    "bad_some_pages_19p.pdf",
}
# Right to left: the libraries do not agree on the order of letters.
REVERSED = {"odd_arabic_one_line.pdf"}
# Of these the manifest says that they can't be read; they can.
# The last has a line of text beside its picture, which is not decoded.
BETTER_THAN_EXPECTED = {"bad_typeerror.pdf", "odd_glyph_names_italian.pdf", "hostile_jbig2_bomb.pdf"}
SLOW = {"odd_slow_ruler_2p.pdf"} | {found["file"] for found in MANIFEST if (found["pages"] or 0) > 38}
SLOW_HOSTILE = re.compile(
    r"fonts_100|pages_9|pages_100000|ops_|bomb_under_limit_200|line_5MB|xref_destroyed|billion_laughs"
)
LIMITS = ReadingLimits()
QUICK = ReadingLimits(page_seconds=2)  # what is meant to use up its time does so sooner

pytestmark = pytest.mark.skipif(not MANIFEST, reason="the shared papers are not beside this checkout")


def marked(names: list[str], slow: list[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in slow else name for name in names]


def outcome(path: Path, limits: ReadingLimits = LIMITS, **options: Any) -> Document | DocumentError:
    """The document or the refusal, checked for what holds of all of them."""
    before = children()
    began = time.monotonic()
    result: Document | DocumentError
    try:
        result = read(path, limits=limits, **options)
        assert_sound(result)
    except DocumentError as error:
        assert_sentence(str(error))
        result = error
    assert time.monotonic() - began < limits.seconds + 10
    assert children() <= before
    return result


def entry(name: str) -> dict[str, Any]:
    return next(found for found in MANIFEST if found["file"] == name)


@pytest.mark.parametrize("name", marked([found["file"] for found in MANIFEST], sorted(SLOW)))
def test_real_and_odd_files(name: str, without_tesseract: None) -> None:
    expected = entry(name)
    result = outcome(PDFS / name)
    if name in BETTER_THAN_EXPECTED:
        assert isinstance(result, Document) and result.text
    elif expected["expected"] == "text":
        assert isinstance(result, Document)
        assert len(result.pages) == expected["pages"]
        assert result.text
        if expected["enough_text_to_summarize"]:
            assert len(result.text) > 5000
    elif expected["expected"] == "needs-password":
        assert isinstance(result, PasswordNeeded)
        assert isinstance(outcome(PDFS / name, password="wrong"), PasswordNeeded)
        assert isinstance(outcome(PDFS / name, password=PASSWORDS[name]), Document)
    else:
        assert isinstance(result, DocumentError)
        assert not isinstance(result, PasswordNeeded)
        if expected["expected"] == "no-text":
            assert "tesseract-ocr" in str(result)


@pytest.mark.slow
@pytest.mark.usefixtures("with_tesseract")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "scan_one_page_abstract.pdf",
            "isotope studies silicon atoms releasing hydrogen molecules deuterium",
        ),
        (
            "scan_two_pages_1970.pdf",
            "Oversize Tire Accessory Kit Cotter Pin main gear extended nose gear fork",
        ),
        (
            "odd_no_unicode_map_naacl01.pdf",
            "thematic roles WordNet verb classes semantic interpretation algorithm",
        ),
        ("hostile_jbig2_bomb.pdf", ""),
    ],
)
def test_pages_that_say_nothing_are_recognized(name: str, words: str) -> None:
    result = outcome(PDFS / name)
    assert isinstance(result, Document)
    assert len(result.recognized) == len(result.pages)
    assert set(words.split()) <= set(re.findall(r"\w+", result.text))


@pytest.mark.slow
@pytest.mark.usefixtures("with_tesseract")
def test_a_scan_says_what_the_paper_says() -> None:
    paper, scanned = (
        outcome(PDFS / "paper_dvt_prophylaxis_review.pdf"),
        outcome(PDFS / "scan_made_dvt_review_4p.pdf"),
    )
    assert isinstance(paper, Document)
    assert isinstance(scanned, Document)
    assert scanned.title == paper.title
    assert word_f1(scanned.text, paper.text) > 0.95
    assert scanned.references is not None


def letters(text: str) -> str:
    return re.sub(r"\W", "", text).casefold()


PAPERS = [
    found["file"] for found in MANIFEST if found["expected"] == "text" and found["enough_text_to_summarize"]
]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_papers_are_understood(name: str) -> None:
    """Title, abstract and reference list come out whole."""
    result = outcome(PDFS / name)
    assert isinstance(result, Document)
    expected = entry(name)
    if name not in HARD_TITLES and "(" not in expected["title"][:5]:
        stated = letters(re.sub(r"\(.*?\)$", "", expected["title"]))
        assert (
            stated in letters(result.title)
            or letters(result.title) in stated
            or name == "bad_some_pages_19p.pdf"
        )
    if name not in NO_REFERENCES:
        assert result.references is not None
        assert result.references[1] - result.references[0] > 1000
    if "abstract" in expected:
        words = re.findall(r"[^\W\d_]{4,}", expected["abstract"].casefold())
        there = set(re.findall(r"[^\W\d_]{4,}", result.text[: max(20_000, len(result.text) // 4)].casefold()))
        assert sum(word in there for word in words) > 0.97 * len(words)


@pytest.fixture(scope="session")
def hostile_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    maker = [sys.executable, str(PDFS / "make_hostile.py"), str(folder), str(PDFS / "paper_mapreduce.pdf")]
    subprocess.run(maker, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize(
    "name", marked(HOSTILE, [name for name in HOSTILE if SLOW_HOSTILE.search(name)]), ids=ascii
)
def test_hostile_files(name: str, hostile_folder: Path) -> None:
    path = hostile_folder / name
    if not os.path.lexists(path):
        pytest.skip("made only from another paper")
    result = outcome(path, LIMITS if SLOW_HOSTILE.search(name) else QUICK)
    if isinstance(result, Document):
        assert len(result.text) <= ReadingLimits().max_characters
        assert "/" not in result.name
        assert len(result.name) <= 120


# -- page images, and the places of what was read


@pytest.mark.slow
@pytest.mark.parametrize("name", [found["file"] for found in MANIFEST])
def test_sentences_stand_on_their_pages(name: str) -> None:
    """Every page can be drawn or a sentence says why not; nearly all sentences are found, and clicks lead back."""
    password = PASSWORDS.get(name)
    try:
        result = read(PDFS / name, password=password)
    except DocumentError:
        result = None
    with PageImages(PDFS / name, password=password) as images:
        drawn = draw_all(images, pages=3)
        if result is None:
            return
        assert drawn
        sentences = [
            (start, end)
            for start, end in split_sentences(result.text)
            if len(letters(result.text[start:end])) > 9
        ][:300]
        found = [find_places(result, start, end, images.characters) for start, end in sentences]
        exact = [bool(places) and all(place.exact for place in places) for places in found]
        if name not in REVERSED and sentences:
            assert sum(exact) >= 0.9 * len(sentences)
            assert sum(map(bool, found)) >= 0.98 * len(sentences)
        back = []
        for (start, end), places, is_exact in zip(sentences, found, exact):
            if is_exact:
                left, top, right, bottom = places[0].rectangles[0]
                point = (left + right) / 2, (top + bottom) / 2
                characters = images.characters(places[0].page)
                position = position_at(result, places[0].page, *point, characters)
                back.append(position is not None and start <= position < end)
        assert sum(back) >= 0.99 * len(back)


def draw_all(images: PageImages, pages: int) -> bool:
    """Asks for the first pages; whether one was drawn, and nothing but a sentence otherwise."""
    drawn = False
    try:
        count = len(images.sizes())
    except DocumentError as error:
        assert_sentence(str(error))
        return False
    for page in range(1, min(count, pages) + 1):
        for question in (partial(images.image, page, 1.0), partial(images.characters, page)):
            try:
                question()
                drawn = True
            except DocumentError as error:
                assert_sentence(str(error))
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_hostile_pages(name: str, hostile_folder: Path) -> None:
    path = hostile_folder / name
    if not os.path.lexists(path):
        pytest.skip("made only from another paper")
    before = children()
    began = time.monotonic()
    with PageImages(path, limits=QUICK) as images:
        draw_all(images, pages=2)
    assert time.monotonic() - began < 5 * ANSWER_PATIENCE * QUICK.page_seconds + 2
    assert children() <= before
    harmless = PDFS / "paper_mapreduce.pdf"
    with PageImages(harmless) as images:
        assert draw_all(images, pages=1)
