"""With and without Tesseract."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def without_tesseract(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is found on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path_factory.mktemp("empty")))


@pytest.fixture
def with_tesseract() -> None:
    """Skips where it is not installed."""
    if shutil.which("tesseract") is None:
        pytest.skip("no Tesseract here: install the package tesseract-ocr")


@pytest.fixture
def fake_tesseract(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Puts a shell script in the place of Tesseract; called with what it does, returns its folder."""

    def install(script: str) -> Path:
        folder = tmp_path_factory.mktemp("fake")
        program = folder / "tesseract"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
        return folder

    return install
