"""The language that a text is written in."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

# Passages of this length, spread over the text, are looked at one by one: a text in two languages has no majority.
PASSAGES, PASSAGE_CHARACTERS = 12, 1_000
# Fewer letters say too little; ideographs say more each.
LEAST_LETTERS, LEAST_IDEOGRAPHS = 100, 30
# The language of so much of the text.
MAJORITY = 0.6
# Passages of formulas and tables are in no language; below this probability, nor is any other.
LEAST_CONFIDENCE = 0.3
_NO_LANGUAGE = "zxx"


def language_of(text: str, ranges: Sequence[tuple[int, int]]) -> str | None:
    """ISO 639-1 code of the language that most of the ranges of `text` is in; None for short and for mixed text."""
    votes: Counter[str] = Counter()
    for passage in _passages(text, ranges):
        letters = sum(map(str.isalpha, passage))
        if letters < 0.5 * len(passage):
            continue
        language, confidence = _identifier().classify(passage)
        if language != _NO_LANGUAGE and confidence >= LEAST_CONFIDENCE:
            votes[language] += letters
    if not votes:
        return None
    language, letters = votes.most_common(1)[0]
    dense = language in ("zh", "ja", "ko")
    enough = letters >= (LEAST_IDEOGRAPHS if dense else LEAST_LETTERS)
    return language if enough and letters >= MAJORITY * votes.total() else None


def _passages(text: str, ranges: Sequence[tuple[int, int]]) -> list[str]:
    """Passages spread evenly over the ranges."""
    length = sum(end - start for start, end in ranges)
    step = max(PASSAGE_CHARACTERS, length // PASSAGES)
    passages = []
    done = 0
    for start, end in ranges:
        # Begins where the last step ended, counted over all ranges.
        for begin in range(start + -done % step, end, step):
            passages.append(text[begin : min(begin + PASSAGE_CHARACTERS, end)])
        done += end - start
    return passages


_loading = threading.Lock()


def _identifier() -> LanguageIdentifier:
    with _loading:  # or all who come first would load it, each for himself
        return _loaded_identifier()


@cache
def _loaded_identifier() -> LanguageIdentifier:
    """Takes half a second and 100 MB, once a process."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(
        [label for label in identifier.labels if len(label) == 2 or label == _NO_LANGUAGE]
    )
    return identifier
