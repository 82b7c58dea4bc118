"""Where a good summary of a paper would begin to read: a distribution over its tokens, learned in minutes.

Two things tell a good sentence for a summary, and both are bags of words: what it says is what abstracts say ("we
show that"), and it is about what the paper is about (centrality, as in LexRank). Each token gets a vector of a few
dimensions here; p is the weighted mean of the vectors of the tokens from a place on, d the mean of those of the whole
paper, and the place scores p.W d + p.b. To that comes whether a sentence begins there, by its token and the one before.
That is a form which an encoder can compute in its first layer, exactly, and `longt5.salience_circuit` writes it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from longt5.attention import relative_position_bucket
from longt5.modeling import LongT5ForConditionalGeneration
from longt5.objectives import Selectable

DIMENSIONS = 19
READ_AHEAD = 128  # tokens from a place on, as far as local attention goes
_LEARNING_RATE = 0.004
_DECAY = 1e-4
_WARM = 0.4  # share of the training before the learning rate begins to fall
_GAIN = 4.0  # scores are sums of small numbers
_MOST_BEGINNING = 8.0  # logits of a beginning, at most, as counts give them


@dataclass(frozen=True)
class ScoredText:
    """A text whose places are to be scored.

    ``tokens`` (length,); ``shares_of_text`` (length,): each token's weight in the mean over the text; ``starts``
    (sentences,) first tokens of the sentences that may be chosen, ``shares`` (sentences,) how likely they should be.
    """

    tokens: Tensor
    shares_of_text: Tensor
    starts: Tensor
    shares: Tensor


class Salience(nn.Module):
    """The scores of places; see above.

    Attributes:
        vectors: (vocabulary, DIMENSIONS).
        match: (DIMENSIONS, DIMENSIONS), W.
        words: (DIMENSIONS,), b.
        ahead: (buckets,) logarithms of the weights of tokens, by T5's bucket of their distance.
        begins: (vocabulary,) how much a token looks like the first of a sentence, in logits.
        ends: (vocabulary,) how much a token looks like one before the first.
    """

    def __init__(self, vocab_size: int, num_buckets: int, max_distance: int) -> None:
        """Begin with nothing learned."""
        super().__init__()
        self.vectors = nn.Parameter(torch.zeros(vocab_size, DIMENSIONS))
        self.match = nn.Parameter(8.0 * torch.eye(DIMENSIONS))
        self.words = nn.Parameter(F.one_hot(torch.tensor(0), DIMENSIONS).float())
        self.ahead = nn.Parameter(torch.zeros(num_buckets))
        self.begins = nn.Parameter(torch.zeros(vocab_size))
        self.ends = nn.Parameter(torch.zeros(vocab_size))
        distances = relative_position_bucket(
            torch.arange(READ_AHEAD), bidirectional=True, num_buckets=num_buckets, max_distance=max_distance
        )
        buckets, sizes = distances.unique_consecutive(return_counts=True)
        self.register_buffer("buckets", buckets)
        self.register_buffer("bounds", F.pad(sizes.cumsum(0), (1, 0)))

    @torch.no_grad()
    def count(self, texts: Sequence[Selectable]) -> None:
        """Begin with what counting tells: rarer tokens get longer vectors, and where sentences begin."""
        found, first, before, all_tokens = torch.zeros(4, len(self.vectors))
        one = torch.ones(1)
        for text in texts:
            tokens = torch.from_numpy(text.tokens)
            found[tokens.unique()] += 1
            all_tokens.index_add_(0, tokens, one.expand(len(tokens)))
            first.index_add_(0, tokens[text.starts], one.expand(len(text.starts)))
            inner = text.starts[text.starts > 0] - 1
            before.index_add_(0, tokens[inner], one.expand(len(inner)))
        rarity = torch.log((len(texts) + 1) / (found + 1))
        self.vectors.copy_(torch.randn(self.vectors.shape) * rarity[:, None] * 0.3 / DIMENSIONS**0.5)
        self.vectors[:, 0] = 0.0
        rate = first.sum() / all_tokens.sum()
        for values, counts in ((self.begins, first), (self.ends, before)):
            of_token = (counts + rate) / (all_tokens + 1)
            values.copy_((of_token.logit() - rate.logit()).clamp(-_MOST_BEGINNING, _MOST_BEGINNING))

    def forward(self, text: ScoredText) -> Tensor:
        """Return scores (length,), logarithms of shares but for a constant."""
        vectors = self.vectors[text.tokens]
        about = text.shares_of_text @ vectors
        length = len(vectors)
        sums = F.pad(vectors.cumsum(0), (0, 0, 1, 0))  # (length + 1, DIMENSIONS)
        bounds = (torch.arange(length)[:, None] + self.bounds).clamp(max=length)  # (length, buckets + 1)
        weights = self.ahead[self.buckets].exp()
        said = torch.einsum("pbd,b->pd", sums[bounds].diff(dim=1), weights)
        said = said / (bounds.diff(dim=1) * weights).sum(1, keepdim=True)
        beginning = self.begins[text.tokens] + F.pad(self.ends[text.tokens[:-1]], (1, 0))
        return _GAIN * said @ (self.match @ about + self.words) + beginning

    @property
    def gain(self) -> float:
        """What p.W d + p.b is multiplied by."""
        return _GAIN


def shares_of_text(model: LongT5ForConditionalGeneration, tokens: Tensor) -> Tensor:
    """The weight of each token's vector in the mean over the global tokens of the encoder's first layer: (length,).

    A global token is the sum of a block, normalised (LongT5, section 3.1.2); the norm is a model's own.
    """
    config = model.config
    first = model.encoder.block[0].layer[0]
    states = first.layer_norm(model.shared(tokens))
    size = config.global_block_size
    count = max(1, len(tokens) // size)
    block = (torch.arange(len(tokens)) // size).clamp(max=count - 1)
    sums = torch.zeros(count, config.d_model).index_add(0, block, states)
    return (1 / (count * sums.square().mean(-1).sqrt()))[block]


def learn_salience(
    model: LongT5ForConditionalGeneration, texts: Sequence[Selectable], *, epochs: int, seed: int = 0
) -> Salience:
    """Learn the scores of places by the Kullback-Leibler divergence from the shares that they should have."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    config = model.config
    salience = Salience(
        config.vocab_size, config.relative_attention_num_buckets, config.relative_attention_max_distance
    )
    salience.count(texts)
    steps = epochs * len(texts)
    optimizer = torch.optim.Adam(salience.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.98))
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (steps - step) / (steps * (1 - _WARM)))
    )
    with tqdm(total=steps, desc="salience", unit="paper", mininterval=5) as bar:
        recent = 0.0
        for scored in _epochs(model, texts, epochs, chance):
            divergence = salience_loss(salience, scored)
            lengths = salience.vectors.square().sum() + 0.01 * salience.match.square().sum()
            (divergence + _DECAY * lengths).backward()
            optimizer.step()
            falling.step()
            optimizer.zero_grad()
            recent = 0.999 * recent + 0.001 * float(divergence.detach())
            bar.set_postfix(divergence=f"{recent / (1 - 0.999 ** (bar.n + 1)):.3f}", refresh=False)
            bar.update()
    return salience


def salience_loss(salience: Salience, text: ScoredText) -> Tensor:
    """Return the divergence in nats from the shares of a text, of the scores' softmax over all its places."""
    return (text.shares * (text.shares.log() - salience(text).log_softmax(-1)[text.starts])).sum()


@torch.no_grad()
def scored_text(model: LongT5ForConditionalGeneration, text: Selectable) -> ScoredText:
    """What the scores need to know of a text."""
    tokens = torch.from_numpy(text.tokens)
    return ScoredText(
        tokens,
        shares_of_text(model, tokens),
        torch.from_numpy(text.starts),
        torch.from_numpy(text.shares).float().clamp(min=1e-12),
    )


def _epochs(
    model: LongT5ForConditionalGeneration,
    texts: Sequence[Selectable],
    epochs: int,
    chance: np.random.Generator,
) -> Iterator[ScoredText]:
    for _ in range(epochs):
        for index in chance.permutation(len(texts)):
            yield scored_text(model, texts[index])
