"""Makes a trained LongT5 wider without a change to what it computes, so that there is room to learn more.

Old weights keep their places; what is new reads nothing yet or writes nothing yet (Net2Net, Chen et al. 2016,
arXiv 1511.05641, with zeros instead of copies). T5's norm divides by the root mean square over the whole width, which
falls as zeros are added: the norms' weights make up for that.
"""

import math

import torch
from torch import Tensor

from longt5 import LongT5Config
from longt5.layers import LongT5LayerNorm
from longt5.modeling import LongT5ForConditionalGeneration


@torch.no_grad()
def widen(
    model: LongT5ForConditionalGeneration, *, d_model: int, num_heads: int, d_ff: int
) -> LongT5ForConditionalGeneration:
    """Return a float32 copy of a model with a greater width, more heads and larger feed-forward networks.

    Raises:
        ValueError: a size is smaller than the model's, or its output is not tied and scaled.
    """
    old = model.config
    if d_model < old.d_model or num_heads < old.num_heads or d_ff < old.d_ff:
        raise ValueError("A model can only be made wider.")
    if not old.scale_decoder_outputs:
        raise ValueError("Only models with tie_word_embeddings=True can be made wider.")
    sizes = {"d_model": d_model, "num_heads": num_heads, "d_ff": d_ff}
    wide = LongT5ForConditionalGeneration(LongT5Config(**{**old.to_dict(), **sizes, "dtype": "float32"}))
    wide.generation_config = model.generation_config
    shrinks = math.sqrt(old.d_model / d_model)
    for name, module in wide.named_modules():
        for part, new in module.named_parameters(recurse=False):
            given = model.get_parameter(f"{name}.{part}").float()
            if isinstance(module, LongT5LayerNorm):
                last = name == "decoder.final_layer_norm"  # the output is scaled by the width as well
                new[: len(given)] = given if last else given * shrinks
                new[len(given) :] = 0.0 if last else 1.0
            else:
                _widen(new, given, name.rsplit(".")[-1], old.d_model)
    return wide.train(model.training)


def _widen(new: Tensor, given: Tensor, kind: str, d_model: int) -> None:
    """Puts `given` (rows, columns) at the beginning of `new`, and zeros where new would disturb old."""
    rows, columns = given.shape
    if kind in ("o", "wo"):  # writes to the residual, from new heads or units too: not yet
        new.zero_()
    elif kind == "q":  # new heads attend by position alone, as yet
        new[:, d_model:] = 0.0
        new[rows:] = 0.0
    elif kind == "shared" or "bias" in kind:
        new[:, columns:] = 0.0
    else:
        new[:rows, columns:] = 0.0
    new[:rows, :columns] = given
