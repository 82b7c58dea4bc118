"""What a decoder has written so far, in memory of a fixed size, and which beam descends from which.

transformers' dynamic cache copies all keys and values at every token: to add those of the new one, and once more when
beams change places. Here a new token's are written beside the others, and beams change places in a table.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


class Past:
    """Keys and values of one self-attention layer for each text, its beams side by side.

    Token `t` of slot `s` stands at `t * beams + s`: what is written so far is then the beginning of the memory. Every
    beam attends to the memory of its whole text, and the mask of `Ancestors` bars what other beams wrote.
    """

    def __init__(self, key: Tensor, value: Tensor, beams: int) -> None:
        """
        Args:
            key, value: `(rows, heads, written, d_kv)`, where rows are texts * beams.
        """
        self.beams = beams
        self.key, self.value = (_beside_each_other(x, beams) for x in (key, value))

    def reserve(self, length: int) -> None:
        """Makes room for `length` tokens in all."""
        # Zeros, as what is barred is multiplied by a weight of zero, and whatever memory holds may be no number.
        more = (0, 0, 0, length * self.beams - self.key.shape[2])
        self.key, self.value = F.pad(self.key, more), F.pad(self.value, more)

    def add(self, key: Tensor, value: Tensor, places: Tensor) -> None:
        """Adds a token's `(texts, heads, beams, d_kv)` at `places` `(beams,)`."""
        self.key.index_copy_(2, places, key)
        self.value.index_copy_(2, places, value)


def _beside_each_other(x: Tensor, beams: int) -> Tensor:
    """(texts * beams, heads, written, d_kv) -> `(texts, heads, written * beams, d_kv)`"""
    return x.unflatten(0, (-1, beams)).permute(0, 2, 3, 1, 4).flatten(2, 3)


class Ancestors:
    """The slot in which each token of each beam was written, and the mask and bias that follow from it."""

    def __init__(self, rows: int, beams: int, written: int, device: torch.device) -> None:
        """
        Args:
            written: tokens that every row has in its own slot already.
        """
        self.position = torch.tensor([written], device=device)  # of the next token
        self._beams = beams
        self._slots = torch.arange(beams, device=device)
        self._own = self._slots.repeat(rows // beams)[:, None]  # (rows, 1)
        self._table = self._own.repeat(1, written)

    def reserve(self, bias_by_distance: Tensor) -> None:
        """Makes room for as many tokens as there are distances.

        Args:
            bias_by_distance: `(heads, length)`, the position bias of a key so many tokens before the query.
        """
        length = bias_by_distance.shape[1]
        self._bias = bias_by_distance
        self._tokens = torch.arange(length, device=self.position.device)
        more = self._own.expand(-1, length - self._table.shape[1])
        self._table = torch.cat([self._table, more], dim=1)

    def places(self) -> Tensor:
        """Where in `Past` the keys and values of the next token go, `(beams,)`."""
        return self.position * self._beams + self._slots

    def bias(self, length: int) -> Tensor:
        """What is added to the scores of the next token's queries, `(texts, heads, beams, length * beams)`.

        Args:
            length: of the memory that is looked at, the next token's place within it.
        """
        distance = self.position - self._tokens[:length]
        bias = self._bias.index_select(1, distance.clamp(min=0))
        writer = self._table[:, :length].unflatten(0, (-1, self._beams))  # (texts, beams, length)
        seen = (writer[..., None] == self._slots) & (distance >= 0)[:, None]
        lowest = torch.finfo(bias.dtype).min
        return torch.where(seen[:, None], bias[:, None, :, None], lowest).flatten(-2)

    def advance(self) -> None:
        """To the token after the next one."""
        self.position += 1

    def reorder(self, rows: Tensor) -> None:
        """Row i goes on from what row `rows[i]` wrote, which is one of the same text; the next token is its own."""
        table = self._table.index_select(0, rows)
        self._table.copy_(torch.where(self._tokens < self.position, table, self._own))
