"""The encoder's attention (Guo et al. 2022, section 3.1): one door, and the kernels it chooses from."""

from longt5.attention import flops as _flops  # noqa: F401  # tells PyTorch what the attention costs
from longt5.attention.dispatch import encoder_attention

__all__ = ["encoder_attention"]
