from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from app.models import ModelStore
from app.summarizing.drafts import DraftSentence, draft_sentences
from app.summarizing.forced import unforced
from longt5.generation import encode
from longt5.maps import log_probabilities, teacher_force

TEXT = "The model reads the long paper, and says where it looked. It costs less than others do."
WRITTEN = "The model reads it. It costs ( less ) than others."


def test_sentences_with_a_token_below_the_limit_are_left_out(store: ModelStore) -> None:
    with store.use(store.choices[0]) as loaded:
        model, tokenizer = copy.copy(loaded.model), loaded.tokenizer
        model.generation_config = copy.deepcopy(model.generation_config)
        encoded = encode(model, torch.tensor([tokenizer(TEXT)["input_ids"]]))
        ids = tuple(tokenizer(WRITTEN, add_special_tokens=False)["input_ids"])
        found = log_probabilities(model, encoded, ids, np.ones((1, encoded.attention_mask.shape[1]), bool))[0]
        forced = teacher_force(model, encoded, ids)
        ranges = [(draft.token_start, draft.token_end) for draft in draft_sentences(tokenizer, ids)]
        drafts = [
            DraftSentence(name, *tokens) for name, tokens in zip(("first", "second"), ranges, strict=True)
        ]

        def kept(least: object) -> list[str]:
            model.generation_config.least_log_probability = least
            return [draft.text for draft in unforced(model, tokenizer, forced, drafts)]

        # A bracket does not count, however unlikely.
        opening = [i for i, token in enumerate(ids) if tokenizer.decode([token]).strip() == "("]
        assert len(opening) == 1
        words = [i for i in range(len(ids)) if i not in opening]
        first, second = (
            min(found[i] for i in words if draft.token_start <= i < draft.token_end) for draft in drafts
        )
        assert first != pytest.approx(second)
        between = (first + second) / 2
        assert kept(between) == (["first"] if first > second else ["second"])
        assert kept(max(first, second) + 1e-6) == []
        assert kept(min(first, second) - 1e-6) == ["first", "second"]
        assert kept(None) == kept("low") == ["first", "second"]


OFFERS = (
    "Our code is publicly available upon acceptance.",
    "Code and models will be released in the supplementary materials.",
    "Models and data are accessible to all.",
    "We release the code of our method.",
)
OTHERS = (
    "The genetic code is read in three frames.",
    "Few data are available for these species.",
    "Vesicles are released when the cell is stimulated.",
)


@pytest.mark.parametrize("no_addresses", [True, False])
def test_offers_of_code_are_left_out_where_addresses_are(store: ModelStore, no_addresses: bool) -> None:
    with store.use(store.choices[0]) as loaded:
        model = copy.copy(loaded.model)
        model.generation_config = copy.deepcopy(model.generation_config)
        model.generation_config.no_addresses = no_addresses
        encoded = encode(model, torch.tensor([loaded.tokenizer(TEXT)["input_ids"]]))
        drafts = [DraftSentence(text, 0, 1) for text in (*OFFERS, *OTHERS)]
        forced = teacher_force(model, encoded, (3,))
        kept = [draft.text for draft in unforced(model, loaded.tokenizer, forced, drafts)]
    assert kept == list(OTHERS if no_addresses else (*OFFERS, *OTHERS))
