from __future__ import annotations

import pytest

from app.documents import Document
from tests.app.factories import paragraphs, plain_document


@pytest.fixture(scope="module")
def paper() -> Document:
    """Twelve paragraphs on four pages."""
    return plain_document("\n".join(paragraphs(12)))
