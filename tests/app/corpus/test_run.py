"""Whole runs with real workers, some of which are killed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.app.corpus.runs import finish, finished, rows_of, start, wait_for, write_papers
from tests.app.corpus.workers import POISON, workers
from tests.app.factories import make_pdf, paragraphs, wrapped

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed here")


def test_workers_are_killed_and_every_file_ends_in_one_row(tmp_path: Path, model_folder: Path) -> None:
    papers = write_papers(tmp_path / "papers", 4)
    shutil.copy(papers / "paper-0.pdf", papers / "same.pdf")
    make_pdf(papers / "poison.pdf", [wrapped([POISON, *paragraphs(3, seed=99)])])
    (papers / "damaged.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    out = tmp_path / "out"
    run = start([papers], out, model_folder, "--pages", "md", "html")
    wait_for(lambda: finished(out) >= 2, run)
    workers(run.pid, "Mortal")[0].kill()
    code, said = finish(run)

    assert code == 0, said
    rows = rows_of(out)
    twins = {"paper-0.pdf", "same.pdf"}
    [first] = twins & rows.keys()
    assert rows.keys() == {*(f"paper-{i}.pdf" for i in range(1, 4)), first, "poison.pdf", "damaged.pdf"}
    assert {Path(name).name for name in rows[first]["other_files"]} == twins - {first}
    assert "Twice" in rows["poison.pdf"]["error"] and "damaged" in rows["damaged.pdf"]["error"]
    for name in rows.keys() - {"poison.pdf", "damaged.pdf"}:
        row = rows[name]
        assert row["error"] is None and row["summary"]
        for kind in ("md", "html"):
            assert (out / kind / row["sha256"][:2] / f"{row['sha256']}.{kind}").stat().st_size
    assert "papers a minute" in said and (out / "index.html").exists()


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_stood(tmp_path: Path, model_folder: Path) -> None:
    papers, out = write_papers(tmp_path / "papers", 8), tmp_path / "out"
    run = start([papers], out, model_folder)
    wait_for(lambda: finished(out) >= 3, run)
    run.kill()
    finish(run)
    kept = (out / "journal.jsonl").read_bytes().split(b"\n")[:3]
    code, said = finish(start([papers], out, model_folder))
    assert code == 1 and "--resume" in said
    code, said = finish(start([papers], out, model_folder, "--resume", "--length", "short"))
    assert code == 1 and "settings" in said
    code, said = finish(start([papers], out, model_folder, "--resume"))
    assert code == 0, said
    rows = rows_of(out)
    assert len(rows) == 8 and not any(row["error"] for row in rows.values())
    # What was finished was not done again: its seconds are those of the first time.
    for line in kept:
        assert any(f'"seconds": {row["seconds"]:.3f}'.rstrip("0").encode() in line for row in rows.values())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_finishes_what_is_in_hand(tmp_path: Path, model_folder: Path, number: int) -> None:
    papers, out = write_papers(tmp_path / "papers", 10), tmp_path / "out"
    run = start([papers], out, model_folder)
    wait_for(lambda: finished(out) >= 2, run)
    os.killpg(run.pid, number)  # as a terminal does
    code, said = finish(run)
    assert code == 130 and "--resume" in said
    before = rows_of(out)
    assert 2 <= len(before) < 10
    code, said = finish(start([papers], out, model_folder, "--resume"))
    assert code == 0, said
    rows = rows_of(out)
    assert len(rows) == 10 and not any(row["error"] for row in rows.values())
    assert {name: rows[name]["seconds"] for name in before} == {name: row["seconds"] for name, row in before.items()}
