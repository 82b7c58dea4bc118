"""What flows from the paper to a place in the model over several layers, and what happens where it is cut."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from longt5.generation import EncodedText
from longt5.hooks import before_each
from longt5.interruption import interruption_point
from longt5.layers import apply_linear
from longt5.maps.weights import (
    PROJECTED_QUERIES,
    EncoderWeights,
    TeacherForced,
    project,
    read_summary,
    self_weights,
)
from longt5.modeling import LongT5PreTrainedModel

NEGLIGIBLE = (
    1e-3  # of what flows: stretches of the text that hold less than this together are not traced further
)
STRETCH = 128  # tokens that are traced, or left out, together
ZEROED_AT_ONCE = 2048  # states sent through a feed-forward network at once

OnProgress = Callable[[float], None]


@torch.inference_mode()
def rollout(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    at_output: np.ndarray,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """Attention rollout (Abnar and Zuidema 2020, section 3) from the encoder's output down to its input.

    A layer hands half of what reaches a token to that token and half along its attention, mean of all heads. What goes
    to a global block goes to its tokens in equal parts, as it is their sum. One vector is carried back: never a square,
    at about the cost of one attention pass.

    Args:
        at_output: `(length,)`, not negative: how much of each state of the encoder's output is asked about.
        on_progress: called after each layer with the share of them that are done.
    Returns:
        `(layers + 1, length)`, the output first, the input embeddings last; each row has the sum of the first.
    """
    flowing = torch.from_numpy(np.asarray(at_output)).float()
    rows = [flowing]
    heads, layers = range(model.config.num_heads), len(model.encoder.block)
    for done, layer in enumerate(reversed(range(layers)), 1):
        weights = EncoderWeights(model, encoded, layer, heads)
        flowing = flowing / 2 + _handed_on(weights, flowing) / 2
        rows.append(flowing)
        if on_progress is not None:
            on_progress(done / layers)
    return torch.stack(rows).numpy()


def _handed_on(weights: EncoderWeights, flowing: Tensor) -> Tensor:
    """`(length,)`: what the attention of a layer makes of what reaches each token."""
    length, radius = len(flowing), weights.radius
    near = torch.zeros(length + 2 * radius)
    blocks = torch.zeros(weights.num_globals)
    stays = torch.zeros(length)
    for start, end, traced in _stretches(flowing):
        if not traced:
            stays[start:end] = flowing[start:end]
            continue
        for first, band, globals_ in weights.chunks(start, end):
            last = first + band.shape[1]
            reaching = flowing[first:last]
            blocks += reaching @ globals_.mean(dim=0).cpu()
            given = reaching[:, None] * band.mean(dim=0).cpu()
            keys = torch.arange(last - first)[:, None] + torch.arange(2 * radius + 1) + first
            near.index_add_(0, keys.flatten(), given.flatten())
    handed = near[radius : radius + length] + stays
    spans = weights.global_spans
    sizes = (spans[:, 1] - spans[:, 0]).clamp(min=1)
    if weights.num_globals:
        ids = weights.block_ids[0]
        handed += torch.where(ids >= 0, (blocks / sizes)[ids.clamp(min=0)], 0.0)
    return handed


def _stretches(flowing: Tensor) -> list[tuple[int, int, bool]]:
    """(start, end, whether it is worth tracing) of runs of stretches; the lightest hold `NEGLIGIBLE` together."""
    parts = torch.stack([part.sum() for part in flowing.split(STRETCH)])
    order = parts.argsort()
    light = parts[order].cumsum(0) <= NEGLIGIBLE * parts.sum()
    traced = torch.ones(len(parts), dtype=torch.bool)
    traced[order[light]] = False
    runs: list[tuple[int, int, bool]] = []
    for index, worth in enumerate(traced.tolist()):
        start, end = index * STRETCH, min((index + 1) * STRETCH, len(flowing))
        if runs and runs[-1][2] == worth and start % PROJECTED_QUERIES:
            runs[-1] = runs[-1][0], end, worth
        else:
            runs.append((start, end, worth))
    return runs


@torch.inference_mode()
def value_zeroing(
    model: LongT5PreTrainedModel,
    encoded: EncodedText,
    layer: int,
    start: int,
    end: int,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """How far the layer's output of each token moves when the values of one global block are zeroed.

    1 less the cosine between the output with and without the block (Mohebbi et al. 2023, equation 4), for the tokens
    start to end. Nothing else changes: the block keeps its share of the attention, its values are nothing.

    Returns:
        `(end - start, globals)` float32; 0 for blocks that hold no text.
    Raises:
        ValueError: a layer that does not exist, or no global blocks.
    """
    weights = EncoderWeights(model, encoded, layer, range(model.config.num_heads))
    if weights.num_globals == 0:
        raise ValueError("This text has no global blocks whose values could be zeroed.")
    block = model.encoder.block[layer]
    inputs = encoded.layer_inputs[layer][0, start:end]
    shares = torch.cat(
        [globals_ for _, _, globals_ in weights.chunks(start, end)], dim=1
    )  # (heads, queries, globals)
    values = weights.global_values()  # (heads, globals, d_kv)
    attended = weights.attended(start, end)  # (queries, heads * d_kv)
    whole = _output(block, inputs, apply_linear(weights.attention.o, attended.to(inputs.dtype)))
    moved = np.zeros((end - start, weights.num_globals), dtype=np.float32)
    for query in range(end - start):
        for first in range(0, weights.num_globals, ZEROED_AT_ONCE):
            interruption_point()
            part = slice(first, first + ZEROED_AT_ONCE)
            taken = (shares[:, query, part, None] * values[:, part]).transpose(0, 1).flatten(1)
            left = apply_linear(weights.attention.o, (attended[query] - taken).to(inputs.dtype))
            outputs = _output(block, inputs[query].expand(len(left), -1), left)
            cosine = F.cosine_similarity(outputs.float(), whole[query].float()[None], dim=-1)
            moved[query, part] = (1 - cosine).clamp(min=0).cpu().numpy()
        if on_progress is not None:
            on_progress((query + 1) / (end - start))
    return moved


def _output(block: torch.nn.Module, inputs: Tensor, update: Tensor) -> Tensor:
    """What a layer makes of its inputs `(tokens, d_model)` and the update of its attention."""
    return block.layer[1]((inputs + update)[None])[0]  # type: ignore[index, operator]


@torch.inference_mode()
def source_shares(model: LongT5PreTrainedModel, encoded: EncodedText, forced: TeacherForced) -> np.ndarray:
    """How much of each step of writing comes from the paper, the rest from the words written before.

    As ALTI+ (Ferrando et al. 2022, section 3), with the paper as one source: in each layer, what a term adds to a state
    counts by how much nearer it brings the sum in the 1-norm; shares are carried through the layers by these
    contributions, and feed-forward networks leave them as they are.

    Returns:
        `(summary tokens,)`, 0 to 1, for the step that wrote each token.
    """
    sublayers = [block.layer[i] for block in model.decoder.block for i in (0, 1, 2)]
    states: list[Tensor] = []
    with before_each(sublayers, lambda _index, inputs: states.append(inputs[0][0].float())):
        read_summary(model, encoded, forced.summary_ids)
    share = torch.zeros(len(forced.summary_ids), device=states[0].device)
    for layer in range(len(model.decoder.block)):
        before, between, after = states[3 * layer : 3 * layer + 3]
        share = _self_contributions(model, forced, layer, before, between) @ share
        paper, own = after - between, between
        gains = torch.stack([_gain(after, paper), _gain(after, own)])
        from_paper = gains[0] / gains.sum(dim=0).clamp(min=1e-9)
        share = from_paper + (1 - from_paper) * share
    return share.cpu().numpy()


def _self_contributions(
    model: LongT5PreTrainedModel, forced: TeacherForced, layer: int, before: Tensor, after: Tensor
) -> Tensor:
    """`(steps, steps)`: how much each state before it contributes to a state after a self-attention; rows sum to 1."""
    attention = model.decoder.block[layer].layer[0].SelfAttention
    heads = range(model.config.num_heads)
    weights = self_weights(model, forced, layer, heads)
    values = project(attention, "v", forced.self_inputs[layer], heads)  # (heads, steps, d_kv)
    contributions = torch.zeros(len(before), len(before), device=before.device)
    for step in range(len(before)):
        interruption_point()
        mixed = (weights[:, step, : step + 1, None] * values[:, : step + 1]).transpose(0, 1).flatten(1)
        terms = apply_linear(attention.o, mixed.to(forced.self_inputs[layer].dtype)).float()
        terms[step] += before[step]
        contributions[step, : step + 1] = _gain(after[step], terms)
    return contributions / contributions.sum(dim=-1, keepdim=True).clamp(min=1e-9)


def _gain(whole: Tensor, term: Tensor) -> Tensor:
    """How much nearer a term brings the rest to the whole, in the 1-norm over the last dimension; 0 at least."""
    return (whole.abs().sum(-1) - (whole - term).abs().sum(-1)).clamp(min=0)
