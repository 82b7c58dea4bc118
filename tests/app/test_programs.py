"""The functions for programs, called from this very process."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models import ModelStore
from app.programs import Programs
from app.settings import Settings
from app.summarizing.settings import SummaryError


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{")
    return folder


def test_a_model_that_cannot_be_read_is_not_on_offer(model_folder: Path, broken: Path) -> None:
    programs = Programs(ModelStore(Settings(models=(str(model_folder), str(broken)))))
    assert [model["name"] for model in programs.models()] == [model_folder.name]
    with pytest.raises(SummaryError, match="broken"):
        Programs(ModelStore(Settings(models=(str(broken),)))).models()


@pytest.mark.parametrize("settings", [[], "", 0, False, "length", [1]])
def test_settings_that_are_no_object_are_refused(store: ModelStore, tmp_path: Path, settings: object) -> None:
    paper = tmp_path / "paper.txt"
    paper.write_text("We show things. " * 20)
    with pytest.raises(SummaryError, match="must be an object"):
        list(Programs(store).summarize(paper, name=paper.name, settings=settings))
