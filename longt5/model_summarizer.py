"""Summaries of papers by a model: what evaluation measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from .generation import EncodedText, encode
from .modeling import LongT5ForConditionalGeneration
from .papers import Paper
from .quote_search import Quoted, quote
from .quotes import quotable_sentences
from .sentences import split_sentences


class ModelSummarizer:
    """Writes summaries with ``model.generate`` and the model's own generation defaults.

    In own words, or in quotes: whole sentences of the paper alone (``longt5.quote_search``), in the paper's order.
    """

    def __init__(
        self,
        model: LongT5ForConditionalGeneration,
        tokenizer: PreTrainedTokenizerBase,
        max_input_tokens: int,
        writing: str = "own words",
        quote_score: str = "renormalised",
        **generation: object,
    ) -> None:
        """Cut papers to ``max_input_tokens``; ``generation`` overrides the model's generation defaults.

        Quotes are chosen by ``quote_score``, one of ``longt5.quote_search.SCORES``.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_input_tokens = max_input_tokens
        self.writing = writing
        self.quote_score = quote_score
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
        encoding = self.tokenizer(
            paper.text,
            truncation=True,
            max_length=self.max_input_tokens,
            return_tensors="pt",
            return_offsets_mapping=True,
        )
        offsets = encoding["offset_mapping"][0, :-1].numpy()  # without the end token
        starts = [start for start, _ in split_sentences(paper.text[: offsets[-1:, 1].max(initial=0)])]
        quotable = quotable_sentences(
            paper.text,
            encoding["input_ids"][0, :-1].numpy(),
            offsets,
            np.searchsorted(offsets[:, 1], starts, side="right").tolist(),
        )
        if not quotable:
            return ""
        settings = GenerationConfig(**{**self.model.generation_config.to_dict(), **self.generation})
        *_, encoded = encode(self.model, encoding["input_ids"].to(self.model.device))
        assert isinstance(encoded, EncodedText)
        *_, quoted = quote(
            self.model,
            encoded,
            [sentence.tokens for sentence in quotable],
            max_new_tokens=settings.max_new_tokens,
            num_beams=settings.num_beams or 1,
            score=self.quote_score,
        )
        assert isinstance(quoted, Quoted)
        return " ".join(paper.text[quotable[i].start : quotable[i].end] for i in sorted(quoted.places))
