"""What training minimises: cross-entropy of certain tokens, divergence from the shares where sentences part."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from .batches import Batch


@dataclass(frozen=True)
class TargetLosses:
    """Sums over a batch, with the number of target positions behind each: nats.

    ``tokens`` is the cross-entropy of the tokens that are certain, ``choices`` the Kullback-Leibler divergence
    of the model's distribution from the one to be learned, over the positions that have one.
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
        """Mean over positions, a choice counting ``choice_weight`` times."""
        total = self.tokens + choice_weight * self.choices
        return total / (self.token_count + choice_weight * self.choice_count).clamp(min=1)


def target_losses(logits: Tensor, batch: Batch) -> TargetLosses:
    """Return the losses of logits (batch, target length, vocabulary) for a batch on the same device."""
    log_shares = logits.float().log_softmax(-1)
    rows, positions, tokens = batch.branch_places
    certain = batch.labels != -100
    certain[rows, positions] = False
    of_labels = log_shares.gather(-1, batch.labels.clamp(min=0)[..., None])[..., 0]
    wanted = batch.branch_shares
    divergence = wanted * (wanted.log() - log_shares[rows, positions, tokens])
    return TargetLosses(
        tokens=-(of_labels * certain).sum(),
        choices=divergence.sum(),
        token_count=certain.sum(),
        choice_count=(batch.labels != -100).sum() - certain.sum(),
    )
