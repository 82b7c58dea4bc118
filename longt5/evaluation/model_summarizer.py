"""Summaries of papers by a model: what evaluation measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedTokenizerBase

from longt5.decoding import processors
from longt5.generation import encode
from longt5.modeling import LongT5ForConditionalGeneration
from longt5.quote_search import quote
from longt5.quotes import quotable_sentences
from longt5.text.papers import Paper
from longt5.text.sentences import split_sentences
from longt5.text.shortening import beginning_and_end, shortened, shortened_starts

LONG_PAPERS = ("beginning and end", "truncate")


@dataclass(frozen=True)
class _Input:
    """What is read of a paper, without the end token: (tokens,) ids, (tokens, 2) offsets, (sentences,) starts."""

    ids: np.ndarray
    offsets: np.ndarray
    starts: np.ndarray


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
        long_papers: str = LONG_PAPERS[0],
        **generation: object,
    ) -> None:
        """Cut papers to ``max_input_tokens``; ``generation`` overrides the model's generation defaults.

        Of longer ones, ``long_papers`` "truncate" reads the beginning, "beginning and end" both
        (``longt5.text.shortening``). Quotes are chosen by ``quote_score``, one of ``longt5.quote_search.SCORES``.
        """
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.max_input_tokens = max_input_tokens
        self.writing = writing
        self.quote_score = quote_score
        self.long_papers = long_papers
        self.generation = generation

    @torch.no_grad()
    def __call__(self, papers: Sequence[Paper]) -> list[str]:
        """Return the summary of each paper: in own words written together, in quotes one after the other."""
        inputs = [self._input(paper) for paper in papers]
        if self.writing == "quotes":
            return [self._quote(paper, source) for paper, source in zip(papers, inputs)]
        padded = self.tokenizer.pad(
            {"input_ids": [[*source.ids.tolist(), self.tokenizer.eos_token_id] for source in inputs]},
            return_tensors="pt",
        ).to(self.model.device)
        written = self.model.generate(
            input_ids=padded.input_ids,
            attention_mask=padded.attention_mask,
            logits_processor=processors(self.tokenizer, self.model.generation_config),
            **self.generation,
        )
        return self.tokenizer.batch_decode(written, skip_special_tokens=True)

    def _input(self, paper: Paper) -> _Input:
        encoding = self.tokenizer(
            paper.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids = np.array(encoding["input_ids"], dtype=np.int64)
        offsets = np.array(encoding["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        sentences = [start for start, _ in split_sentences(paper.text)]
        starts = np.unique(np.searchsorted(offsets[:, 1], sentences, side="right"))
        if self.long_papers == "truncate":
            cut = min(len(ids), self.max_input_tokens - 1), len(ids)
        else:
            cut = beginning_and_end(starts, len(ids), self.max_input_tokens - 1)
        return _Input(shortened(ids, cut), shortened(offsets, cut), shortened_starts(starts, cut))

    def _quote(self, paper: Paper, source: _Input) -> str:
        quotable = quotable_sentences(paper.text, source.ids, source.offsets, source.starts.tolist())
        if not quotable:
            return ""
        settings = GenerationConfig(**{**self.model.generation_config.to_dict(), **self.generation})
        input_ids = torch.tensor([[*source.ids.tolist(), self.tokenizer.eos_token_id]])
        encoded = encode(self.model, input_ids.to(self.model.device))
        quoted = quote(
            self.model,
            encoded,
            [sentence.tokens for sentence in quotable],
            max_new_tokens=settings.max_new_tokens,
            num_beams=settings.num_beams or 1,
            score=self.quote_score,
        )
        return " ".join(paper.text[quotable[i].start : quotable[i].end] for i in sorted(quoted.places))
