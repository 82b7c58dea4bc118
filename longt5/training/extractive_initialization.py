"""Starts a LongT5 off as an extractive summarizer, so that a small training budget goes into doing it better.

What a summarizer must learn first is known: to copy its input, to see where sentences begin, and which of them matter.
From a random start that takes most of a training, as several layers have to agree before any of them earns a gradient.
So it is written into the weights here, each head with one purpose (an induction head, Olsson et al. 2022, arXiv
2209.11895, spread over encoder and decoder, and what it takes to choose):

- The embedding has rooms: what the token is to be written as, two random keys to find it by, one longer for rarer
  tokens, and numbers: whether it ends or begins sentences, its salience (`longt5.training.salience`).
- Encoder, first layer: heads fetch the keys of the last token, of the one before, the mean of nine before these, and
  the mean salience of the text ahead. The feed-forward network tells where sentences begin: at a token that can begin
  one after a token that can end one.
- Decoder, first layer: the same of what is written. Then three heads look into the paper: one goes on copying where the
  last tokens match; one jumps, at the end of a sentence, to where a salient one begins; one finds the second token of
  that sentence. Who is not asked looks at the end token, which says nothing.

Everything else starts as in T5, but writes nothing yet. Nothing is frozen: all of it can be trained from there. The
model then writes sentences of its input, but knows nothing of which it has written already: decoding has to see to
that (`longt5.quote_search`, `longt5.text.word_repetition`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longt5.attention.reference import relative_position_bucket
from longt5.layers import LongT5DenseGatedActDense, LongT5TransientGlobalAttention, Projections
from longt5.modeling import LongT5ForConditionalGeneration
from longt5.training.salience import READ_AHEAD, TokenKnowledge

HEADS = 4  # in each stack
KEY, RARE = 28, 36  # dimensions of a token's two random keys
HEAD_SIZE = 2 * KEY + RARE + 2

_BARRED = -15.0  # position bias of what a head does not attend to
_FLAG = 2.0  # a yes in the residual; no is 0
_KEY_NORM = 8.0  # the length of a token's key; a rare key is as long times the token's rarity
_WRITTEN_NORM = 11.0  # the length of what a token is to be written as
_SURE_LOGIT = 14.0  # of a token that all heads agree on
_SPARE = 5  # dimensions in which the most common first tokens, orthogonal to each other, are 0

_BEFORE = range(3, 12)  # distances back of the tokens that tell places with the same last two apart
_GELU_IS_LINEAR = 5.0  # gelu(x) is x from there on

# Scores in nats that the decoder's heads give to places in the paper.
_MATCH = 12.0  # the last token is the same; the one before as well
_CONTEXT = 10.0  # the nine before are, at the scale of the encoder's output
_NOT_ASKED = 40.0  # what the end token scores for a head that is not asked


@dataclass(frozen=True)
class _Look:
    """What one head of the decoder looks for in the paper, and when.

    Attributes:
        matches: what has to be the same there, with a weight.
        beginning: score of a place where a sentence begins, in nats.
        salience: what the text from a place on counts, times its salience in nats.
        unsure: score of the end token, in nats: the least that is a find.
        silent: whether it is not asked: a sum of flags, 0 if it is, 1 or more if not.
        gain: of what it writes, against what a token is written as.
    """

    matches: dict[str, float]
    beginning: float
    salience: float
    unsure: float
    silent: dict[str, float]
    gain: float


_LOOKS = (
    # Copies on, but neither into another sentence nor after the first token of one.
    _Look(
        matches={"last": 1.0, "before": 1.0, "context": 1.0},
        beginning=-30.0,
        salience=0.5,
        unsure=18.0,
        silent={"end": 1.0, "ended": 1.0, "begin": 1.0, "constant": -1.0},
        gain=40.0,
    ),
    # Goes on after the first token of a sentence. A salient text elsewhere must not outweigh a token that differs.
    _Look(
        matches={"last": 4.0, "before": 0.5},
        beginning=0.0,
        salience=3.5,
        unsure=32.0,
        silent={"constant": 2.0, "ended": -1.0, "begin": -1.0},
        gain=20.0,
    ),
    # Jumps to another sentence at the end of one.
    _Look(
        matches={},
        beginning=16.0,
        salience=3.5,
        unsure=0.0,
        silent={"constant": 1.0, "end": -1.0},
        gain=20.0,
    ),
)


class _Rooms:
    """Which dimensions of the residual hold what: ``rooms.key`` is a slice."""

    def __init__(self, d_model: int, d_kv: int) -> None:
        sizes = {
            "written": d_kv,  # what a token is to be written as; the last dimension is the end token's alone
            "key": KEY,
            "rare": RARE,
            "last": KEY,  # in the encoder alone
            "before": KEY,
            "context": RARE,
        }
        flags = ("constant", "end", "begin", "salience", "sink", "ballast", "ended", "start", "score")
        sizes |= dict.fromkeys(flags, 1)
        bounds = pairwise(accumulate(sizes.values(), initial=0))
        self._places = {name: slice(*pair) for name, pair in zip(sizes, bounds, strict=True)}
        if self.score.stop > d_model:
            raise ValueError(f"The extractive initialisation needs a d_model of {self.score.stop} or more.")

    def __getattr__(self, name: str) -> slice:
        return self._places[name]

    @property
    def words(self) -> slice:
        """What tokens other than the end token are written as."""
        return slice(self.written.start, self.written.stop - 1)


@torch.no_grad()
def initialize_as_extractor(
    model: LongT5ForConditionalGeneration,
    knowledge: TokenKnowledge,
    texts: Sequence[Tensor],
    seed: int = 0,
) -> None:
    """Write the summarizer into a freshly initialised model, in place.

    Args:
        knowledge: of the model's vocabulary.
        texts: (length,) tokens of some inputs, each with its end token, to measure how large activations are.

    Raises:
        ValueError: the model has no place for it; the message names what it needs.
    """
    config = model.config
    if (
        config.num_heads < HEADS
        or config.d_kv < HEAD_SIZE
        or not config.is_gated_act
        or not config.scale_decoder_outputs
        or config.encoder_attention_type != "transient-global"
    ):
        raise ValueError(
            "The extractive initialisation needs transient-global attention, gated-gelu, "
            f"num_heads of {HEADS} and d_kv of {HEAD_SIZE} or more, and tie_word_embeddings=True."
        )
    rooms = _Rooms(config.d_model, config.d_kv)
    for name, parameter in model.named_parameters():
        if name.endswith((".o.weight", ".wo.weight")):
            parameter.zero_()
    _write_embedding(model, knowledge, rooms, torch.Generator().manual_seed(seed))
    _write_encoder(model, knowledge, rooms, texts)
    _write_decoder_memory(model, rooms)
    _write_decoder_looks(model, rooms, texts)
    norm = model.decoder.final_layer_norm.weight
    norm.zero_()
    norm[rooms.written] = _SURE_LOGIT / _WRITTEN_NORM


def _write_embedding(
    model: LongT5ForConditionalGeneration, knowledge: TokenKnowledge, rooms: _Rooms, chance: torch.Generator
) -> None:
    """All tokens get the same length, d_model**0.5, so that the first norm changes nothing."""
    config = model.config
    embedding = model.shared.weight
    embedding.zero_()
    end, start = config.eos_token_id, config.decoder_start_token_id

    def directions(size: int) -> Tensor:
        return F.normalize(torch.randn(config.vocab_size, size, generator=chance), dim=-1)

    words = rooms.words.stop
    embedding[:, rooms.words] = directions(words) * _WRITTEN_NORM
    common = knowledge.first.topk(min(words - _SPARE, config.vocab_size)).indices
    orthonormal = torch.linalg.qr(torch.randn(words, len(common), generator=chance))[0].T
    embedding[common, rooms.words] = orthonormal * _WRITTEN_NORM
    embedding[:, rooms.key] = directions(KEY) * _KEY_NORM
    embedding[:, rooms.rare] = directions(RARE) * _KEY_NORM * knowledge.rarity[:, None]
    embedding[[start, end], : rooms.rare.stop] = 0.0  # nothing to find them by, and nothing to write
    embedding[end, words] = _WRITTEN_NORM
    embedding[:, rooms.constant] = _FLAG
    embedding[:, rooms.end] = knowledge.ends[:, None] * _FLAG
    embedding[start, rooms.end] = _FLAG
    embedding[:, rooms.begin] = knowledge.begins[:, None] * _FLAG
    embedding[:, rooms.salience] = (knowledge.salience / knowledge.salience.std()).clamp(-4, 4)[:, None]
    embedding[[start, end], rooms.sink] = _FLAG
    rest = config.d_model - embedding.square().sum(-1, keepdim=True)
    embedding[:, rooms.ballast] = rest.clamp(min=0).sqrt()


def _write_encoder(
    model: LongT5ForConditionalGeneration, knowledge: TokenKnowledge, rooms: _Rooms, texts: Sequence[Tensor]
) -> None:
    attention = _attention(model, "encoder.block.0.layer.0")
    _point(attention, 0, [-1])
    _point(attention, 1, [-2])
    _point(attention, 2, [-distance for distance in _BEFORE])
    _point(attention, 3, range(READ_AHEAD), knowledge.ahead - knowledge.ahead.max())
    _pass_on(attention, 0, [(rooms.key, rooms.last), (rooms.end, rooms.ended)])
    _pass_on(attention, 1, [(rooms.key, rooms.before)])
    _pass_on(attention, 2, [(rooms.rare, rooms.context)])
    _pass_on(attention, 3, [(rooms.salience, rooms.score)], gain=float(knowledge.salience.std()))

    # A sentence begins where a token that can begin one follows one that can end one: a product of two flags.
    [size] = _sizes(model, [model.get_submodule("encoder.block.0.layer.1.layer_norm")], texts)
    network = model.get_submodule("encoder.block.0.layer.1.DenseReluDense")
    assert isinstance(network, LongT5DenseGatedActDense)
    network.wi_0.weight[0] = 0.0
    network.wi_1.weight[0] = 0.0
    network.wo.weight[:, 0] = 0.0
    network.wi_0.weight[0, rooms.ended] = _GELU_IS_LINEAR / _FLAG * size
    network.wi_1.weight[0, rooms.begin] = size / _GELU_IS_LINEAR
    network.wo.weight[rooms.start, 0] = 1.0


def _write_decoder_memory(model: LongT5ForConditionalGeneration, rooms: _Rooms) -> None:
    """What the decoder knows of its own text: its last tokens."""
    attention = _attention(model, "decoder.block.0.layer.0")
    _point(attention, 0, [-1])
    _point(attention, 1, [1 - distance for distance in _BEFORE])
    _point(attention, 2, [0])
    _pass_on(attention, 0, [(rooms.key, rooms.before), (rooms.end, rooms.ended)])
    _pass_on(attention, 1, [(rooms.rare, rooms.context)])
    _pass_on(attention, 2, [(rooms.written, rooms.written)], gain=-1.0)  # no token is to be written again


def _write_decoder_looks(
    model: LongT5ForConditionalGeneration, rooms: _Rooms, texts: Sequence[Tensor]
) -> None:
    cross = _attention(model, "decoder.block.0.layer.1")
    norms = [model.encoder.final_layer_norm, model.get_submodule("decoder.block.0.layer.1.layer_norm")]
    told, asked = _sizes(model, norms, texts)  # the scales of the encoder's output and of the decoder
    states = torch.cat([model.encoder(input_ids=text[None]).last_hidden_state[0] for text in texts])
    context = float(states[:, rooms.context].square().sum(-1).mean().clamp(min=1e-6))
    first, second, third = slice(0, KEY), slice(KEY, 2 * KEY), slice(2 * KEY, 2 * KEY + RARE)
    wirings = {
        "last": (first, rooms.key, rooms.last, _MATCH / _KEY_NORM**2),
        "before": (second, rooms.before, rooms.before, _MATCH / _KEY_NORM**2),
        "context": (third, rooms.context, rooms.context, _CONTEXT / context),
    }
    always, silent = third.stop, third.stop + 1
    for head, look in enumerate(_LOOKS):
        _pass_on(cross, head, [(rooms.words, rooms.words)], gain=look.gain)
        rows = _head(cross, head)
        cross.v.weight[rows] *= told
        cross.k.weight[rows] = 0.0
        query, key = cross.q.weight[rows], cross.k.weight[rows]
        for name, weight in look.matches.items():
            dimensions, mine, its, score = wirings[name]
            identity = torch.eye(dimensions.stop - dimensions.start)
            query[dimensions, mine] = identity * asked * score * weight
            key[dimensions, its] = identity * told
        query[always, rooms.constant] = asked / _FLAG
        key[always, rooms.start] = look.beginning * told / _FLAG
        key[always, rooms.score] = look.salience * told
        key[always, rooms.sink] = look.unsure * told / _FLAG
        for name, weight in look.silent.items():
            query[silent, getattr(rooms, name)] = weight * asked / _FLAG
        key[silent, rooms.sink] = _NOT_ASKED * told / _FLAG


def _attention(model: LongT5ForConditionalGeneration, name: str) -> Projections:
    return next(module for module in model.get_submodule(name).modules() if isinstance(module, Projections))


def _head(attention: Projections, head: int) -> slice:
    return slice(head * attention.key_value_proj_dim, (head + 1) * attention.key_value_proj_dim)


def _point(
    attention: Projections, head: int, offsets: Sequence[int], by_bucket: Tensor | None = None
) -> None:
    """Makes a head attend to some offsets alone: all alike, or by the bias of their buckets."""
    bias = attention.relative_attention_bias.weight
    bias[:, head] = _BARRED
    if isinstance(attention, LongT5TransientGlobalAttention):
        attention.global_relative_attention_bias.weight[:, head] = _BARRED
    buckets = relative_position_bucket(torch.tensor(list(offsets)), **attention.bucketing).unique()
    bias[buckets, head] = 0.0 if by_bucket is None else by_bucket[buckets]


def _pass_on(
    attention: Projections, head: int, moves: Sequence[tuple[slice, slice]], gain: float = 1.0
) -> None:
    """Makes a head write what it finds in rooms into other rooms, and ask for nothing as yet."""
    rows = _head(attention, head)
    attention.q.weight[rows] = 0.0
    attention.v.weight[rows] = 0.0
    attention.o.weight[:, rows] = 0.0
    row = rows.start
    for source, target in moves:
        size = source.stop - source.start
        attention.v.weight[row : row + size, source] = torch.eye(size)
        attention.o.weight[target, row : row + size] = torch.eye(size) * gain
        row += size


def _sizes(
    model: LongT5ForConditionalGeneration, norms: Sequence[nn.Module], texts: Sequence[Tensor]
) -> list[float]:
    """The mean root mean square of what norms are given, while the decoder writes how the texts begin."""
    seen: list[list[float]] = [[] for _ in norms]
    hooks = [
        norm.register_forward_pre_hook(
            lambda _, inputs, sizes=sizes: sizes.append(float(inputs[0].square().mean(-1).sqrt().mean()))
        )
        for norm, sizes in zip(norms, seen, strict=True)
    ]
    start = model.config.decoder_start_token_id
    for text in texts:
        model(input_ids=text[None], decoder_input_ids=F.pad(text[None, :128], (1, 0), value=start))
    for hook in hooks:
        hook.remove()
    return [sum(sizes) / len(sizes) for sizes in seen]
