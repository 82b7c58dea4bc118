"""Muon for matrices, Adam for the rest, each step a share of the parameter's own size.

Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) replaces a matrix's gradient by the nearest orthogonal
matrix, found by a few steps of Newton-Schulz. T5's weights have very different sizes (embeddings 1, queries 0.01), so
that no one rate suits all: as Adafactor does (Shazeer and Stern 2018, section 8), a step here moves each parameter by a
share of its root mean square. Embeddings and position biases are tables, not maps: Adam.
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
        """Take one step along the gradients that are there."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if not group["orthogonal"]:
                for parameter in parameters:
                    self._step_adam(parameter, ADAM_SHARE * group["lr"])
                continue
            by_shape: defaultdict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in parameters:
                by_shape[parameter.shape].append(parameter)
            for alike in by_shape.values():  # as one stack of matrices: the GPU has too little to do with one
                self._step_muon(alike, group["lr"])

    def _step_muon(self, parameters: list[Tensor], lr: float) -> None:
        gradients = torch.stack([parameter.grad for parameter in parameters])  # type: ignore[misc]
        momenta = torch.stack([self._state(parameter, "momentum") for parameter in parameters])
        momenta.mul_(MOMENTUM).add_(gradients)
        updates = orthogonalized(gradients.add_(momenta, alpha=MOMENTUM)).float()
        values = torch.stack(parameters)
        step = lr * _size(values, (1, 2)) / updates.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-8)
        values.mul_(1 - WEIGHT_DECAY * lr).sub_(step * updates)
        torch._foreach_copy_(parameters, list(values.unbind()))
        torch._foreach_copy_(
            [self.state[parameter]["momentum"] for parameter in parameters], list(momenta.unbind())
        )

    def _step_adam(self, parameter: Tensor, lr: float) -> None:
        gradient = parameter.grad
        assert gradient is not None
        mean, square = self._state(parameter, "mean"), self._state(parameter, "square")
        state = self.state[parameter]
        state["steps"] = state.get("steps", 0) + 1
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        unbiased_mean = mean / (1 - BETAS[0] ** state["steps"])
        unbiased_square = square / (1 - BETAS[1] ** state["steps"])
        size = _size(parameter, tuple(range(parameter.dim())))
        parameter.sub_(lr * size * unbiased_mean / (unbiased_square.sqrt() + 1e-8))

    def _state(self, parameter: Tensor, name: str) -> Tensor:
        state = self.state[parameter]
        if name not in state:
            state[name] = torch.zeros_like(parameter)
        return state[name]


def _size(values: Tensor, dimensions: tuple[int, ...]) -> Tensor:
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
    """Muon for the projections of a LongT5, Adam for its embeddings, position biases and norms."""
    orthogonal: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        is_table = "shared" in name or "bias" in name
        (orthogonal if parameter.ndim == 2 and not is_table else others).append(parameter)
    return Muon([{"params": orthogonal, "orthogonal": True}, {"params": others, "orthogonal": False}], lr=lr)
