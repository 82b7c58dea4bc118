"""The dense reference itself, against numbers worked out by hand and against T5's published buckets."""

from __future__ import annotations

import math

import pytest
import torch
from transformers.models.t5.modeling_t5 import T5Attention

from tests.longt5 import dense_reference as dense


def table(**by_offset: float) -> torch.Tensor:
    """A (32, 1) table of biases: the log of `before` at offset -1, of `same` at 0 and of `after` at +1."""
    biases = torch.full((32, 1), math.nan, dtype=torch.float64)
    for name, offset in (("before", -1), ("same", 0), ("after", 1)):
        biases[dense.relative_position_bucket(offset, 32, 128)] = math.log(by_offset[name])
    return biases


# Five tokens, radius 1, blocks of 2: blocks 0 0 1 1 and the fifth token, an orphan, joins block 1.
# Values 1 to 5, global values 10 and 20. Biases are logarithms, so that the weights before
# normalisation are whole numbers: band 2, 1, 3 at offsets -1, 0, +1; globals 4, 1, 5.
BLOCKS = [0, 0, 1, 1, 1]
BY_BIAS_ALONE = [
    (1 * 1 + 3 * 2 + 1 * 10 + 5 * 20) / 10,  # sees tokens 0, 1 and both globals
    (2 * 1 + 1 * 2 + 3 * 3 + 1 * 10 + 5 * 20) / 12,
    (2 * 2 + 1 * 3 + 3 * 4 + 4 * 10 + 1 * 20) / 11,
    (2 * 3 + 1 * 4 + 3 * 5 + 4 * 10 + 1 * 20) / 11,
    (2 * 4 + 1 * 5 + 4 * 10 + 1 * 20) / 8,
]
# The same with every query log 2, keys 0 1 0 1 0 and global keys 1 0: a key of 1 doubles its weight.
BY_BIAS_AND_KEYS = [9.5, 135 / 14, 6.75, 129 / 16, 121 / 14]


@pytest.mark.parametrize(
    ("query", "key", "global_key", "expected"),
    [
        (0.0, [0, 0, 0, 0, 0], [0, 0], BY_BIAS_ALONE),
        (math.log(2), [0, 1, 0, 1, 0], [1, 0], BY_BIAS_AND_KEYS),
    ],
    ids=["biases alone", "biases and keys"],
)
def test_five_tokens_worked_by_hand(query, key, global_key, expected):
    def column(numbers):
        return torch.tensor(numbers, dtype=torch.float64).view(-1, 1, 1)

    blocks = dense.block_of_tokens([1] * 5, 2)
    assert blocks == BLOCKS
    output, weights = dense.attention(
        column([query] * 5),
        column(key),
        column([1, 2, 3, 4, 5]),
        dense.geometry([1] * 5, 1, blocks, 2),
        table(before=2, same=1, after=3),
        column(global_key),
        column([10, 20]),
        table(before=4, same=1, after=5),
    )
    assert output.flatten().tolist() == pytest.approx(expected)
    assert weights.sum(-1).flatten().tolist() == pytest.approx([1.0] * 5)


def test_global_tokens_are_normed_sums():
    states = torch.tensor([[3.0, 0.0], [0.0, 4.0], [1.0, 1.0], [1.0, 1.0], [0.0, 1.0]])
    sums = dense.global_tokens(states, BLOCKS, 2)
    assert sums.tolist() == [[3, 4], [2, 3]]
    normed = dense.rms_norm(sums, torch.tensor([1.0, 2.0]), 0.0)
    assert normed[0].tolist() == pytest.approx([3 / math.sqrt(12.5), 8 / math.sqrt(12.5)])


@pytest.mark.parametrize(
    ("mask", "block_size", "expected"),
    [
        ("1111111", 3, [0, 0, 0, 1, 1, 1, 1]),
        ("11", 3, [-1, -1]),
        ("1", 1, [0]),
        ("11111100", 3, [0, 0, 0, 1, 1, 1, -1, -1]),
        ("11000000", 3, [-1] * 8),
        ("11110000", 3, [0, 0, 0, 0, -1, -1, -1, -1]),
        # The first block is padding: three whole blocks are left, and no token goes past the third (2).
        ("00111111", 2, [-1, -1, 1, 1, 2, 2, 2, 2]),
    ],
)
def test_block_of_tokens(mask, block_size, expected):
    assert dense.block_of_tokens([int(bit) for bit in mask], block_size) == expected


def test_buckets_at_the_edges():
    """Distances 0..7 alone, then 8-11, 12-15, 16-22, 23-31, 32-45, 46-63, 64-90, and 91 and more."""
    edges = [8, 12, 16, 23, 32, 46, 64, 91]
    for bucket, edge in enumerate(edges, start=8):
        assert dense.relative_position_bucket(-edge, 32, 128) == bucket
        assert dense.relative_position_bucket(edge, 32, 128) == 16 + bucket
        assert dense.relative_position_bucket(1 - edge, 32, 128) == bucket - 1
    assert dense.relative_position_bucket(-100_000, 32, 128) == 15
    assert dense.relative_position_bucket(5, 32, 128, bidirectional=False) == 0
    assert dense.relative_position_bucket(-200, 32, 128, bidirectional=False) == 31


@pytest.mark.parametrize("num_buckets", [8, 32, 64])
@pytest.mark.parametrize("max_distance", [64, 128, 300])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets_are_those_of_t5(num_buckets, max_distance, bidirectional):
    offsets = torch.arange(-1100, 1101)
    expected = T5Attention._relative_position_bucket(offsets, bidirectional, num_buckets, max_distance)
    buckets = [
        dense.relative_position_bucket(offset, num_buckets, max_distance, bidirectional)
        for offset in offsets.tolist()
    ]
    assert buckets == expected.tolist()
