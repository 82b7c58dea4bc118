"""The dimensions of a LongT5 and its parameters: a tree of arrays with the names that Flax checkpoints have.

A kernel is `(in, out)`, the transpose of PyTorch's weight. The stacks share one embedding, and a head of
its own is `params["lm_head"]`; where there is none the embedding is the head.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from longt5.configuration import LongT5Config

Params = dict[str, Any]
Path = tuple[str, ...]

HEAD: Path = ("lm_head", "kernel")
# The last name of a parameter in PyTorch's files, by that in Flax's, whose norms have the same.
_WEIGHTS = {"kernel": "weight", "embedding": "weight", "weight": "weight"}
_EMBEDDINGS = ("shared", "relative_attention_bias", "global_relative_attention_bias")
_ATTENTIONS = {"local": "LocalSelfAttention", "transient-global": "TransientGlobalSelfAttention"}


@dataclass(frozen=True)
class Dimensions:
    """What is fixed when a function is compiled; fields are those of `LongT5Config`."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    local_radius: int
    global_block_size: int
    relative_attention_num_buckets: int
    relative_attention_max_distance: int
    dropout_rate: float
    layer_norm_epsilon: float
    dense_act_fn: str
    is_gated_act: bool
    encoder_attention_type: str
    scale_decoder_outputs: bool

    @classmethod
    def of(cls, config: LongT5Config) -> "Dimensions":
        """Those of a configuration."""
        return cls(**{name: getattr(config, name) for name in cls.__dataclass_fields__})

    @property
    def encoder_attention(self) -> str:
        """The name of the encoder's attention in checkpoints."""
        return _ATTENTIONS[self.encoder_attention_type]


class Parameter(NamedTuple):
    """A parameter that a model of some dimensions has."""

    path: Path
    shape: tuple[int, ...]
    std: float | None
    """Of the normal distribution that T5 draws it from, with `initializer_factor` 1; None for a norm, which is 1."""


def parameters(dimensions: Dimensions, *, with_head: bool) -> Iterator[Parameter]:
    """All parameters, in the order of PyTorch's files.

    The standard deviations are T5's: the scale of attention's 1 / sqrt(d_kv) is in the query's (Mesh TensorFlow).
    """
    d, d_model = dimensions, dimensions.d_model
    yield Parameter(("shared", "embedding"), (d.vocab_size, d_model), 1.0)
    for stack, layers in (("encoder", d.num_layers), ("decoder", d.num_decoder_layers)):
        attentions = [d.encoder_attention] if stack == "encoder" else ["SelfAttention", "EncDecAttention"]
        for index in range(layers):
            for place, name in enumerate([*attentions, "DenseReluDense"]):
                layer: Path = (stack, "block", str(index), "layer", str(place))
                if name == "DenseReluDense":
                    yield from _feed_forward(d, (*layer, name))
                else:
                    has_bias = index == 0 and name != "EncDecAttention"
                    yield from _attention(d, (*layer, name), has_bias)
                yield Parameter((*layer, "layer_norm", "weight"), (d_model,), None)
        yield Parameter((stack, "final_layer_norm", "weight"), (d_model,), None)
    if with_head:
        yield Parameter(HEAD, (d_model, d.vocab_size), 1.0)


def _attention(d: Dimensions, path: Path, has_bias: bool) -> Iterator[Parameter]:
    inner, of_model = d.num_heads * d.d_kv, d.d_model**-0.5
    yield Parameter((*path, "q", "kernel"), (d.d_model, inner), (d.d_model * d.d_kv) ** -0.5)
    yield Parameter((*path, "k", "kernel"), (d.d_model, inner), of_model)
    yield Parameter((*path, "v", "kernel"), (d.d_model, inner), of_model)
    yield Parameter((*path, "o", "kernel"), (inner, d.d_model), inner**-0.5)
    is_global = path[-1] == _ATTENTIONS["transient-global"]
    table = (d.relative_attention_num_buckets, d.num_heads)
    if has_bias:
        yield Parameter((*path, "relative_attention_bias", "embedding"), table, of_model)
        if is_global:
            yield Parameter((*path, "global_relative_attention_bias", "embedding"), table, of_model)
    if is_global:
        yield Parameter((*path, "global_input_layer_norm", "weight"), (d.d_model,), None)


def _feed_forward(d: Dimensions, path: Path) -> Iterator[Parameter]:
    for name in ("wi_0", "wi_1") if d.is_gated_act else ("wi",):
        yield Parameter((*path, name, "kernel"), (d.d_model, d.d_ff), d.d_model**-0.5)
    yield Parameter((*path, "wo", "kernel"), (d.d_ff, d.d_model), d.d_ff**-0.5)


def initial_params(dimensions: Dimensions, key: Array, *, with_head: bool, factor: float = 1.0) -> Params:
    """Parameters drawn as T5 draws them, in float32; `factor` is the configuration's `initializer_factor`."""
    wanted = list(parameters(dimensions, with_head=with_head))
    keys = jax.random.split(key, len(wanted))
    drawn = {
        parameter.path: jnp.full(parameter.shape, factor, jnp.float32)
        if parameter.std is None
        else factor * parameter.std * jax.random.normal(one, parameter.shape)
        for parameter, one in zip(wanted, keys)
    }
    return nested(drawn)


def nested(flat: Mapping[Path, Any]) -> Params:
    """{(a, b): x} -> {a: {b: x}}"""
    tree: Params = {}
    for path, value in flat.items():
        place = tree
        for name in path[:-1]:
            place = place.setdefault(name, {})
        place[path[-1]] = value
    return tree


def flattened(tree: Mapping[str, Any], prefix: Path = ()) -> dict[Path, Any]:
    """{a: {b: x}} -> {(a, b): x}"""
    flat: dict[Path, Any] = {}
    for name, value in tree.items():
        path = (*prefix, str(name))
        flat |= flattened(value, path) if isinstance(value, Mapping) else {path: value}
    return flat


def torch_name(path: Path) -> str:
    """The name of a parameter in PyTorch's files."""
    return ".".join((*path[:-1], _WEIGHTS[path[-1]]))


def flax_path(name: str) -> Path:
    """The path of a parameter by its name in PyTorch's files."""
    *names, last = name.split(".")
    if not names or last != "weight" or "norm" in names[-1]:
        return (*names, last)
    return (*names, "embedding" if names[-1] in _EMBEDDINGS else "kernel")


def as_torch(path: Path, value: Any) -> np.ndarray:
    """A parameter as PyTorch has it: kernels are transposed."""
    array = np.asarray(value)
    return np.ascontiguousarray(array.T) if path[-1] == "kernel" else array
