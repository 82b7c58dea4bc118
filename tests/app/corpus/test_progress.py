"""What a run tells of itself."""

from __future__ import annotations

import pytest

from app.corpus.progress import Progress, _clock
from app.corpus.rows import failure_row
from app.corpus.sources import SourceFile
from tests.app.corpus.tables import ERROR, made_up_row


def test_the_table_counts_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress()
    progress.begin(files=10, before=3)
    for number in (0, 1):
        progress.done(made_up_row(number))
    for name in "ab":
        progress.done(failure_row(SourceFile(name), name, ERROR, 1.0))
    progress.same()
    progress.unchanged()
    progress.tick()
    table = progress.table()
    lines = {line.rsplit("  ", 1)[0].strip(): line.rsplit("  ", 1)[1] for line in table.splitlines()}
    assert lines["summaries"] == "2 (3 pages)"
    assert lines["without one, with a sentence"] == "2" and lines["2"] == ERROR
    assert lines["other names of the same papers"] == "1" and lines["done by earlier runs"] == "4"
    assert lines["work of all workers"] == "8 s"
    shown = capsys.readouterr().err
    assert "9/10 files" in shown and "a minute" in shown and "left, 2 failed" in shown


def test_a_quiet_one_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(quiet=True)
    progress.begin(2, 0)
    progress.done(made_up_row(0))
    progress.tick()
    assert progress.table() and not capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (3600, "1 h 0 min"), (86400 * 2 + 3600 * 5, "2 d 5 h")],
)
def test_times(seconds: float, shown: str) -> None:
    assert _clock(seconds) == shown
