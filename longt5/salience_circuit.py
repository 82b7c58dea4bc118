"""Writes what is known of salient sentences into a model: ``python -m longt5.salience_circuit``.

Read by gradient descent alone, the importance of thousands of words takes a small budget of training too long to find.
`longt5.salience` finds it in minutes; this puts it into the encoder, where training finds it. In a model made wider
(`longt5.widening`):

- The embedding holds each token's vector in free dimensions.
- In the encoder's first layer, one new head attends to all global tokens alike and writes W d; another attends to the
  tokens ahead and writes p and p.b.
- The feed-forward network after it adds p.W d to p.b: gelu(x) y - gelu(-x) y = x y makes products of pairs of units.

Every token so carries the score of the text that begins with it. What to do with it is left to training. (Adding it to
the scores of the decoder's first cross-attention at once was tried: it gets in the way of copying.)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoTokenizer

from .data import DataError, PreparedPapers
from .layers import Projections
from .modeling import LongT5ForConditionalGeneration
from .objectives import Selectable, Vocabulary, first_choice
from .salience import DIMENSIONS, Salience, learn_salience
from .widening import widen

_ROOM = 64  # more dimensions of the residual: the vectors, p, W d and the score
_HEADS = 2
_UNITS = 64
_BARRED = -12.0  # position bias of what a new head does not attend to
_VECTOR_SIZE = 0.5  # root mean square of the vectors' components in the embedding, whose own are near 1
_SCORE_SIZE = 2.0  # of a score of 1 in the residual, where a token's own components are near 1
_SOURCE_TOKENS = 3072
_TEXTS_MEASURED = 16  # for the mean size of the residual


@dataclass(frozen=True)
class _Room:
    """Where things are in the residual."""

    vectors: slice
    said: slice
    about: slice
    score: int

    @classmethod
    def after(cls, width: int) -> _Room:
        bounds = [width + i * DIMENSIONS for i in range(4)]
        return cls(
            slice(bounds[0], bounds[1]),
            slice(bounds[1], bounds[2]),
            slice(bounds[2], bounds[3]),
            bounds[3],
        )


@torch.no_grad()
def write_salience(
    model: LongT5ForConditionalGeneration, salience: Salience, texts: Sequence[Tensor]
) -> LongT5ForConditionalGeneration:
    """Return a wider copy of a model that prefers sentences by their salience.

    Args:
        texts: tokens of some inputs, to measure how large the residual is.

    Raises:
        ValueError: the model can't be made wider.
    """
    old = model.config
    wide = widen(model, d_model=old.d_model + _ROOM, num_heads=old.num_heads + _HEADS, d_ff=old.d_ff + _UNITS)
    room = _Room.after(old.d_model)
    size = float(_VECTOR_SIZE / salience.vectors.square().mean().sqrt())
    _write_vectors(wide, salience.vectors * size, room)
    d_kv = old.d_kv
    heads = [slice((old.num_heads + i) * d_kv, (old.num_heads + i + 1) * d_kv) for i in range(_HEADS)]
    first_layer = wide.get_submodule("encoder.block.0.layer.0")
    encoder = next(module for module in first_layer.modules() if isinstance(module, Projections))

    # About: all globals alike, which have the norm of the wider residual.
    encoder.relative_attention_bias.weight[:, old.num_heads] = _BARRED
    narrower = (old.d_model / wide.config.d_model) ** 0.5
    _pass_on(encoder, heads[0], salience.match * narrower / size, room.vectors, room.about)
    # Said: the tokens ahead, and no globals.
    encoder.relative_attention_bias.weight[:, old.num_heads + 1] = _BARRED
    ahead = salience.buckets.unique()
    encoder.relative_attention_bias.weight[ahead, old.num_heads + 1] = (
        salience.ahead[ahead] - salience.ahead[ahead].max()
    )
    encoder.global_relative_attention_bias.weight[:, old.num_heads + 1] = _BARRED
    _pass_on(encoder, heads[1], torch.eye(DIMENSIONS) / size, room.vectors, room.said)
    scale = salience.gain * _SCORE_SIZE
    of_words = heads[1].start + DIMENSIONS
    encoder.v.weight[of_words, room.vectors] = salience.words / size
    encoder.o.weight[room.score, of_words] = scale

    products = wide.encoder.block[0].layer[1]
    [before] = _sizes(wide, [products.layer_norm], texts)
    network = products.DenseReluDense
    for sign, first in ((1.0, old.d_ff), (-1.0, old.d_ff + DIMENSIONS)):
        units = slice(first, first + DIMENSIONS)
        network.wi_0.weight[units] = 0.0
        network.wi_1.weight[units] = 0.0
        network.wi_0.weight[units, room.said] = sign * torch.eye(DIMENSIONS)
        network.wi_1.weight[units, room.about] = torch.eye(DIMENSIONS)
        network.wo.weight[room.score, units] = sign * scale * before**2
    return wide


def _write_vectors(model: LongT5ForConditionalGeneration, vectors: Tensor, room: _Room) -> None:
    """Puts them into the embedding as they should be after the first norm."""
    embedding = model.shared.weight
    for _ in range(8):  # the norm depends on what is put there
        embedding[:, room.vectors] = vectors * embedding.square().mean(-1, keepdim=True).sqrt()


def _pass_on(attention: Projections, head: slice, matrix: Tensor, source: slice, target: slice) -> None:
    """Makes a head write `matrix` times what it finds in `source` into `target`, and nothing else."""
    attention.q.weight[head] = 0.0
    attention.v.weight[head] = 0.0
    rows = slice(head.start, head.start + len(matrix))
    attention.v.weight[rows, source] = matrix
    attention.o.weight[target, rows] = torch.eye(len(matrix))


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
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    model = LongT5ForConditionalGeneration.from_pretrained(arguments.model, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    try:
        folders = [arguments.data / source for source in arguments.sources]
        texts = selectable_texts(folders, Vocabulary.of(tokenizer), _SOURCE_TOKENS, seed=0)
        salience = learn_salience(model, texts, epochs=arguments.epochs)
        samples = [torch.from_numpy(text.tokens) for text in texts[:_TEXTS_MEASURED]]
        wide = write_salience(model, salience, samples)
    except (DataError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    wide.save_pretrained(arguments.output)
    tokenizer.save_pretrained(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
