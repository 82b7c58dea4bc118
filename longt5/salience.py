"""How much a sentence matters to its paper, learned in minutes: words that abstracts like, and words of the paper.

Two things tell a good sentence for a summary, and both are bags of words: what it says is what abstracts say ("we
show that"), and it is about what the paper is about (centrality, as in LexRank). Each token gets a vector of a few
dimensions here; p is the weighted mean of the vectors of the tokens from a sentence's beginning on, d the mean of those
of the whole paper, and the sentence scores p.W d + p.b. That is a form which an encoder can compute in its first
layer, exactly, and `longt5.salience_circuit` writes it there.
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

DIMENSIONS = 20
READ_AHEAD = 128  # tokens from a sentence's first on, as far as local attention goes
_LEARNING_RATE = 0.01
_DECAY = 1e-4
_WARM = 0.4  # share of the training before the learning rate begins to fall
_GAIN = 4.0  # scores are sums of small numbers


@dataclass(frozen=True)
class ScoredText:
    """A text whose sentences are to be scored.

    ``tokens`` (length,); ``shares_of_text`` (length,): each token's weight in the mean over the text; ``starts``
    (sentences,) first tokens of the sentences that may be chosen, ``shares`` (sentences,) how likely they should be.
    """

    tokens: Tensor
    shares_of_text: Tensor
    starts: Tensor
    shares: Tensor


class Salience(nn.Module):
    """The scores of sentences; see above.

    Attributes:
        vectors: (vocabulary, DIMENSIONS).
        match: (DIMENSIONS, DIMENSIONS), W.
        words: (DIMENSIONS,), b.
        ahead: (buckets,) logarithms of the weights of tokens, by T5's bucket of their distance from the first one.
    """

    def __init__(
        self, document_frequencies: Tensor, documents: int, num_buckets: int, max_distance: int
    ) -> None:
        """Begin with random vectors, longer for rarer tokens, and no preference for words."""
        super().__init__()
        rarity = torch.log((documents + 1) / (document_frequencies + 1))
        vectors = torch.randn(len(rarity), DIMENSIONS) * rarity[:, None] * 0.3 / DIMENSIONS**0.5
        vectors[:, 0] = 0.0
        self.vectors = nn.Parameter(vectors)
        self.match = nn.Parameter(8.0 * torch.eye(DIMENSIONS))
        self.words = nn.Parameter(F.one_hot(torch.tensor(0), DIMENSIONS).float())
        self.ahead = nn.Parameter(torch.zeros(num_buckets))
        self.register_buffer(
            "buckets",
            relative_position_bucket(
                torch.arange(READ_AHEAD),
                bidirectional=True,
                num_buckets=num_buckets,
                max_distance=max_distance,
            ),
        )

    def forward(self, text: ScoredText) -> Tensor:
        """Return scores (sentences,), logarithms of shares but for a constant."""
        vectors = self.vectors[text.tokens]
        about = text.shares_of_text @ vectors
        places = text.starts[:, None] + torch.arange(READ_AHEAD)
        inside = places < len(text.tokens)
        weights = torch.where(inside, self.ahead[self.buckets], -torch.inf).softmax(-1)
        said = torch.einsum("st,std->sd", weights, vectors[places.clamp(max=len(text.tokens) - 1)])
        return _GAIN * said @ (self.match @ about + self.words)

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
    """Learn the scores of sentences by the Kullback-Leibler divergence from the shares that they should have."""
    torch.manual_seed(seed)
    chance = np.random.default_rng(seed)
    config = model.config
    frequencies = torch.zeros(config.vocab_size)
    for text in texts:
        frequencies[torch.from_numpy(np.unique(text.tokens))] += 1
    salience = Salience(
        frequencies,
        len(texts),
        config.relative_attention_num_buckets,
        config.relative_attention_max_distance,
    )
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
    """Return the divergence in nats of the scores' softmax from the shares of a text."""
    return (text.shares * (text.shares.log() - salience(text).log_softmax(-1))).sum()


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
