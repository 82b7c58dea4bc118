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

# Lengths that inputs are padded to, as parts of the stage's longest: batches of few shapes, little padding.
LENGTHS = 8
RAREST = 0.03  # share of the examples below which a length joins the next longer one
MOST_TRIES = 200  # papers drawn for one example before a batch gives up


@dataclass(frozen=True)
class Batch:
    """Tensors padded at the end."""

    input_ids: Tensor
    """`(batch, length)`."""
    attention_mask: Tensor
    """`(batch, length)`, 1 at text."""
    labels: Tensor
    """`(batch, target length)`, -100 where nothing is to be learned."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        tensors = (self.input_ids, self.attention_mask, self.labels)
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))

    def pin_memory(self) -> Batch:
        """The same batch in memory from which a GPU copies faster; for DataLoader."""
        return Batch(self.input_ids.pin_memory(), self.attention_mask.pin_memory(), self.labels.pin_memory())


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
        step = -(-stage.source_tokens // LENGTHS)
        classes = np.minimum(-(-(papers.lengths + 2) // step), LENGTHS)
        shares = np.bincount(classes, papers.weights, LENGTHS + 1) / papers.weights.sum()
        for length in range(1, LENGTHS):
            if shares[length] < RAREST:
                classes[classes == length] += 1
                shares[length + 1] += shares[length]
        self.groups = [np.flatnonzero(classes == length) for length in np.unique(classes)]
        self.lengths = [int(length) * step for length in np.unique(classes)]
        self.sizes = [max(1, batch_tokens // (length + target_tokens)) for length in self.lengths]
        # Every paper is as likely as its weight says: small batches of long papers come more often.
        self.cumulative = [
            np.cumsum(papers.weights[members]) for members in self.groups
        ]  # papers are drawn by these
        weights = np.array([cumulative[-1] for cumulative in self.cumulative]) / self.sizes
        self.group_shares = weights / weights.sum()
        self.objectives = list(stage.objectives)
        shares = np.array([*stage.objectives.values()], dtype=float)
        self.objective_shares = shares / shares.sum()

    def __getitem__(self, index: int) -> Batch:
        """Raises DataError where papers of no length give examples."""
        rng = np.random.default_rng([*self.seed, index])
        shares = self.group_shares.copy()
        # Short papers give no continuation, those with long abstracts none of them: another length may do.
        while shares.any():
            group = int(rng.choice(len(self.groups), p=shares / shares.sum()))
            examples = self._examples(group, rng)
            if examples is not None:
                return collate(examples, self.pad_token_id, self.lengths[group], self.target_tokens)
            shares[group] = 0.0
        raise DataError(
            f"The papers give no example of {' or '.join(self.objectives)}: allow longer targets or shorter inputs, or "
            "prepare other papers."
        )

    def _examples(self, group: int, rng: np.random.Generator) -> list[Example] | None:
        """A batch of papers of one length; None where they hardly give examples."""
        examples: list[Example] = []
        while len(examples) < self.sizes[group]:
            example = self._example(group, rng)
            if example is None:
                return None
            examples.append(example)
        return examples

    def _example(self, group: int, rng: np.random.Generator) -> Example | None:
        members, cumulative = self.groups[group], self.cumulative[group]
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
        return None


def collate(examples: Sequence[Example], pad_token_id: int, source_tokens: int, target_tokens: int) -> Batch:
    """Pads examples at the end, inputs to `source_tokens` and targets to `target_tokens`."""
    input_ids = torch.full((len(examples), source_tokens), pad_token_id)
    attention_mask = torch.zeros(input_ids.shape, dtype=torch.long)
    labels = torch.full((len(examples), target_tokens), -100)
    for row, example in enumerate(examples):
        input_ids[row, : len(example.input_ids)] = torch.from_numpy(example.input_ids)
        attention_mask[row, : len(example.input_ids)] = 1
        labels[row, : len(example.labels)] = torch.from_numpy(example.labels)
    return Batch(input_ids, attention_mask, labels)


class _OrError(Dataset["Batch | DataError"]):
    """The batches of another dataset, or why there is none: what a worker raises comes with all of its traceback."""

    def __init__(self, batches: Dataset[Batch]) -> None:
        self.batches = batches

    def __getitem__(self, index: int) -> Batch | DataError:
        try:
            return self.batches[index]
        except DataError as error:
            return error


class _From(Sampler[int]):
    """All indices from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


def batches_from(dataset: Dataset[Batch], first: int, workers: int) -> Iterator[Batch]:
    """The batches from index `first` on, without end, made ahead of time by `workers` processes.

    Raises:
        DataError: the dataset raised it, in whichever process.
    """
    loader = DataLoader(
        _OrError(dataset),
        batch_size=None,
        sampler=_From(first),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # or a resumed run, which starts one more, would draw other dropout
    )
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch


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
