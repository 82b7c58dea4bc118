"""Scans through the real child process and the real Tesseract, or what may stand in its place."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from app.documents import Document, Reading, ReadingLimits, find_places, read
from app.documents.guarded_child import GuardedChild
from app.documents.recognition import RECOGNIZER
from app.work import Stopped
from tests.app.documents.test_reading import assert_sound, children, refusal
from tests.app.factories import paragraphs, wrapped
from tests.app.pdf_files import lines, pdf_of, write
from tests.app.scans import garbled, joined, overlaid, pictures, scan, turned, worn

LIMITS = ReadingLimits(seconds=120, page_seconds=5)
# A stand-in that knows a language and reads nothing.
KNOWS_ENGLISH = 'if [ "$1" = --list-langs ]; then printf "List\\neng\\n"; exit; fi\n'
real = pytest.mark.usefixtures("with_tesseract")


def page(text: str, *, width: int = 80, x: float = 72, size: float = 11) -> bytes:
    """The text as the only column of a page, or one of them."""
    return lines(*wrapped([text], width), x=x, top=720, step=14, size=size)


TEXTS = [" ".join(paragraphs(2, seed=seed)) for seed in range(3)]


def words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def word_f1(text: str, expected: str) -> float:
    found, wanted = words(text), words(expected)
    return 2 * (found & wanted).total() / (found.total() + wanted.total())


def load(path: Path, **options: Any) -> Document:
    document = read(path, **{"limits": LIMITS, **options})
    assert_sound(document)
    for number, characters in document.recognized.items():
        assert len(characters.text) == len(characters.boxes)
        assert 0 <= characters.boxes.min() <= characters.boxes.max() <= 1
        assert 1 <= number <= len(document.pages)
    return document


def page_text(document: Document, number: int) -> str:
    found = document.pages[number - 1]
    return document.text[found.start : found.end]


# -- what is recognized


@real
def test_a_scan_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, scan([worn(picture) for picture in pictures(pdf_of([*map(page, TEXTS)]))]))
    progress: list[Reading] = []
    document = load(path, on_page=progress.append)
    for number, text in enumerate(TEXTS, 1):
        assert word_f1(page_text(document, number), text) > 0.95
    assert set(document.recognized) == {1, 2, 3}
    assert document.notes == (
        "All 3 pages were recognized from images (OCR); check numbers and names against the page.",
    )
    assert progress == [
        *(Reading(number, 3) for number in (1, 2, 3)),
        *(Reading(number, 3, recognizing=True) for number in (1, 2, 3)),
    ]


@real
def test_lines_become_paragraphs_under_headings(tmp_path: Path) -> None:
    first, second = (wrapped([text], 80) for text in TEXTS[:2])
    below = 690 - 14 * len(first) - 20
    content = (
        lines("1 Introduction", top=720, size=15)
        + lines(*first, top=690, step=14, size=11)
        + lines("2 A second section", top=below, size=15)
        + lines(*second, top=below - 30, step=14, size=11)
    )
    document = load(write(tmp_path, scan(pictures(pdf_of([content])))))
    found = document.text.split("\n")
    assert found[::2] == ["1 Introduction", "2 A second section"]
    assert word_f1(found[1], TEXTS[0]) > 0.95
    assert word_f1(found[3], TEXTS[1]) > 0.95
    assert len(found) == 4


@real
def test_columns_come_out_one_after_the_other(tmp_path: Path) -> None:
    left, right = TEXTS[:2]
    content = page(left, width=42, x=60, size=10) + page(right, width=42, x=320, size=10)
    document = load(write(tmp_path, scan(pictures(pdf_of([content])))))
    border = document.text.index(right.split(".")[0][-20:])
    assert word_f1(document.text[:border], left) > 0.93
    assert word_f1(document.text[border:], right) > 0.93


@real
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_pages_on_their_side_are_read(degrees: int, tmp_path: Path) -> None:
    """And it is known where on the picture, as it lies, a passage stands."""
    [upright] = pictures(pdf_of([page(TEXTS[0])]))
    document = load(write(tmp_path, scan([upright.rotate(degrees, expand=True)])))
    assert word_f1(document.text, TEXTS[0]) > 0.95
    line = wrapped([TEXTS[0]], 80)[3]
    start = document.text.index(line[:30])
    [place] = find_places(document, start, start + len(line), document.recognized.get)
    [(left, top, right, bottom)] = place.rectangles
    # Counterclockwise, fractions of the page from its upper left corner.
    x, y = 72 / 612, (792 - (720 - 3 * 14) - 4) / 792
    x, y = {0: (x, y), 90: (y, 1 - x), 180: (1 - x, 1 - y), 270: (1 - y, x)}[degrees]
    assert min(abs(left - x), abs(right - x), abs(top - y), abs(bottom - y)) < 0.01
    assert left - 0.01 < x < right + 0.01
    assert top - 0.01 < y < bottom + 0.01


@real
def test_a_page_turned_by_the_file_is_read(tmp_path: Path) -> None:
    [upright] = pictures(pdf_of([page(TEXTS[0])]))
    pdf = scan([upright.rotate(90, expand=True)])
    document = load(write(tmp_path, turned(pdf, 90)))
    assert word_f1(document.text, TEXTS[0]) > 0.95


@real
def test_light_on_dark_is_read(tmp_path: Path) -> None:
    [picture] = pictures(pdf_of([page(TEXTS[0], width=60, size=14)]))
    document = load(write(tmp_path, scan([ImageOps.invert(picture)])))
    assert word_f1(document.text, TEXTS[0]) > 0.9


@real
def test_scanned_pages_between_pages_of_text(tmp_path: Path) -> None:
    whole = pdf_of([page(TEXTS[0]), b""])
    path = write(tmp_path, joined(whole, scan(pictures(pdf_of([page(TEXTS[1])])))))
    document = load(path)
    assert page_text(document, 1).strip() == TEXTS[0]
    assert page_text(document, 2) == ""
    assert word_f1(page_text(document, 3), TEXTS[1]) > 0.95
    assert list(document.recognized) == [3]
    assert document.notes == (
        "Page 3 of 3 was recognized from its image (OCR); check numbers and names against the page.",
    )


@real
def test_a_stamp_on_a_scan_is_not_its_text(tmp_path: Path) -> None:
    stamp = [lines(f"Downloaded from example.org on 3 May 2020, page {n}", top=20, size=6) for n in range(3)]
    stamped = overlaid(scan(pictures(pdf_of([*map(page, TEXTS)]))), pdf_of(stamp))
    document = load(write(tmp_path, stamped))
    for number, text in enumerate(TEXTS, 1):
        assert word_f1(page_text(document, number), text) > 0.95


@real
def test_letters_that_the_fonts_do_not_tell_are_read_as_drawn(tmp_path: Path) -> None:
    text = " ".join(TEXTS)
    document = load(write(tmp_path, garbled(pdf_of([page(text)]))))
    assert word_f1(document.text, text) > 0.95
    assert list(document.recognized) == [1]


# -- what is not


@real
@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (1275, 1650), 250),
        Image.fromarray(np.random.default_rng(0).normal(240, 5, (1650, 1275)).clip(0, 255).astype(np.uint8)),
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (1650, 1275), np.uint8)),
    ],
    ids=["white", "grain", "noise"],
)
def test_pictures_of_nothing_give_no_text(picture: Image.Image, tmp_path: Path) -> None:
    assert "none could be recognized" in refusal(write(tmp_path, scan([picture])))


def test_blank_pages_are_not_given_to_tesseract(
    tmp_path: Path, fake_tesseract: Callable[[str], None]
) -> None:
    fake_tesseract("sleep 600")
    document = load(write(tmp_path, pdf_of([page(TEXTS[0]), b"", b"", b""])))
    assert document.notes == ("3 of 4 pages have no text; they are blank or only pictures.",)


@real
def test_no_more_pages_than_may_be(tmp_path: Path) -> None:
    path = write(tmp_path, scan(pictures(pdf_of([*map(page, TEXTS)]), dpi=100)))
    document = load(path, limits=ReadingLimits(max_recognized_pages=1))
    assert [bool(page_text(document, number)) for number in (1, 2, 3)] == [True, False, False]
    assert document.notes[1] == (
        "2 of 3 pages (2, 3) without text were not recognized, because 1 pages are the most."
    )
    document = load(path, limits=ReadingLimits(max_characters=len(TEXTS[0]) * 2))
    assert 1 <= len(document.recognized) < 3


def test_without_tesseract_it_is_said_what_to_install(tmp_path: Path, without_tesseract: None) -> None:
    scanned = scan(pictures(pdf_of([page(TEXTS[0])]), dpi=50))
    assert "tesseract-ocr" in refusal(write(tmp_path, scanned))
    document = load(write(tmp_path, joined(joined(pdf_of([page(TEXTS[0])]), scanned), scanned)))
    assert len(document.notes) == 1
    assert "2 of 3 pages have no text" in document.notes[0]
    assert "tesseract-ocr" in document.notes[0]


# -- what may stand in the place of Tesseract, and how it ends


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    return write(tmp_path, scan(pictures(pdf_of([*map(page, TEXTS)]), dpi=50)))


def answer(path: Path, **orders: Any) -> dict[str, Any]:
    """What the child says of page 1."""
    orders = {
        "password": None,
        "page": 1,
        "program": shutil.which("tesseract"),
        "environment": {"PATH": os.defpath},
        "memory_bytes": 512 << 20,
        "cpu_seconds": 20,
        **orders,
    }
    with path.open("rb") as file:
        child = GuardedChild(RECOGNIZER, file.fileno(), orders)
        try:
            return next(message for message in child.messages if message is not None)
        finally:
            child.kill()


@pytest.mark.parametrize(
    ("script", "end"),
    [
        ("exit 1", "damaged"),
        (KNOWS_ENGLISH + 'printf "5\\tnonsense\\n"', "damaged"),
        (KNOWS_ENGLISH + "yes", "memory"),
        (KNOWS_ENGLISH + "while :; do :; done", "time"),
        (KNOWS_ENGLISH + "kill -SEGV $$", "damaged"),
    ],
)
def test_a_bad_end(script: str, end: str, scanned: Path, fake_tesseract: Callable[[str], None]) -> None:
    fake_tesseract(script)
    assert answer(scanned, cpu_seconds=1, memory_bytes=300 << 20) == {"end": end}


@pytest.mark.parametrize(
    ("installed", "chosen"),
    [
        ("eng", "--psm 3 --dpi 200 -l eng tsv"),
        ("deu osd eng", "--psm 1 --dpi 200 -l eng+deu tsv"),
        ("chi_sim fra script/Latin", "--psm 3 --dpi 200 -l chi_sim+fra tsv"),
        ("ces deu eng equ fra osd", "--psm 1 --dpi 200 -l eng tsv"),
    ],
)
def test_languages(installed: str, chosen: str, scanned: Path, fake_tesseract: Callable[[str], None]) -> None:
    """The stand-in answers with what it was asked, on one line that covers the page."""
    fake_tesseract(
        f"""if [ "$1" = --list-langs ]; then printf "%s\\n" "Available languages" {installed}; exit; fi
        printf "4\\t1\\t1\\t1\\t1\\t0\\t0\\t0\\t1500\\t2000\\t-1\\t\\n"
        printf "5\\t1\\t1\\t1\\t1\\t1\\t0\\t0\\t1500\\t2000\\t90\\t$*\\n" """
    )
    [[line, box, ink, confidence, text]] = answer(scanned)["words"]
    assert (line, box, confidence, text) == (1, [0, 0, 1500, 2000], 90.0, f"stdin stdout {chosen}")
    assert ink > 1000


def test_one_that_hangs_is_killed(scanned: Path, fake_tesseract: Callable[[str], None]) -> None:
    fake_tesseract(KNOWS_ENGLISH + "sleep 86399")
    began = time.monotonic()
    assert "recognizing it failed" in refusal(scanned, limits=ReadingLimits(recognition_seconds=0.5))
    assert time.monotonic() - began < 10
    assert_gone("sleep 86399")


def assert_gone(command: str) -> None:
    """That no process with this command outlives the signal that kills it, which may take a moment to arrive."""
    deadline = time.monotonic() + 2
    while running(command):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def running(command: str) -> list[str]:
    """Ids of the processes with this command."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = path.read_bytes().decode("utf-8", "replace")
        except OSError:  # one that has just ended
            continue
        if " ".join(arguments.split("\0")).strip() == command:
            found.append(path.parent.name)
    return found


def test_stop_takes_effect_within_half_a_second(scanned: Path, fake_tesseract: Callable[[str], None]) -> None:
    fake_tesseract(KNOWS_ENGLISH + "sleep 86398")
    stop = threading.Event()
    stopped_at: list[float] = []

    def stop_once_it_runs() -> None:
        while not running("sleep 86398"):
            time.sleep(0.02)
        stopped_at.append(time.monotonic())
        stop.set()

    threading.Thread(target=stop_once_it_runs, daemon=True).start()
    with pytest.raises(Stopped):
        read(scanned, limits=LIMITS, stop=stop)
    assert time.monotonic() - stopped_at[0] < 0.5
    assert_gone("sleep 86398")


@real
def test_an_error_of_the_caller_leaves_no_child(scanned: Path) -> None:
    before = children()

    def fail(reading: Reading) -> None:
        if reading.recognizing:
            raise KeyError(reading.page)

    with pytest.raises(KeyError):
        read(scanned, limits=LIMITS, on_page=fail)
    assert children() == before


def test_a_damaged_file_and_a_wrong_password_end_the_child(tmp_path: Path) -> None:
    damaged = write(tmp_path, b"%PDF-1.7 and nothing else")
    assert answer(damaged, program="/none") == {"end": "damaged"}
    assert answer(write(tmp_path, pdf_of([page("x")])), program="/none", page=2) == {"end": "damaged"}
