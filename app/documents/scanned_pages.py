"""Which pages of a PDF are pictures of their text: they have none, or none but what was stamped on all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from app.documents.page_lines import Line, Pages

# Stamps ("This content downloaded from ...", a page number, a line in the margin) have no more words than this.
STAMP_WORDS = 40
# What stands on so much of the pages is stamped on them, and if that many are scans, a lone stamp is on one too.
MOST = 0.5
_NUMBER = re.compile(r"\d+")


def pages_without_text(pages: Pages, failed: Collection[int]) -> list[int]:
    """Numbers of the pages, but for those that `failed` to be read, whose text stands on a picture if anywhere."""
    shapes = [{_shape(line) for line in page} for page in pages]
    counts = Counter(shape for page in shapes for shape in page)
    stamps = {shape for shape, count in counts.items() if count >= max(2, MOST * len(pages))}
    short = [
        number
        for number, page in enumerate(pages, 1)
        if number not in failed and count_words(page) <= STAMP_WORDS
    ]
    bare = [number for number in short if shapes[number - 1] <= stamps]
    return short if len(bare) >= MOST * len(pages) else bare


def count_words(page: list[Line]) -> int:
    """Words on a page."""
    return sum(len(line.text.split()) for line in page)


def _shape(line: Line) -> str:
    return _NUMBER.sub("#", line.text)
