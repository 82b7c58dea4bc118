"""The finished example is what the model that comes along writes about the paper that comes along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.documents import read as read_document
from app.page.example import EXAMPLE, SUMMARY, load, save, weights
from tests.app.page.papers import document, summary

MAKE = "run `make example-summary` again"


@pytest.mark.skipif(not (EXAMPLE.exists() and SUMMARY.exists()), reason="no example in this checkout")
def test_the_example_is_of_this_text_and_this_model() -> None:
    content = json.loads(SUMMARY.read_text(encoding="utf-8"))
    assert content["weights"] == weights(), MAKE
    found = load(SUMMARY, read_document(EXAMPLE))
    assert found is not None, MAKE
    assert {part.kind for part in found.parts} >= {"tldr", "summary"}
    for sentence in found.sentences:
        for passage in sentence.evidence:
            quoted = found.document.text[passage.start : passage.end]
            assert " ".join(quoted.split()) == passage.quote
            assert found.document.page_of(passage.start) == passage.page


def test_a_summary_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    save(summary(), file)
    assert load(file, document()) == summary()
    assert load(file, document(title="Other")) is not None
    assert load(tmp_path / "none.json", document()) is None
