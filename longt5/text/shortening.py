"""Which tokens of a paper are read when it is longer than a model's input: its beginning and its end.

Papers say what they found twice: at the beginning, where they introduce themselves, and in their conclusions. The
usual truncation loses the second.
"""

from __future__ import annotations

import numpy as np

_SHARE_OF_BEGINNING = 3 / 4


def beginning_and_end(starts: np.ndarray, total: int, length: int) -> tuple[int, int]:
    """Returns where the beginning that is read ends and the ending begins, at sentences where that is possible.

    Args:
        starts: `(sentences,)` first token of each sentence, ascending; `total` may stand at its end.
        total: tokens of the paper.
        length: the most tokens to keep; a paper of no more than these is kept whole (both are `total` then).
    """
    if total <= length:
        return total, total
    most = int(length * _SHARE_OF_BEGINNING)
    before = int(np.searchsorted(starts, most, side="right")) - 1
    beginning = int(starts[before]) if before >= 0 and starts[before] > 0 else most
    after = int(np.searchsorted(starts, total - (length - beginning)))
    return beginning, int(starts[after]) if after < len(starts) else total


def shortened(tokens: np.ndarray, cut: tuple[int, int]) -> np.ndarray:
    """`(tokens, ...)` of a paper without what lies between the two positions of `beginning_and_end`."""
    return np.concatenate([tokens[: cut[0]], tokens[cut[1] :]])


def shortened_starts(starts: np.ndarray, cut: tuple[int, int]) -> np.ndarray:
    """The sentence starts that are left, `(sentences,)`, as positions among the shortened tokens."""
    beginning, ending = cut
    return np.concatenate([starts[starts < beginning], starts[starts >= ending] - (ending - beginning)])
