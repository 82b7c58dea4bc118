"""The papers that visitors of a test's page have lie in a folder that goes with the tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def folder_for_papers(tmp_path_factory: pytest.TempPathFactory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("temporary")))
        yield
