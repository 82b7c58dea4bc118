"""Writes what is known of salient sentences into a model: ``python -m longt5.salience_circuit``.

Read by gradient descent alone, the importance of thousands of words takes a small budget of training too long to find.
`longt5.salience` finds it in minutes; this puts it to work. In a model made wider (`longt5.widening`) that began as a
copying machine (`longt5.copy_initialization`):

- The embedding holds each token's vector in free dimensions, and how much it looks like a beginning.
- In the encoder's first layer, one new head attends to all global tokens alike and writes W d; another attends to the
  tokens ahead and writes p and p.b. The two that look back one and two tokens tell whether a sentence begins here, or
  began with the token before.
- The feed-forward network after it adds p.W d to p.b: gelu(x) y - gelu(-x) y = x y makes products of pairs of units.
- In the decoder's first cross-attention, one new head attends, after the end of a sentence, to where sentences begin
  in the paper, more to the better ones, and passes on the tokens there. Another does so for the second token, where
  the first is the one just written.
- All this happens only where the decoder's text begins with the end token, which one more head finds. Quotes are
  asked for so (``quote_prompt`` in the generation configuration, see `longt5.quote_search`); own words stay as they
  were. Choosing well and copying on were in each other's way (``configs/EXPERIMENTS.md``).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer

from .data import DataError, PreparedPapers
from .layers import Projections
from .modeling import LongT5ForConditionalGeneration
from .objectives import Selectable, Vocabulary, first_choice
from .salience import DIMENSIONS, Salience, learn_salience
from .widening import widen

_ROOM = 64  # more dimensions of the residual: the vectors, p, W d and six numbers
_HEADS = 2
_UNITS = 64
_BARRED = -12.0  # position bias of what a new head does not attend to
_VECTOR_SIZE = 0.5  # root mean square of the vectors' components in the embedding, whose own are near 1
_SCORE_SIZE = 1.0  # of a score of 1 in the residual
_LOGIT_SIZE = 0.15  # of a logit of 1 there
_SINK = -60.0  # logit of the end token, where a head looks that is not asked
_PROMPT = 20.0  # score of the end token for the head that looks for it: more than the logarithm of any length
_SOURCE_TOKENS = 3072
_TEXTS_MEASURED = 16  # for the mean size of the residual


class _Room:
    """Where things are in the residual."""

    def __init__(self, width: int) -> None:
        begins = [width + i * DIMENSIONS for i in range(4)]
        self.vectors, self.said, self.about = (slice(*pair) for pair in pairwise(begins))
        # Of the encoder: the score of the text from here on; whether a sentence begins here; whether the token looks
        # like one before a sentence; whether a sentence began with the token before. Of the decoder: whether
        # the last token, and the one before, ends a sentence (1 or -1), whether quotes are asked for (1 or 0).
        self.score, self.begins, self.ends, self.began, self.ended, self.ended_before, self.constant = range(
            begins[3], begins[3] + 7
        )
        self.quoting = self.said.start  # the decoder has no use for the score of what it reads itself


@dataclass(frozen=True)
class Gains:
    """How strong the parts of the decoder's new heads are.

    Attributes:
        score: of the places' scores in the attention.
        match: of the first token's match in the attention to second ones, against that of the copying circuit.
        first, second: of what the heads pass on, against the current token in the residual.
    """

    score: float = 3.0
    match: float = 5.0
    first: float = 20.0
    second: float = 20.0


@torch.no_grad()
def write_salience(
    model: LongT5ForConditionalGeneration,
    salience: Salience,
    sentence_ends: Tensor,
    texts: Sequence[Tensor],
    gains: Gains,
) -> LongT5ForConditionalGeneration:
    """Return a wider copy of a model that chooses sentences by their salience.

    Args:
        sentence_ends: (tokens,) those that can end a sentence.
        texts: tokens of some inputs, to measure how large the residual is.

    Raises:
        ValueError: the model can't be made wider.
    """
    old = model.config
    wide = widen(model, d_model=old.d_model + _ROOM, num_heads=old.num_heads + _HEADS, d_ff=old.d_ff + _UNITS)
    room = _Room(old.d_model)
    size = float(_VECTOR_SIZE / salience.vectors.square().mean().sqrt())
    encoder, decoder, cross = (
        next(module for module in wide.get_submodule(name).modules() if isinstance(module, Projections))
        for name in ("encoder.block.0.layer.0", "decoder.block.0.layer.0", "decoder.block.0.layer.1")
    )
    _write_embedding(wide, salience, sentence_ends, size, room)
    _write_encoder(wide, encoder, salience, size, room)
    _write_products(wide, salience.gain, texts, room)
    _look_back(decoder, 0, {room.ended: room.ended_before})
    _write_prompt(decoder, room)
    sizes = _sizes(wide, [wide.encoder.final_layer_norm, wide.decoder.block[0].layer[1].layer_norm], texts)
    end = F.normalize(model.shared.weight[old.eos_token_id, : old.d_model - 2 * old.d_kv], dim=0)
    _write_choices(cross, room, gains, end, *sizes)
    return wide


def _write_embedding(
    model: LongT5ForConditionalGeneration, salience: Salience, sentence_ends: Tensor, size: float, room: _Room
) -> None:
    """What is known of each token, as it should be after the first norm."""
    end = model.config.eos_token_id
    ends = torch.cat([sentence_ends, torch.tensor([model.config.decoder_start_token_id, end])])
    embedding = model.shared.weight
    embedding[:, room.constant] = 1.0
    embedding[:, room.ended] = -1.0
    embedding[ends, room.ended] = 1.0
    for _ in range(8):  # the norm depends on what is put there
        norm = embedding.square().mean(-1).sqrt()
        embedding[:, room.vectors] = salience.vectors * size * norm[:, None]
        embedding[:, room.begins] = salience.begins * _LOGIT_SIZE * norm
        embedding[:, room.ends] = salience.ends * _LOGIT_SIZE * norm
        embedding[end, [room.begins, room.began]] = _SINK * _LOGIT_SIZE * norm[end]


def _write_encoder(
    wide: LongT5ForConditionalGeneration, encoder: Projections, salience: Salience, size: float, room: _Room
) -> None:
    """W d, p, p.b and the beginnings of sentences."""
    about, ahead = encoder.n_heads - 2, encoder.n_heads - 1
    bias = encoder.relative_attention_bias.weight
    # All globals alike, which have the norm of the wider residual.
    bias[:, about] = _BARRED
    narrower = (room.vectors.start / wide.config.d_model) ** 0.5
    _pass_on(encoder, about, salience.match * narrower / size, room.vectors, room.about)
    # The tokens ahead, and no globals.
    bias[:, ahead] = _BARRED
    weights = salience.ahead[salience.buckets]
    bias[salience.buckets, ahead] = weights - weights.max()
    encoder.global_relative_attention_bias.weight[:, ahead] = _BARRED
    _pass_on(encoder, ahead, torch.eye(DIMENSIONS) / size, room.vectors, room.said)
    of_words = ahead * encoder.key_value_proj_dim + DIMENSIONS
    encoder.v.weight[of_words, room.vectors] = salience.words / size
    encoder.o.weight[room.score, of_words] = salience.gain * _SCORE_SIZE

    _look_back(encoder, 0, {room.ends: room.begins, room.begins: room.began})
    _look_back(encoder, 1, {room.ends: room.began})


def _write_products(
    wide: LongT5ForConditionalGeneration, gain: float, texts: Sequence[Tensor], room: _Room
) -> None:
    """p.W d, in the first units that are free."""
    products = wide.encoder.block[0].layer[1]
    [before] = _sizes(wide, [products.layer_norm], texts)
    network = products.DenseReluDense
    free = wide.config.d_ff - _UNITS
    for sign, first in ((1.0, free), (-1.0, free + DIMENSIONS)):
        units = slice(first, first + DIMENSIONS)
        network.wi_0.weight[units] = 0.0
        network.wi_1.weight[units] = 0.0
        network.wi_0.weight[units, room.said] = sign * torch.eye(DIMENSIONS)
        network.wi_1.weight[units, room.about] = torch.eye(DIMENSIONS)
        network.wo.weight[room.score, units] = sign * gain * _SCORE_SIZE * before**2


def _write_prompt(decoder: Projections, room: _Room) -> None:
    """Whether the text begins with the end token: a new head looks for it, by what makes it a place to rest at."""
    head = decoder.n_heads - 1
    row = head * decoder.key_value_proj_dim
    rows = slice(row, row + decoder.key_value_proj_dim)
    for projection in (decoder.q, decoder.k, decoder.v):
        projection.weight[rows] = 0.0
    decoder.relative_attention_bias.weight[:, head] = 0.0
    decoder.q.weight[row, room.constant] = 1.0
    decoder.k.weight[row, room.begins] = _PROMPT / (_SINK * _LOGIT_SIZE)
    decoder.v.weight[row, room.begins] = 1.0 / (_SINK * _LOGIT_SIZE)
    decoder.o.weight[room.quoting, row] = 1.0


def _write_choices(
    cross: Projections, room: _Room, gains: Gains, nothing: Tensor, in_encoder: float, in_decoder: float
) -> None:
    """Where to go on reading after the end of a sentence, and after the first token of the next."""
    d_kv = cross.key_value_proj_dim
    token_space = slice(0, room.vectors.start - 2 * d_kv)
    parts = ((room.ended, room.begins, gains.first), (room.ended_before, room.began, gains.second))
    for place, (asked, told, gain) in enumerate(parts):
        first = (cross.n_heads - _HEADS + place) * d_kv
        rows, last = slice(first, first + d_kv), first + d_kv - 1
        for projection in (cross.q, cross.k, cross.v):
            projection.weight[rows] = 0.0
        asks = {asked: 1.0, room.quoting: 2.0, room.constant: -2.0}
        if place == 1:  # not at the start either, where the token before is the start token again
            asks |= {room.ended: -1.0, room.constant: -3.0}
        for dimension, weight in asks.items():
            cross.q.weight[last, dimension] = weight * gains.score * in_decoder
        cross.k.weight[last, room.score] = in_encoder / _SCORE_SIZE
        cross.k.weight[last, told] = in_encoder / _LOGIT_SIZE
        if place == 1:  # the copying circuit's rows that compare the last token
            compared = slice(first, first + d_kv // 2)
            cross.q.weight[compared] = cross.q.weight[: d_kv // 2] * gains.match
            cross.k.weight[compared] = cross.k.weight[: d_kv // 2]
        generator = torch.Generator().manual_seed(place)
        mixed = torch.linalg.qr(torch.randn(token_space.stop, d_kv, generator=generator))[0].T
        mixed = mixed - (mixed @ nothing)[:, None] * nothing
        cross.v.weight[rows, token_space] = mixed * in_encoder
        cross.o.weight[token_space, rows] = mixed.T * gain


def _pass_on(attention: Projections, head: int, matrix: Tensor, source: slice, target: slice) -> None:
    """Makes a head write `matrix` times what it finds in `source` into `target`, and nothing else."""
    d_kv = attention.key_value_proj_dim
    attention.q.weight[head * d_kv : (head + 1) * d_kv] = 0.0
    attention.v.weight[head * d_kv : (head + 1) * d_kv] = 0.0
    rows = slice(head * d_kv, head * d_kv + len(matrix))
    attention.v.weight[rows, source] = matrix
    attention.o.weight[target, rows] = torch.eye(len(matrix))


def _look_back(attention: Projections, head: int, moves: dict[int, int]) -> None:
    """Makes a head that looks back fetch single dimensions too: of each pair, from the first to the second.

    They take the places of those of its d_kv dimensions that mattered least.
    """
    d_kv = attention.key_value_proj_dim
    value = attention.v.weight[head * d_kv : (head + 1) * d_kv]
    output = attention.o.weight[:, head * d_kv : (head + 1) * d_kv]
    of_value, of_output = value @ value.T, output.T @ output
    directions = torch.linalg.eigh(of_value / of_value.trace() + of_output / of_output.trace())[1]
    rotation = directions.flip(-1).T  # the smallest last; a rotation of both changes nothing
    value.copy_(rotation @ value)
    output.copy_(output @ rotation.T)
    for row, (source, target) in zip(range(d_kv - len(moves), d_kv), moves.items(), strict=True):
        value[row] = 0.0
        output[:, row] = 0.0
        value[row, source] = 1.0
        output[target, row] = 1.0


def _sizes(
    model: LongT5ForConditionalGeneration, norms: Sequence[torch.nn.Module], texts: Sequence[Tensor]
) -> list[float]:
    """The mean root mean square of what norms are given."""
    seen: list[list[float]] = [[] for _ in norms]
    hooks = [
        norm.register_forward_pre_hook(
            lambda _, inputs, sizes=sizes: sizes.append(float(inputs[0].square().mean(-1).sqrt().mean()))
        )
        for norm, sizes in zip(norms, seen, strict=True)
    ]
    for text in texts:
        model(input_ids=text[None], decoder_input_ids=text[None, :64])
    for hook in hooks:
        hook.remove()
    return [float(np.mean(sizes)) for sizes in seen]


def selectable_texts(
    folders: Sequence[Path], vocabulary: Vocabulary, source_tokens: int, seed: int
) -> list[Selectable]:
    """What is to be learned of all papers of prepared folders.

    Raises:
        DataError: a folder holds no prepared papers.
    """
    chance = np.random.default_rng(seed)
    found = []
    for folder in folders:
        papers = PreparedPapers(folder)
        for index in range(len(papers)):
            text = first_choice(papers[index], vocabulary, chance, source_tokens)
            if text is not None:
                found.append(text)
    return found


def main() -> int:
    """Learn salience, write the wider model; 1 and a sentence on stderr where that can't be done."""
    parser = argparse.ArgumentParser(description="Write what is learned of salient sentences into a model.")
    parser.add_argument("--model", required=True, help="folder or Hub id of the model to begin with")
    parser.add_argument("--data", type=Path, required=True, help="folder written by python -m longt5.data")
    parser.add_argument("--sources", nargs="+", required=True, help="its folders to learn from")
    parser.add_argument("--output", type=Path, required=True, help="folder for the wider model")
    parser.add_argument("--epochs", type=int, default=1)
    arguments = parser.parse_args()
    model = LongT5ForConditionalGeneration.from_pretrained(arguments.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    vocabulary = Vocabulary.of(tokenizer)
    try:
        folders = [arguments.data / source for source in arguments.sources]
        texts = selectable_texts(folders, vocabulary, _SOURCE_TOKENS, seed=0)
        salience = learn_salience(model, texts, epochs=arguments.epochs)
        samples = [torch.from_numpy(text.tokens) for text in texts[:_TEXTS_MEASURED]]
        ends = torch.from_numpy(np.flatnonzero(vocabulary.ends))
        wide = write_salience(model, salience, ends, samples, Gains())
    except (DataError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    wide.generation_config.quote_prompt = [wide.config.eos_token_id]
    wide.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
