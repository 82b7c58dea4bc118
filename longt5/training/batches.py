"""The training batches of one stage, each a pure function of the seed and its index.

That is what lets worker processes make them ahead of time and a resumed run go on exactly, whatever the number of
workers. A batch holds papers of about one length, so that little is padded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from longt5.training.configuration import Stage, TrainingConfig
from longt5.training.corpus import DataError, PreparedPapers
from longt5.training.objectives import OBJECTIVES, Example, TokenizedPaper, Vocabulary

# Lengths that inputs are padded to, as parts of the stage's longest: few shapes, and 3 % padding on
# average.
LENGTHS = 16
TARGET_STEP = 64  # targets are padded to multiples of this
MOST_TRIES = 200  # papers drawn for one example before a batch gives up


@dataclass(frozen=True)
class Batch:
    """Tensors padded at the end."""

    input_ids: Tensor
    """`(batch, length)`."""
    attention_mask: Tensor | None
    """`(batch, length)`, 1 at text; None where all is text, which is faster."""
    labels: Tensor
    """`(batch, target length)`, -100 where nothing is to be learned."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        input_ids, mask, labels = (
            None if tensor is None else tensor.to(device, non_blocking=True)
            for tensor in (self.input_ids, self.attention_mask, self.labels)
        )
        assert input_ids is not None and labels is not None
        return Batch(input_ids, mask, labels)

    def pin_memory(self) -> Batch:
        """The same batch in memory from which a GPU copies faster; for DataLoader."""
        mask = self.attention_mask
        return Batch(
            self.input_ids.pin_memory(), None if mask is None else mask.pin_memory(), self.labels.pin_memory()
        )


class PaperSources:
    """The papers of several prepared folders, each with its weight in the draw."""

    def __init__(self, data: Path, weights: dict[str, float]) -> None:
        """Raises DataError where a folder holds no prepared papers."""
        self.sources = [PreparedPapers(data / name) for name in weights]
        counts = [len(source) for source in self.sources]
        self.first = np.append(0, np.cumsum(counts))
        self.weights = np.repeat([*map(float, weights.values())], counts)
        self.lengths = np.concatenate([source.lengths() for source in self.sources])
        self.papers_with_unit = np.sum([source.papers_with_unit for source in self.sources], axis=0)

    def __getitem__(self, index: int) -> TokenizedPaper:
        source = int(np.searchsorted(self.first, index, side="right")) - 1
        return self.sources[source][index - int(self.first[source])]


class StageBatches(Dataset[Batch]):
    """Batch `index` of a stage, for every index from 0 on."""

    def __init__(
        self,
        papers: PaperSources,
        vocabulary: Vocabulary,
        stage: Stage,
        *,
        target_tokens: int,
        batch_tokens: int,
        pad_token_id: int,
        seed: Sequence[int],
    ) -> None:
        """
        Args:
            target_tokens, batch_tokens: as in `TrainingConfig`.
            seed: of the stage's draws; every process and stage has its own.
        """
        self.papers, self.vocabulary, self.stage = papers, vocabulary, stage
        self.target_tokens, self.pad_token_id, self.seed = target_tokens, pad_token_id, list(seed)
        self.step = -(-stage.source_tokens // LENGTHS)
        # Papers that give inputs of about one length, and how many of them make a batch.
        group = np.minimum(-(-(papers.lengths + 1) // self.step), LENGTHS)
        self.groups = [np.flatnonzero(group == number) for number in np.unique(group)]
        lengths = [int(number) * self.step for number in np.unique(group)]
        self.sizes = [max(1, batch_tokens // (length + target_tokens)) for length in lengths]
        # Every paper is as likely as its weight says: small batches of long papers come more often.
        weights = np.array([papers.weights[members].sum() for members in self.groups]) / self.sizes
        self.group_shares = weights / weights.sum()
        self.objectives = list(stage.objectives)
        shares = np.array([*stage.objectives.values()], dtype=float)
        self.objective_shares = shares / shares.sum()

    def __getitem__(self, index: int) -> Batch:
        """Raises DataError where no paper gives an example."""
        rng = np.random.default_rng([*self.seed, index])
        group = int(rng.choice(len(self.groups), p=self.group_shares))
        examples = [self._example(group, rng) for _ in range(self.sizes[group])]
        return collate(examples, self.pad_token_id, self.step)

    def _example(self, group: int, rng: np.random.Generator) -> Example:
        members = self.groups[group]
        cumulative = np.cumsum(self.papers.weights[members])
        for _ in range(MOST_TRIES):
            objective = OBJECTIVES[self.objectives[rng.choice(len(self.objectives), p=self.objective_shares)]]
            drawn = int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))
            example = objective(
                self.papers[int(members[drawn])],
                self.vocabulary,
                rng,
                self.stage.source_tokens,
                self.target_tokens,
            )
            if example is not None:
                return example
        raise DataError(
            f"Papers of about {(group + 1) * self.step} tokens give no example: allow longer targets, or prepare other papers."
        )


def collate(examples: Sequence[Example], pad_token_id: int, step: int) -> Batch:
    """Pad examples to one length, inputs to a multiple of `step` and targets to one of `TARGET_STEP` tokens."""
    source = _round_up(max(len(example.input_ids) for example in examples), step)
    target = _round_up(max(len(example.labels) for example in examples), TARGET_STEP)
    input_ids = torch.full((len(examples), source), pad_token_id)
    attention_mask = torch.zeros(input_ids.shape, dtype=torch.long)
    labels = torch.full((len(examples), target), -100)
    for row, example in enumerate(examples):
        input_ids[row, : len(example.input_ids)] = torch.from_numpy(example.input_ids)
        attention_mask[row, : len(example.input_ids)] = 1
        labels[row, : len(example.labels)] = torch.from_numpy(example.labels)
    return Batch(input_ids, attention_mask if (attention_mask == 0).any() else None, labels)


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


class _From(Sampler[int]):
    """All indices from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def batches_from(dataset: Dataset[Batch], first: int, workers: int) -> Iterator[Batch]:
    """The batches from index `first` on, without end, made ahead of time by `workers` processes."""
    return iter(
        DataLoader(
            dataset,
            batch_size=None,
            sampler=_From(first),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=torch.cuda.is_available(),
            generator=torch.Generator(),  # or a resumed run, which starts one more, would draw other dropout
        )
    )


def stage_batches(
    config: TrainingConfig,
    papers: PaperSources,
    vocabulary: Vocabulary,
    pad_token_id: int,
    stage: int,
    process: int = 0,
) -> StageBatches:
    """The batches of a stage of a run, by its index; every process draws its own."""
    return StageBatches(
        papers,
        vocabulary,
        config.stages[stage],
        target_tokens=config.target_tokens,
        batch_tokens=config.batch_tokens,
        pad_token_id=pad_token_id,
        seed=(config.seed, process, stage),
    )
