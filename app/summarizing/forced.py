"""Sentences in which the rules of writing took the word out of a model's mouth: what it wrote then, it did not mean.

`longt5.decoding` has such texts chosen last, and says why there are any; these are the sentences of those that were
chosen all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.summarizing.drafts import DraftSentence, decoded
from longt5.decoding import least_log_probability
from longt5.generation import EncodedText, Tokens
from longt5.maps import log_probabilities

# A round bracket for a square one, which is not written at all, is no word.
_OPENING = tuple("([")


def unforced(
    model: Any, tokenizer: Any, shown: EncodedText, token_ids: Tokens, drafts: Sequence[DraftSentence]
) -> list[DraftSentence]:
    """The sentences whose every token the model found likely enough, by itself; all where it has no such limit.

    Args:
        shown: what the decoder saw.
        token_ids: what it wrote, without the start token.
        drafts: the sentences of that.
    """
    least = least_log_probability(model.generation_config)
    if least is None or not drafts:
        return list(drafts)
    everything = np.ones((1, shown.attention_mask.shape[1]), dtype=bool)
    likely = log_probabilities(model, shown, token_ids, everything)[0] >= least
    likely |= [decoded(tokenizer, [token]).lstrip().startswith(_OPENING) for token in token_ids]
    return [draft for draft in drafts if likely[draft.token_start : draft.token_end].all()]
