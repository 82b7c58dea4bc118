"""Tiny random LongT5 models, ours and transformers', whose every weight matters to the output."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

import longt5

ATTENTION_TYPES = ("local", "transient-global")
FEED_FORWARDS = ("relu", "gated-gelu")

# Token ids that end a text in tests of generation: several, so that texts do end.
ENDS = tuple(range(1, 12))

# An odd number of heads whose size is not d_model / num_heads, and as many decoder layers as no default
# would give: what a wrong reshape or a forgotten option would trip over.
TINY = {
    "vocab_size": 83,
    "d_model": 48,
    "d_kv": 8,
    "d_ff": 72,
    "num_layers": 2,
    "num_decoder_layers": 3,
    "num_heads": 5,
    "dropout_rate": 0.1,
    "decoder_start_token_id": 0,
    "feed_forward_proj": "gated-gelu",
    "encoder_attention_type": "transient-global",
    "tie_word_embeddings": False,
}


def tiny_config(config_class: type | None = None, **overrides: Any) -> Any:
    """A tiny configuration of `config_class` (ours by default), `overrides` replacing the values of TINY."""
    return (config_class or longt5.LongT5Config)(**{**TINY, **overrides})


@torch.no_grad()
def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draws new weights in place, so that the biases, the globals and the norms all show in the output.

    T5's own initialisation makes attention nearly uniform and the position biases nearly zero: an
    implementation that forgot them would pass. Here scores and biases have a standard deviation near one.
    """
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("relative_attention_bias.weight"):
            parameter.copy_(noise)
        elif name.endswith("layer_norm.weight"):
            parameter.copy_(1 + 0.3 * noise)
        elif parameter.dim() == 2 and name.endswith(("q.weight", "k.weight")):
            parameter.copy_(noise * 0.7 * parameter.shape[1] ** -0.5)
        elif name.endswith(("shared.weight", "embed_tokens.weight")):
            parameter.copy_(noise)
        else:
            parameter.copy_(noise * parameter.shape[-1] ** -0.5)
    return model


def tiny_model(name: str = "LongT5ForConditionalGeneration", seed: int = 0, **overrides: Any) -> Any:
    """Our class of that name, tiny, with random weights, in eval mode."""
    return randomize(getattr(longt5, name)(tiny_config(**overrides)), seed).eval()


def pair(name: str = "LongT5ForConditionalGeneration", seed: int = 0, **overrides: Any) -> tuple[Any, Any]:
    """(ours, transformers'): the classes of one name with the same weights, in eval mode."""
    ours = tiny_model(name, seed, **overrides)
    theirs = getattr(transformers, name)(tiny_config(transformers.LongT5Config, **overrides))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs.eval()


def writers(count: int = 2, seed: int = 5, **overrides: Any) -> list[Any]:
    """[ours, transformers'], or ours alone, for generation: their text varies, and beams end at different lengths.

    Random models with tied embeddings repeat the token before; random signs in the last norm undo that. Scaled outputs
    keep the logits flat; let any of `ENDS` end a text. As many decoder layers as encoder layers: with more,
    transformers' own generate() finds no cache for them.
    """
    options = {"tie_word_embeddings": True, "num_decoder_layers": 2, **overrides}
    models = [tiny_model(seed=seed, **options)] if count == 1 else list(pair(seed=seed, **options))
    noise = torch.randn(TINY["d_model"], generator=torch.Generator().manual_seed(seed))
    for model in models:
        model.decoder.final_layer_norm.weight.data = 1.5 * noise
    return models


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    """Token ids of the tiny vocabulary without the padding and end tokens (0 and 1)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, TINY["vocab_size"], shape, generator=generator)


def padded_mask(length: int, *real: int, side: str = "right") -> torch.Tensor:
    """Attention mask (len(real), length) with that many real tokens a row, the padding on `side`."""
    mask = torch.zeros(len(real), length, dtype=torch.long)
    for row, count in zip(mask, real, strict=True):
        if side == "right":
            row[:count] = 1
        else:
            row[length - count :] = 1
    return mask


def texts(count: int, length: int = 40) -> dict[str, torch.Tensor]:
    """What an encoder takes: so many texts, each seven tokens shorter than the one before."""
    mask = padded_mask(length, *[length - 7 * row for row in range(count)])
    return {"input_ids": random_ids(count, length) * mask, "attention_mask": mask}


def relative_difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """max |actual - expected| / max |expected|, NaN and inf counting as an infinite difference."""
    assert actual.shape == expected.shape, f"shapes differ: {tuple(actual.shape)} and {tuple(expected.shape)}"
    if actual.numel() == 0:
        return 0.0
    if not (torch.isfinite(actual).all() and torch.isfinite(expected).all()):
        return float("inf")
    scale = expected.abs().max().item()
    difference = (actual - expected).abs().max().item()
    return difference / scale if scale > 0 else difference


def assert_close(
    actual: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5, what: str = ""
) -> None:
    """Fail when the relative difference of two tensors of one shape is above `tolerance`."""
    difference = relative_difference(actual.detach(), expected.detach())
    assert difference <= tolerance, (
        f"{what or 'tensors'} differ by {difference:.2e}, more than {tolerance:.0e}"
    )
