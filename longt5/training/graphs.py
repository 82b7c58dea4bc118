"""Forward and backward of batches as CUDA graphs: a step of thousands of short kernels, launched as one.

A GPU is faster with most kernels of a small model than Python is in launching them. A graph is recorded once for each
shape of a batch, and from then on it is replayed over the same memory (Gray 2019, developer.nvidia.com, "Getting
started with CUDA graphs").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from longt5.training.batches import Batch

WARM_UP = 2  # runs before the recording: kernels are compiled and libraries choose theirs


@dataclass(frozen=True)
class _Recorded:
    graph: torch.cuda.CUDAGraph
    batch: Batch
    weight: Tensor
    loss: Tensor


class GraphedLosses:
    """Adds the gradients of batches to those of the parameters, and returns losses."""

    def __init__(self, loss: Callable[[Batch], Tensor], parameters: Iterable[nn.Parameter]) -> None:
        """
        Args:
            loss: of a batch, a scalar. It may wait for nothing from the GPU.
            parameters: what learns. Their gradients stay where they are: zero them, never set them to None.
        """
        self._loss = loss
        self._gradients: list[Tensor] = []
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
            self._gradients.append(parameter.grad)
        self._recorded: dict[tuple[torch.Size, torch.Size], _Recorded] = {}
        self._memory = torch.cuda.graph_pool_handle()  # shared: one graph runs at a time

    def __call__(self, batch: Batch, weight: float) -> Tensor:
        """The loss of a batch on the GPU, after `weight` times its gradient was added."""
        shapes = (batch.input_ids.shape, batch.labels.shape)
        if shapes not in self._recorded:
            self._recorded[shapes] = self._record(batch)
        recorded = self._recorded[shapes]
        for kept, new in zip(vars(recorded.batch).values(), vars(batch).values(), strict=True):
            kept.copy_(new, non_blocking=True)
        recorded.weight.fill_(weight)
        recorded.graph.replay()
        return recorded.loss.clone()

    def _record(self, batch: Batch) -> _Recorded:
        batch = Batch(*(tensor.clone() for tensor in vars(batch).values()))
        device = batch.input_ids.device
        weight = torch.ones((), device=device)
        before = [gradient.clone() for gradient in self._gradients]
        random_numbers = torch.cuda.get_rng_state(device)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                (self._loss(batch) * weight).backward()
        torch.cuda.current_stream().wait_stream(stream)
        torch._foreach_copy_(self._gradients, before)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._memory):
            loss = self._loss(batch)
            (loss * weight).backward()
        # What was drawn so far dropped out nothing that counts, and a resumed run, which records anew, draws it again.
        torch.cuda.set_rng_state(random_numbers, device)
        return _Recorded(graph, batch, weight, loss.detach())
