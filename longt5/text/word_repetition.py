"""No run of words twice: what `no_repeat_ngram_size` does for tokens, for whole words.

Counted in tokens, a long name ("phyl ogen etic") or a year is a run of its own, and could be written only once: a model
that copies is then thrown off in the middle of a sentence. A generation configuration asks for this with
``no_repeat_word_ngram_size``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, PreTrainedTokenizerBase


class NoRepeatedWords(LogitsProcessor):
    """Bars the first token of a word that would complete a run of words already written, case aside."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, size: int) -> None:
        """Bar runs of ``size`` words."""
        pieces = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = set(tokenizer.all_special_tokens)
        self._pieces = ["" if piece in special else piece.lower() for piece in pieces]
        self._size = size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (rows, vocabulary) with barred tokens at minus infinity."""
        barred = [(row, token) for row, ids in enumerate(input_ids.tolist()) for token in self.barred(ids)]
        if not barred:
            return scores
        scores = scores.clone()
        scores[tuple(torch.tensor(barred, device=scores.device).T)] = -torch.inf
        return scores

    def barred(self, ids: list[int]) -> list[int]:
        """The tokens that may not follow."""
        words: list[str] = []
        firsts: list[int] = []
        inside = False  # a word that may go on
        for token in ids:  # special ones, the start token among them, are no text
            piece = self._pieces[token]
            text = piece.lstrip("▁")
            if not text or not text[0].isalnum():
                inside = False
            elif inside and text == piece:
                words[-1] += text
            else:
                words.append(text)
                firsts.append(token)
                inside = True
            if text and not text[-1].isalnum():
                inside = False
        before = self._size - 1
        if len(words) <= before:
            return []
        context = words[len(words) - before :]
        repeated = {
            firsts[place + before]
            for place in range(len(words) - before)
            if words[place : place + before] == context
        }
        # A token that would go on with the last word begins no word.
        return [token for token in repeated if not inside or self._pieces[token].startswith("▁")]


def word_processors(
    tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig
) -> list[LogitsProcessor]:
    """What a generation configuration asks for in words, for the ``logits_processor`` of ``generate``."""
    size = getattr(generation_config, "no_repeat_word_ngram_size", None)
    return [NoRepeatedWords(tokenizer, size)] if size else []
