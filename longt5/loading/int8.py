"""Matrix products in 8 bits, for models on a CPU: faster and smaller than float32, and not quite the same.

Weights are rounded once, each output channel to its own scale; the states that meet them are rounded as they come, each
token to its own scale, so that an outlier of one token costs the others nothing. The products are added up as integers,
exactly. Norms, attention, embeddings and the head stay as they are.
"""

import torch
from torch import Tensor, nn

from longt5.memory import in_pieces

LARGEST = 127  # of the 8-bit numbers; -128 is left out, so that both signs are the same


class Int8Linear(nn.Module):
    """A linear layer whose weight and states are rounded to 8 bits. It has no gradients."""

    weight: Tensor  # (out, in), int8
    scale: Tensor  # (out,)

    def __init__(self, linear: nn.Linear):
        super().__init__()
        codes, scale = rounded(linear.weight.detach())
        self.register_buffer("weight", codes)
        self.register_buffer("scale", scale[:, 0])

    def forward(self, states: Tensor) -> Tensor:
        """(..., in) -> (..., out), in float32."""
        return in_pieces(self._product, states, len(self.weight), torch.float32)

    def _product(self, states: Tensor) -> Tensor:
        codes, scale = rounded(states.flatten(0, -2))
        product = torch._int_mm(codes, self.weight.t()) * self.scale
        return product.mul_(scale).unflatten(0, states.shape[:-1])


def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """`(rows, n)` as 8-bit integers of the same shape and `(rows, 1)` float32 scales, whose product is near `x`.

    Each row's largest number becomes 127 or -127; no number is off by more than half of its row's scale.
    """
    x = x.float()
    scale = x.abs().amax(-1, keepdim=True).div_(LARGEST).clamp_(min=torch.finfo(torch.float32).tiny)
    return (x / scale).round_().to(torch.int8), scale


def quantize(model: nn.Module) -> None:
    """Replaces, in place, all linear layers but the head. The model is then for running only, on the CPU."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and name != "lm_head":
                setattr(parent, name, Int8Linear(child))
