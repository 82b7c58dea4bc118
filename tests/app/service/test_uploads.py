"""Taking in files: names that can't do harm, limits, a full disk."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.service import uploads as module
from app.service.scratch import Scratch
from app.service.uploads import NAME_BYTES, Refused, Uploads, _file_name
from app.settings import Settings


def uploads_in(folder: Path, **settings: int) -> Uploads:
    return Uploads(Scratch(folder), Settings(**settings))


def test_the_same_file_twice_is_two_files(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path)
    first, second = (uploads.keep(io.BytesIO(b"paper"), "paper.pdf") for _ in range(2))
    assert first != second
    assert first.name == second.name == "paper.pdf"
    uploads.discard(first)
    uploads.discard(first)
    assert not first.parent.exists()
    assert second.read_bytes() == b"paper"
    assert uploads.find(str(second)) == second


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/etc/passwd",
        "relative",
        "{folder}/../../../etc/passwd",
        "{folder}/x/../.lock",
        "{folder}/x/.lock",
        "{folder}/uploads",
        "{folder}/uploads/x",
        "{folder}/uploads/x/" + "a" * 300,
        "{folder}/uploads/x/\0",
    ],
)
def test_no_other_file_is_found(tmp_path: Path, path: str) -> None:
    uploads = uploads_in(tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "x").mkdir()
    (folder / "x" / ".lock").write_text("")
    asked = path.format(folder=folder)
    assert uploads.find(asked) is None
    uploads.discard(Path(asked))
    assert (folder / "x" / ".lock").exists()
    assert Path("/etc/passwd").exists()


def test_an_address_has_so_many_an_hour_and_others_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    uploads = uploads_in(tmp_path, uploads_per_hour=2)
    for _ in range(2):
        with uploads.admitted("a", 1):
            now[0] += 60
    with pytest.raises(Refused, match="try again in 58 minutes") as refusal, uploads.admitted("a", 1):
        pass
    assert refusal.value.status == 429
    with uploads.admitted("b", 1):
        pass
    now[0] += 3600
    with uploads.admitted("a", 1):
        pass


def test_all_together_have_so_much_room(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path, max_uploads_bytes=100_000)
    with uploads.admitted("a", 60_000):
        with pytest.raises(Refused, match="no room") as refusal, uploads.admitted("b", 60_000):
            pass
        assert refusal.value.status == 507
    path = uploads.keep(io.BytesIO(bytes(60_000)), "x")
    with pytest.raises(Refused), uploads.admitted("b", 60_000):
        pass
    uploads.discard(path)
    with uploads.admitted("b", 60_000):
        pass


def test_an_address_leaves_room_for_others(tmp_path: Path) -> None:
    """What it sends and does not have read, and what it only says that it will send."""
    uploads = uploads_in(tmp_path, max_uploads_bytes=1_000_000, max_upload_bytes=100_000)
    kept = []
    with ExitStack() as coming:
        for _ in range(4):
            with uploads.admitted("a", 100_000):
                kept.append(uploads.keep(io.BytesIO(bytes(100_000)), "x", "a"))
        for _ in range(3):
            coming.enter_context(uploads.admitted("a", 100_000))
        with pytest.raises(Refused, match="no room"), uploads.admitted("a", 100_000):
            pass
        with uploads.admitted("b", 100_000):
            pass
    for path in kept:
        uploads.discard(path)
    with uploads.admitted("a", 100_000):
        pass


def test_what_came_a_moment_ago_takes_room_though_the_disk_is_not_looked_at_for_each(tmp_path: Path) -> None:
    uploads = uploads_in(tmp_path, max_uploads_bytes=100_000)
    kept = []
    for _ in range(3):
        with uploads.admitted("a", 30_000):
            kept.append(uploads.keep(io.BytesIO(bytes(30_000)), "x"))
    with pytest.raises(Refused), uploads.admitted("b", 30_000):
        pass
    uploads.discard(kept[0])
    with uploads.admitted("b", 30_000):
        pass


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    uploads = uploads_in(tmp_path)
    with pytest.raises(Refused, match="no room"):
        uploads.keep(Full(), "x.pdf")
    (folder,) = tmp_path.iterdir()
    assert not list((folder / "uploads").iterdir())


@given(st.text(max_size=400))
def test_a_name_is_one_part_of_a_path(name: str) -> None:
    safe = _file_name(name)
    assert safe
    assert Path(safe).name == safe
    assert not safe.startswith((".", "-"))
    assert len(safe.encode()) <= NAME_BYTES
    assert not set(safe) & set("/\\\0\n\r")
