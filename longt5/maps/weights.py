"""The attention weights of one layer and some of its heads, a few queries at a time, never length x length.

What is notable here:
- Nothing is recorded while a text is encoded but the states that enter each layer. Weights are computed again
  from these when asked for: keys within the radius of the queries, and one key for each global block.
- The band comes as (query, offset), the globals as (query, global block): a row of both is one distribution.
- Modules are called, their weights are never read: the hooks with which accelerate brings offloaded weights
  from CPU or disk then work here as in any forward pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longt5.attention.reference import block_ids, block_sums, global_bias_rows, tile_weights
from longt5.generation import EncodedText
from longt5.hooks import before_each
from longt5.interruption import interruption_point
from longt5.layers import (
    LongT5Block,
    LongT5LayerNorm,
    LongT5LocalAttention,
    LongT5TransientGlobalAttention,
    Projections,
    apply_linear,
)
from longt5.modeling import LongT5PreTrainedModel

# Queries sent through the projections at once: an offloaded weight is loaded once for all of them.
PROJECTED_QUERIES = 2048
# Queries whose scores exist at once: about the radius, where a tile wastes little on keys outside the band.
SCORED_QUERIES = 128


class EncoderWeights:
    """The self-attention weights of one encoder layer and some of its heads on an encoded text.

    mask: (length,) bool, True at text. radius: of the band. num_globals: 0 where there are no global blocks.
    global_spans: (num_globals, 2), the tokens of each block; blocks that lie in the padding are empty.

    Raises ValueError for a layer or a head that does not exist.
    """

    def __init__(
        self, model: LongT5PreTrainedModel, encoded: EncodedText, layer: int, heads: Sequence[int]
    ) -> None:
        config, blocks = model.config, model.encoder.block
        _check_layer_and_heads("encoder", layer, len(blocks), heads, config.num_heads)
        self.heads, self.radius = list(heads), config.local_radius
        self.norm: LongT5LayerNorm = blocks[layer].layer[0].layer_norm
        self.attention = _self_attention(blocks[layer])
        self.hidden_states = encoded.layer_inputs[layer][0]  # (length, d_model)
        self.mask = encoded.attention_mask[0].bool().cpu()
        self.padded_mask = F.pad(self.mask, (self.radius, self.radius))

        owner = _self_attention(blocks[0])  # the first block owns the bias of all layers

        def bias(embedding: nn.Embedding, low: int, high: int) -> Tensor:  # (heads, high - low + 1)
            offsets = _on_device_of(embedding, torch.arange(low, high + 1))
            return owner.bias_by_offset(embedding, offsets)[self.heads].float()

        self.band_bias = bias(owner.relative_attention_bias, -self.radius, self.radius)
        self.num_globals = 0
        self.global_keys = self.band_bias.new_zeros(len(self.heads), 0, config.d_kv)
        if isinstance(self.attention, LongT5TransientGlobalAttention):
            assert isinstance(owner, LongT5TransientGlobalAttention)
            self.num_globals = self.mask.shape[0] // config.global_block_size
            self.block_ids = block_ids(encoded.attention_mask.cpu(), config.global_block_size)  # (1, length)
            self.global_keys = project(self.attention, "k", self._global_inputs(), self.heads)
            side_embedding = owner.global_relative_attention_bias
            self.global_bias = bias(side_embedding, 1 - self.num_globals, self.num_globals)
        self.global_spans = self._global_spans(config.global_block_size)

    def _global_inputs(self) -> Tensor:
        """`(num_globals, d_model)`, the only part of a map whose cost is that of the whole text."""
        assert isinstance(self.attention, LongT5TransientGlobalAttention)
        global_norm = self.attention.global_input_layer_norm
        normed = self.norm(_on_device_of(self.norm, self.hidden_states))
        sums = block_sums(normed[None], self.block_ids.to(normed.device), self.num_globals)[0]
        return global_norm(_on_device_of(global_norm, sums))

    def global_values(self) -> Tensor:
        """`(heads, num_globals, d_kv)`, float32."""
        return project(self.attention, "v", self._global_inputs(), self.heads)

    def attended(self, start: int, end: int) -> Tensor:
        """`(queries, heads * d_kv)` float32: the values of band and globals that the queries start to end get."""
        radius, length = self.radius, self.mask.shape[0]
        low, high = max(start - radius, 0), min(end + radius, length)
        normed = self.norm(_on_device_of(self.norm, self.hidden_states[low:high]))
        values = project(self.attention, "v", normed, self.heads)
        values = F.pad(values, (0, 0, low - (start - radius), end + radius - high))
        far = self.global_values() if self.num_globals else None
        parts = []
        for first, band, globals_ in self.chunks(start, end):
            n, at = band.shape[1], first - start
            around = values[:, at : at + n + 2 * radius].unfold(
                1, 2 * radius + 1, 1
            )  # (heads, n, d_kv, offsets)
            mixed = torch.einsum("hqo,hqdo->hqd", band, around)
            parts.append(mixed if far is None else mixed + globals_ @ far)
        return torch.cat(parts, dim=1).transpose(0, 1).flatten(1)

    def _global_spans(self, block_size: int) -> Tensor:
        """The last block that holds text takes in the text after it; those after it are empty."""
        starts = torch.arange(self.num_globals) * block_size
        spans = torch.stack([starts, starts + block_size], dim=1)
        if self.num_globals:
            last = int(self.block_ids.max())
            end = int(self.mask.nonzero().max()) + 1 if last >= 0 else 0
            spans[max(last, 0) :, 1] = end
            spans[last + 1 :, 0] = end
        return spans

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Yields the weights of the queries start to end, at most SCORED_QUERIES at once, as

        (first query, band `(heads, queries, 2 * radius + 1)`, globals `(heads, queries, num_globals)`), float32.
        Queries that are padding get rows of zeros.
        """
        radius, length = self.radius, self.mask.shape[0]
        for first in range(start, end, PROJECTED_QUERIES):
            last = min(first + PROJECTED_QUERIES, end)
            low, high = max(first - radius, 0), min(last + radius, length)
            normed = self.norm(_on_device_of(self.norm, self.hidden_states[low:high]))
            queries = project(self.attention, "q", normed[first - low : last - low], self.heads)
            keys = project(self.attention, "k", normed, self.heads)
            keys = F.pad(keys, (0, 0, low - (first - radius), last + radius - high))
            for begin in range(0, last - first, SCORED_QUERIES):
                interruption_point()
                tile = queries[:, begin : begin + SCORED_QUERIES]
                reach = keys[:, begin : begin + tile.shape[1] + 2 * radius]
                yield first + begin, *self._weights(first + begin, tile, reach)

    def _weights(self, start: int, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of queries `(heads, n, d_kv)`, token `start` first, on keys `(heads, n + 2 * radius, d_kv)`."""
        device, n, width = queries.device, queries.shape[1], 2 * self.radius + 1
        bias = queries.new_zeros(1, len(queries), n, 0)
        if self.num_globals:
            ids = self.block_ids[:, start : start + n]
            bias = global_bias_rows(self.global_bias, ids.to(self.global_bias.device)).to(device)
        is_text = self.mask[start : start + n]
        visible = self.visible(start, n)
        weights = tile_weights(
            queries[None],
            keys[None],
            self.band_bias.to(device),
            self.global_keys[None].to(device),
            bias,
            None if visible.all() else visible.to(device),  # nearly every tile of a long text: a pass less
        )[0]
        if not is_text.all():
            weights = weights.masked_fill_(~is_text[:, None].to(device), 0.0)
        return weights[..., :width], weights[..., width:]

    def visible(self, start: int, n: int) -> Tensor:
        """(n, 2 * radius + 1 + globals): which of them n queries may attend to."""
        width = 2 * self.radius + 1
        visible = self.padded_mask[start : start + n + 2 * self.radius].unfold(0, width, 1)
        if self.num_globals:
            holds_text = torch.arange(self.num_globals) <= self.block_ids.max()
            visible = torch.cat([visible, holds_text.expand(n, -1)], dim=-1)
        return visible


@dataclass(frozen=True, eq=False)
class TeacherForced:
    """A summary of an encoded text as the decoder read it, given to it token by token whatever it would have written.

    It is what all cross-attention maps of a summary begin with; whoever asks for several of them keeps it.
    """

    summary_ids: tuple[int, ...]
    """Without the start token."""
    hidden_states: tuple[Tensor, ...]
    """`(summary tokens, d_model)` for each layer, as its cross-attention gets them."""
    self_inputs: tuple[Tensor, ...]
    """The same as its self-attention gets them."""
    last_hidden_state: Tensor
    """`(summary tokens, d_model)`, what the decoder made of it at last."""


@torch.inference_mode()
def teacher_force(
    model: LongT5PreTrainedModel, encoded: EncodedText, summary_ids: Sequence[int]
) -> TeacherForced:
    """Has the decoder read a summary of an encoded text.

    Args:
        summary_ids: without the start token.
    Raises:
        ValueError: the summary is empty, or the model has no decoder.
    """
    if getattr(model, "decoder", None) is None:
        raise ValueError("This model has no decoder, so it has no cross-attention to show.")
    if not summary_ids:
        raise ValueError("The summary is empty, so it has no cross-attention to show.")
    written = tuple(int(token) for token in summary_ids)
    states: list[Tensor] = []  # of self- and cross-attention in turn
    attentions = [
        attention
        for block in model.decoder.block
        for attention in (block.layer[0].SelfAttention, block.layer[1].EncDecAttention)
    ]
    with before_each(attentions, lambda _index, inputs: states.append(inputs[0][0])):
        (last_hidden_state,) = read_summary(model, encoded, written)
    return TeacherForced(written, tuple(states[1::2]), tuple(states[::2]), last_hidden_state)


@torch.inference_mode()
def read_summary(model: LongT5PreTrainedModel, encoded: EncodedText, summary_ids: Sequence[int]) -> Tensor:
    """The decoder's output `(1, summary tokens, d_model)` where it reads a summary token by token."""
    decoder = model.decoder
    ids = torch.tensor([[start_token(model), *summary_ids[:-1]]])
    _, states = encoded.seen()
    return decoder(
        input_ids=_on_device_of(decoder.embed_tokens, ids),
        encoder_hidden_states=_on_device_of(decoder.embed_tokens, states),
        use_cache=False,
    ).last_hidden_state


class CrossWeights:
    """The cross-attention weights of one decoder layer and some of its heads while it wrote a summary.

    Row i is the step that wrote summary token i: its query is the token before it, or the start token.

    Raises ValueError for a layer or a head that does not exist.
    """

    def __init__(
        self,
        model: LongT5PreTrainedModel,
        encoded: EncodedText,
        forced: TeacherForced,
        layer: int,
        heads: Sequence[int],
    ) -> None:
        _check_layer_and_heads("decoder", layer, len(forced.hidden_states), heads, model.config.num_heads)
        self.attention = model.decoder.block[layer].layer[1].EncDecAttention
        self.heads, self.states = list(heads), encoded.last_hidden_state[0]
        self.queries = project(self.attention, "q", forced.hidden_states[layer], heads)
        self.keys = project(self.attention, "k", self.states, heads)
        self.padding = ~encoded.attention_mask[0].bool().to(self.keys.device)

    def head(self, index: int, start: int, end: int) -> Tensor:
        """Weights (end - start, source tokens), float32, of the index-th of the heads chosen."""
        interruption_point()
        scores = self.queries[index, start:end] @ self.keys[index].mT
        return scores.masked_fill(self.padding, -torch.inf).softmax(dim=-1)

    def value_norms(self) -> Tensor:
        """`(heads, source tokens)`: how long the vector is that a head adds to the decoder for each source token.

        With its weight on a token this is what the token weighs in the head's output (Kobayashi et al. 2020,
        equation 5): heads rest on tokens whose vectors are short, and the weights alone do not show that.
        """
        values = project(self.attention, "v", self.states, self.heads)
        return output_norms(self.attention, values, self.heads)


@torch.inference_mode()
def self_weights(
    model: LongT5PreTrainedModel, forced: TeacherForced, layer: int, heads: Sequence[int]
) -> Tensor:
    """The decoder's attention to its own past, `(heads, summary tokens, summary tokens)`, float32.

    Row i is the step that wrote summary token i, column j the token that step j read: the start token, or the summary
    token before j.

    Raises ValueError for a layer or a head that does not exist.
    """
    _check_layer_and_heads("decoder", layer, len(forced.self_inputs), heads, model.config.num_heads)
    attention, owner = (model.decoder.block[i].layer[0].SelfAttention for i in (layer, 0))
    queries = project(attention, "q", forced.self_inputs[layer], heads)
    keys = project(attention, "k", forced.self_inputs[layer], heads)
    steps = torch.arange(len(forced.summary_ids))
    offsets = _on_device_of(owner.relative_attention_bias, steps - steps[:, None])
    bias = owner.bias_by_offset(owner.relative_attention_bias, offsets)[list(heads)].float()
    scores = queries @ keys.mT + bias.to(queries.device)
    return scores.masked_fill((offsets > 0).to(scores.device), -torch.inf).softmax(dim=-1)


def start_token(model: LongT5PreTrainedModel) -> int:
    """The token that generation starts with; where none is named, that of T5: padding."""
    for source in (getattr(model, "generation_config", None), model.config):
        token = getattr(source, "decoder_start_token_id", None)
        if token is not None:
            return token
    return model.config.pad_token_id


def _check_layer_and_heads(
    stack: str, layer: int, num_layers: int, heads: Sequence[int], num_heads: int
) -> None:
    """Raises ValueError, in a sentence, unless the layer and one or more heads exist."""
    if not 0 <= layer < num_layers:
        raise ValueError(f"The {stack} has layers 0 to {num_layers - 1}; layer {layer} was asked for.")
    if not heads or not all(0 <= head < num_heads for head in heads):
        raise ValueError(f"Choose one or more of the heads 0 to {num_heads - 1}, not {list(heads)}.")


def _on_device_of(module: nn.Linear | nn.Embedding | LongT5LayerNorm, tensor: Tensor) -> Tensor:
    """The tensor where the module's weight is; if that is offloaded ("meta"), a hook will move the tensor."""
    device = module.weight.device
    return tensor if device.type == "meta" else tensor.to(device)


def output_norms(attention: Projections, values: Tensor, heads: Sequence[int]) -> Tensor:
    """Norms `(heads, tokens)` of the values `(heads, tokens, d_kv)` once the output projection has them."""
    size = attention.key_value_proj_dim
    # The projection of a head's unit vectors is its part of the matrix, also where that is offloaded.
    units = torch.eye(attention.inner_dim, dtype=torch.float32)
    rows = apply_linear(attention.o, _on_device_of(attention.o, units)).float().to(values.device)
    parts = rows.unflatten(0, (attention.n_heads, size))[list(heads)]  # (heads, d_kv, d_model)
    gram = parts @ parts.mT  # |vO|^2 = v O O' v': never tokens x d_model
    return ((values @ gram) * values).sum(dim=-1).clamp(min=0).sqrt()


def project(
    attention: Projections, projection: Literal["q", "k", "v"], hidden_states: Tensor, heads: Sequence[int]
) -> Tensor:
    """`(tokens, d_model)` -> `(heads, tokens, d_kv)`, float32."""
    module = getattr(attention, projection)
    return (
        attention.project(module, _on_device_of(module, hidden_states))[:, list(heads)]
        .float()
        .transpose(0, 1)
    )


def _self_attention(block: LongT5Block) -> LongT5LocalAttention | LongT5TransientGlobalAttention:
    """The self-attention of an encoder block, whichever of the two kinds it is."""
    layer: Any = block.layer[0]
    return getattr(layer, "TransientGlobalSelfAttention", None) or layer.LocalSelfAttention
