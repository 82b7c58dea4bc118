"""The maps against the dense reference, against transformers' own attentions, and what they cost."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, disk_offload
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import GenerationConfig

from longt5.generation import EncodedText, encode, write
from longt5.loading import load_model
from longt5.maps import (
    AttentionMap,
    band_map,
    cross_attention_heads,
    cross_map,
    global_map,
    head_statistics,
    teacher_force,
)
from longt5.maps.weights import EncoderWeights
from tests.longt5 import dense_reference
from tests.longt5.factories import ATTENTION_TYPES, TINY, pair, random_ids, tiny_model

LENGTHS = (1, 15, 16, 17, 127, 128, 129, 300)
HEADS = tuple(range(TINY["num_heads"]))
SMALL = {"local_radius": 5, "global_block_size": 4}  # many blocks and borders in a short text


def encoded_text(model: Any, length: int, mask: torch.Tensor | None = None, seed: int = 0) -> EncodedText:
    """A random text of that length, encoded as the app does it."""
    return encode(model, random_ids(1, length, seed=seed), mask)


def mask_without(length: int, *padding: tuple[int, int]) -> torch.Tensor:
    """Attention mask (1, length) with those ranges padded."""
    mask = torch.ones(1, length, dtype=torch.long)
    for start, end in padding:
        mask[:, start:end] = 0
    return mask


MASKS = {
    "none": mask_without(70),
    "right": mask_without(70, (51, 70)),
    "left": mask_without(70, (0, 19)),
    "middle": mask_without(70, (20, 41)),
    "all over": mask_without(70, (0, 3), (33, 34), (60, 70)),
}


class Window(NamedTuple):
    """Exact weights of a window's queries; a row of `band` and that row of `globals` sum to 1 together."""

    band: np.ndarray
    globals: np.ndarray


@torch.inference_mode()
def window_attention(
    model: Any, encoded: EncodedText, layer: int, heads: Sequence[int], start: int, end: int
) -> Window:
    """What the maps are pooled from."""
    chunks = EncoderWeights(model, encoded, layer, heads).chunks(start, end)
    _, band, globals_ = zip(*chunks, strict=True)
    return Window(torch.cat(band, dim=1).numpy(), torch.cat(globals_, dim=1).numpy())


def exact(model: Any, encoded: EncodedText, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """The whole text's band and globals of all heads."""
    window = window_attention(model, encoded, layer, HEADS, 0, encoded.input_ids.shape[1])
    return window.band, window.globals


def as_band(square: np.ndarray, radius: int) -> np.ndarray:
    """`(heads, length, length)` weights by key -> `(heads, length, 2 * radius + 1)` by offset."""
    heads, length, _ = square.shape
    band = np.zeros((heads, length, 2 * radius + 1), dtype=square.dtype)
    for query in range(length):
        for key in range(max(0, query - radius), min(length, query + radius + 1)):
            band[:, query, key - query + radius] = square[:, query, key]
    return band


def dense(model: Any, encoded: EncodedText) -> list[tuple[np.ndarray, np.ndarray]]:
    """Band and globals of every layer from the dense reference."""
    states = model.encoder.embed_tokens(encoded.input_ids)[0].detach().double()
    weights = dense_reference.float64_weights(model.encoder)
    _, layers = dense_reference.encode_row(states, encoded.attention_mask[0].tolist(), weights, model.config)
    length, radius = len(states), model.config.local_radius
    arrays = [layer.detach().numpy() for layer in layers]
    return [(as_band(w[..., :length], radius), w[..., length:]) for w in arrays]


def unblocked(blocks: torch.Tensor, length: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """transformers' (1, blocks, heads, radius + 1, 3 * (radius + 1) + globals) -> band and globals."""
    size = radius + 1
    weights = blocks[0].transpose(0, 1).flatten(1, 2)[:, :length].detach().numpy()
    band = np.zeros((weights.shape[0], length, 2 * radius + 1), dtype=np.float32)
    for query in range(length):
        # Row i of a block stands at key size + i of the three blocks, and its offset -radius at key i + 1.
        first = query % size + 1
        band[:, query] = weights[:, query, first : first + 2 * radius + 1]
    return band, weights[..., 3 * size :]


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("length", LENGTHS)
def test_equals_dense_reference(attention_type: str, length: int) -> None:
    model = tiny_model(encoder_attention_type=attention_type)
    encoded = encoded_text(model, length)
    for layer, (band, globals_) in enumerate(dense(model, encoded)):
        ours = exact(model, encoded, layer)
        np.testing.assert_allclose(ours[0], band, atol=2e-5)
        np.testing.assert_allclose(ours[1], globals_, atol=2e-5)


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("padding", MASKS)
def test_padding_equals_dense_reference(attention_type: str, padding: str) -> None:
    model = tiny_model(encoder_attention_type=attention_type, **SMALL)
    encoded = encoded_text(model, 70, MASKS[padding])
    for layer, (band, globals_) in enumerate(dense(model, encoded)):
        ours = exact(model, encoded, layer)
        np.testing.assert_allclose(ours[0], band, atol=2e-5)
        np.testing.assert_allclose(ours[1], globals_, atol=2e-5)
    # Where there is padding there is exactly nothing, and every row of text is a distribution.
    text = MASKS[padding][0].bool().numpy()
    assert not ours[0][:, ~text].any() and not ours[1][:, ~text].any()
    sums = ours[0][:, text].sum(-1) + ours[1][:, text].sum(-1)
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    keys = np.arange(70)[:, None] + np.arange(-5, 6)
    outside = (keys < 0) | (keys >= 70)
    outside |= ~text[keys.clip(0, 69)]
    assert not ours[0][:, outside].any()


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("padded", [False, True])
def test_equals_transformers(attention_type: str, length: int, padded: bool) -> None:
    ours, theirs = pair(encoder_attention_type=attention_type)
    mask = mask_without(length, (0, length // 7), (length - length // 5, length)) if padded else None
    encoded = encoded_text(ours, length, mask)
    output = theirs.encoder(
        input_ids=encoded.input_ids, attention_mask=encoded.attention_mask, output_attentions=True
    )
    text = encoded.attention_mask[0].bool().numpy()  # what padding attends to means nothing
    for layer, blocks in enumerate(output.attentions):
        band, globals_ = exact(ours, encoded, layer)
        their_band, their_globals = unblocked(blocks, length, ours.config.local_radius)
        np.testing.assert_allclose(band[:, text], their_band[:, text], atol=1e-5)
        np.testing.assert_allclose(globals_[:, text], their_globals[:, text], atol=1e-5)


@pytest.fixture(scope="module")
def small() -> tuple[Any, EncodedText]:
    """A transient-global model with many small blocks, and 70 tokens encoded by it."""
    model = tiny_model(**SMALL)
    return model, encoded_text(model, 70)


@st.composite
def ranges(draw: st.DrawFn, length: int) -> tuple[int, int]:
    start = draw(st.integers(0, length - 1))
    return start, draw(st.integers(start + 1, length))


@settings(max_examples=60, deadline=None)
@given(window=ranges(70), heads=st.lists(st.sampled_from(HEADS), min_size=1, max_size=4, unique=True))
def test_window_is_cut_from_the_whole(
    small: tuple[Any, EncodedText], window: tuple[int, int], heads: list[int]
) -> None:
    model, encoded = small
    band, globals_ = exact(model, encoded, 1)
    part = window_attention(model, encoded, 1, heads, *window)
    assert part.band.dtype == part.globals.dtype == np.float32
    np.testing.assert_allclose(part.band, band[heads, slice(*window)], atol=1e-6)
    np.testing.assert_allclose(part.globals, globals_[heads, slice(*window)], atol=1e-6)


def check_pooled(
    result: AttentionMap, exact: np.ndarray, first_row: int, column_spans: list[tuple[int, int]]
) -> None:
    """The spans tile the exact map `(rows, columns)` and every cell is the mean of its part."""
    assert result.weights.dtype == np.float32
    assert result.weights.shape == (len(result.row_spans), len(result.column_spans))
    assert result.row_spans[0, 0] == first_row and result.row_spans[-1, 1] == first_row + len(exact)
    assert (result.row_spans[1:, 0] == result.row_spans[:-1, 1]).all()
    assert (result.row_spans[:, 0] < result.row_spans[:, 1]).all()
    starts, ends = [span[0] for span in column_spans], [span[1] for span in column_spans]
    assert result.column_spans[0, 0] == starts[0] and result.column_spans[-1, 1] == ends[-1]
    assert (result.column_spans[1:, 0] == result.column_spans[:-1, 1]).all()
    for row, (top, bottom) in enumerate(result.row_spans - first_row):
        for column, (left, right) in enumerate(result.column_spans):
            part = exact[top:bottom, starts.index(left) : ends.index(right) + 1]
            assert result.weights[row, column] == pytest.approx(part.mean(), abs=1e-6)
    is_exact = result.weights.shape == exact.shape
    assert result.pooling == ("none" if is_exact else "mean")
    cells = np.outer(np.diff(result.row_spans), np.diff(_positions(result.column_spans, starts, ends)))
    assert (result.weights * cells).sum() == pytest.approx(exact.sum(), rel=1e-5)


def _positions(spans: np.ndarray, starts: list[int], ends: list[int]) -> np.ndarray:
    """Spans of columns instead of what the columns stand for."""
    return np.array([(starts.index(start), ends.index(end) + 1) for start, end in spans])


@contextmanager
def largest_map(rows: int, columns: int) -> Iterator[None]:
    """Within, maps have at most so many cells."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("longt5.maps.maps.MAX_ROWS", rows)
        patch.setattr("longt5.maps.maps.MAX_COLUMNS", columns)
        yield


@settings(max_examples=60, deadline=None)
@given(
    window=ranges(70),
    max_rows=st.integers(1, 80),
    max_columns=st.integers(1, 30),
    kind=st.sampled_from(["band", "global"]),
)
def test_pooled_maps(
    small: tuple[Any, EncodedText],
    window: tuple[int, int],
    max_rows: int,
    max_columns: int,
    kind: str,
) -> None:
    model, encoded = small
    start, end = window
    part = window_attention(model, encoded, 0, (1, 3), start, end)
    ask = band_map if kind == "band" else global_map
    with largest_map(max_rows, max_columns):
        result = ask(model, encoded, 0, (1, 3), start=start, end=end)
    if kind == "band":
        whole, spans = part.band, [(offset, offset + 1) for offset in range(-5, 6)]
    else:
        whole, spans = part.globals, [(4 * block, 4 * block + 4) for block in range(16)] + [(64, 70)]
    assert (result.kind, result.layer, result.heads) == (kind, 0, (1, 3))
    assert len(result.row_spans) <= max_rows and len(result.column_spans) <= max_columns
    check_pooled(result, whole.mean(axis=0), start, spans)


def test_pooling_in_several_chunks() -> None:
    """Bins that straddle the chunks in which weights are computed."""
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 300)
    window = window_attention(model, encoded, 1, (2,), 3, 300)
    with largest_map(7, 4):
        result = band_map(model, encoded, 1, (2,), start=3)
    check_pooled(result, window.band[0], 3, [(offset, offset + 1) for offset in range(-5, 6)])


def test_projections_in_several_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 70)
    band, globals_ = exact(model, encoded, 0)
    monkeypatch.setattr("longt5.maps.weights.PROJECTED_QUERIES", 16)
    monkeypatch.setattr("longt5.maps.weights.SCORED_QUERIES", 6)
    pieces = exact(model, encoded, 0)
    np.testing.assert_allclose(pieces[0], band, atol=1e-6)
    np.testing.assert_allclose(pieces[1], globals_, atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (mask_without(18), [(0, 4), (4, 8), (8, 12), (12, 18)]),
        (mask_without(18, (10, 18)), [(0, 4), (4, 10), (10, 10), (10, 10)]),
        (mask_without(18, (0, 6)), [(0, 4), (4, 8), (8, 18), (18, 18)]),
        (mask_without(18, (2, 18)), [(0, 0)] * 4),
    ],
)
def test_spans_of_global_blocks(mask: torch.Tensor, expected: list[tuple[int, int]]) -> None:
    """The last block takes in what follows; blocks in the padding are empty and have no weight."""
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 18, mask)
    result = global_map(model, encoded, 0, (0,))
    assert [tuple(span) for span in result.column_spans] == expected
    empty = [start == end for start, end in expected]
    assert not result.weights[:, empty].any()


def test_whole_text_map_stays_small() -> None:
    """No tensor of a pooled map of the whole text comes near length x globals."""
    model = tiny_model(d_model=8, global_block_size=4)
    encoded = encoded_text(model, 4096)
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes())
            return result

    with Watch(), largest_map(64, 512):
        band = band_map(model, encoded, 0, (0,))
    with Watch(), largest_map(64, 128):
        globals_ = global_map(model, encoded, 0, (0,))
    assert band.weights.shape == (64, 255) and globals_.weights.shape == (64, 128)
    assert largest <= 4 * 128 * (255 + 1024)  # bytes: a twenty-fifth of the text's globals alone


def projected_rows(model: Any, encoded: EncodedText, start: int, end: int) -> Counter[str]:
    """How many rows went through the projections of layer 1 for a window."""
    sublayer = model.encoder.block[1].layer[0]
    attention = getattr(sublayer, "TransientGlobalSelfAttention", None) or sublayer.LocalSelfAttention
    rows: Counter[str] = Counter()

    def count(name: str) -> Any:
        return lambda _module, inputs, _output: rows.update({name: inputs[0].shape[-2]})

    hooks = [getattr(attention, name).register_forward_hook(count(name)) for name in "qkvo"]
    window_attention(model, encoded, 1, (0,), start, end)
    for hook in hooks:
        hook.remove()
    return rows


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
def test_cost_follows_the_window(attention_type: str) -> None:
    model = tiny_model(encoder_attention_type=attention_type, local_radius=5, global_block_size=16)
    encoded = encoded_text(model, 300)
    num_globals = 300 // 16 if attention_type == "transient-global" else 0
    assert projected_rows(model, encoded, 100, 107) == {"q": 7, "k": 7 + 2 * 5 + num_globals}
    assert projected_rows(model, encoded, 0, 7) == {"q": 7, "k": 7 + 5 + num_globals}
    assert projected_rows(model, encoded, 298, 300) == {"q": 2, "k": 2 + 5 + num_globals}


@pytest.mark.parametrize("padding", ["none", "right", "middle"])
def test_cross_attention_equals_transformers(padding: str) -> None:
    ours, theirs = pair(**SMALL)
    encoded = encoded_text(ours, 70, MASKS[padding])
    summary = random_ids(11, seed=5).tolist()
    output = theirs(
        input_ids=encoded.input_ids,
        attention_mask=encoded.attention_mask,
        decoder_input_ids=torch.tensor([[0, *summary[:-1]]]),
        output_attentions=True,
    )
    expected = torch.cat(output.cross_attentions).detach().numpy()  # (layers, heads, 11, 70)
    forced = teacher_force(ours, encoded, summary)
    for layer, head, weights in cross_attention_heads(ours, encoded, forced):
        assert weights.dtype == np.float32
        np.testing.assert_allclose(weights, expected[layer, head], atol=1e-5)
    assert (layer, head) == (2, 4)  # three decoder layers, two in the encoder
    some = {
        (at, head): found
        for at, head, found in cross_attention_heads(ours, encoded, forced, [[2, 1], [0, 3]])
    }
    assert list(some) == [(0, 3), (2, 1)]
    for which, found in some.items():
        np.testing.assert_allclose(found, expected[which], atol=1e-5)
    for layer in range(3):
        result = cross_map(ours, encoded, forced, layer, (1, 4))
        assert (result.kind, result.layer, result.heads, result.pooling) == ("cross", layer, (1, 4), "none")
        np.testing.assert_allclose(result.weights, expected[layer, [1, 4]].mean(0), atol=1e-5)
        np.testing.assert_allclose(result.weights.sum(-1), 1, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    rows=ranges(23),
    columns=ranges(70),
    max_rows=st.integers(1, 30),
    max_columns=st.integers(1, 80),
)
def test_pooled_cross_maps(
    small: tuple[Any, EncodedText],
    rows: tuple[int, int],
    columns: tuple[int, int],
    max_rows: int,
    max_columns: int,
) -> None:
    model, encoded = small
    forced = teacher_force(model, encoded, random_ids(23, seed=6).tolist())
    whole = cross_map(model, encoded, forced, 2, (0, 3)).weights
    with largest_map(max_rows, max_columns):
        result = cross_map(model, encoded, forced, 2, (0, 3), rows=rows, columns=columns)
    spans = [(column, column + 1) for column in range(*columns)]
    check_pooled(result, whole[slice(*rows), slice(*columns)], rows[0], spans)


def test_decoder_runs_once_for_a_summary() -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 30)
    runs = 0

    def count(*_: Any) -> None:
        nonlocal runs
        runs += 1

    model.decoder.register_forward_pre_hook(count)
    forced = teacher_force(model, encoded, [5, 6, 7])
    assert forced.summary_ids == (5, 6, 7)
    first = cross_map(model, encoded, forced, 0, (0,))
    cross_map(model, encoded, forced, 1, (2,), rows=(1, 2))
    list(cross_attention_heads(model, encoded, forced))
    assert runs == 1
    other = cross_map(model, encoded, teacher_force(model, encoded, [5, 9, 7]), 0, (0,))
    np.testing.assert_allclose(
        first.weights[:2], other.weights[:2], atol=1e-6
    )  # up to the token that differs
    assert np.abs(first.weights[2] - other.weights[2]).max() > 1e-4
    # Nothing is kept of a text that is gone.
    gone = weakref.ref(encoded), weakref.ref(forced)
    del encoded, forced
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert not any(module._forward_pre_hooks for module in model.decoder.block.modules())


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("padding", MASKS)
def test_statistics_equal_those_of_dense_weights(attention_type: str, padding: str) -> None:
    model = tiny_model(encoder_attention_type=attention_type, **SMALL)
    encoded = encoded_text(model, 70, MASKS[padding])
    statistics = head_statistics(model, encoded)
    text = MASKS[padding][0].bool().numpy()
    assert statistics.sampled_queries == text.sum()
    if attention_type == "transient-global":
        spans = global_map(model, encoded, 0, (0,)).column_spans
        to_centres = np.abs(np.arange(70)[:, None] - (spans.sum(axis=1) - 1) / 2)
    else:
        to_centres = np.zeros((70, 0))
    for layer, (band, globals_) in enumerate(dense(model, encoded)):
        together = np.concatenate([band, globals_], axis=-1)[:, text]
        distances = np.concatenate([np.broadcast_to(np.abs(np.arange(-5, 6)), (70, 11)), to_centres], axis=1)
        logarithms = np.log(together, out=np.zeros_like(together), where=together > 0)
        expected = {
            "global_share": globals_[:, text].sum(-1).mean(-1),
            "mean_distance": (together * distances[text]).sum(-1).mean(-1),
            "entropy": -(together * logarithms).sum(-1).mean(-1),
        }
        for name, value in expected.items():
            array = statistics.measures[name]
            assert array.dtype == np.float32 and array.shape == (2, 5)
            np.testing.assert_allclose(array[layer], value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("max_queries", [1, 7, 128, 200, 256, 300, 511])
@pytest.mark.parametrize("padded", [False, True])
def test_sampled_statistics(max_queries: int, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample is of the size it says, and near the whole for a text that is alike throughout."""
    model = tiny_model(**SMALL)
    mask = mask_without(600, (0, 30), (400, 420), (570, 600)) if padded else None
    encoded = encoded_text(model, 600, mask)
    whole = head_statistics(model, encoded)
    monkeypatch.setattr("longt5.maps.statistics.MAX_QUERIES", max_queries)
    sample = head_statistics(model, encoded)
    assert whole.sampled_queries == (520 if padded else 600)
    assert 0.5 * max_queries < sample.sampled_queries <= max_queries
    assert np.isfinite(sample.measures["entropy"]).all()
    if max_queries >= 128:
        for name, tolerance in (("global_share", 0.1), ("entropy", 0.3)):
            np.testing.assert_allclose(sample.measures[name], whole.measures[name], atol=tolerance)


@pytest.mark.parametrize("attention_type", ATTENTION_TYPES)
@pytest.mark.parametrize("offload", ["cpu", "disk"])
def test_offloaded_model_gives_the_same_maps(attention_type: str, offload: str, tmp_path: Any) -> None:
    kwargs = {"encoder_attention_type": attention_type, **SMALL}
    model, offloaded = tiny_model(**kwargs), tiny_model(**kwargs)
    encoded = encoded_text(model, 70, MASKS["right"])
    if offload == "cpu":
        cpu_offload(offloaded)
    else:
        disk_offload(offloaded, tmp_path)
    assert offloaded.encoder.block[1].layer[0].layer_norm.weight.device.type == "meta"
    summary = random_ids(9, seed=4).tolist()
    for layer in range(2):
        for here, there in zip(exact(model, encoded, layer), exact(offloaded, encoded, layer), strict=True):
            np.testing.assert_allclose(there, here, atol=1e-6)
    cross = [
        cross_map(which, encoded, teacher_force(which, encoded, summary), 1, HEADS).weights
        for which in (model, offloaded)
    ]
    np.testing.assert_allclose(cross[1], cross[0], atol=1e-6)
    statistics = [head_statistics(which, encoded).measures["mean_distance"] for which in (model, offloaded)]
    np.testing.assert_allclose(statistics[1], statistics[0], atol=1e-5)
    # The weights are where they were, and the model goes on working.
    assert offloaded.encoder.block[1].layer[0].layer_norm.weight.device.type == "meta"
    again = encoded_text(offloaded, 70, MASKS["right"])
    torch.testing.assert_close(again.last_hidden_state, encoded.last_hidden_state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype: torch.dtype) -> None:
    model = tiny_model(**SMALL)
    encoded = encoded_text(model, 40)
    half = tiny_model(**SMALL).to(dtype)
    encoded_half = encoded_text(half, 40)
    for ours, reference in zip(exact(half, encoded_half, 1), exact(model, encoded, 1), strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, reference, atol=0.1)
    band, globals_ = exact(half, encoded_half, 1)
    np.testing.assert_allclose(band.sum(-1) + globals_.sum(-1), 1, atol=1e-5)
    cross = cross_map(half, encoded_half, teacher_force(half, encoded_half, [4, 5, 6]), 0, (0,))
    assert cross.weights.dtype == np.float32
    np.testing.assert_allclose(cross.weights.sum(-1), 1, atol=1e-5)


def test_summary_begins_with_the_start_token_of_generation() -> None:
    def first_row(model: Any) -> np.ndarray:
        encoded = encoded_text(model, 30)
        return cross_map(model, encoded, teacher_force(model, encoded, [5, 6]), 0, HEADS).weights[0]

    model = tiny_model(decoder_start_token_id=7, **SMALL)
    started_with_7 = first_row(model)
    model.generation_config.decoder_start_token_id = 0
    started_with_0 = first_row(model)
    assert np.abs(started_with_7 - started_with_0).max() > 1e-4
    np.testing.assert_allclose(first_row(tiny_model(**SMALL)), started_with_0, atol=1e-6)
    unnamed = tiny_model(decoder_start_token_id=None, pad_token_id=0, **SMALL)
    np.testing.assert_allclose(first_row(unnamed), started_with_0, atol=1e-6)


@pytest.mark.parametrize("device_map_offloads", [False, True])
def test_written_summary_of_a_loaded_model(device_map_offloads: bool, tmp_path: Any) -> None:
    """The way of the app: a checkpoint loaded from its folder, a text encoded and summarized, then looked into."""
    same = {"num_decoder_layers": 2, **SMALL}
    tiny_model(**same).save_pretrained(tmp_path / "model")
    offloads = {"shared": "cpu", "encoder": "disk", "decoder": "disk", "lm_head": "cpu"}
    model = load_model(
        str(tmp_path / "model"),
        device_map=offloads if device_map_offloads else None,
        offload_folder=str(tmp_path / "offload"),
    )
    encoded = encoded_text(model, 60)
    generation_config = GenerationConfig(max_new_tokens=12, num_beams=2, decoder_start_token_id=0)
    written = write(model, encoded, generation_config)
    assert written
    result = cross_map(model, encoded, teacher_force(model, encoded, written), 1, HEADS)
    assert result.weights.shape == (len(written), 60)
    for layer, (band, globals_) in enumerate(dense(tiny_model(**same), encoded)):
        ours = exact(model, encoded, layer)
        np.testing.assert_allclose(ours[0], band, atol=2e-5)
        np.testing.assert_allclose(ours[1], globals_, atol=2e-5)


def test_questions_that_have_no_answer(small: tuple[Any, EncodedText]) -> None:
    model, encoded = small
    with pytest.raises(ValueError, match="layers 0 to 1; layer 2 was asked for"):
        band_map(model, encoded, 2, (0,))
    with pytest.raises(ValueError, match="heads 0 to 4"):
        window_attention(model, encoded, 0, (0, 5), 0, 3)
    with pytest.raises(ValueError, match="heads 0 to 4"):
        global_map(model, encoded, 0, ())
    for window in ((0, 71), (-1, 3), (5, 5), (6, 5)):
        with pytest.raises(ValueError, match="within the 70 tokens"):
            band_map(model, encoded, 0, (0,), start=window[0], end=window[1])
    forced = teacher_force(model, encoded, [3, 4])
    with pytest.raises(ValueError, match="layers 0 to 2; layer 3"):
        cross_map(model, encoded, forced, 3, (0,))
    with pytest.raises(ValueError, match="summary range"):
        cross_map(model, encoded, forced, 0, (0,), rows=(1, 3))
    with pytest.raises(ValueError, match="summary is empty"):
        teacher_force(model, encoded, [])
    with pytest.raises(ValueError, match="at least one token"):
        head_statistics(model, replace(encoded, attention_mask=torch.zeros(1, 70, dtype=torch.long)))

    local = tiny_model(encoder_attention_type="local", **SMALL)
    with pytest.raises(ValueError, match="no global blocks"):
        global_map(local, encoded_text(local, 70), 0, (0,))
    with pytest.raises(ValueError, match="shorter than one global block of 4 tokens"):
        global_map(model, encoded_text(model, 3), 0, (0,))
    encoder = tiny_model("LongT5EncoderModel", **SMALL)
    encoder_text = encoded_text(encoder, 20)
    assert band_map(encoder, encoder_text, 0, (0,)).weights.shape == (20, 11)
    with pytest.raises(ValueError, match="no decoder"):
        teacher_force(encoder, encoder_text, [3])
