"""Folders, patterns, lists and addresses, and the files behind them."""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from app.corpus.sources import SourceFile, SourcesError, _version, find, name_of, path_of


@pytest.fixture
def library(tmp_path: Path) -> Path:
    for name in ("b.pdf", "a.PDF", "deep/er/c.md", "notes.docx", ".hidden.pdf", "d [1].txt"):
        path = tmp_path / "library" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "library"


def names(*places: str) -> list[str]:
    return [file.name for file in find(places)]


def test_a_folder_is_searched_with_all_in_it(library: Path) -> None:
    expected = [str(library / name) for name in ("a.PDF", "b.pdf", "d [1].txt", "deep/er/c.md")]
    assert names(str(library)) == expected


def test_links_are_followed_each_folder_once(library: Path) -> None:
    """A library is often a tree of links; some of them lead in a circle, some nowhere."""
    desk = library.parent / "desk"
    desk.mkdir()
    (desk / "linked.pdf").symlink_to(library / "b.pdf")
    (desk / "all").symlink_to(library)
    (library / "deep" / "up").symlink_to(desk)
    (desk / "gone.pdf").symlink_to("nowhere.pdf")
    expected = ["all/a.PDF", "all/b.pdf", "all/d [1].txt", "all/deep/er/c.md", "gone.pdf", "linked.pdf"]
    assert names(str(desk)) == [str(desk / name) for name in expected]
    assert {*names(f"{desk}/*")} > {*names(str(desk))}  # what lies in the circle is named by itself too
    assert names(f"{desk}/*.pdf") == [str(desk / name) for name in ("gone.pdf", "linked.pdf")]
    assert [bool(file.version) for file in find([f"{desk}/*.pdf"])] == [False, True]


def test_folders_with_a_dot_are_passed_over_unless_they_are_named(library: Path) -> None:
    (library / ".venv" / "deep").mkdir(parents=True)
    (library / ".venv" / "deep" / "e.md").write_text("e")
    assert str(library / ".venv/deep/e.md") not in names(str(library))
    assert names(f"{library}/.venv") == names(f"{library}/.venv/*/*.md") == [str(library / ".venv/deep/e.md")]


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize(
    "place", [".", "*", "**", "**/*.md", "out/**", "deep/link", "deep/link/f.md", "deep/*/*", "list.txt"]
)
def test_what_a_run_has_written_is_no_paper_however_it_is_reached(
    library: Path, monkeypatch: pytest.MonkeyPatch, place: str, absolute: bool
) -> None:
    (library / "out" / "md" / "ab").mkdir(parents=True)
    (library / "out" / "md" / "ab" / "f.md").write_text("f")
    (library / "deep" / "link").symlink_to(library / "out" / "md" / "ab")
    (library / "deep" / "link.md").symlink_to(library / "out" / "md" / "ab" / "f.md")
    (library / "list.txt").write_text("out/md/ab/f.md\nout\nout/md\n")
    monkeypatch.chdir(library)
    place = str(library / place) if absolute else place
    found = {file.name for file in find(["b.pdf", place], out=Path("out"))}
    papers = {str(library / name) for name in ("a.PDF", "b.pdf", "d [1].txt", "deep/er/c.md", "list.txt")}
    assert found <= papers


def test_what_a_run_has_written_is_none_at_an_address_either(library: Path) -> None:
    (library / "out").mkdir()
    (library / "out" / "f.md").write_text("f")
    for address in (f"local://{library}", f"local://{library}/**/*.md", f"file://{library}/**"):
        found = [file.name for file in find([address], out=library / "out")]
        assert str(library / "deep/er/c.md") in found and str(library / "out/f.md") not in found


def test_where_all_lies_in_the_folder_of_results_that_is_said(library: Path) -> None:
    with pytest.raises(SourcesError, match="outside"):
        list(find([str(library / "deep"), str(library)], out=library))


def test_an_empty_list_names_nothing(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# nothing yet\n")
    with pytest.raises(SourcesError, match=r"list\.txt"):
        names(str(tmp_path / "list.txt"))


no_text = pytest.mark.skipif(sys.platform != "linux", reason="names are always text elsewhere")


@no_text
def test_names_that_are_no_text_are_told_apart_and_lead_back(library: Path) -> None:
    paths = [
        os.fsdecode(bytes(library / "er") + end) for end in (b"\xff.pdf", b"\xfe.pdf", b"%FF #?\xff.pdf")
    ]
    paths.append(str(library / "er%FF.pdf"))
    for path in paths:
        Path(path).write_text("e")
    found = [file for file in find([str(library)]) if "/er" in file.name and "/deep/" not in file.name]
    assert {path_of(file.name) for file in found} == set(paths) and all(file.version for file in found)
    assert f"file://{library}/er%FF.pdf" in {file.name for file in found}
    for file in found:
        file.name.encode()
        assert names(file.name) == [file.name]  # it may be named like that, too


@no_text
def test_an_address_that_is_no_text_has_a_name_that_is() -> None:
    assert name_of(os.fsdecode(b"sftp://host/\xc3\xa9\xff.pdf")) == "sftp://host/%C3%A9%FF.pdf"
    assert name_of("sftp://host/é.pdf") == "sftp://host/é.pdf"


@no_text
def test_a_folder_that_may_not_be_searched_and_is_no_text(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = os.fsdecode(bytes(library / "bad") + b"\xff")
    os.mkdir(folder)
    forbid(folder, monkeypatch)
    assert f"file://{library}/bad%FF" in names(str(library))


def test_a_folder_that_may_not_be_searched_is_found(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid(str(library / "deep" / "er"), monkeypatch)
    assert [file for file in find([str(library)]) if "deep" in file.name] == [
        SourceFile(str(library / "deep/er"))
    ]


def forbid(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denies the search of a folder: root may search every one."""
    search = os.scandir

    def guarded(path: str) -> object:
        if path == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return search(path)

    monkeypatch.setattr(os, "scandir", guarded)


ODD_NAMES = (
    "a\nb.pdf",
    "a\tb.pdf",
    "100%.pdf",
    "%41.pdf",
    "a#b?c.pdf",
    '"a\' b".pdf',
    "\u202efdp.a.pdf",
    "é\u2028.pdf",
)


def test_odd_names_are_names(tmp_path: Path) -> None:
    long = "x" * 251 + ".pdf"
    for name in (*ODD_NAMES, long):
        (tmp_path / name).write_text("a")
        assert names(str(tmp_path / name)) == [str(tmp_path / name)]
    assert set(names(str(tmp_path))) == {str(tmp_path / name) for name in (*ODD_NAMES, long)}
    listed = [name for name in ODD_NAMES if "\n" not in name]
    (tmp_path / "list.txt").write_text("".join(f"{tmp_path / name}\n" for name in listed), encoding="utf-8")
    assert names(str(tmp_path / "list.txt")) == [str(tmp_path / name) for name in listed]


def test_a_pattern(library: Path) -> None:
    assert names(f"{library}/**/*.md") == [str(library / "deep/er/c.md")]
    assert names(f"{library}/*.pdf") == [str(library / "b.pdf")]


def test_a_name_with_the_signs_of_a_pattern_is_a_name_first(library: Path) -> None:
    os.rename(library / "d [1].txt", library / "d [1].pdf")
    assert names(str(library / "d [1].pdf")) == [str(library / "d [1].pdf")]


def test_names_are_absolute_and_come_once(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(library)
    assert names("b.pdf", ".", str(library / "b.pdf"))[0] == str(library / "b.pdf")
    assert len(names("b.pdf", ".", str(library / "b.pdf"))) == 4


def test_a_list_may_name_all_of_these_and_what_is_not_there(library: Path) -> None:
    listed = library.parent / "list.txt"
    listed.write_text(f"# of papers\n\n{library}/deep\n  {library / 'b.pdf'}  \n{library / 'gone.pdf'}\n")
    assert names(str(listed)) == [str(library / name) for name in ("deep/er/c.md", "b.pdf", "gone.pdf")]
    assert [file.version for file in find([str(listed)])][-1] == ""
    listed.write_text(f"file://{library / 'gone.pdf'}\nfile://{library}/deep\n")
    assert names(str(listed)) == [str(library / name) for name in ("gone.pdf", "deep/er/c.md")]


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourcesError, match="as text"):
        names(str(tmp_path / "list.txt"))


@pytest.mark.parametrize("place", ["nowhere", "*.nothing", "unknown-system://bucket/a.pdf"])
def test_what_is_not_there_is_said(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourcesError, match=r"nowhere|nothing|unknown-system"):
        names(place)


def test_another_file_system() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/papers/one.pdf": b"1", "/papers/sub/two.md": b"22", "/papers/three.exe": b"3"})
    memory.pipe({"/papers/.trash/four.pdf": b"4"})
    try:
        assert names("memory://papers") == ["memory:///papers/one.pdf", "memory:///papers/sub/two.md"]
        assert names("memory://papers/*.pdf") == ["memory:///papers/one.pdf"]
    finally:
        memory.rm("/papers", recursive=True)


def test_a_version_changes_with_the_file(library: Path) -> None:
    [before] = find([str(library / "b.pdf")])
    os.utime(library / "b.pdf", (1, 1))
    [touched] = find([str(library / "b.pdf")])
    (library / "b.pdf").write_text("longer")
    os.utime(library / "b.pdf", (1, 1))
    [longer] = find([str(library / "b.pdf")])
    assert before.name == touched.name == longer.name
    assert len({before.version, touched.version, longer.version}) == 3


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a folder, and the folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Server, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()


class _Server(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def send_header(self, keyword: str, value: str) -> None:
        """Says nothing of when a file was changed if its name begins so."""
        if keyword != "Last-Modified" or not self.path.startswith("/unknown"):
            super().send_header(keyword, value)


def test_a_version_over_http_changes_with_the_file(server: tuple[str, Path]) -> None:
    address, folder = server
    for name in ("a.pdf", "unknown.pdf"):
        (folder / name).write_text("a")
    [before] = find([f"{address}/a.pdf"])
    assert [before] == list(find([f"{address}/a.pdf"])) and before.version
    os.utime(folder / "a.pdf", (1, 1))
    [touched] = find([f"{address}/a.pdf"])
    assert touched.version and touched.version != before.version
    assert list(find([f"{address}/unknown.pdf"])) == [SourceFile(f"{address}/unknown.pdf")]


def test_of_a_file_in_a_listing_without_times_nothing_is_known() -> None:
    assert _version({"size": None}) == _version({"size": 7}) == _version({"size": 7, "ETag": ""}) == ""
    assert _version({"size": 7, "Last-Modified": "Thu, 01 Jan 1970"}) == "7 Thu, 01 Jan 1970"
