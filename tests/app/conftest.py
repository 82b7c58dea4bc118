"""A model that tests of the app share. It is random and small: what it writes is gibberish, but all of it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.models import ModelStore
from app.settings import Settings
from tests.app.factories import make_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def store(model_folder: Path) -> ModelStore:
    return ModelStore(Settings(models=(str(model_folder),)))
