"""The benchmark commands run and print a whole table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["encoder", "--lengths", "40", "--attention", "local"],
        ["encoder", "--lengths", "40", "--attention", "local", "--train"],
        ["generation", "--lengths", "40", "--attention", "local", "--new-tokens", "3", "--beams", "2"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_a_command_prints_a_table(arguments):
    command = [sys.executable, "-m", f"benchmarks.{arguments[0]}", *arguments[1:], "--repeats", "1"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "float32" in printed and "threads" in printed
    row = printed.strip().splitlines()[-1]
    assert row.startswith("| local, 40 tokens")
    assert "failed" not in row
    assert len(row.split("|")) == 9
