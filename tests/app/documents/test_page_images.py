"""Pages as images, drawn by real children: what they show, and that no page, however bad, does harm to the next one."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.documents import (
    DocumentError,
    PageImage,
    PageImages,
    PageSize,
    PasswordNeeded,
    ReadingLimits,
    page_images,
)
from app.work import Stopped
from tests.app import pdf_files
from tests.app.documents.test_reading import assert_sentence, children, encrypted
from tests.app.pdf_files import lines, pdf_of, show, write


@pytest.fixture(autouse=True)
def nobody_survives() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def pixels(image: PageImage) -> np.ndarray:
    """`(height, width)`: how dark each pixel is, 0 to 255."""
    return 255 - np.asarray(Image.open(io.BytesIO(image.jpeg)).convert("L")).astype(int)


def refused(question: Callable[[], object]) -> str:
    """The sentence that a question ends with."""
    with pytest.raises(DocumentError) as caught:
        question()
    assert_sentence(str(caught.value))
    return str(caught.value)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- what is drawn


def test_sizes_and_images(tmp_path: Path) -> None:
    with PageImages(write(tmp_path, pdf_of([lines("One"), lines("Two")]))) as images:
        assert images.sizes() == (PageSize(612, 792),) * 2
        image = images.image(2, 1.5)
        assert (image.width, image.height) == (918, 1188)
        dark = pixels(image) > 128
        assert dark.shape == (1188, 918)
        rows = np.flatnonzero(dark.any(1)) / 1.5
        assert 792 - 710 < rows.min() < rows.max() < 792 - 698


def test_long_edge_is_bounded(tmp_path: Path) -> None:
    data = pdf_of([b""], page=b"/CropBox [0 0 10 700]")
    with PageImages(write(tmp_path, data)) as images:
        image = images.image(1, 100)
        assert image.height == 2400
        assert image.width in (34, 35)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_characters_stand_where_they_are_drawn(rotation: int, tmp_path: Path) -> None:
    """On pages that are turned and cropped too."""
    page = b"/Rotate %d /CropBox [50 400 500 760]" % rotation
    content = show("Here and nowhere else", 120, 640, size=14)
    with PageImages(write(tmp_path, pdf_of([content], page=page))) as images:
        size = images.sizes()[0]
        assert (size.width, size.height) == ((450, 360) if rotation % 180 == 0 else (360, 450))
        found = images.characters(1)
        dark = pixels(images.image(1, 2)) > 100
    assert found.text.strip() == "Here and nowhere else"
    assert found.boxes.shape == (len(found.text), 4)
    height, width = dark.shape
    drawn = found.boxes[np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1) > 0]
    for left, top, right, bottom in drawn * [width, height, width, height]:
        dark[int(top) : int(bottom) + 2, max(0, int(left) - 1) : int(right) + 2] = False
    assert not dark.any()
    area = np.prod(drawn.max(0)[2:] - drawn.min(0)[:2])
    assert area < 0.03


def test_characters_outside_the_page_have_no_area(tmp_path: Path) -> None:
    content = show("in", 100, 100) + show("out", 5000, 100) + b"BT /F1 1e30 Tf 1 0 0 1 1e38 9 Tm (far) Tj ET"
    with PageImages(write(tmp_path, pdf_of([content]))) as images:
        found = images.characters(1)
    assert np.isfinite(found.boxes).all()
    assert found.boxes.min() >= 0
    assert found.boxes.max() <= 1
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    start = found.text.index("out")
    assert areas[start : start + 3].tolist() == [0, 0, 0]
    assert areas[found.text.index("in")] > 0


def test_characters_beyond_16_bits_are_whole(tmp_path: Path) -> None:
    cmap = (
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap\n"
        b"1 begincodespacerange <00> <ff> endcodespacerange\n"
        b"2 beginbfchar <61> <d835dc5a> <62> <d835> endbfchar\nendcmap end end"
    )
    data = pdf_files.pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
            b" /Resources << /Font << /F1 5 0 R >> >> >>",
            4: pdf_files.stream(show("xaxbx", 100, 100)),
            5: b"<< /Type /Font /Subtype /Type1 /BaseFont /Times-Roman /ToUnicode 6 0 R >>",
            6: pdf_files.stream(cmap),
        }
    )
    with PageImages(write(tmp_path, data)) as images:
        found = images.characters(1)
    assert found.text.startswith("x\U0001d45ax")
    assert len(found.boxes) == len(found.text)
    found.text.encode()


def test_answers_are_kept_and_displaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_images, "_CACHE", page_images._Cache(100_000))
    with PageImages(write(tmp_path, pdf_of([lines(pdf_files.LOREM)] * 12))) as images:
        first = images.image(1, 1)
        assert images.image(1, 1) is first
        assert images.image(1, 1.25) is not first
        for page in range(2, 13):
            images.image(page, 1)
        again = images.image(1, 1)
        assert again is not first
        assert again == first


def test_pages_that_are_not_there(tmp_path: Path) -> None:
    with PageImages(write(tmp_path, pdf_of([b""]))) as images:
        for page in (0, -1, 2):
            assert "page 1" in refused(lambda page=page: images.image(page, 1)).replace("pages", "page")
            refused(lambda page=page: images.characters(page))
        for scale in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="scale"):
                images.image(1, scale)


def test_child_starts_light() -> None:
    folder = str(page_images.RENDERER.parent)
    heavy = {"app", "torch", "gradio", "transformers", "numpy", "pypdf"}
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); import page_renderer, pypdfium2, PIL.Image\n"
        f"print({heavy!r} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.strip() == "set()"


# -- what cannot be opened


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"])
def test_password(algorithm: str, tmp_path: Path) -> None:
    path = write(tmp_path, encrypted("öpen sesame", "boss", algorithm))
    for password, sentence in ((None, "is encrypted"), ("wrong", "does not open")):
        with PageImages(path, password=password) as images, pytest.raises(PasswordNeeded, match=sentence):
            images.image(1, 1)
    for password in ("öpen sesame", "boss"):
        with PageImages(path, password=password) as images:
            assert images.characters(1).text.strip() == "A secret."


def test_no_password_is_asked_where_none_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path, encrypted("", "boss", "AES-256"))
    for password in (None, "superfluous"):
        with PageImages(path, password=password) as images:
            assert images.characters(1).text.strip() == "A secret."


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7\n", pdf_files.page_tree_cycle(), b"\x89PNG" + bytes(500)])
def test_files_that_are_no_pdf(data: bytes, tmp_path: Path) -> None:
    with PageImages(write(tmp_path, data)) as images:
        for question in (images.sizes, lambda: images.image(1, 1), lambda: images.characters(1)):
            assert "damaged" in refused(question)


def test_file_that_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([b""]))
    with PageImages(path) as images:
        path.unlink()
        assert "no longer here" in refused(images.sizes)
        write(tmp_path, pdf_of([b""]))
        assert images.sizes()


# -- children that end, hang and babble


def test_child_that_died_is_started_again(tmp_path: Path) -> None:
    before = children()
    with PageImages(write(tmp_path, pdf_of([lines("One"), lines("Two")]))) as images:
        for page in (1, 2):
            images.image(page, 1)
            (child,) = children() - before
            os.kill(child, signal.SIGKILL)
        assert images.characters(1).text.strip() == "One"


def test_child_killed_in_mid_answer(tmp_path: Path) -> None:
    """A page that ends a fresh child too is not tried again; the other pages are drawn."""
    before = children()
    path = write(tmp_path, pdf_files.endless_forms(good_pages=1))
    with PageImages(path) as images, ThreadPoolExecutor(1) as threads:
        images.sizes()
        (first,) = children() - before
        asked = threads.submit(images.image, 1, 1)
        time.sleep(0.3)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: bool(children() - before - {first}))
        (second,) = children() - before - {first}
        time.sleep(0.3)
        assert not asked.done()
        os.kill(second, signal.SIGKILL)
        assert "page 1" in refused(asked.result).lower()
        assert not children() - before
        refused(lambda: images.image(1, 1))
        assert not children() - before
        assert pixels(images.image(2, 1)).max() > 100


def test_hang_is_cut_off(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_files.endless_forms(good_pages=1))
    with PageImages(path, limits=ReadingLimits(page_seconds=0.4)) as images:
        images.sizes()
        began = time.monotonic()
        assert "too long" in refused(lambda: images.image(1, 1))
        assert time.monotonic() - began < 3
        began = time.monotonic()
        refused(lambda: images.image(1, 2))
        assert time.monotonic() - began < 0.2
        assert images.image(2, 1)


def test_too_much_memory(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([b" " * 200_000_000, lines("Two")]))
    with PageImages(path, limits=ReadingLimits(memory_bytes=200 << 20)) as images:
        refused(lambda: images.image(1, 1))
        assert images.image(2, 1)


@pytest.mark.parametrize(
    "answer",
    [
        "raise SystemExit(1)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
        "say('no message')",
        "say('[1]')",
        "say('{}')",
        "say('[' * 100_000)",
        "say('{\"sizes\": 3}')",
        "say('{\"sizes\": [[1]]}')",
        "say('{\"refused\": {}}')",
        "say('{\"failed\": []}')",
        'say(\'{"end": "idle"}\')',
        "while True: say('{\"open\": true}')",
        "while True: say('x' * 100_000, end='')",
        "time.sleep(60)",
    ],
)
def test_child_that_talks_nonsense(answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "renderer.py"
    program.write_text(
        f"import os, signal, sys, time\nsay = print\nsys.stdin.readline()\n{answer}\nsys.stdout.flush()\n"
    )
    monkeypatch.setattr(page_images, "RENDERER", program)
    with PageImages(write(tmp_path, b""), limits=ReadingLimits(page_seconds=0.5)) as images:
        refused(images.sizes)
        assert refused(images.sizes) == refused(lambda: images.image(1, 1))


@pytest.mark.parametrize(
    "answer",
    [
        {
            "jpeg": "!",
            "width": 1,
            "height": 1,
            "text": "a",
            "boxes": "!",
            "page_box": [0, 0, 1, 1],
            "rotation": 0,
        },
        {
            "jpeg": "",
            "width": "x",
            "height": 1,
            "text": "a",
            "boxes": "",
            "page_box": [0, 0, 1, 1],
            "rotation": 0,
        },
        {
            "jpeg": "",
            "width": 1e999,
            "height": 1,
            "text": "",
            "boxes": "",
            "page_box": [0, 0, 0, 0],
            "rotation": 0,
        },
        {
            "jpeg": 5,
            "width": 1,
            "height": 1,
            "text": "",
            "boxes": "",
            "page_box": [0, 0, 1, 1],
            "rotation": 45,
        },
        {"jpeg": "", "width": None, "height": 1, "text": "", "boxes": "", "page_box": "xxxx", "rotation": 0},
    ],
)
def test_wrong_answers(answer: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "renderer.py"
    program.write_text(
        "import sys\nsys.stdin.readline()\nfor line in sys.stdin:\n"
        f"    print({json.dumps({'sizes': [[1, 1]]})!r} if 'sizes' in line else {json.dumps(answer)!r}, flush=True)\n"
    )
    monkeypatch.setattr(page_images, "RENDERER", program)
    with PageImages(write(tmp_path, b"")) as images:
        refused(lambda: images.image(1, 1))
        refused(lambda: images.characters(1))


def test_idle_child_ends_and_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_images, "IDLE_SECONDS", 1)
    before = children()
    with PageImages(write(tmp_path, pdf_of([lines("One")]))) as images:
        images.image(1, 1)
        (child,) = children() - before
        eventually(lambda: Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert images.image(1, 2)
        assert child not in children()


# -- many at once


def test_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    with PageImages(write(tmp_path, pdf_files.endless_forms(good_pages=1))) as images:
        images.sizes()
        threading.Timer(0.3, stop.set).start()
        began = time.monotonic()
        with pytest.raises(Stopped):
            images.image(1, 1, stop)
        assert time.monotonic() - began < 1.5
        assert images.image(2, 1)


def test_close_ends_a_question(tmp_path: Path) -> None:
    images = PageImages(write(tmp_path, pdf_files.endless_forms()))
    threading.Timer(0.5, images.close).start()
    assert "closed" in refused(lambda: images.image(1, 1))
    assert "closed" in refused(images.sizes)


def test_one_child_serves_many_threads(tmp_path: Path) -> None:
    before = children()
    path = write(tmp_path, pdf_of([lines(f"Page {number}") for number in range(4)]))
    with PageImages(path) as images, ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(images.characters, 1 + number % 4) for number in range(40)]
        for number, answer in enumerate(asked):
            assert answer.result().text.strip() == f"Page {number % 4}"
        assert len(children() - before) == 1


def test_children_of_all_papers_are_bounded(tmp_path: Path) -> None:
    before = children()
    paths = [write(tmp_path, pdf_of([lines(f"Paper {n}")] * 3), f"{n}.pdf") for n in range(7)]
    papers = [PageImages(path) for path in paths]
    most = 0
    with ThreadPoolExecutor(7) as threads:
        for page in (1, 2, 3):
            answers = list(threads.map(lambda paper, page=page: paper.characters(page), papers))
            assert [answer.text.strip() for answer in answers] == [f"Paper {n}" for n in range(7)]
            most = max(most, len(children() - before))
    assert 1 < most <= page_images.MAX_CHILDREN
    for paper in papers:
        paper.close()
