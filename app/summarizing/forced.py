"""Sentences in which the rules of writing took the word out of a model's mouth: what it wrote then, it did not mean.

A rule bars what a model is about to write, as words that it wrote before. Mostly it goes on in other words. Where it
has none it takes what is left, a token that it finds all but impossible: "concaindicated", after the phrase with
"contraindicated" had been used up.

A generation configuration says with `least_log_probability`, in nats, what a model still means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from app.summarizing.drafts import DraftSentence, decoded
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
    least = getattr(model.generation_config, "least_log_probability", None)
    if not isinstance(least, int | float) or not drafts:
        return list(drafts)
    everything = np.ones((1, shown.attention_mask.shape[1]), dtype=bool)
    likely = log_probabilities(model, shown, token_ids, everything)[0] >= least
    likely |= [decoded(tokenizer, [token]).lstrip().startswith(_OPENING) for token in token_ids]
    return [draft for draft in drafts if likely[draft.token_start : draft.token_end].all()]
