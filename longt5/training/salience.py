"""What single tokens tell about a summary, counted and learned in seconds: where sentences begin, which words matter.

A sentence that belongs into a summary is told, more than by anything else, by its words. So each token gets one number
here, its salience, and a sentence scores the weighted mean of those of the tokens from its beginning on. The weights
depend on the distance alone, by T5's buckets: just what one head of an encoder can compute, and
`longt5.training.extractive_initialization` writes it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from longt5.attention.reference import relative_position_bucket
from longt5.configuration import LongT5Config
from longt5.training.corpus import PreparedPapers
from longt5.training.objectives import Selectable, Vocabulary, selectable

READ_AHEAD = 128  # tokens from a place on, as far as local attention goes
_SOURCE_TOKENS = 4096
_LEARNING_RATE = 0.03
_WARM = 0.4  # share of the training before the learning rate begins to fall


@dataclass(frozen=True)
class TokenKnowledge:
    """What is known of each token of a vocabulary.

    Attributes:
        salience: (vocabulary,) in nats, once averaged: the logarithm of a sentence's share but for a constant.
        ahead: (buckets,) logarithms of the weights of that mean, by the bucket of the distance ahead.
        rarity: (vocabulary,) 0..1, the logarithm of the inverse document frequency against the largest.
        ends: (vocabulary,) booleans, whether it can end a sentence.
        begins: (vocabulary,) booleans, whether it mostly begins a sentence when it follows such a token.
        first: (vocabulary,) how many sentences it begins.
    """

    salience: Tensor
    ahead: Tensor
    rarity: Tensor
    ends: Tensor
    begins: Tensor
    first: Tensor


class _Salience(nn.Module):
    buckets: Tensor
    bounds: Tensor

    def __init__(self, config: LongT5Config) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(config.vocab_size))
        self.ahead = nn.Parameter(torch.zeros(config.relative_attention_num_buckets))
        distances = relative_position_bucket(
            torch.arange(READ_AHEAD),
            bidirectional=True,
            num_buckets=config.relative_attention_num_buckets,
            max_distance=config.relative_attention_max_distance,
        )
        buckets, sizes = distances.unique_consecutive(return_counts=True)
        self.register_buffer("buckets", buckets)
        self.register_buffer("bounds", F.pad(sizes.cumsum(0), (1, 0)))

    def forward(self, text: Selectable) -> Tensor:
        """Return the scores (sentences,) of the sentences that may be chosen."""
        tokens, starts = torch.from_numpy(text.tokens), torch.from_numpy(text.starts)
        sums = F.pad(self.tokens[tokens].cumsum(0), (1, 0))
        bounds = (starts[:, None] + self.bounds).clamp(max=len(tokens))  # (sentences, buckets + 1)
        weights = self.ahead[self.buckets].exp()
        return (sums[bounds].diff(dim=1) @ weights) / (bounds.diff(dim=1) * weights).sum(1)


def learn_tokens(
    config: LongT5Config, vocabulary: Vocabulary, texts: Sequence[Selectable], seed: int = 0
) -> TokenKnowledge:
    """Count and learn from texts whose sentences have shares of being chosen, one step a text.

    What is minimised is the Kullback-Leibler divergence of the softmax over scores from those shares.
    """
    chance = np.random.default_rng(seed)
    salience = _Salience(config)
    optimizer = torch.optim.Adam(salience.parameters(), lr=_LEARNING_RATE, betas=(0.9, 0.98))
    falling = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (len(texts) - step) / (len(texts) * (1 - _WARM)))
    )
    bar = tqdm(chance.permutation(len(texts)), desc="salience", unit="paper", mininterval=5)
    for index in bar:
        salience_divergence(salience(texts[index]), texts[index]).backward()
        optimizer.step()
        falling.step()
        optimizer.zero_grad()
    tokens = salience.tokens.detach()
    used = torch.zeros(config.vocab_size)
    ends = torch.zeros(config.vocab_size, dtype=torch.bool)
    ends[: len(vocabulary.ends)] = torch.from_numpy(vocabulary.ends)
    after_end, first = torch.zeros(2, config.vocab_size)
    for text in texts:
        ids = torch.from_numpy(text.tokens)
        used[ids.unique()] += 1
        after_end += torch.bincount(ids[1:][ends[ids[:-1]]], minlength=config.vocab_size)
        first += torch.bincount(ids[torch.from_numpy(text.beginnings)], minlength=config.vocab_size)
    rarity = torch.log((len(texts) + 1) / (used + 1))
    return TokenKnowledge(
        salience=tokens - (tokens * used).sum() / used.sum(),
        ahead=salience.ahead.detach(),
        rarity=rarity / rarity.max(),
        ends=ends,
        begins=first > 0.5 * after_end,
        first=first,
    )


def salience_divergence(scores: Tensor, text: Selectable) -> Tensor:
    """Return the divergence in nats of the softmax over scores (sentences,) from a text's shares."""
    shares = torch.from_numpy(text.shares).float().clamp(min=1e-12)
    return (shares * (shares.log() - scores.log_softmax(-1))).sum()


def selectable_texts(
    data: Path, sources: dict[str, float], vocabulary: Vocabulary, count: int, seed: int = 0
) -> list[Selectable]:
    """Draw up to ``count`` papers of prepared folders, each paper's weight as in training, none twice.

    Raises:
        DataError: a folder holds no prepared papers.
    """
    chance = np.random.default_rng(seed)
    papers = [PreparedPapers(data / name) for name in sources]
    places = [(source, index) for source, folder in enumerate(papers) for index in range(len(folder))]
    weights = np.concatenate(
        [np.full(len(folder), weight) for folder, weight in zip(papers, sources.values(), strict=True)]
    )
    drawn = chance.choice(len(places), min(count, len(places)), replace=False, p=weights / weights.sum())
    texts = (
        selectable(papers[source][index], vocabulary, _SOURCE_TOKENS)
        for source, index in (places[place] for place in drawn.tolist())
    )
    return [text for text in texts if text is not None]
