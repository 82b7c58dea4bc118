"""How a model in training does on validation papers: its losses, and ROUGE of what it quotes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from rouge_score import rouge_scorer
from transformers import PreTrainedTokenizerBase

from longt5 import LongT5ForConditionalGeneration
from longt5.generation import encode
from longt5.quote_search import quote
from longt5.training.batches import BatchStream, Position
from longt5.training.configuration import TrainingConfig
from longt5.training.corpus import PreparedPapers
from longt5.training.losses import TargetLosses, target_losses
from longt5.training.objectives import Vocabulary, quotable_part

_SEED_OFFSET = 1_000_003  # validation examples are drawn with another seed than training ones


class Validation:
    """Fixed papers and examples of the prepared folder ``config.validation``."""

    def __init__(
        self, config: TrainingConfig, vocabulary: Vocabulary, tokenizer: PreTrainedTokenizerBase
    ) -> None:
        """Open the folder.

        Raises:
            DataError: it holds no prepared papers.
        """
        self.config = config
        self.vocabulary = vocabulary
        self.tokenizer = tokenizer
        self.papers = PreparedPapers(Path(config.data) / config.validation)
        fixed = dataclasses.replace(
            config,
            sources={config.validation: 1.0},
            seed=config.seed + _SEED_OFFSET,
            pool_examples=config.validation_examples,
        )
        self.stream = BatchStream(fixed, vocabulary, tokenizer.pad_token_id)

    @torch.no_grad()
    def losses(self, model: LongT5ForConditionalGeneration) -> TargetLosses:
        """Losses over fixed examples, with inputs of the final length."""
        position, total = Position(), None
        while position.pool == 0:
            batch = self.stream.batch(position, 1.0).to(model.device)
            logits = model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                decoder_input_ids=model.prepare_decoder_input_ids_from_labels(batch.labels),
                use_cache=False,
            ).logits
            losses = target_losses(logits, batch)
            total = losses if total is None else total + losses
            position = batch.next
        assert total is not None
        return total

    @torch.no_grad()
    def rouge(self, model: LongT5ForConditionalGeneration) -> dict[str, float]:
        """Mean ROUGE-1 and -2 F1 (0..1) of quotes from the first papers, against their abstracts."""
        scorer = rouge_scorer.RougeScorer(["rouge1", "rouge2"], use_stemmer=True)
        sums = {"rouge1": 0.0, "rouge2": 0.0}
        papers = [self.papers[index] for index in range(min(self.config.validation_rouge, len(self.papers)))]
        for paper in papers:
            source, sentences = quotable_part(paper, self.vocabulary, self.config.source_tokens_at(1.0))
            encoded = encode(model, torch.from_numpy(source)[None].to(model.device))
            quoted = quote(model, encoded, sentences, max_new_tokens=self.config.target_tokens)
            scores = scorer.score(
                self.tokenizer.decode(paper.abstract),
                self.tokenizer.decode(quoted.token_ids),
            )
            for name in sums:
                sums[name] += scores[name].fmeasure / len(papers)
        return sums
