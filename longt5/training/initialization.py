"""Weights from which a LongT5 begins to copy: an induction circuit beside T5's own initialisation.

A model that has to find copying by itself spends most of a short training on it. Here the first layers hold it from the
start (Olsson et al. 2022, "In-context learning and induction heads"): two encoder heads look one and two tokens back
and write what they see into parts of the stream of their own, so that a position of the source knows the two tokens
before it; the decoder does the same with one token; each cross-attention head then finds the positions before which
stand the last tokens written, and copies what stands there. All of it may be learned away.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from longt5.modeling import LongT5ForConditionalGeneration

LOOK_BACK = 9.0  # position bias of the heads that look back: e ** 9 against 254 other keys
SHARPNESS = 0.22  # of the cross-attention's match
COPIED = 3.0  # weight of what is copied, beside the rest of the stream
BACKGROUND = 0.3  # of the usual size of all that adds to the stream


@torch.no_grad()
def initialize_to_copy(model: LongT5ForConditionalGeneration, rng: torch.Generator) -> None:
    """Puts the circuit into a model with T5's weights, in place.

    Raises:
        ValueError: the model has one head only, or a stream that is too narrow for the circuit.
    """
    config = model.config
    d_model, d_kv, heads = config.d_model, config.d_kv, config.num_heads
    width = d_model - 2 * d_kv  # of the part of the stream that holds the token itself
    if heads < 2 or width < d_kv or d_kv % 2 or heads * d_kv < width:
        raise ValueError(
            "The copying initialization needs two heads or more, an even d_kv, and a d_model from 3 * d_kv to "
            "(heads + 2) * d_kv."
        )
    token = slice(0, width)
    before = (slice(width, width + d_kv), slice(width + d_kv, d_model))  # the tokens one and two back
    for name, parameter in model.named_parameters():
        if name.endswith((".o.weight", ".wo.weight")):
            parameter.mul_(BACKGROUND)
    embedding = model.shared.weight
    embedding[:, token].mul_((d_model / width) ** 0.5)
    embedding[:, width:] = 0

    projections = [_orthonormal(width, d_kv, rng).T.to(embedding) for _ in before]
    first_encoder: Any = model.encoder.block[0]
    first_decoder: Any = model.decoder.block[0]
    encoder = first_encoder.layer[0].get_submodule(first_encoder.layer[0].attention_name)
    decoder = first_decoder.layer[0].SelfAttention
    for head, (projection, part) in enumerate(zip(projections, before, strict=True)):
        _look_back(encoder, head, head + 1, projection, token, part)
    # The token that the decoder writes next has the last two written before it: itself and the one before.
    _look_back(decoder, 0, 1, projections[1], token, before[1])

    cross: Any = first_decoder.layer[1].EncDecAttention
    half = d_kv // 2
    for head in range(heads):
        rows = slice(head * d_kv, (head + 1) * d_kv)
        last, second = (_orthonormal(d_kv, half, rng).T.to(embedding) for _ in range(2))
        query, key = torch.zeros_like(cross.q.weight[rows]), torch.zeros_like(cross.k.weight[rows])
        query[:half, token], key[:half, before[0]] = last @ projections[0], last
        query[half:, before[1]], key[half:, before[1]] = second, second
        cross.q.weight[rows], cross.k.weight[rows] = SHARPNESS * query, key
    copied = _orthonormal(heads * d_kv, width, rng).to(embedding)
    cross.v.weight.zero_()
    cross.v.weight[:, token] = copied
    cross.o.weight.zero_()
    cross.o.weight[token] = COPIED * copied.T


def _look_back(
    attention: Any, head: int, distance: int, projection: Tensor, token: slice, part: slice
) -> None:
    """Makes a head look `distance` tokens back, and write what it sees, projected to d_kv, to a part of the stream."""
    rows = slice(head * len(projection), (head + 1) * len(projection))
    # Short distances back have a bucket each, numbered by the distance.
    attention.relative_attention_bias.weight[distance, head] = LOOK_BACK
    attention.v.weight[rows] = 0
    attention.v.weight[rows, token] = projection
    attention.o.weight[:, rows] = 0
    attention.o.weight[part, rows] = torch.eye(len(projection)).to(projection)


def _orthonormal(rows: int, columns: int, rng: torch.Generator) -> Tensor:
    """(rows, columns) with orthonormal columns."""
    return torch.linalg.qr(torch.randn(rows, columns, generator=rng))[0]
