"""Where a written sentence goes over into another one: what copies sometimes leaves out what lay between.

"We show how to compute Underspecification-based algorithms must cope with many readings": a word that the paper
capitalizes at the beginnings of its sentences only stands in the middle of one.
"""

from __future__ import annotations

import re
from functools import cache

_WITHIN = re.compile(r"(?<=[a-zà-ÿ] )[A-ZÀ-Þ][a-zà-ÿ]+(?:-[a-zà-ÿ]+)*(?![\w-])")


class Joints:
    """Knows by the text of a paper which capitals are those of beginnings."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._begins_only = cache(self._look)

    def after_last(self, sentence: str) -> str:
        """The sentence from its last joint on, all of it if there is none.

        What follows begins as a sentence of the paper does; what goes before broke off somewhere.
        """
        starts = [match.start() for match in _WITHIN.finditer(sentence) if self._begins_only(match.group())]
        return sentence[starts[-1] :] if starts else sentence

    def _look(self, word: str) -> bool:
        """Whether the paper has a word with a capital at beginnings, and elsewhere without one."""
        first = re.escape(word.partition("-")[0].lower())
        within = rf"(?<=[a-zà-ÿ,;] ){re.escape(word)}(?![\w-])"
        return (
            word in self._text
            and re.search(rf"(?<![\w-]){first}(?!\w)", self._text) is not None
            and re.search(within, self._text) is None
        )
