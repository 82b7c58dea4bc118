"""The log: what it says of an error, and what it never says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = """
import asyncio, logging
from app.logs import set_up
set_up({as_json})
log = logging.getLogger("app.x")
log.info("Model %s ready", "tiny")
try:
    raise ValueError("the secret words of a paper")
except ValueError:
    log.exception("unexpected error")
try:
    raise asyncio.CancelledError
except asyncio.CancelledError:
    log.exception("an answer was cancelled")
logging.getLogger("httpx").info("GET /")
"""


def logged(as_json: bool) -> str:
    code = CODE.format(as_json=as_json)
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert not ran.stdout
    return ran.stderr


@pytest.mark.parametrize("as_json", [False, True])
def test_errors_are_told_without_their_words(as_json: bool) -> None:
    text = logged(as_json)
    assert "ValueError" in text
    assert "<string>:8" in text
    assert "secret" not in text
    assert "cancelled" not in text
    assert "GET" not in text


def test_json_is_an_object_a_line() -> None:
    first, second = map(json.loads, logged(as_json=True).splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", "app.x", "Model tiny ready")
    assert second["error"].endswith("ValueError")
    assert second["time"].endswith("Z")
