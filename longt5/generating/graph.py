"""A step of the decoder as a CUDA graph: its thousand kernels are started as one (Gray 2019, as in training)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.utils import logging

from longt5.generating.past import Ancestors

logger = logging.get_logger(__name__)

WARM_UP = 2  # runs before the recording: libraries choose their kernels


@dataclass(frozen=True)
class Recorded:
    """A recorded step; what it reads and writes stays in the same memory."""

    graph: torch.cuda.CUDAGraph
    tokens: Tensor
    logits: Tensor

    def __call__(self, tokens: Tensor) -> Tensor:
        self.tokens.copy_(tokens)
        self.graph.replay()
        return self.logits


def record(
    step: Callable[[Tensor], Tensor], tokens: Tensor, ancestors: Ancestors
) -> Callable[[Tensor], Tensor]:
    """Records a step from `(rows, 1)` tokens to logits, without having made it; the step itself if that fails.

    Where the token's keys and values go is written again by the step that follows, so that only the position has to
    be put back.
    """
    tokens, position = tokens.clone(), ancestors.position.clone()
    stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
    try:
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                step(tokens)
                ancestors.position.copy_(position)
        torch.cuda.current_stream().wait_stream(stream)
        # Another thread may use the GPU meanwhile.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            logits = step(tokens)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        logger.warning_once(
            f"A decoder step cannot be recorded here and runs kernel by kernel ({str(error).splitlines()[0]})."
        )
        ancestors.position.copy_(position)
        return step
    return Recorded(graph, tokens, logits)
