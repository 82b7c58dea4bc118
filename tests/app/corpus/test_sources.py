"""Folders, patterns, lists and addresses, and the files behind them."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import fsspec
import pytest

from app.corpus.sources import SourceFile, SourcesError, find


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


def test_pages_that_a_run_has_written_are_no_papers(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (library / "out" / "md").mkdir(parents=True)
    (library / "out" / "md" / "f.md").write_text("f")
    monkeypatch.chdir(library)
    found = [file.name for file in find([".", "*"], out=Path("out"))]
    assert len(found) == 4 and str(library / "out/md/f.md") not in found


@pytest.mark.skipif(sys.platform != "linux", reason="names are always text elsewhere")
def test_a_name_that_is_no_text_is_found_as_one_that_is(library: Path) -> None:
    Path(os.fsdecode(bytes(library) + b"/e\xff.pdf")).write_text("e")
    [found] = (file for file in find([str(library)]) if "/deep/" not in file.name and "/e" in file.name)
    assert found.name == str(library / "e\N{REPLACEMENT CHARACTER}.pdf") and not found.version


def test_a_folder_that_may_not_be_searched_is_found(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    search = os.scandir

    def guarded(path: str) -> object:  # root may search every folder
        if Path(path).name == "er":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return search(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert [file for file in find([str(library)]) if "deep" in file.name] == [
        SourceFile(str(library / "deep/er"))
    ]


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
