"""The folder for temporary files: locked while its process lives, removed by the next one if it could not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.service.scratch import LOCK, Scratch

ROOT = Path(__file__).resolve().parents[3]


def test_what_a_killed_process_left_goes_and_what_a_running_one_has_stays(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom app.service.scratch import Scratch\n"
        f"scratch = Scratch(Path({str(tmp_path)!r}))\n(scratch.folder / 'paper.pdf').write_text('x')\n"
        "print(scratch.folder, flush=True)\ntime.sleep(60)"
    )
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    try:
        folders = []
        for other in others:
            assert other.stdout is not None
            folders.append(Path(other.stdout.readline().strip()))
        others[0].kill()
        others[0].wait()
        own = Scratch(tmp_path)
        assert set(tmp_path.iterdir()) == {own.folder, folders[1]}
        assert (folders[1] / "paper.pdf").exists()
        own.remove()
        assert set(tmp_path.iterdir()) == {folders[1]}
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_old_files_and_empty_folders_are_swept_and_new_ones_are_not(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path)
    old, new = scratch.uploads / "a" / "old.pdf", scratch.uploads / "b" / "new.pdf"
    for path in (old, new):
        path.parent.mkdir()
        path.write_text("x" * 100)
    assert scratch.size() == 200
    scratch.sweep(0.2)
    time.sleep(0.25)
    new.write_text("more is coming")
    scratch.sweep(0.2)
    assert not old.exists()
    assert new.exists()
    assert (scratch.folder / LOCK).exists()
    scratch.sweep(0)
    assert not old.parent.exists() and not new.parent.exists()
    scratch.remove()


@pytest.mark.parametrize("year", [1, -1])
def test_a_clock_that_is_set_takes_no_file_away(tmp_path: Path, year: int) -> None:
    scratch = Scratch(tmp_path)
    path = scratch.uploads / "paper.pdf"
    path.write_text("x")
    dated = time.time() + year * 3e7
    os.utime(path, (dated, dated))
    for _ in range(3):
        scratch.sweep(3600)
    assert path.exists()
    scratch.remove()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        Scratch(tmp_path / "file" / "below")
