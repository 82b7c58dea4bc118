"""The endless stream of training batches, a pure function of the seed and a position that can be saved.

Examples are drawn in pools, sorted by length within a pool and cut into batches of about the same number of
tokens (padding included), so that little is padded; the batches of a pool come in random order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from longt5.training.configuration import TrainingConfig
from longt5.training.corpus import DataError, PreparedPapers
from longt5.training.objectives import Example, Vocabulary, make_example


@dataclass(frozen=True)
class Position:
    """Where the stream stands: batch ``batch`` of pool ``pool``, drawn for inputs of ``source_tokens``."""

    pool: int = 0
    batch: int = 0
    source_tokens: int = 0


@dataclass(frozen=True)
class Batch:
    """(batch, length) tensors, padded at the end (labels with -100), and the position of the next batch.

    ``attention_mask`` is None where no input is padded, which is faster.
    Of the entries of all ``BranchTargets``, ``branch_places`` (3, entries) holds row, position and
    token, ``branch_shares`` (entries,) the probabilities to be learned there.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor | None
    labels: torch.Tensor
    branch_places: torch.Tensor
    branch_shares: torch.Tensor
    next: Position

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(
            self.input_ids.to(device),
            None if self.attention_mask is None else self.attention_mask.to(device),
            self.labels.to(device),
            self.branch_places.to(device),
            self.branch_shares.to(device),
            self.next,
        )


class BatchStream:
    """Draws examples from prepared papers as a configuration says."""

    def __init__(
        self, config: TrainingConfig, vocabulary: Vocabulary, pad_token_id: int, process: int = 0
    ) -> None:
        """Open the folders named in ``config.sources``.

        Args:
            process: number of this process; every process draws different examples.

        Raises:
            DataError: a folder holds no prepared papers.
        """
        self.config = config
        self.vocabulary = vocabulary
        self.pad_token_id = pad_token_id
        self.process = process
        self.sources = [PreparedPapers(Path(config.data) / name) for name in config.sources]
        weights = np.array(
            [weight * len(self.sources[i]) for i, weight in enumerate(config.sources.values())]
        )
        self.source_shares = weights / weights.sum()
        self.objectives = list(config.objectives)
        shares = np.array(list(config.objectives.values()), dtype=float)
        self.objective_shares = shares / shares.sum()

    def batch(self, position: Position, progress: float) -> Batch:
        """Return the batch at ``position``; ``progress`` (0..1) sets the input length of a new pool."""
        if position.batch == 0:
            position = Position(position.pool, 0, self.config.source_tokens_at(progress))
        batches = self._pool(position)
        following = Position(position.pool, position.batch + 1, position.source_tokens)
        if following.batch == len(batches):
            following = Position(position.pool + 1)
        return collate(batches[position.batch], self.pad_token_id, following)

    def _pool(self, position: Position) -> list[list[Example]]:
        key = (position.pool, position.source_tokens)
        if getattr(self, "_pool_key", None) != key:
            self._pool_key, self._pool_batches = key, self._draw(position)
        return self._pool_batches

    def _draw(self, position: Position) -> list[list[Example]]:
        chance = np.random.default_rng([self.config.seed, self.process, position.pool])
        examples: list[Example] = []
        for _ in range(100 * self.config.pool_examples):
            source = self.sources[chance.choice(len(self.sources), p=self.source_shares)]
            example = make_example(
                self.objectives[chance.choice(len(self.objectives), p=self.objective_shares)],
                source[int(chance.integers(len(source)))],
                self.vocabulary,
                chance,
                source_tokens=position.source_tokens,
                target_tokens=self.config.target_tokens,
                masked_share=self.config.masked_share,
            )
            if example is not None:
                examples.append(example)
            if len(examples) == self.config.pool_examples:
                break
        if not examples:
            raise DataError("No paper gives an example: allow longer targets or prepare other papers.")
        batches = list(batches_by_tokens(examples, self.config.batch_tokens))
        chance.shuffle(batches)
        return batches


def batches_by_tokens(examples: list[Example], batch_tokens: int) -> Iterator[list[Example]]:
    """Cut examples, sorted by length, into batches of at most ``batch_tokens`` tokens, padding included.

    An example longer than that is a batch of its own.
    """
    batch: list[Example] = []
    longest_input = longest_target = 0
    for example in sorted(examples, key=lambda example: (len(example.input_ids), len(example.labels))):
        longest_input = max(longest_input, len(example.input_ids))
        longest_target = max(longest_target, len(example.labels))
        if batch and (len(batch) + 1) * (longest_input + longest_target) > batch_tokens:
            yield batch
            batch, longest_input, longest_target = [], len(example.input_ids), len(example.labels)
        batch.append(example)
    if batch:
        yield batch


def collate(examples: list[Example], pad_token_id: int, following: Position) -> Batch:
    """Pad examples to one length."""
    shape = (len(examples), max(len(example.input_ids) for example in examples))
    input_ids = torch.full(shape, pad_token_id)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full((len(examples), max(len(example.labels) for example in examples)), -100)
    places, shares = [np.zeros((3, 0), dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
    for row, example in enumerate(examples):
        input_ids[row, : len(example.input_ids)] = torch.from_numpy(example.input_ids)
        attention_mask[row, : len(example.input_ids)] = 1
        labels[row, : len(example.labels)] = torch.from_numpy(example.labels)
        if example.branches is not None:
            positions, tokens = example.branches.positions, example.branches.tokens
            places.append(np.stack([np.full_like(positions, row), positions, tokens]))
            shares.append(example.branches.shares)
    return Batch(
        input_ids,
        attention_mask if (attention_mask == 0).any() else None,
        labels,
        torch.from_numpy(np.concatenate(places, axis=1)),
        torch.from_numpy(np.concatenate(shares)),
        following,
    )
