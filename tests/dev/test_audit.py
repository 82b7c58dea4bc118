"""What of known vulnerabilities fails the audit, and what is accepted."""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
TODAY = datetime.date(2026, 11, 26)


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "dev" / "audit.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules["audit"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("accepted", "complaint"),
    [
        ({}, "update it"),
        ({"GHSA-2": {"reason": "x", "until": "2027-01-01"}}, "update it"),
        ({"GHSA-1": {"reason": "Off here.", "until": "2026-11-26"}}, ""),
        ({"CVE-1": {"reason": "Off here.", "until": "2026-12-01"}}, ""),
        ({"GHSA-1": {"reason": "Off here.", "until": "2026-11-25"}}, "look at it again"),
        ({"GHSA-1": {"reason": "", "until": "2027-01-01"}}, "look at it again"),
    ],
)
def test_an_advisory_needs_a_reason_and_a_date(audit: ModuleType, accepted: dict, complaint: str) -> None:
    found = [audit.Advisory("package", "1.0", ("GHSA-1", "CVE-1"), "1.1")]
    lines = audit.complaints(found, accepted, TODAY)
    assert [complaint in line for line in lines] == ([True] if complaint else [])


def test_what_is_accepted_today_is_still_right(audit: ModuleType) -> None:
    for entry in json.loads(audit.ACCEPTED.read_text(encoding="utf-8")).values():
        assert entry["reason"].endswith(".")
        datetime.date.fromisoformat(entry["until"])
