"""Sentences in which the rules of writing took the word out of a model's mouth: what it wrote then, it did not mean.

A rule bars what a model is about to write, as words that it wrote before. Mostly it goes on in other words. Where it
has none it takes what is left, a token that it finds all but impossible: "concaindicated", after the phrase with
"contraindicated" had been used up.

A generation configuration says with `least_log_probability`, in nats, what a model still means. One with `no_addresses`
keeps a model from making up where code is to be had; what it says instead, when and on which terms, is made up as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.summarizing.drafts import DraftSentence, decoded
from longt5.decoding import ANNOUNCEMENTS
from longt5.maps import TeacherForced, written_log_probabilities

# A round bracket for a square one, which is not written at all, is no word.
_OPENING = tuple("([")
_OFFERED = "code|software|project page|data and models?|models? and data"
_HAD = "|".join((*ANNOUNCEMENTS, "release"))
_OFFER = re.compile(
    rf"\b(?:{_OFFERED})\b.*\b(?:{_HAD})\b|\b(?:{_HAD})\b.*\b(?:code|project page)\b", re.IGNORECASE
)


def unforced(
    model: Any, tokenizer: Any, forced: TeacherForced, drafts: Sequence[DraftSentence]
) -> list[DraftSentence]:
    """The sentences that the model wrote by itself: every token likely enough for it, and no offer of code.

    Args:
        forced: what it wrote, as it reads that again.
        drafts: the sentences of that.
    """
    config = model.generation_config
    if getattr(config, "no_addresses", False):
        drafts = [draft for draft in drafts if not _OFFER.search(draft.text)]
    least = getattr(config, "least_log_probability", None)
    if not isinstance(least, int | float) or not drafts:
        return list(drafts)
    likely = written_log_probabilities(model, forced) >= least
    likely |= [decoded(tokenizer, [token]).lstrip().startswith(_OPENING) for token in forced.summary_ids]
    return [draft for draft in drafts if likely[draft.token_start : draft.token_end].all()]
