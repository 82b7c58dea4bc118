"""Muon for matrices, Adam for the rest, each step a share of the parameter's own size.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces a matrix's gradient by the nearest orthogonal
matrix, found by a few steps of Newton-Schulz. T5's weights have very different sizes (embeddings 1, queries 0.01), so
that no one rate suits all: as Adafactor does (Shazeer and Stern 2018, section 8), a step here moves each parameter by a
share of its root mean square. Embeddings, the head and position biases are tables, not maps: Adam.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = (0.9, 0.98)
# Adam's steps beside Muon's: all of its entries move by about the whole rate, those of an orthogonal matrix on average.
ADAM_SHARE = 0.75
SMALLEST_SIZE = 0.004  # a parameter that begins at zero must still be able to leave it
WEIGHT_DECAY = 0.02  # of matrices, a step, times the rate
# Of the quintic whose repetition brings all singular values near 1 (Jordan et al. 2024).
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5


class Muon(torch.optim.Optimizer):
    """Muon for the parameters of groups with `orthogonal`, Adam for those of the others."""

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float) -> None:
        """
        Args:
            groups: parameter groups, each with a bool `orthogonal`; matrices alone can be orthogonal.
            lr: length of a step as a share of a parameter's root mean square.
        """
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes one step along the gradients that are there."""
        for group in self.param_groups:
            by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            # All of one shape at once: alone they are too little work for a GPU, and too many calls.
            for alike in by_shape.values():
                (self._step_muon if group["orthogonal"] else self._step_adam)(alike, group["lr"])

    def _step_muon(self, parameters: list[Tensor], lr: float) -> None:
        gradients = _stacked_gradients(parameters)
        momenta = self._stacked_state(parameters, "momentum")
        momenta.mul_(MOMENTUM).add_(gradients)
        updates = orthogonalized(gradients.add_(momenta, alpha=MOMENTUM)).float()
        values = torch.stack(parameters)
        steps = lr * _sizes(values) / _sizes(updates)
        torch._foreach_copy_(parameters, list((values * (1 - WEIGHT_DECAY * lr) - steps * updates).unbind()))
        self._keep(parameters, momentum=momenta)

    def _step_adam(self, parameters: list[Tensor], lr: float) -> None:
        gradients = _stacked_gradients(parameters)
        means = self._stacked_state(parameters, "mean").lerp_(gradients, 1 - BETAS[0])
        squares = self._stacked_state(parameters, "square").lerp_(gradients.square(), 1 - BETAS[1])
        steps = self.state[parameters[0]].get("steps", 0) + 1
        unbiased_means = means / (1 - BETAS[0] ** steps)
        unbiased_squares = squares / (1 - BETAS[1] ** steps)
        values = torch.stack(parameters)
        moved = ADAM_SHARE * lr * _sizes(values) * unbiased_means / (unbiased_squares.sqrt() + 1e-8)
        torch._foreach_copy_(parameters, list((values - moved).unbind()))
        self._keep(parameters, mean=means, square=squares)
        for parameter in parameters:
            self.state[parameter]["steps"] = steps

    def _stacked_state(self, parameters: list[Tensor], name: str) -> Tensor:
        for parameter in parameters:
            if name not in self.state[parameter]:
                self.state[parameter][name] = torch.zeros_like(parameter)
        return torch.stack([self.state[parameter][name] for parameter in parameters])

    def _keep(self, parameters: list[Tensor], **stacked: Tensor) -> None:
        for name, values in stacked.items():
            torch._foreach_copy_(
                [self.state[parameter][name] for parameter in parameters], list(values.unbind())
            )


def _stacked_gradients(parameters: list[Tensor]) -> Tensor:
    return torch.stack([parameter.grad for parameter in parameters if parameter.grad is not None])


def _sizes(values: Tensor) -> Tensor:
    """The root mean square of each of a stack of parameters, (parameters, 1, ...)."""
    dimensions = tuple(range(1, values.dim()))
    return values.square().mean(dimensions, keepdim=True).sqrt().clamp(min=SMALLEST_SIZE)


def orthogonalized(matrices: Tensor) -> Tensor:
    """About the nearest semi-orthogonal matrix to each of (matrices, rows, columns): singular values 0.7 to 1.2.

    In bfloat16 on a GPU, where that is enough (Jordan et al. 2024).
    """
    a, b, c = NEWTON_SCHULZ
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(1, 2), keepdim=True).to(x.dtype) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def muon(model: nn.Module, lr: float) -> Muon:
    """Muon for the projections of a LongT5, Adam for its embeddings, a head of its own, position biases and norms."""
    orthogonal: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_table = any(table in name for table in ("shared", "lm_head", "bias"))
        (orthogonal if parameter.ndim == 2 and not is_table else others).append(parameter)
    return Muon([{"params": orthogonal, "orthogonal": True}, {"params": others, "orthogonal": False}], lr=lr)
