"""Files to documents, through the real child process: what is read, what is refused and in which words."""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents import (
    Document,
    DocumentError,
    Page,
    PasswordNeeded,
    Reading,
    ReadingLimits,
    read,
    undivided,
)
from app.documents.reading import display_name
from app.work import Stopped
from tests.app import pdf_files
from tests.app.pdf_files import LOREM, lines, pdf_of, show, write

LIMITS = ReadingLimits(seconds=60, page_seconds=5)


def load(path: Path, **options: Any) -> Document:
    return read(path, **{"limits": LIMITS, **options})


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(DocumentError) as caught:
        load(path, **options)
    sentence = str(caught.value)
    assert_sentence(sentence)
    return sentence


def assert_sentence(sentence: str) -> None:
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 200
    assert not any(word in sentence for word in ("Error", "Traceback", "Exception", "pypdf", "None"))


def assert_sound(document: Document) -> None:
    """The pages and the sections tile the text, and it can be stored."""
    position = 0
    for number, page in enumerate(document.pages, 1):
        assert (page.number, page.start) == (number, position)
        assert page.label
        position = page.end
    assert position == len(document.text)
    position = 0
    for section in document.sections:
        assert section.start == position <= section.end
        position = section.end
    assert position == len(document.text)
    assert document.language is None or len(document.language) == 2
    (document.text + document.title + document.name).encode("utf-8")
    for note in document.notes:
        assert_sentence(note)


# -- what is read


def test_pages_arrive_before_the_document(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines("One."), lines("Two."), lines("Three.")]))
    progress: list[Reading] = []
    document = read(path, on_page=progress.append)
    assert progress == [Reading(1, 3), Reading(2, 3), Reading(3, 3)]
    assert document == Document(
        "paper.pdf",
        "paper.pdf",
        "One.\nTwo.\nThree.",
        (Page(1, 0, 5), Page(2, 5, 10), Page(3, 10, 16)),
        undivided(document.text),
        (),
    )


def test_a_small_paper(tmp_path: Path) -> None:
    entries = [f"[{n}] J. Doe. A paper. Journal of Things, 12(3):45-67, 200{n}." for n in range(1, 5)]
    first = (
        show("Proc. of Things 2010", 72, 760, size=8)
        + show("Reading Long Papers", 150, 720, size=17, font="F2")
        + show("Abstract", 72, 690, size=12, font="F2")
        + lines("We present an e\u0066\u0066icient repre-", "sentation of long documents.", top=670)
        + show("1", 300, 30)
    )
    second = (
        show("Proc. of Things 2010", 72, 760, size=8)
        + lines("It works on every docu-", "ment that was tried.", top=700)
        + show("References", 72, 660, size=12, font="F2")
        + lines(*entries, top=640)
        + show("2", 300, 30)
    )
    document = load(write(tmp_path, pdf_of([first, second])))
    assert document.title == "Reading Long Papers"
    assert document.text.split("\n") == [
        "Reading Long Papers",
        "Abstract",
        "We present an efficient representation of long documents.",
        "It works on every document that was tried.",
        "References",
        *entries,
    ]
    assert document.references is not None
    assert document.text[document.references[0] :].startswith("References")
    assert [(each.heading, each.kind) for each in document.sections] == [
        ("", "front"),
        ("Abstract", "body"),
        ("References", "references"),
    ]
    assert document.body_ranges == ((document.text.index("Abstract"), document.references[0]),)
    assert document.page_of(document.text.index("It works")) == 2
    assert_sound(document)


def test_two_columns_come_out_one_after_the_other(tmp_path: Path) -> None:
    left = [
        "The left column begins and goes on",
        "for some lines until it ends in the",
        "middle of a sentence that is then",
    ]
    right = ["continued at the top of the right", "column, as in any paper."]
    document = load(write(tmp_path, pdf_of([lines(*left, x=60) + lines(*right, x=320)])))
    assert document.text == " ".join(left + right)


def test_damaged_page_is_left_out_and_said(tmp_path: Path) -> None:
    data = pdf_of([lines("One."), lines("Lost."), lines("Three.")])
    data = data.replace(b"/Contents 13 0 R", b"/Contents 99 0 R")
    document = load(write(tmp_path, data))
    assert document.text == "One.\nThree."
    assert document.notes == ("Page 2 of 3 could not be read and is left out.",)
    assert [page.number for page in document.pages] == [1, 2, 3]
    assert_sound(document)


def test_pages_without_text_are_said(tmp_path: Path) -> None:
    document = load(write(tmp_path, pdf_of([lines("One."), b"", b"", b""])))
    [note] = document.notes
    assert note.startswith("3 of 4 pages have no text; they are blank or only pictures")


def test_what_was_read_before_time_ran_out_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines(LOREM), *[pdf_files.slow_page()] * 200]))
    document = load(path, limits=ReadingLimits(seconds=4, page_seconds=5))
    assert document.text.startswith(LOREM)
    assert len(document.pages) == 201
    assert "because reading it took too long" in document.notes[0]


def test_text_beyond_the_limit_is_left_out_and_said(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines(*[LOREM] * 5)] * 10))
    document = load(path, limits=ReadingLimits(max_characters=1500))
    assert 0 < len(document.text) <= 1500
    assert document.notes == ("Only the first 3 of 10 pages were read, because it is too long.",)
    assert len(document.pages) == 10


@pytest.mark.parametrize("name", ["paper.txt", "paper", "paper.pdf", "paper.md"])
def test_kind_is_told_by_content_not_by_name(name: str, tmp_path: Path) -> None:
    assert load(write(tmp_path, b"A text.\n\nIn two paragraphs.", name)).text == "A text.\nIn two paragraphs."
    assert load(write(tmp_path, pdf_of([lines("A PDF.")]), name)).text == "A PDF."


def test_header_may_come_late(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"<html>" + b" " * 900 + pdf_of([lines("A PDF.")]))).text == "A PDF."


@pytest.mark.parametrize(
    "data",
    [
        "Grüße: naïve text.".encode(),
        "Grüße: naïve text.".encode("utf-8-sig"),
        "Grüße: naïve text.".encode("utf-16"),
        "\ufeffGrüße: naïve text.".encode("utf-16-be"),
        "Grüße: naïve text.".encode("latin-1"),
        "Grüße: naïve text.".encode("cp1252"),
    ],
)
def test_encodings(data: bytes, tmp_path: Path) -> None:
    assert load(write(tmp_path, data, "a.txt")).text == "Grüße: naïve text."


def test_form_feeds_part_pages(tmp_path: Path) -> None:
    document = load(write(tmp_path, b"One.\fTwo.\f", "a.txt"))
    assert [document.text[page.start : page.end] for page in document.pages] == ["One.\n", "Two."]


def test_markdown(tmp_path: Path) -> None:
    data = b"# A title #\nText that\ngoes on.\n\n## Part\n- one\n- two\n"
    document = load(write(tmp_path, data, "a.md"))
    assert document.title == "A title"
    assert document.text.split("\n") == ["A title", "Text that goes on.", "Part", "- one", "- two"]


def markdown(text: str, tmp_path: Path) -> Document:
    document = load(write(tmp_path, text.encode(), "paper.md"))
    assert_sound(document)
    return document


def headings(document: Document) -> list[str]:
    return [section.heading for section in document.sections if section.heading]


PROSE = f"{LOREM} {LOREM} {LOREM}"
SECTIONS = f"\n\n{PROSE}\n\n# Methods\n\n{PROSE}\n\n# Results\n\n{PROSE}\n"


@pytest.mark.parametrize(
    ("begins", "title"),
    [
        ("---\ntitle: 'Gala: A ''Python'' package'\ntags:\n  - Python\n---\n\n", "Gala: A 'Python' package"),
        ('---\nauthor: Jane Doe\ntitle: "Gala: \\"A\\" package"\n...\n', 'Gala: "A" package'),
        (
            "---\ntitle: >-\n  Gala: a package\n  for astronomers\ndate: 2020\n---\n",
            "Gala: a package for astronomers",
        ),
        ("---\r\ntitle: Gala, a package\r\n---\r\n", "Gala, a package"),
        ("# BERT\n\n", "BERT"),
        ("# A survey of surveys #\n\n", "A survey of surveys"),
        ("BERT\n====\n\n", "BERT"),
        ("# Contents\n\n# Gala, a package\n\n", "Gala, a package"),
    ],
)
@pytest.mark.parametrize("first", ["Summary", "Introduction", "1 Introduction", "1. Gala in use"])
def test_title_of_markdown_is_no_section(begins: str, title: str, first: str, tmp_path: Path) -> None:
    document = markdown(f"{begins}# {first}{SECTIONS}", tmp_path)
    assert document.title == title
    assert headings(document)[-3:] == [first, "Methods", "Results"]
    assert "---" not in document.text and "Jane Doe" not in document.text and "====" not in document.text


def test_markdown_without_a_title_keeps_its_sections(tmp_path: Path) -> None:
    document = markdown(f"# Summary{SECTIONS}", tmp_path)
    assert headings(document) == ["Summary", "Methods", "Results"]
    assert headings(markdown(f"---\n\n# Summary{SECTIONS}", tmp_path)) == ["Summary", "Methods", "Results"]


@pytest.mark.parametrize(
    ("opens", "closes"),
    [("```", "```"), ("~~~ {.r}", "~~~~"), ("```python", "```  "), ("  ````sh\n```", "````")],
)
def test_comments_in_code_are_no_headings(opens: str, closes: str, tmp_path: Path) -> None:
    code = f"{opens}\n# Load the data\nx = 1\n# Results\n---\n{closes}\n\n"
    document = markdown(
        f"{code}# Gala, a package\n\n{code}# Introduction\n\n{PROSE}\n\n{code}{SECTIONS}", tmp_path
    )
    assert document.title == "Gala, a package"
    assert headings(document) == ["Introduction", "Methods", "Results"]
    assert document.text.count("# Load the data") == 3


def test_code_that_nothing_closes_takes_no_sections(tmp_path: Path) -> None:
    document = markdown(f"# Gala, a package\n\n```\nx = 1\n\n# Introduction{SECTIONS}", tmp_path)
    assert headings(document) == ["Introduction", "Methods", "Results"]


def test_attributes_and_underlines_of_headings_are_no_text(tmp_path: Path) -> None:
    text = (
        f"A title of a paper\nin two lines\n===\n\nIntroduction\n------------\n{PROSE}\n\n"
        f"Methods {{#sec:methods}}\n---\n\n{PROSE}\n\n- an item\n---\n\n## Sets {{1, 2}}\n\n{PROSE}\n\n---\n\n"
        f"## Results {{-}}\n\n{PROSE}\n\n## References {{.unnumbered #refs}}\n\n"
        "Doe, J. (2020). A paper. Journal of Things, 12, 45-67.\n\nRoe, R. (2021). A book. Press.\n"
    )
    document = markdown(text, tmp_path)
    assert document.title == "A title of a paper in two lines"
    assert headings(document) == ["Introduction", "Methods", "Sets {1, 2}", "Results", "References"]
    assert document.references is not None
    assert document.text.count("---") == 2 and "===" not in document.text  # behind the item, and alone


# -- passwords


def encrypted(user: str, owner: str, algorithm: str) -> bytes:
    writer = pypdf.PdfWriter(io.BytesIO(pdf_of([lines("A secret.")])))
    writer.encrypt(user, owner, algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


@pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256-R5", "AES-256"])
def test_password(algorithm: str, tmp_path: Path) -> None:
    path = write(tmp_path, encrypted("öpen sesame", "boss", algorithm))
    with pytest.raises(PasswordNeeded) as missing:
        load(path)
    with pytest.raises(PasswordNeeded) as wrong:
        load(path, password="wrong")
    assert str(missing.value) != str(wrong.value)
    assert_sentence(str(missing.value))
    assert_sentence(str(wrong.value))
    assert load(path, password="öpen sesame").text == "A secret."
    assert load(path, password="boss").text == "A secret."


def test_no_password_is_asked_where_none_is_needed(tmp_path: Path) -> None:
    path = write(tmp_path, encrypted("", "boss", "AES-256"))
    assert load(path).text == "A secret."
    assert load(path, password="superfluous").text == "A secret."


def test_unknown_encryption(tmp_path: Path) -> None:
    data = pdf_files.pdf(
        {1: b"<< /Type /Catalog /Pages 2 0 R >>", 2: b"<< /Type /Pages /Kids [] /Count 0 >>"},
        trailer=b"/Encrypt << /Filter /Strange /V 4 /R 4 >> /ID [<00> <00>]",
    )
    assert "protected" in refusal(write(tmp_path, data))


# -- what is refused


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b" \n\t ", "empty"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
        (b"\n  <html lang='en'><head>", "web page"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html><body>404 Not Found</body></html>", "web page"),
        ("\ufeff<html><body>404 Not Found</body></html>".encode("utf-16-le"), "web page"),
        (b"PK\x03\x04" + bytes(100), "Word"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "picture"),
        (b"{\\rtf1 Text}", "RTF"),
        (b"%!PS-Adobe-3.0", "PostScript"),
        (bytes(range(256)) * 10, "neither"),
        (b"\xff\xfe\x00\xd8", "neither"),
        (b"12 34 56", "neither"),
        (b"%PDF-1.7", "damaged"),
        (b"%PDF-1.4\n%%EOF", "damaged"),
        (pdf_of([lines(LOREM)])[:-400], "damaged"),
        (pdf_files.page_tree_cycle(), "damaged"),
        (pdf_of([]), "no pages"),
        (pdf_of([b"", b"0 0 m 9 9 l S"]), "only pictures"),
        (pdf_of([lines("/65/115/115" * 8, *["/105/99/117" * 8] * 9)]), "fonts"),
        (pdf_of([lines(LOREM)]).replace(b"/Contents 11 0 R", b"/Contents 99 0 R"), "damaged"),
    ],
)
def test_refusals(data: bytes, word: str, tmp_path: Path, without_tesseract: None) -> None:
    assert word in refusal(write(tmp_path, data))


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (pdf_files.zip_bomb, "far more"),
        (pdf_files.font_bomb, "no text"),
    ],
)
def test_bombs(make: Callable[[], bytes], word: str, tmp_path: Path) -> None:
    assert word in refusal(write(tmp_path, make()))


def test_bomb_of_forms_ends_in_bounded_text(tmp_path: Path) -> None:
    document = load(write(tmp_path, pdf_files.endless_forms()))
    assert len(document.text) < 100_000


def test_too_large(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines(LOREM)]))
    assert "MB" in refusal(path, limits=ReadingLimits(max_bytes=100))


def test_too_many_pages(tmp_path: Path) -> None:
    limits = ReadingLimits(max_pages=3)
    assert "4 pages" in refusal(write(tmp_path, pdf_of([lines("x")] * 4)), limits=limits)
    assert "4 pages" in refusal(write(tmp_path, b"a\fb\fc\fd", "a.txt"), limits=limits)
    assert len(load(write(tmp_path, pdf_of([lines("x")] * 3)), limits=limits).pages) == 3


def test_too_slow(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([pdf_files.slow_page()] * 3))
    assert "too long" in refusal(path, limits=ReadingLimits(page_seconds=0.2))


def test_too_little_memory(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_files.memory_bomb())
    assert "memory" in refusal(path, limits=ReadingLimits(memory_bytes=150 << 20))
    assert refusal(path, limits=ReadingLimits(memory_bytes=1 << 20))


def test_text_of_too_many_lines(tmp_path: Path) -> None:
    for end in ("\n", "\r", "\r\n", "\v", "\x85", "\u2028", "\u2029"):
        path = write(tmp_path, f"a{end}".encode() * 1000, "a.txt")
        assert "lines" in refusal(path, limits=ReadingLimits(max_characters=1000))


@pytest.mark.parametrize("data", [b"x\r" * 1_400_000, b"\f" * 2_900_000 + b"x"])
def test_text_of_millions_of_lines_or_pages_is_refused_before_it_is_split(
    data: bytes, tmp_path: Path
) -> None:
    path = write(tmp_path, data, "a.txt")
    tracemalloc.start()
    refusal(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * len(data)


def test_not_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "not a file" in refusal(tmp_path)
    assert "not a file" in refusal(pipe)
    assert "no file" in refusal(tmp_path / "missing.pdf")
    assert refusal(Path("a\0b"))


def test_recursion_is_an_ordinary_outcome(tmp_path: Path) -> None:
    deep = pdf_files.pdf(
        {
            1: b"<< /Type /Catalog /Pages 2 0 R >>",
            2: b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            3: b"<< /Type /Page /Parent 2 0 R /X " + b"[" * 30_000 + b"]" * 30_000 + b" >>",
        }
    )
    assert "damaged" in refusal(write(tmp_path, deep))


def test_stderr_stays_clean(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refusal(write(tmp_path, pdf_files.zip_bomb()))
    refusal(write(tmp_path, pdf_files.page_tree_cycle()))
    assert capfd.readouterr() == ("", "")


# -- stopping


def children() -> set[int]:
    """Process ids of this process's children."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # one that has just ended
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.add(int(stat.parent.name))
    return found


def test_stop_takes_effect_within_a_second(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines("One."), *[pdf_files.slow_page()] * 200]))
    stop = threading.Event()
    stopped_at: list[float] = []

    def stop_soon(page: Reading) -> None:
        if not stopped_at:
            assert page == Reading(1, 201)
            stopped_at.append(time.monotonic())
            stop.set()

    with pytest.raises(Stopped):
        read(path, limits=LIMITS, on_page=stop_soon, stop=stop)
    assert time.monotonic() - stopped_at[0] < 1


def test_stop_takes_effect_in_long_text(tmp_path: Path) -> None:
    path = write(tmp_path, (LOREM + "\n").encode() * 30_000, "a.txt")
    stop = threading.Event()
    pages: list[Reading] = []

    def stop_now(page: Reading) -> None:
        pages.append(page)
        stop.set()

    with pytest.raises(Stopped):
        read(path, on_page=stop_now, stop=stop)
    assert pages == [Reading(1, 1)]


def test_an_error_of_the_caller_leaves_no_child(tmp_path: Path) -> None:
    before = children()

    def fail(page: Reading) -> None:
        assert len(children() - before) == 1
        raise KeyError(page.page)

    with pytest.raises(KeyError):
        path = write(tmp_path, pdf_of([lines("One."), *[pdf_files.slow_page()] * 200]))
        read(path, limits=LIMITS, on_page=fail)
    assert children() == before


def test_files_are_closed(tmp_path: Path) -> None:
    path = write(tmp_path, pdf_of([lines("One.")]))
    load(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        load(path)
        refusal(write(tmp_path, b"%PDF-1.7", "bad.pdf"))
    assert len(os.listdir("/proc/self/fd")) <= before


def test_several_at_once(tmp_path: Path) -> None:
    """Readers do not wait for or hurt each other, whatever one of them is given."""
    good = write(tmp_path, pdf_of([lines("A good one.")]))
    bad = write(tmp_path, pdf_files.zip_bomb(), "bad.pdf")
    results: list[object] = []

    def job(path: Path) -> None:
        try:
            results.append(load(path).text)
        except DocumentError as error:
            results.append(type(error))

    threads = [threading.Thread(target=job, args=(path,)) for path in (good, bad, good, good)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, results)) == sorted(["A good one."] * 3 + [str(DocumentError)])


# -- names, positions


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/etc/passwd", "passwd"),
        ("../../x.pdf", "x.pdf"),
        ("..\\..\\x.pdf", "x.pdf"),
        ("C:\\Windows\\x.pdf", "x.pdf"),
        ("a\nb\tc.pdf", "a b c.pdf"),
        ("name\u202efdp.exe.pdf", "namefdp.exe.pdf"),
        ("\udcff.pdf", ".pdf"),
        ("", "document"),
        ("..", "document"),
        ("a/b/", "b"),
        ("论文 ورقة é.pdf", "论文 ورقة é.pdf"),
        ("<img src=x>.pdf", "<img src=x>.pdf"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert display_name(path) == name


def test_long_name_keeps_its_ending() -> None:
    name = display_name("x" * 500 + ".pdf")
    assert len(name) == 120
    assert name.endswith("….pdf")


@settings(deadline=None)
@given(st.text(st.characters()))
def test_any_name_is_safe(path: str) -> None:
    name = display_name(path)
    assert 0 < len(name) <= 120
    assert "/" not in name
    assert "\\" not in name
    name.encode("utf-8")


def test_white_space_before_the_text_is_no_empty_file(tmp_path: Path) -> None:
    assert (
        load(write(tmp_path, b"\n" * 1100 + b"A text of a few words.", "x.txt")).text
        == "A text of a few words."
    )


def test_name_of_the_upload_is_shown(tmp_path: Path) -> None:
    assert (
        load(write(tmp_path, pdf_of([lines("One.")]), "tmp123"), name="../My paper.pdf").name
        == "My paper.pdf"
    )


def test_page_of() -> None:
    document = Document(
        "",
        "",
        "abcdef",
        (Page(1, 0, 2), Page(2, 2, 2), Page(3, 2, 6), Page(4, 6, 6)),
        undivided("abcdef", (2, 4)),
        (),
    )
    assert [document.page_of(position) for position in range(7)] == [1, 1, 3, 3, 3, 3, 3]
    for outside in (-1, 7):
        with pytest.raises(IndexError):
            document.page_of(outside)
    assert document.body_ranges == ((0, 2), (4, 6))


def test_body_ranges_are_never_empty() -> None:
    pages = (Page(1, 0, 3),)
    assert Document("", "", "abc", pages, undivided("abc", (0, 3)), ()).body_ranges == ()
    assert Document("", "", "abc", pages, undivided("abc", (1, 3)), ()).body_ranges == ((0, 1),)
    assert Document("", "", "abc", pages, undivided("abc"), ()).body_ranges == ((0, 3),)


@settings(deadline=None, max_examples=60)
@given(data=st.one_of(st.binary(max_size=300), st.text(st.characters(codec="utf-8")).map(str.encode)))
def test_any_bytes_end_in_text_or_a_sentence(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = write(tmp_path_factory.mktemp("any"), data, "a.txt")
    try:
        assert_sound(load(path))
    except DocumentError as error:
        assert_sentence(str(error))


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_damage_ends_in_text_or_a_sentence(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = bytearray(pdf_of([lines(LOREM, LOREM), lines(LOREM)], info=b"/Title (A title)"))
    for _ in range(data.draw(st.integers(1, 20))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path_factory.mktemp("damaged"), bytes(whole))
    try:
        assert_sound(load(path))
    except DocumentError as error:
        assert_sentence(str(error))
