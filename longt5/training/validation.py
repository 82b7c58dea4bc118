"""How a model in training does on papers it does not learn from: its loss for each objective, on fixed batches."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from longt5 import LongT5ForConditionalGeneration
from longt5.training.batches import Batch, PaperSources, stage_batches
from longt5.training.configuration import TrainingConfig
from longt5.training.objectives import Vocabulary

_SEED_OFFSET = 1_000_003  # validation examples are drawn with another seed than training ones


class Validation:
    """Fixed batches of the objectives of a run's last stage, with inputs of its length."""

    def __init__(self, config: TrainingConfig, vocabulary: Vocabulary, pad_token_id: int) -> None:
        """Raises DataError where the folder `config.validation` holds no prepared papers."""
        papers = PaperSources(Path(config.data), {config.validation: 1.0})
        last = config.stages[-1]
        self.batches: dict[str, list[Batch]] = {}
        for objective in last.objectives:
            alone = dataclasses.replace(
                config,
                seed=config.seed + _SEED_OFFSET,
                stages=(dataclasses.replace(last, share=1.0, objectives={objective: 1.0}),),
            )
            drawn = stage_batches(alone, papers, vocabulary, pad_token_id, stage=0)
            self.batches[objective] = [drawn[index] for index in range(config.validation_batches)]

    @torch.no_grad()
    def losses(self, model: LongT5ForConditionalGeneration) -> dict[str, float]:
        """The mean cross-entropy of a target token in nats, over all ("loss") and for each objective."""
        sums = {objective: [0.0, 0] for objective in self.batches}
        for objective, batches in self.batches.items():
            for batch in batches:
                tokens = int((batch.labels != -100).sum())
                loss: Tensor = mean_loss(model, batch.to(model.device))
                sums[objective][0] += float(loss) * tokens
                sums[objective][1] += tokens
        total, count = (sum(part) for part in zip(*sums.values(), strict=True))
        return {"loss": total / count, **{name: value / number for name, (value, number) in sums.items()}}


def mean_loss(model: torch.nn.Module, batch: Batch) -> Tensor:
    """The mean cross-entropy of the batch's target tokens, a scalar."""
    return model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, labels=batch.labels, use_cache=False
    ).loss
