"""Starts a LongT5 off as a copying machine, so that a small training budget goes into choosing what to copy.

Copying from the input is what a summarizer must learn first, and what takes a randomly initialised encoder-decoder
most of its early training: several layers have to agree before any of them earns a gradient. The agreement is known,
though (an induction head, Olsson et al. 2022, arXiv 2209.11895, spread over encoder and decoder), so it can be written
into the weights:

- The embedding uses only part of the width; two workspaces of `d_kv` dimensions each stay free.
- In the encoder's first layer, one head looks one token back and one two tokens back (by the relative position bias)
  and write a random projection of what they find into the two workspaces.
- In the decoder's first layer, one head does the same for the token before the current one.
- In the decoder's first cross-attention, every head looks for the source position whose two predecessors are the two
  last tokens written, and passes on the token that stands there.

Everything else starts as in T5, but small. Nothing is frozen: all of it is trained from there.
"""

import torch
from torch import Tensor

from longt5.layers import Projections
from longt5.modeling import LongT5ForConditionalGeneration

LOOK_BACK_BIAS = 10.0  # outweighs the e**7 other keys of a 16,384-token input
MATCH_SCALE = 0.22  # a match of both tokens scores about 16, of one 8; chance keeps below 6
COPY_GAIN = 3.0  # the copied token against the current one in the decoder's residual
BACKGROUND = 0.2  # the size of everything outside the circuit, against T5's initialisation


@torch.no_grad()
def initialize_for_copying(model: LongT5ForConditionalGeneration, seed: int = 0) -> None:
    """Writes the copying circuit into a freshly initialised model, in place.

    Raises:
        ValueError: the model is too narrow: it needs num_heads >= 2, an even d_kv, d_model >= 3 * d_kv,
            num_heads * d_kv >= d_model - 2 * d_kv, and a tied, scaled head.
    """
    config = model.config
    d_model, d_kv, heads = config.d_model, config.d_kv, config.num_heads
    tokens = d_model - 2 * d_kv
    if heads < 2 or d_kv % 2 or tokens < d_kv or heads * d_kv < tokens or not config.scale_decoder_outputs:
        raise ValueError(
            "The copying initialisation needs num_heads >= 2, an even d_kv, d_model >= 3 * d_kv, "
            "num_heads * d_kv >= d_model - 2 * d_kv and tie_word_embeddings=True."
        )
    generator = torch.Generator().manual_seed(seed)
    token_space = slice(0, tokens)
    workspaces = slice(tokens, tokens + d_kv), slice(tokens + d_kv, d_model)

    for name, parameter in model.named_parameters():
        if name.endswith((".o.weight", ".wo.weight")):
            parameter.mul_(BACKGROUND)
    embedding = model.shared.weight
    embedding.zero_()
    embedding[:, token_space] = torch.randn(len(embedding), tokens, generator=generator) * (
        (d_model / tokens) ** 0.5
    )

    # What a workspace holds of a token: (d_kv, tokens), with orthonormal rows.
    projections = [_orthonormal(tokens, d_kv, generator).T for _ in workspaces]

    encoder, decoder, cross = (
        next(module for module in sublayer.modules() if isinstance(module, Projections))
        for sublayer in (
            model.get_submodule("encoder.block.0.layer.0"),
            model.get_submodule("decoder.block.0.layer.0"),
            model.get_submodule("decoder.block.0.layer.1"),
        )
    )
    for head, (workspace, projection) in enumerate(zip(workspaces, projections)):
        _look_back(encoder, head, head + 1, projection, token_space, workspace)
    _look_back(decoder, 0, 1, projections[1], token_space, workspaces[1])

    half = d_kv // 2
    for head in range(heads):
        rows = slice(head * d_kv, (head + 1) * d_kv)
        last, before = (_orthonormal(d_kv, half, generator).T for _ in range(2))
        query, key = torch.zeros(d_kv, d_model), torch.zeros(d_kv, d_model)
        query[:half, token_space] = last @ projections[0]
        key[:half, workspaces[0]] = last
        query[half:, workspaces[1]] = before
        key[half:, workspaces[1]] = before
        cross.q.weight[rows] = query * MATCH_SCALE
        cross.k.weight[rows] = key
    passed_on = _orthonormal(heads * d_kv, tokens, generator)  # (inner, tokens)
    cross.v.weight.zero_()
    cross.v.weight[:, token_space] = passed_on
    cross.o.weight.zero_()
    cross.o.weight[token_space] = passed_on.T * COPY_GAIN


def _look_back(
    attention: Projections, head: int, distance: int, projection: Tensor, token_space: slice, workspace: slice
) -> None:
    """Makes a head fetch the token `distance` places back and write its projection into the workspace."""
    d_kv = attention.key_value_proj_dim
    rows = slice(head * d_kv, (head + 1) * d_kv)
    attention.relative_attention_bias.weight[distance, head] = LOOK_BACK_BIAS
    attention.v.weight[rows] = 0.0
    attention.v.weight[rows, token_space] = projection
    attention.o.weight[:, rows] = 0.0
    attention.o.weight[workspace, rows] = torch.eye(d_kv)


def _orthonormal(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A random (rows, columns) matrix with orthonormal columns."""
    return torch.linalg.qr(torch.randn(rows, columns, generator=generator))[0]
