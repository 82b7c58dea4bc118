"""Attention to the source in oneDNN's own order: the plain attention's numbers, and only where it is faster."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5.generating import source
from longt5.generating.source import attend, source_attention
from tests.longt5.factories import assert_close

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="PyTorch without oneDNN")


@pytest.fixture
def threads():
    """Sets the number of threads; the one of before comes back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def drawn(texts: int, heads: int, beams: int, length: int, d_kv: int = 16):
    generator = torch.Generator().manual_seed(length)
    query, key, value = (
        torch.randn(texts, heads, count, d_kv, generator=generator) for count in (beams, length, length)
    )
    lengths = torch.randint(1, length + 1, (texts,), generator=generator)
    barred = torch.arange(length) >= lengths[:, None]
    bias = torch.zeros(texts, 1, 1, length).masked_fill(barred[:, None, None], torch.finfo(torch.float32).min)
    return query, key, value, bias


@needs_onednn
@given(
    texts=st.integers(1, 3),
    heads=st.integers(1, 5),
    beams=st.integers(1, 6),
    length=st.integers(1, 300),
    together=st.integers(1, 2),
    biases=st.sampled_from(["none", "one", "each"]),
)
@settings(max_examples=60, deadline=None)
def test_packed_attention_is_attention(texts, heads, beams, length, together, biases):
    query, key, value, bias = drawn(texts, heads, beams, length)
    bias = {"none": None, "one": bias[:1], "each": bias}[biases]
    with torch.inference_mode():
        packed = source._PackedSource(key, value, bias, beams, together)
        assert_close(packed(query), attend(query, key, value, bias), 1e-5)


@needs_onednn
@pytest.mark.parametrize(
    ("beams", "length", "count", "dtype", "is_packed"),
    [
        (4, 2048, 1, torch.float32, True),
        (4, 2047, 1, torch.float32, False),
        (2, 2048, 1, torch.float32, False),
        (4, 2048, 2, torch.float32, False),
        (4, 4096, 2, torch.float32, True),
        (4, 2048, 1, torch.bfloat16, False),
    ],
)
def test_where_it_is_packed(threads, beams, length, count, dtype, is_packed):
    threads(count)
    _, key, value, _ = drawn(1, 2, beams, length, 64)
    with torch.inference_mode():
        attention = source_attention(key.to(dtype), value.to(dtype), None, beams, packed=True)
    assert isinstance(attention, source._PackedSource) is is_packed


def test_more_threads_than_were_measured_keep_the_plain_one(threads, monkeypatch):
    monkeypatch.setattr(source, "FEWEST_KEYS", 1)
    threads(source.MOST_THREADS + 1)
    _, key, value, _ = drawn(1, 2, 4, 64)
    with torch.inference_mode():
        attention = source_attention(key, value, None, 4, packed=True)
    assert not isinstance(attention, source._PackedSource)
