"""The kernels of longt5.attention.reference against the dense reference: values, gradients, corners."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint

import longt5.attention.dispatch
import longt5.attention.split
from longt5.attention import reference as kernels
from longt5.attention.dispatch import encoder_attention, text_lengths, use
from longt5.attention.tiled import tiled_attention
from tests.longt5 import dense_reference as dense
from tests.longt5.factories import ATTENTION_TYPES, assert_close, padded_mask

NUM_BUCKETS, MAX_DISTANCE = 32, 128


@dataclass(frozen=True)
class Case:
    """Random inputs of one attention, float64 leaves; `inputs` names them for gradients."""

    inputs: dict[str, Tensor]
    mask: Tensor  # (batch, length)
    radius: int
    block: int
    has_globals: bool

    @property
    def num_globals(self) -> int:
        return self.mask.shape[1] // self.block if self.has_globals else 0


def make_case(mask: Tensor, heads: int, radius: int, block: int, has_globals: bool, d_kv: int = 4) -> Case:
    """Scores and biases with a standard deviation near one, so that no part of the sum is negligible."""
    generator = torch.Generator().manual_seed(mask.shape[1] * 1000 + radius)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    batch, length = mask.shape
    inputs = {name: normal(batch, length, heads, d_kv) for name in ("query", "key", "value")}
    inputs["band table"] = normal(NUM_BUCKETS, heads)
    if has_globals and length >= block:
        num_globals = length // block
        inputs |= {name: normal(batch, num_globals, heads, d_kv) for name in ("global key", "global value")}
        inputs["global table"] = normal(NUM_BUCKETS, heads)
    return Case(inputs, mask, radius, block, has_globals)


def by_reference(case: Case) -> Tensor:
    """(batch, length, heads, d_kv) in float64."""
    rows = []
    for row, mask in enumerate(case.mask.tolist()):
        blocks = dense.block_of_tokens(mask, case.block)
        seen = dense.geometry(mask, case.radius, blocks, case.num_globals)
        sides = {}
        if case.num_globals:
            sides = {
                "global_key": case.inputs["global key"][row],
                "global_value": case.inputs["global value"][row],
                "global_table": case.inputs["global table"],
            }
        query, key, value = (case.inputs[name][row] for name in ("query", "key", "value"))
        rows.append(dense.attention(query, key, value, seen, case.inputs["band table"], **sides)[0])
    return torch.stack(rows)


def bias_by_offset(table: Tensor, low: int, high: int) -> Tensor:
    buckets = kernels.relative_position_bucket(
        torch.arange(low, high + 1), bidirectional=True, num_buckets=NUM_BUCKETS, max_distance=MAX_DISTANCE
    )
    return table[buckets].T


def by_kernel(
    case: Case, inputs: dict[str, Tensor], mask: Tensor | None, kernel=tiled_attention, **options
) -> Tensor:
    """The same by our kernel. `inputs` are those of the case, in any dtype."""
    tokens = None
    if case.num_globals:
        text = case.mask if mask is None else mask
        tokens = kernels.Globals(
            inputs["global key"],
            inputs["global value"],
            bias_by_offset(inputs["global table"], 1 - case.num_globals, case.num_globals),
            kernels.block_ids(text, case.block),
            case.block,
        )
    band = bias_by_offset(inputs["band table"], -case.radius, case.radius)
    return kernel(inputs["query"], inputs["key"], inputs["value"], band, tokens, mask, **options)


def float32(case: Case) -> dict[str, Tensor]:
    return {name: tensor.detach().float().requires_grad_() for name, tensor in case.inputs.items()}


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    """One to three rows of up to 300 tokens: whole, padded at the right or left, or with holes."""
    length = draw(st.integers(1, 300))
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["whole", "right", "left", "holes"]))
        real = draw(st.integers(1, length))
        if kind == "holes":
            generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
            rows.append((torch.rand(1, length, generator=generator) < real / length).long())
        else:
            rows.append(padded_mask(length, length if kind == "whole" else real, side=kind))
    return torch.cat(rows)


shapes = {
    "mask": masks(),
    "heads": st.sampled_from([1, 2, 3, 5]),
    "radius": st.one_of(st.integers(1, 8), st.integers(9, 320)),
    "block": st.one_of(st.integers(1, 8), st.integers(9, 70)),
    "has_globals": st.booleans(),
    "tile": st.one_of(st.integers(1, 20), st.integers(21, 512)),
}


@settings(max_examples=40, deadline=None)
@given(**shapes)
@example(padded_mask(300, 300, 129), 3, 127, 16, True, 128)
@example(padded_mask(300, 300, 129, side="left"), 3, 127, 16, True, 128)
@example(padded_mask(15, 15), 1, 127, 16, True, 512)
@example(padded_mask(20, 15, 0), 1, 3, 16, True, 512)
@example(padded_mask(1, 1), 1, 1, 1, True, 1)
@torch.no_grad()
def test_equals_the_dense_reference(mask, heads, radius, block, has_globals, tile):
    case = make_case(mask, heads, radius, block, has_globals)
    expected = by_reference(case)
    actual = by_kernel(case, float32(case), mask, tile=tile)
    assert torch.isfinite(actual).all()
    real = mask.bool()
    if real.any():
        assert_close(actual[real].double(), expected[real], 2e-6)
    if real.all():
        assert_close(by_kernel(case, float32(case), None, tile=tile).double(), expected, 2e-6)


@settings(max_examples=60, deadline=None)
@given(**{name: strategy for name, strategy in shapes.items() if name != "tile"})
@example(padded_mask(700, 700, 129), 3, 127, 16, True)
@example(padded_mask(700, 638, 385, 384, 383), 2, 127, 16, True)
@example(padded_mask(300, 300, 129, side="left"), 3, 127, 16, True)
@example(padded_mask(20, 15, 0), 1, 3, 16, True)
@example(padded_mask(1, 1), 1, 1, 1, True)
@torch.no_grad()
def test_what_is_chosen_without_gradients_equals_the_dense_reference(mask, heads, radius, block, has_globals):
    """Where padding lies behind the text that is the split kernel, elsewhere the tiles."""
    case = make_case(mask, heads, radius, block, has_globals)
    expected = by_reference(case)
    actual = by_kernel(case, float32(case), mask, encoder_attention)
    real = mask.bool()
    if text_lengths(mask) is not None:
        assert not actual[~real].any()
    assert torch.isfinite(actual).all()
    if real.any():
        assert_close(actual[real].double(), expected[real], 2e-6)
    if real.all():
        assert_close(by_kernel(case, float32(case), None, encoder_attention).double(), expected, 2e-6)


@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
@torch.no_grad()
def test_more_queries_than_the_globals_are_attended_from_at_once(has_globals, monkeypatch):
    monkeypatch.setattr(longt5.attention.split, "QUERIES", 64)
    case = make_case(padded_mask(333, 333, 200), 3, 60, 16, has_globals)
    actual = by_kernel(case, float32(case), case.mask, encoder_attention)
    real = case.mask.bool()
    assert_close(actual[real].double(), by_reference(case)[real], 2e-6)


@pytest.mark.parametrize("given", ["gradient", "dropout", "holes", "forced"])
def test_the_split_kernel_is_not_chosen_for_what_it_does_not_know(given, monkeypatch):
    monkeypatch.setattr(
        longt5.attention.dispatch, "split_attention", lambda *_: pytest.fail("the split kernel was chosen")
    )
    mask = padded_mask(50, 50, 20, side="left" if given == "holes" else "right")
    case = make_case(mask, 2, 5, 8, True)
    inputs = float32(case)
    dropout = 0.5 if given == "dropout" else 0.0
    with torch.set_grad_enabled(given == "gradient"), use("tiled") if given == "forced" else nullcontext():
        by_kernel(case, inputs, mask, encoder_attention, dropout=dropout)


@pytest.mark.parametrize("mask, lengths", [
    ([[1, 1, 0], [1, 1, 1]], [2, 3]),
    ([[0, 0, 0]], [0]),
    ([[1, 1], [0, 1]], None),
    ([[1, 0, 1]], None),
])  # fmt: skip
def test_lengths_of_text(mask, lengths):
    for dtype in (torch.int64, torch.bool, torch.float32):
        assert text_lengths(torch.tensor(mask).to(dtype)) == lengths


@settings(max_examples=25, deadline=None)
@given(**shapes)
@example(padded_mask(300, 300, 129), 3, 127, 16, True, 128)
@example(padded_mask(20, 15, 0), 1, 3, 16, True, 512)
def test_gradients_equal_those_of_the_dense_reference(mask, heads, radius, block, has_globals, tile):
    case = make_case(mask, heads, radius, block, has_globals)
    inputs = float32(case)
    expected, actual = by_reference(case), by_kernel(case, inputs, mask, tile=tile)
    generator = torch.Generator().manual_seed(0)
    # Nothing flows back from padded queries: a model ignores them further on.
    upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64) * mask[..., None, None]
    expected.backward(upstream)
    actual.backward(upstream.float())
    assert_close(actual.double() * mask[..., None, None], expected * mask[..., None, None], 2e-6)
    for name, tensor in inputs.items():
        reference = case.inputs[name].grad
        gradient = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
        scale = max(1.0, reference.abs().max().item())
        difference = (gradient.double() - reference).abs().max().item()
        assert difference <= 1e-5 * scale, f"gradient of {name} differs by {difference:.2e} of {scale:.2e}"


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_halves_equal_the_dense_reference_as_far_as_they_are_rounded(dtype, tolerance, has_globals):
    """Values of both kernels and gradients, against the reference on the same rounded inputs."""
    case = make_case(padded_mask(300, 300, 129), 3, 127, 16, has_globals, d_kv=16)
    case.inputs["query"].data /= 4  # scores with a standard deviation of one, as of a trained model
    halves = {name: tensor.detach().to(dtype) for name, tensor in case.inputs.items()}
    for name, tensor in case.inputs.items():
        tensor.data = halves[name].double()
    real, expected = case.mask.bool(), by_reference(case)
    with torch.no_grad(), use("split"):
        assert_close(
            by_kernel(case, halves, case.mask, encoder_attention)[real].double(), expected[real], tolerance
        )
    inputs = {name: tensor.requires_grad_() for name, tensor in halves.items()}
    actual = by_kernel(case, inputs, case.mask)
    assert_close(actual[real].double(), expected[real], tolerance)
    generator = torch.Generator().manual_seed(0)
    upstream = torch.randn(expected.shape, generator=generator) * case.mask[..., None, None]
    upstream = upstream.to(dtype)
    expected.backward(upstream.double())
    actual.backward(upstream)
    for name, tensor in inputs.items():
        assert_close(tensor.grad.double(), case.inputs[name].grad, tolerance, f"gradients of {name}")


@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
@pytest.mark.parametrize("gradients", [False, True], ids=["fused", "differentiable"])
def test_the_tile_does_not_matter(has_globals, gradients):
    mask = padded_mask(333, 333, 200)
    case = make_case(mask, 3, 60, 16, has_globals)
    inputs = float32(case)
    with torch.set_grad_enabled(gradients):
        whole = by_kernel(case, inputs, mask, tile=333)[mask.bool()]
        for tile in (1, 7, 60, 128, 332, 1000):
            actual = by_kernel(case, inputs, mask, tile=tile)[mask.bool()]
            assert_close(actual, whole, 2e-6, f"tile {tile}")


@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_all_weights_give_the_same_output_and_sum_to_one(has_globals):
    mask = padded_mask(150, 150, 70)
    case = make_case(mask, 3, 20, 8, has_globals)
    inputs = float32(case)
    tokens = None
    if has_globals:
        bias = bias_by_offset(inputs["global table"], 1 - case.num_globals, case.num_globals)
        ids = kernels.block_ids(mask, 8)
        tokens = kernels.Globals(inputs["global key"], inputs["global value"], bias, ids, 8)
    band = bias_by_offset(inputs["band table"], -20, 20)
    output, weights = kernels.blocked_attention(
        inputs["query"], inputs["key"], inputs["value"], band, tokens, mask
    )
    real = mask.bool()
    assert_close(output[real], by_kernel(case, inputs, mask)[real], 2e-6)
    # (batch, blocks, heads, 21, 63 + globals) -> (batch, length, heads)
    sums = weights.sum(-1).transpose(2, 3).flatten(1, 2)[:, :150]
    assert torch.allclose(sums[real], torch.ones_like(sums[real]))
    assert weights.shape == (2, 8, 3, 21, 63 + case.num_globals)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("gradients", [False, True], ids=["fused", "differentiable"])
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_rows_of_padding_stay_finite(dtype, gradients, has_globals):
    mask = padded_mask(200, 200, 40, 0)
    case = make_case(mask, 2, 10, 8, has_globals)
    inputs = {name: t.detach().to(dtype).requires_grad_() for name, t in case.inputs.items()}
    for kernel in (tiled_attention, encoder_attention):
        with torch.set_grad_enabled(gradients):
            output = by_kernel(case, inputs, mask, kernel)
        assert torch.isfinite(output).all()
    if gradients:
        output.float().square().sum().backward()
        assert all(torch.isfinite(t.grad).all() for t in inputs.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("gradients", [False, True], ids=["fused", "differentiable"])
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_no_score_is_high_enough_to_let_padding_in(dtype, gradients, has_globals):
    """Nor anything outside the band. Scores of text are zero, those of all else far above.

    In float16 they are below 65,504: nothing lower than its negative is there to bar them with.
    """
    high = 120.0 if dtype == torch.float16 else 300.0  # scores are 4 * high * high: 57,600 or 360,000
    mask = padded_mask(60, 40)
    case = make_case(mask, 1, 5, 8, has_globals)
    inputs = {name: torch.zeros_like(t).to(dtype) for name, t in case.inputs.items()}
    inputs["query"][:] = high
    inputs["key"][:, 40:] = high
    inputs["value"][:, 40:] = 1.0
    inputs["key"][:, 0] = high  # outside the band of all tokens after 5
    inputs["value"][:, 0] = 1.0
    if has_globals:
        inputs["global key"][:, 5:] = high
        inputs["global value"][:, 5:] = 1.0
    inputs = {name: t.requires_grad_(gradients) for name, t in inputs.items()}
    for kernel in (tiled_attention, encoder_attention):
        with torch.set_grad_enabled(gradients):
            output = by_kernel(case, inputs, mask, kernel)
        assert not output[:, 6:40].any()


@pytest.mark.parametrize("num_buckets", [8, 32, 64])
@pytest.mark.parametrize("max_distance", [64, 128, 300])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_buckets(num_buckets, max_distance, bidirectional):
    offsets = torch.arange(-1100, 1101)
    actual = kernels.relative_position_bucket(
        offsets, bidirectional=bidirectional, num_buckets=num_buckets, max_distance=max_distance
    )
    assert actual.tolist() == [
        dense.relative_position_bucket(offset, num_buckets, max_distance, bidirectional)
        for offset in offsets.tolist()
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 40), st.data())
def test_the_band_lies_along_the_diagonal(radius, queries, keys, data):
    left = data.draw(st.integers(0, min(radius, keys - 1)))
    bias = torch.arange(1.0, 2 * (2 * radius + 1) + 1).view(2, -1)
    tile = kernels.band_bias_tile(bias, queries, keys, left, masked=-1.0)
    assert tile.shape == (2, queries, keys)
    for query in range(queries):
        for key in range(keys):
            offset = key - left - query
            expected = bias[:, offset + radius].tolist() if abs(offset) <= radius else [-1.0, -1.0]
            assert tile[:, query, key].tolist() == expected


@settings(max_examples=60, deadline=None)
@given(mask=masks(), block=st.integers(1, 70))
def test_blocks(mask, block):
    actual = kernels.block_ids(mask, block)
    assert actual.tolist() == [dense.block_of_tokens(row, block) for row in mask.tolist()]
    for other in (mask.bool(), mask.float(), mask.half()):
        assert torch.equal(kernels.block_ids(other, block), actual)


@given(length=st.integers(1, 90), block=st.integers(1, 40))
def test_blocks_where_all_is_text(length, block):
    everything = torch.ones(1, length, dtype=torch.long)
    ids = kernels.block_ids(everything, block)
    assert torch.equal(kernels.text_block_ids(length, block, torch.device("cpu")), ids)
    states = torch.randn(2, length, 3, generator=torch.Generator().manual_seed(length))
    if length >= block:
        expected = kernels.block_sums(states, ids.expand(2, -1), length // block)
        torch.testing.assert_close(kernels.text_block_sums(states, block), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_sums_of_blocks(dtype):
    mask = padded_mask(37, 37, 20, 3)
    states = torch.randn(3, 37, 6, generator=torch.Generator().manual_seed(0)).to(dtype)
    ids = kernels.block_ids(mask, 8)
    sums = kernels.block_sums(states, ids, 4)
    assert sums.dtype == torch.float32
    for row in range(3):
        expected = dense.global_tokens(states[row].double(), ids[row].tolist(), 4)
        assert_close(sums[row].double(), expected, 1e-6)


def test_sums_go_beyond_the_range_of_float16():
    states = torch.full((1, 16, 2), 60_000.0, dtype=torch.float16)
    sums = kernels.block_sums(states, torch.zeros(1, 16, dtype=torch.long), 1)
    assert sums.flatten().tolist() == [960_000.0, 960_000.0]


def test_dropout_of_weights():
    """Zeroes that share of the weights, scales the rest, and falls differently in each tile."""
    mask = padded_mask(400, 400)
    case = make_case(mask, 1, 2, 16, False)
    inputs = {name: torch.zeros_like(t).float() for name, t in case.inputs.items()}
    inputs["value"][:] = 1.0
    torch.manual_seed(0)
    output = by_kernel(case, inputs, mask, dropout=0.4, tile=100)[0, 2:-2, 0, 0]
    # Five weights of 1/5, each kept with probability 0.6 and divided by it.
    kept = output * 5 * 0.6
    assert torch.allclose(kept, kept.round(), atol=1e-5)
    assert abs(kept.mean().item() - 3.0) < 0.3
    assert not torch.equal(output[:96], output[100:196])


@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_gradients_by_differences(has_globals, dropout):
    case = make_case(padded_mask(23, 23, 17), 2, 3, 4, has_globals)
    names = list(case.inputs)

    def attend(*tensors: Tensor) -> Tensor:
        torch.manual_seed(0)  # the same weights fall out each time
        output = by_kernel(case, dict(zip(names, tensors)), case.mask, tile=6, dropout=dropout)
        return output * case.mask[..., None, None]

    assert torch.autograd.gradcheck(attend, tuple(case.inputs.values()))


def test_dropout_is_repeatable_and_the_same_when_a_layer_is_computed_again():
    case = make_case(padded_mask(90, 90), 2, 10, 8, True)

    def gradients(again: bool, seed: int) -> list[Tensor]:
        inputs = float32(case)
        torch.manual_seed(seed)
        output = by_kernel(case, inputs, None, dropout=0.5, tile=32)
        if again:
            torch.manual_seed(seed)
            output = checkpoint(
                lambda: by_kernel(case, inputs, None, dropout=0.5, tile=32), use_reentrant=False
            )
        output.square().sum().backward()
        return [output.detach(), *(tensor.grad for tensor in inputs.values())]

    once = gradients(False, 1)
    for first, second in zip(once, gradients(True, 1), strict=True):
        torch.testing.assert_close(first, second)
    assert not torch.equal(once[0], gradients(False, 2)[0])


def test_no_second_derivatives():
    case = make_case(padded_mask(20, 20), 1, 3, 4, True)
    output = by_kernel(case, case.inputs, None)
    (gradient,) = torch.autograd.grad(output.square().sum(), case.inputs["query"], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_gradients_in_mixed_precision():
    """Under autocast, gradients are within bfloat16's rounding of those in float32."""
    case = make_case(padded_mask(90, 90), 2, 10, 8, True)
    exact, rounded = float32(case), float32(case)
    by_kernel(case, exact, None, tile=32).square().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halves = {name: x.bfloat16() if "table" not in name else x for name, x in rounded.items()}
        by_kernel(case, halves, None, tile=32).float().square().sum().backward()
    for name, tensor in exact.items():
        difference = (tensor.grad - rounded[name].grad).norm() / tensor.grad.norm()
        assert difference < 0.03, f"{name}: {difference:.3f}"


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("biased", [False, True])
def test_queries_that_share_keys(groups, biased):
    """Beams laid side by side on one copy of the keys get what each would get from a copy of its own."""
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2 * groups, 3, 2, 4, generator=generator)
    key, value = (torch.randn(2, 3, 7, 4, generator=generator) for _ in range(2))
    bias = torch.randn(2, 1, 1, 7, generator=generator) if biased else None
    repeated = None if bias is None else bias.repeat_interleave(groups, 0)
    scores = query @ key.repeat_interleave(groups, 0).transpose(2, 3)
    weights = (scores if repeated is None else scores + repeated).softmax(-1)
    expected = (weights @ value.repeat_interleave(groups, 0)).transpose(1, 2)
    fused, none = kernels.dense_attention(query, key, value, bias)
    plain, actual = kernels.dense_attention(query, key, value, bias, with_weights=True)
    assert none is None
    assert_close(fused, expected, 2e-6)
    assert_close(plain, expected, 2e-6)
    assert_close(actual, weights, 2e-6)
