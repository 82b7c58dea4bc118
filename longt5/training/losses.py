"""What training minimises: cross-entropy of every target token, and how far the choices between sentences are off."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from longt5.training.batches import Batch


@dataclass(frozen=True)
class TargetLosses:
    """Sums over a batch in nats, with the number of target positions behind each.

    ``tokens`` is the cross-entropy among the whole vocabulary, at each position of the target. ``choices`` is the
    Kullback-Leibler divergence from the shares to be learned, where the paper's sentences part and among the
    tokens possible there alone: just what decoding in quotes adds up (``longt5.quote_search``). Learned by
    cross-entropy only, the choices drown in the rest.
    """

    tokens: Tensor
    choices: Tensor
    token_count: Tensor
    choice_count: Tensor

    def __add__(self, other: TargetLosses) -> TargetLosses:
        return TargetLosses(
            self.tokens + other.tokens,
            self.choices + other.choices,
            self.token_count + other.token_count,
            self.choice_count + other.choice_count,
        )

    def detached(self) -> TargetLosses:
        """The same sums without their graph."""
        return TargetLosses(self.tokens.detach(), self.choices.detach(), self.token_count, self.choice_count)

    def mean(self, choice_weight: float) -> Tensor:
        """The mean over the tokens, and ``choice_weight`` times the mean over the choices, if there are any."""
        choices = self.choices / self.choice_count.clamp(min=1)
        return self.tokens / self.token_count.clamp(min=1) + choice_weight * choices


def target_losses(logits: Tensor, batch: Batch) -> TargetLosses:
    """Return the losses of logits (batch, target length, vocabulary) for a batch on the same device."""
    log_shares = logits.float().log_softmax(-1)
    rows, positions, tokens = batch.branch_places
    wanted = batch.branch_shares
    of_branches = log_shares[rows, positions, tokens]
    written = batch.labels != -100
    certain = written.clone()
    certain[rows, positions] = False
    of_labels = log_shares.gather(-1, batch.labels.clamp(min=0)[..., None])[..., 0]

    # Entries of one position stand together; each group is normalised by itself.
    groups, group = torch.unique_consecutive(rows * logits.shape[1] + positions, return_inverse=True)
    largest = of_branches.new_full(groups.shape, -torch.inf).scatter_reduce(
        0, group, of_branches.detach(), "amax"
    )
    sums = torch.zeros_like(largest).index_add(0, group, (of_branches - largest[group]).exp())
    of_choices = of_branches - largest[group] - sums.log()[group]
    return TargetLosses(
        tokens=-(of_labels * certain).sum() - (wanted * of_branches).sum(),
        choices=(wanted * (wanted.log() - of_choices)).sum(),
        token_count=written.sum(),
        choice_count=torch.tensor(len(groups), device=logits.device),
    )
