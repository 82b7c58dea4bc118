"""Summaries of papers by a model: what evaluation measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from .papers import Paper
from .quotes import MOST_TOKENS, QuoteConstraint, is_quotable
from .sentences import split_sentences


class ModelSummarizer:
    """Writes summaries with ``model.generate`` and the model's own generation defaults.

    In own words, or in quotes: whole sentences of the paper alone (``longt5.quotes``), in the paper's order.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_input_tokens: int,
        writing: str = "own words",
        **generation: object,
    ) -> None:
        """Cut papers to ``max_input_tokens``; ``generation`` overrides the model's generation defaults."""
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_input_tokens = max_input_tokens
        self.writing = writing
        self.generation = generation

    @torch.no_grad()
    def __call__(self, papers: Sequence[Paper]) -> list[str]:
        """Return the summary of each paper: in own words written together, in quotes one after the other."""
        if self.writing == "quotes":
            return [self._quote(paper) for paper in papers]
        inputs = self.tokenizer(
            [paper.text for paper in papers],
            truncation=True,
            max_length=self.max_input_tokens,
            padding=True,
            return_tensors="pt",
        ).to(self.model.device)
        written = self.model.generate(
            input_ids=inputs.input_ids, attention_mask=inputs.attention_mask, **self.generation
        )
        return self.tokenizer.batch_decode(written, skip_special_tokens=True)

    def _quote(self, paper: Paper) -> str:
        encoded = self.tokenizer(
            paper.text,
            truncation=True,
            max_length=self.max_input_tokens,
            return_tensors="pt",
            return_offsets_mapping=True,
        )
        inputs = {name: encoded[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        return self._quotes(paper.text, inputs, encoded["offset_mapping"][0, :-1].numpy())

    def _quotes(self, text: str, inputs: dict[str, torch.Tensor], offsets: np.ndarray) -> str:
        """``offsets`` (tokens, 2): the characters of each token, without the end token."""
        ranges = [
            range_ for range_ in split_sentences(text[: offsets[-1, 1]]) if is_quotable(text[slice(*range_)])
        ]
        bounds = np.array(ranges).reshape(-1, 2)
        ends = offsets[:, 1]  # a token may begin with the space before its sentence
        firsts, lasts = np.searchsorted(ends, bounds[:, 0], side="right"), np.searchsorted(ends, bounds[:, 1])
        ids = inputs["input_ids"][0].tolist()
        sentences = [
            ids[first : last + 1] if last - first < MOST_TOKENS else [] for first, last in zip(firsts, lasts)
        ]
        settings = GenerationConfig(**{**self.model.generation_config.to_dict(), **self.generation})
        constraint = QuoteConstraint(sentences, self.tokenizer.eos_token_id, settings.max_new_tokens)
        settings.no_repeat_ngram_size = settings.encoder_no_repeat_ngram_size = 0
        settings.repetition_penalty = 1.0
        written = self.model.generate(
            **inputs, generation_config=settings, logits_processor=LogitsProcessorList([constraint])
        )
        tokens = written[0, 1:].tolist()
        tokens = tokens[: tokens.index(self.tokenizer.eos_token_id)]
        return " ".join(text[slice(*ranges[place])] for place, _, _ in sorted(constraint.quoted(tokens)))
