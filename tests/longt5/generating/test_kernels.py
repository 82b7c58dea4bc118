"""The decoder's kernels for a CPU against products, attention and exponentials written out, in double precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from longt5.generating import kernels
from longt5.generating.compiled import _product, _Source, _TiledText
from tests.longt5.factories import assert_close


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@contextmanager
def at_most(threads: int) -> Iterator[None]:
    """By so many threads, or as many as there are."""
    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        yield
    finally:
        numba.set_num_threads(before)


@given(st.integers(1, 3), st.integers(1, 300), st.integers(4, 200), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_a_product(groups, inner, columns, before):
    """Put among other columns, which stay as they were."""
    rows, weights = drawn(4 * groups, inner), drawn(columns, inner, seed=1)
    out = np.full((4 * groups, before + columns + 3), np.nan, dtype=np.float32)
    kernels.multiply(rows, weights, out[:, before : before + columns])
    expected = torch.from_numpy(rows.astype(float) @ weights.T).float()
    assert_close(torch.from_numpy(out[:, before : before + columns]), expected, 1e-5)
    assert np.isnan(out[:, :before]).all() and np.isnan(out[:, before + columns :]).all()


def test_weights_are_read_where_they_are():
    """A copy would be the most memory that writing takes."""
    layers = [torch.nn.Linear(8, out, bias=False) for out in (12, 5)]
    product, states = _product(layers), drawn(4, 8)
    expected = torch.cat([layer(torch.from_numpy(states)) for layer in layers], dim=1).detach()
    assert_close(torch.from_numpy(product(states)), expected, 1e-5)
    with torch.no_grad():
        for layer in layers:
            layer.weight *= 2
    assert_close(torch.from_numpy(product(states)), 2 * expected, 1e-5)


@given(st.lists(st.floats(-200, 0, width=32), min_size=1, max_size=70), st.floats(-50, 50, width=32))
@settings(max_examples=100, deadline=None)
def test_exponentials(differences, most):
    scores = np.array(differences, dtype=np.float32) + np.float32(most)
    expected = np.exp(np.minimum(scores.astype(float) - most, 0))
    bits = np.empty(len(scores), dtype=np.int32)
    total = kernels._exponentiate(scores, np.float32(most), bits)
    # A score is a float32: far from zero its own last digit is a larger part of what it is the logarithm of.
    digits = 2e-7 * (1 + np.abs(differences) + abs(most))
    assert (np.abs(scores - expected) <= digits * expected + 3e-38).all()
    assert abs(total - expected.sum()) <= (2 * digits * expected + 3e-38).sum()


def test_a_norm():
    states, gain = 3 * drawn(8, 36), drawn(36, seed=1)
    out = np.empty_like(states)
    kernels.normalize(states, gain, np.float32(1e-6), out)
    expected = F.rms_norm(torch.from_numpy(states), (36,), torch.from_numpy(gain), 1e-6)
    assert_close(torch.from_numpy(out), expected, 1e-5)
    kernels.normalize(np.zeros_like(states), gain, np.float32(1e-6), out)
    assert not out.any()


def plain_attention(query, key, value, bias=None):
    """(heads, rows, d_kv) and twice (heads, tokens, d_kv) -> `(rows, heads * d_kv)`, without scaling, in doubles."""
    query, key, value = (torch.from_numpy(np.asarray(x)).double() for x in (query, key, value))
    scores = query @ key.transpose(1, 2)
    if bias is not None:
        scores = scores + bias
    return (scores.softmax(-1) @ value).transpose(0, 1).flatten(1).float()


@given(
    heads=st.integers(1, 4),
    beams=st.integers(1, 9),
    tokens=st.integers(1, 700),
    d_kv=st.sampled_from([4, 12, 64]),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    threads=st.integers(1, 5),
)
@settings(max_examples=60, deadline=None)
def test_attention_to_a_text(heads, beams, tokens, d_kv, scale, threads):
    query, key, value = (drawn(heads, n, d_kv, seed=seed) for seed, n in enumerate((beams, tokens, tokens)))
    query *= np.float32(scale / d_kv**0.5)
    out = np.full((beams, heads * d_kv), np.nan, dtype=np.float32)
    rows = np.ascontiguousarray(query.transpose(1, 0, 2)).reshape(beams, -1)
    with at_most(threads):
        _TiledText(key, value).attend(rows, out)
    assert_close(torch.from_numpy(out), plain_attention(query, key, value), 2e-5)


@pytest.mark.parametrize("parts", [1, 2, 3, 5, 8])
def test_a_text_in_parts(parts):
    """Five tiles among more threads than this machine has: some get none."""
    query, key, value = (drawn(2, n, 16, seed=n) for n in (4, 300, 300))
    keys, values = np.empty((2, 5, 16, 64), dtype=np.float32), np.empty((2, 5, 64, 64), dtype=np.float32)
    kernels.tile_text(key, value, keys, values)
    out = np.empty((4, 2, 16), dtype=np.float32)
    kernels.attend_to_source(
        query.reshape(2, 1, 4, 16),
        keys,
        values,
        300,
        parts,
        np.empty((2 * parts, 1, 4, 64), dtype=np.float32),
        np.empty((2 * parts, 2, 1, 4), dtype=np.float32),
        out,
    )
    assert_close(torch.from_numpy(out).flatten(1), plain_attention(query, key, value), 1e-5)


@given(st.integers(1, 3), st.integers(1, 200), st.sampled_from([4, 12, 64]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_a_text_in_tiles(heads, tokens, d_kv, as_computed):
    """Keys with the tokens last, values as they are, zeros behind; also of keys and values as layers compute them."""
    key, value = (drawn(heads, tokens, d_kv, seed=seed) for seed in (0, 1))
    count = -(-tokens // 64)
    keys = np.full((heads, count, d_kv, 64), np.nan, dtype=np.float32)
    values = np.full((heads, count, 64, 64), np.nan, dtype=np.float32)
    given_ = [
        np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2) if as_computed else x
        for x in (key, value)
    ]
    kernels.tile_text(*given_, keys, values)
    behind = count * 64 - tokens
    expected = (
        np.pad(key, ((0, 0), (0, behind), (0, 0))).reshape(heads, count, 64, d_kv).transpose(0, 1, 3, 2)
    )
    np.testing.assert_array_equal(keys, expected)
    expected = np.pad(value, ((0, 0), (0, behind), (0, 64 - d_kv))).reshape(heads, count, 64, 64)
    np.testing.assert_array_equal(values, expected)


@given(st.lists(st.lists(st.booleans(), min_size=70, max_size=70), min_size=1, max_size=2), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_what_is_not_seen_is_not_read(seen, beams):
    """Where nothing is seen all is alike, as with scores that all are the lowest number."""
    mask = torch.tensor(seen)
    query, key, value = (torch.from_numpy(drawn(2, 3, n, 8, seed=n)) for n in (beams, 70, 70))
    key[~mask[:, None].expand(2, 3, -1)] *= 100
    barred = torch.zeros(len(mask), 1, 1, 70).masked_fill(
        ~mask[:, None, None], torch.finfo(torch.float32).min
    )
    expected = F.scaled_dot_product_attention(query, key, value, attn_mask=barred, scale=1.0)
    rows = query.transpose(1, 2).reshape(2 * beams, -1).numpy()
    actual = _Source(key, value, mask.numpy(), 2 * beams).attended(
        np.pad(rows, ((0, -len(rows) % 4), (0, 0)))
    )
    assert_close(torch.from_numpy(actual[: 2 * beams]), expected.transpose(1, 2).reshape(2 * beams, -1), 1e-5)
    assert not actual[2 * beams :].any()


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 80), st.data())
@settings(max_examples=40, deadline=None)
def test_attention_to_what_is_written(rows, heads, written, data):
    d_kv, capacity = 8, written + 3
    projected = drawn(8, 3 * heads * d_kv)
    keys, values = (drawn(heads, capacity, rows, d_kv, seed=seed) for seed in (1, 2))
    bias = drawn(heads, capacity, seed=3)
    slots = np.random.default_rng(data.draw(st.integers(0, 9))).integers(
        rows, size=(rows, capacity), dtype=np.int32
    )
    slots[:, written] = np.arange(rows)
    out = np.zeros((8, heads * d_kv), dtype=np.float32)
    before = keys.copy()
    kernels.attend_to_past(projected, keys, values, slots, bias, written, out)
    query, key, value = np.split(projected[:rows].reshape(rows, 3, heads, d_kv), 3, axis=1)
    np.testing.assert_array_equal(keys[:, written], key[:, 0].transpose(1, 0, 2))
    np.testing.assert_array_equal(values[:, written], value[:, 0].transpose(1, 0, 2))
    np.testing.assert_array_equal(keys[:, :written], before[:, :written])
    for row in range(rows):
        places = np.arange(written + 1), slots[row, : written + 1]
        expected = plain_attention(
            query[row].transpose(1, 0, 2),
            keys[:, places[0], places[1]],
            values[:, places[0], places[1]],
            torch.from_numpy(bias[:, : written + 1][:, ::-1].copy()).double()[:, None],
        )
        assert_close(torch.from_numpy(out[row]), expected[0], 1e-5)
    assert not out[rows:].any()


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_share_the_work_out_alike(threads):
    rows, weights = drawn(4, 64), drawn(640, 64, seed=1)
    out = np.empty((4, 640), dtype=np.float32)
    with at_most(threads):
        kernels.multiply(rows, weights, out)
    assert_close(torch.from_numpy(out), torch.from_numpy(rows @ weights.T), 1e-5)


def test_where_nothing_can_be_kept_it_is_compiled_each_time(monkeypatch):
    def nowhere(signature, **options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(signature, **options)

    monkeypatch.setattr(kernels, "njit", nowhere)
    assert kernels._compiled()(lambda x: x + 1)(2) == 3
