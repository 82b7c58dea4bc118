"""What is measured on one side: a library, a model, its inputs. Both sides get the same weights and tokens."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from longt5.loading import load_model, load_tokenizer
from longt5.loading.int8 import quantize

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE_TEXT = ROOT / "assets" / "example" / "longt5_explained.md"
OURS, REFERENCE = "longt5", "transformers"
# d_model, d_ff, layers of each stack, heads; d_kv is 64, radius 127, block 16 throughout. From base on, as published.
SIZES = {
    "small": (256, 1024, 4, 4),
    "base": (768, 2048, 12, 12),
    "large": (1024, 2816, 24, 16),
    "xl": (2048, 5120, 24, 32),
}
INT8 = "int8"  # float32, with the linear layers of our side in 8 bits
FIRST_WORD = 2  # after the tokens for padding and for the end


@dataclass(frozen=True)
class Job:
    """One side of a row. `kind` names the module that prepares it: encoder, generate or train.

    Options of a command that bear a field's name reach both sides by themselves.
    """

    kind: str
    library: str
    size: str
    attention: str
    length: int
    """Source tokens of each text."""
    batch: int
    dtype: str
    device: str
    threads: int
    model: str = ""
    """Folder of a checkpoint, in place of `size` and `attention`."""
    new_tokens: int = 0
    num_beams: int = 1
    target_tokens: int = 0
    autocast: bool = False
    """Compute in bfloat16 with the weights in `dtype`."""
    cuda_graphs: bool = False
    """Launch our training step as one graph."""
    attention_mask: bool = True
    """Pass the encoder the mask that tokenizers give, as people do."""

    @property
    def torch_dtype(self) -> torch.dtype:
        return torch.float32 if self.dtype == INT8 else getattr(torch, self.dtype)


def configuration(job: Job) -> Any:
    """The LongT5Config, of the job's library."""
    library = importlib.import_module(job.library)
    if job.model:
        return library.LongT5Config.from_pretrained(job.model)
    d_model, d_ff, layers, heads = SIZES[job.size]
    return library.LongT5Config(
        d_model=d_model,
        d_ff=d_ff,
        num_layers=layers,
        num_heads=heads,
        d_kv=64,
        feed_forward_proj="gated-gelu",
        encoder_attention_type=job.attention,
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        dropout_rate=0.0,
    )


def build(job: Job, class_name: str = "LongT5ForConditionalGeneration") -> nn.Module:
    """The model in evaluation mode, with the same weights whichever the library."""
    if job.model and job.library == OURS:
        return load_model(job.model, dtype=job.dtype, device_map=None if job.device == "cpu" else job.device)
    model_class = getattr(importlib.import_module(job.library), class_name)
    if job.model:
        model = model_class.from_pretrained(job.model, dtype=job.torch_dtype).to(job.device).eval()
        for weight in model.parameters():
            weight.sum()  # a mapped file is in memory, and in the count of what weights take, once it was read
        return model
    with torch.device(job.device):
        model = model_class(configuration(job)).to(job.torch_dtype).eval()
    config = configuration(replace(job, library=REFERENCE))
    with torch.device("meta"):
        reference = getattr(transformers, class_name)(config)
    model.load_state_dict(_weights(reference.state_dict(), config))
    if job.dtype == INT8:
        quantize(model)
    return model


def source(job: Job) -> Tensor:
    """`(batch, length)` token ids: words at random, or the example paper over and over for a trained model."""
    if not job.model:
        return random_tokens(job, job.length, seed=1)
    tokenizer = load_tokenizer(job.model)
    text = EXAMPLE_TEXT.read_text(encoding="utf-8")
    ids = torch.tensor(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
    ids = ids.repeat(-(-job.length // len(ids)))[: job.length]
    ids[-1] = configuration(job).eos_token_id
    return ids.repeat(job.batch, 1).to(job.device)


def random_tokens(job: Job, length: int, seed: int) -> Tensor:
    """`(batch, length)` token ids, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    shape = (job.batch, length)
    return torch.randint(FIRST_WORD, configuration(job).vocab_size, shape, generator=generator).to(job.device)


def _weights(like: dict[str, Tensor], config: Any) -> dict[str, Tensor]:
    """Weights drawn at T5's scales, but for biases of the size that trained models have: a wrong one shows."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for name in sorted(like, reverse=True):  # `shared` comes before those that are tied to it
        shape = like[name].shape
        if name.endswith("embed_tokens.weight"):
            weights[name] = weights["shared.weight"]
        elif name.endswith("layer_norm.weight"):
            weights[name] = torch.ones(shape)
        else:
            unit = name in ("shared.weight", "lm_head.weight") or "relative_attention_bias" in name
            scale = 1.0 if unit else shape[1] ** -0.5
            if name.endswith(".q.weight"):
                scale *= config.d_kv**-0.5
            weights[name] = torch.randn(shape, generator=generator) * scale
    return weights
