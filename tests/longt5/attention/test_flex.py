"""FlexAttention against the dense reference, and its block mask against the one that PyTorch finds by trying all pairs.

On a CPU it runs uncompiled but for one test. The last tests need a GPU.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from torch.overrides import TorchFunctionMode

import longt5.attention.dispatch
import longt5.attention.flex
from longt5.attention.dispatch import encoder_attention, use
from longt5.attention.flex import BLOCK, flex_encoder_attention
from longt5.attention.tiled import tiled_attention
from tests.longt5.attention.test_attention import Case, by_kernel, by_reference, make_case, shapes
from tests.longt5.factories import ATTENTION_TYPES, assert_close, padded_mask

COMPILED = longt5.attention.flex._compiled
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture(autouse=True, scope="module")
def uncompiled():
    with mock.patch.object(longt5.attention.flex, "_compiled", lambda: longt5.attention.flex._attend):
        yield


def float32(case: Case) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().float() for name, tensor in case.inputs.items()}


def check(case: Case) -> None:
    """Holds the output for `case` against the dense reference, with its mask and, where that is whole, without."""
    expected = by_reference(case)
    real = case.mask.bool()
    for mask in [case.mask, None] if real.all() else [case.mask]:
        actual = by_kernel(case, float32(case), mask, flex_encoder_attention)
        assert torch.isfinite(actual).all()
        if real.any():
            assert_close(actual[real].double(), expected[real], 2e-6)


@settings(max_examples=40, deadline=None)
@given(**{name: strategy for name, strategy in shapes.items() if name != "tile"})
@example(padded_mask(300, 300, 129), 3, 127, 16, True)
@example(padded_mask(300, 300, 129, side="left"), 3, 127, 16, True)
@example(padded_mask(256, 256), 2, 127, 1, True)  # whole blocks of text and of globals
@example(padded_mask(700, 700), 2, 300, 4, True)
@example(padded_mask(15, 15), 1, 127, 16, True)
@example(padded_mask(20, 15, 0), 1, 3, 16, True)
@example(padded_mask(1, 1), 1, 1, 1, True)
@torch.no_grad()
def test_equals_the_dense_reference(mask, heads, radius, block, has_globals):
    check(make_case(mask, heads, radius, block, has_globals))


def test_a_mode_that_watches_operations_does_not_reach_it():
    """As the one that lets the encoder be stopped: it would be compiled into the kernel, or taken for its failure."""

    class Watching(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            pytest.fail(f"{func} was watched")

    inputs = [torch.randn(1, 40, 2, 4) for _ in range(3)]
    band_bias = torch.randn(2, 7)
    with torch.no_grad(), use("flex"), Watching():
        encoder_attention(*inputs, band_bias)


@torch.no_grad()
def test_a_query_that_can_attend_to_nothing_gets_zero():
    case = make_case(padded_mask(300, 40, 0), 2, 10, 400, False)
    output = by_kernel(case, float32(case), case.mask, flex_encoder_attention)
    assert not output[0, 60:].any() and not output[1].any()


def test_the_blocks_are_those_that_pytorch_finds(monkeypatch):
    """Partial and full ones, where nothing is padded; with padding, no block is full."""
    masks: list[BlockMask] = []

    def attend(query, key, value, *, block_mask, **_):
        masks.append(block_mask)
        return query

    monkeypatch.setattr(longt5.attention.flex, "flex_attention", attend)
    for length, radius, block, has_globals in [
        (1, 1, 1, True),
        (128, 127, 1, True),
        (129, 1, 16, True),
        (640, 127, 16, False),
        (640, 126, 2, True),
        (700, 128, 4, True),
        (1000, 254, 3, True),
        (1000, 255, 16, True),
        (1000, 400, 7, True),
    ]:
        case = make_case(padded_mask(length, length), 1, radius, block, has_globals)
        for mask in (None, case.mask):
            by_kernel(case, float32(case), mask, flex_encoder_attention)
            ours = masks.pop()
            queries, keys = ours.seq_lengths
            theirs = create_block_mask(ours.mask_mod, 1, None, queries, keys, device="cpu", BLOCK_SIZE=BLOCK)
            assert torch.equal(ours.to_dense(), theirs.to_dense())
            full = [
                BlockMask.from_kv_blocks(each.full_kv_num_blocks, each.full_kv_indices).to_dense()
                for each in (ours, theirs)
            ]
            assert torch.equal(full[0], full[1]) if mask is None else not full[0].any()
            assert queries % BLOCK == keys % BLOCK == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
@torch.no_grad()
def test_compiled_on_a_cpu():
    # With all sizes open, the compiler's templates for CPUs take the names of some for those of others (torch 2.13).
    compiled = torch.compile(longt5.attention.flex._attend, dynamic=False, fullgraph=True)
    with mock.patch.object(longt5.attention.flex, "_compiled", lambda: compiled):
        check(make_case(padded_mask(300, 300, 129), 3, 127, 16, True, d_kv=16))


QUERY = {"device": torch.device("cuda"), "shape": (1, 4096, 12, 64), "dtype": torch.bfloat16}


@pytest.mark.parametrize("what, change", [
    (None, {}),
    ("on a CPU", {"device": torch.device("cpu")}),
    ("elsewhere", {"device": torch.device("meta")}),
    ("a short text", {"shape": (1, 500, 12, 64)}),
    ("small heads", {"shape": (1, 4096, 12, 8)}),
    ("double precision", {"dtype": torch.float64}),
    ("without Triton", {}),
    ("in a process that may start no others", {}),
    ("after a failure", {}),
])  # fmt: skip
def test_chosen_where_it_can_be_compiled(what, change, monkeypatch):
    process = SimpleNamespace(daemon=what == "in a process that may start no others")
    monkeypatch.setattr(longt5.attention.dispatch.multiprocessing, "current_process", lambda: process)
    monkeypatch.setattr(
        longt5.attention.dispatch, "find_spec", lambda _: None if what == "without Triton" else "there"
    )
    monkeypatch.setattr(longt5.attention.dispatch, "_flex_failed", what == "after a failure")
    kernel = longt5.attention.dispatch._fastest(SimpleNamespace(**{**QUERY, **change}))
    assert kernel == {None: "flex", "on a CPU": "split"}.get(what, "tiled")


@torch.no_grad()
def test_where_compiling_fails_the_tiles_do_the_work(monkeypatch, caplog):
    case = make_case(padded_mask(50, 50, 20), 2, 5, 8, True)
    monkeypatch.setattr(longt5.attention.dispatch, "_flex_failed", False)
    monkeypatch.setattr(longt5.attention.dispatch, "_fastest", lambda query: "flex")
    failing = mock.Mock(side_effect=RuntimeError("no compiler\nand more"))
    monkeypatch.setattr(longt5.attention.dispatch, "flex_encoder_attention", failing)
    output = by_kernel(case, float32(case), case.mask, encoder_attention)
    assert torch.equal(output, by_kernel(case, float32(case), case.mask, tiled_attention))
    assert longt5.attention.dispatch._flex_failed
    assert "(no compiler)" in caplog.text
    with use("flex"), pytest.raises(RuntimeError, match="no compiler"):
        by_kernel(case, float32(case), case.mask, encoder_attention)


def on_gpu(case: Case, dtype: torch.dtype, mask: torch.Tensor | None, kernel) -> torch.Tensor:
    """The output for `case`, of inputs in `dtype`, in float64 on the CPU."""
    inputs = {name: x.detach().to("cuda", dtype) for name, x in case.inputs.items()}
    moved = replace(case, inputs=inputs, mask=case.mask.cuda())
    with torch.no_grad(), torch.device("cuda"):
        return by_kernel(moved, inputs, None if mask is None else mask.cuda(), kernel).double().cpu()


@pytest.fixture
def compiled():
    torch._dynamo.reset()  # one process may compile a function eight times, for as many dtypes and other kinds of input
    with mock.patch.object(longt5.attention.flex, "_compiled", COMPILED):
        yield


# Rounded inputs on both sides would need the reference rounded too: the bound is what rounding of the inputs allows.
@needs_gpu
@pytest.mark.parametrize("dtype, tolerance", [
    (torch.float32, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2),
])  # fmt: skip
@pytest.mark.parametrize("mask", [
    padded_mask(700, 700), padded_mask(640, 640, 129), padded_mask(300, 300, 129, side="left"), padded_mask(100, 100),
])  # fmt: skip
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_on_a_gpu_it_equals_the_dense_reference(dtype, tolerance, mask, has_globals, compiled):
    case = make_case(mask, 3, 127, 16, has_globals, d_kv=64)
    # Scores with a standard deviation of one, as of a trained model: it is they that rounded inputs change.
    case.inputs["query"].data /= 8
    rounded = replace(case, inputs={name: x.detach().to(dtype).double() for name, x in case.inputs.items()})
    expected, real = by_reference(rounded), mask.bool()
    for attention_mask in [mask, None] if real.all() else [mask]:
        actual = on_gpu(case, dtype, attention_mask, flex_encoder_attention)
        assert torch.isfinite(actual).all()
        assert_close(actual[real], expected[real], tolerance)


@needs_gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_on_a_gpu_it_equals_the_tiles_at_16_384_tokens(dtype, tolerance, has_globals, compiled):
    case = make_case(padded_mask(16_384, 16_384, 9_999), 4, 127, 16, has_globals, d_kv=64)
    case.inputs["query"].data /= 8
    real = case.mask.bool()
    actual, expected = (on_gpu(case, dtype, case.mask, k) for k in (flex_encoder_attention, tiled_attention))
    assert_close(actual[real], expected[real], tolerance)


@needs_gpu
def test_new_lengths_compile_nothing(compiled):
    on_gpu(
        make_case(padded_mask(300, 300), 2, 127, 16, True, d_kv=16),
        torch.float32,
        None,
        flex_encoder_attention,
    )
    with torch._dynamo.config.patch(error_on_recompile=True):
        for length in (301, 512, 1000, 4000):
            case = make_case(padded_mask(length, length), 2, 127, 16, True, d_kv=16)
            on_gpu(case, torch.float32, case.mask, flex_encoder_attention)
