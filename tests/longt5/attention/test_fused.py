"""The Triton kernels against the dense reference: values and all gradients.

They run on the GPU where there is one. Elsewhere Triton interprets them, slowly: what is tested there is small.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from longt5.attention import dispatch, fused
from longt5.attention.fused import fused_attention, serves
from longt5.attention.reference import Globals, block_ids
from longt5.attention.tiled import tiled_attention
from tests.longt5.attention.test_attention import (
    Case,
    bias_by_offset,
    by_kernel,
    by_reference,
    make_case,
    masks,
)
from tests.longt5.factories import ATTENTION_TYPES, assert_close, padded_mask, random_ids, tiny_model

if find_spec("triton") is None:
    pytest.skip("Triton is not installed", allow_module_level=True)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
needs_gpu = pytest.mark.skipif(DEVICE == "cpu", reason="needs a GPU")

if DEVICE == "cpu":
    from triton.runtime import interpreter

    patch_tensors = interpreter._patch_lang_tensor

    def _patch_tensors(tensor, scope):
        """The bounds of loops are arrays of one number, which NumPy 2.4 makes no index of (Triton 3.6)."""
        patch_tensors(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = _patch_tensors


def on_device(case: Case, dtype: torch.dtype = torch.float32) -> tuple[Case, dict[str, Tensor]]:
    """The case with its mask on the device, and its inputs there, leaves in `dtype`."""
    inputs = {name: x.detach().to(DEVICE, dtype).requires_grad_() for name, x in case.inputs.items()}
    return replace(case, mask=case.mask.to(DEVICE)), inputs


def check(case: Case, dtype: torch.dtype = torch.float32, tolerance: float = 1e-5) -> None:
    """Holds output and gradients against the dense reference, with the mask and, where that is whole, without."""
    expected = by_reference(case)
    generator = torch.Generator().manual_seed(0)
    upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    upstream = upstream.to(dtype).double()
    expected.backward(upstream)
    for has_mask in [True, False] if case.mask.all() else [True]:
        there, inputs = on_device(case, dtype)
        actual = by_kernel(there, inputs, there.mask if has_mask else None, fused_attention)
        actual.backward(upstream.to(DEVICE, dtype))
        assert actual.dtype == dtype
        assert_close(actual.cpu().double(), expected, tolerance)
        assert not actual[there.mask == 0].any()
        for name, tensor in inputs.items():
            gradient, reference = tensor.grad.cpu().double(), case.inputs[name].grad
            assert torch.isfinite(gradient).all()
            difference = (gradient - reference).abs().max() / reference.abs().max().clamp(min=1.0)
            assert difference <= tolerance, f"gradient of {name} differs by {difference:.2e}"


@settings(max_examples=5, deadline=None)
@given(
    mask=masks(),
    heads=st.sampled_from([1, 2]),
    radius=st.one_of(st.integers(1, 8), st.integers(9, 320)),
    block=st.one_of(st.integers(1, 8), st.integers(9, 70)),
    has_globals=st.booleans(),
)
@example(padded_mask(200, 200, 129), 1, 127, 16, True)
@example(padded_mask(130, 130, 99, side="left"), 2, 31, 16, True)
@example(padded_mask(128, 128), 1, 127, 1, True)  # whole blocks of text and of globals
@example(padded_mask(150, 150), 1, 16, 24, True)
@example(padded_mask(15, 15), 1, 127, 16, True)
@example(padded_mask(130, 40, 0), 1, 3, 16, True)
@example(padded_mask(130, 130, 40), 1, 20, 16, False)
@example(padded_mask(1, 1), 1, 1, 1, True)
def test_equals_the_dense_reference(mask, heads, radius, block, has_globals):
    check(make_case(mask, heads, radius, block, has_globals, d_kv=16))


@pytest.mark.parametrize("d_kv", [32, 64, 128])
@pytest.mark.parametrize("dtype, tolerance", [
    (torch.float32, 1e-5), (torch.float16, 5e-3), pytest.param(torch.bfloat16, 4e-2, marks=needs_gpu),
])  # fmt: skip
def test_every_size_of_a_head_in_every_dtype(d_kv, dtype, tolerance):
    """Inputs are rounded on both sides."""
    case = make_case(padded_mask(150, 150, 70), 1, 40, 16, True, d_kv=d_kv)
    case.inputs["query"].data /= d_kv**0.5  # scores with a standard deviation of one, as of a trained model
    for tensor in case.inputs.values():
        tensor.data = tensor.data.to(dtype).double()
    check(case, dtype, tolerance)


@needs_gpu
@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-5), (torch.bfloat16, 4e-2)])
@pytest.mark.parametrize("mask", [
    padded_mask(700, 700), padded_mask(640, 640, 129), padded_mask(300, 300, 129, side="left"),
])  # fmt: skip
@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_real_sizes(dtype, tolerance, mask, has_globals):
    case = make_case(mask, 3, 127, 16, has_globals, d_kv=64)
    case.inputs["query"].data /= 8
    for tensor in case.inputs.values():
        tensor.data = tensor.data.to(dtype).double()
    check(case, dtype, tolerance)


def test_the_globals_may_be_attended_to_in_chunks(monkeypatch):
    """As many as keep a GPU busy, however long the text."""
    monkeypatch.setattr(fused, "_tiling", lambda *_: fused.Tiling(16, 32, 4, 1))
    for busy in (1, 2, 1000):
        monkeypatch.setattr(fused, "BUSY", busy)
        check(make_case(padded_mask(150, 150), 1, 20, 8, True, d_kv=16))


def test_every_layout_in_memory():
    """Heads before positions, one projection for all three, and a gradient that is a single number expanded."""
    case = make_case(padded_mask(70, 70, 50), 2, 9, 8, True, d_kv=16)
    case, inputs = on_device(case)
    contiguous = by_kernel(case, inputs, case.mask, fused_attention)
    contiguous.sum().backward()
    joined = torch.stack([inputs[name].detach() for name in ("query", "key", "value")], dim=2)
    joined.requires_grad_()
    by_heads = [inputs[f"global {name}"].detach().transpose(1, 2).contiguous() for name in ("key", "value")]
    across = inputs["query"].detach().transpose(1, 3).contiguous().requires_grad_()  # numbers far apart
    laid_out = dict(inputs, query=across.transpose(1, 3), key=joined[:, :, 1], value=joined[:, :, 2])
    laid_out["global key"], laid_out["global value"] = (x.transpose(1, 2) for x in by_heads)
    output = by_kernel(case, laid_out, case.mask, fused_attention)
    output.sum().backward()
    assert torch.equal(output, contiguous)
    assert torch.equal(across.grad.transpose(1, 3), inputs["query"].grad)
    assert torch.equal(joined.grad[:, :, 1], inputs["key"].grad)
    assert torch.equal(joined.grad[:, :, 2], inputs["value"].grad)


def test_gradients_that_nobody_needs_change_nothing():
    case = make_case(padded_mask(70, 70, 50), 2, 9, 8, True, d_kv=16)
    case, inputs = on_device(case)
    by_kernel(case, inputs, case.mask, fused_attention).square().sum().backward()
    alone = {name: x.detach().requires_grad_("table" not in name) for name, x in inputs.items()}
    by_kernel(case, alone, case.mask, fused_attention).square().sum().backward()
    for name, tensor in alone.items():
        if "table" in name:
            assert tensor.grad is None
        else:
            assert torch.equal(tensor.grad, inputs[name].grad)


def _dense_weights(case: Case, inputs: dict[str, Tensor], mask: Tensor) -> Tensor:
    """(batch, heads, length, length + globals), differentiable; zero at padding."""
    length, count = mask.shape[1], case.num_globals
    at = torch.arange(length, device=mask.device)
    offsets = at - at[:, None]
    band = bias_by_offset(inputs["band table"], -case.radius, case.radius)
    bias = band[:, offsets.clamp(-case.radius, case.radius) + case.radius]
    scores = torch.einsum("bqhd,bkhd->bhqk", inputs["query"], inputs["key"]) + bias
    scores = scores.masked_fill((offsets.abs() > case.radius) | (mask[:, None, None] == 0), -1e30)
    ids = block_ids(mask, case.block)
    of_globals = bias_by_offset(inputs["global table"], 1 - count, count)
    differences = torch.arange(count, device=mask.device) - ids[..., None]
    side = torch.einsum("bqhd,bghd->bhqg", inputs["query"], inputs["global key"])
    side = side + of_globals[:, differences + count - 1].transpose(0, 1)
    empty = torch.arange(count, device=mask.device) > ids.amax(-1, keepdim=True)
    scores = torch.cat([scores, side.masked_fill(empty[:, None, None], -1e30)], dim=-1)
    return scores.softmax(-1) * mask[:, None, :, None]


@pytest.mark.parametrize("d_kv, length, radius", [(16, 14, 6), (64, 50, 20), (128, 100, 40)])
@pytest.mark.parametrize("dtype, tolerance", [
    (torch.float32, 1e-5), pytest.param(torch.bfloat16, 2e-2, marks=needs_gpu),
])  # fmt: skip
def test_dropout_is_that_of_the_weights_forward_and_backward(d_kv, length, radius, dtype, tolerance):
    """Values of which each is one number of its own show which weights fell; with these, autograd has the gradients."""
    mask = padded_mask(length, length, 7 * length // 10).to(DEVICE)
    case = make_case(mask, 2, radius, 8, True, d_kv=d_kv)
    case.inputs["query"].data /= d_kv**0.5
    case, inputs = on_device(case, dtype)
    exact = {name: tensor.detach().float().requires_grad_() for name, tensor in inputs.items()}
    weights = _dense_weights(case, exact, mask)
    keys = weights.shape[-1]

    numbers = torch.eye(d_kv, device=DEVICE, dtype=dtype)[:, None].expand(-1, 2, -1).contiguous()
    shown = {
        "value": numbers[:length].expand(2, -1, -1, -1),
        "global value": numbers[length:keys].expand(2, -1, -1, -1),
    }
    torch.manual_seed(3)
    output = by_kernel(case, dict(inputs, **shown), mask, fused_attention, dropout=0.25)
    fell = output.transpose(1, 2)[..., :keys] == 0
    existing = weights > 0
    share = (fell & existing).sum() / existing.sum()
    assert abs(share.item() - 0.25) < 3.5 * (0.25 * 0.75 / existing.sum().item()) ** 0.5
    assert_close(output.transpose(1, 2)[..., :keys].float(), weights * ~fell / 0.75, tolerance)

    values = torch.cat([exact["value"], exact["global value"]], dim=1)
    expected = torch.einsum("bhqk,bkhd->bqhd", weights * ~fell / 0.75, values)
    torch.manual_seed(3)
    actual = by_kernel(case, inputs, mask, fused_attention, dropout=0.25)
    assert_close(actual.float(), expected, tolerance)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    gradients = torch.autograd.grad(actual, list(inputs.values()), upstream)
    references = torch.autograd.grad(expected, list(exact.values()), upstream.float())
    for name, gradient, reference in zip(inputs, gradients, references, strict=True):
        assert_close(gradient.float(), reference, 2 * tolerance, f"gradients of {name}")


def test_dropout_falls_evenly_and_without_a_pattern():
    """Its share is that of every query and key, and neighbours fall together as often as chance has them."""
    length = 128
    query = torch.zeros(1, length, 2, 128, device=DEVICE)
    value = torch.eye(length, device=DEVICE)[None, :, None].expand(-1, -1, 2, -1)
    band_bias = torch.zeros(2, 2 * length - 1, device=DEVICE)
    torch.manual_seed(0)
    kept = fused_attention(query, query, value, band_bias, dropout=0.5) > 0  # (1, queries, heads, keys)
    first, second = (kept[0, :, head].double() - 0.5 for head in range(2))
    # Of 16,384 coins the mean is within four standard deviations, of 128 too.
    assert abs(first.mean().item()) < 4 * 0.5 / length
    for axis in (0, 1):
        assert first.mean(axis).abs().max() < 4.5 * 0.5 / length**0.5
    for others in (first.roll(1, 0), first.roll(1, 1), first.roll((1, 1), (0, 1)), first.T, second):
        assert abs((first * others).mean().item()) < 4.5 * 0.25 / length


def test_dropout_differs_by_head_row_and_call():
    query = torch.zeros(2, 40, 2, 16, device=DEVICE)
    value = torch.randn(1, 40, 1, 16, device=DEVICE).expand(2, -1, 2, -1)
    band_bias = torch.zeros(2, 81, device=DEVICE)
    torch.manual_seed(0)
    once, again = (fused_attention(query, query, value, band_bias, dropout=0.5) for _ in range(2))
    torch.manual_seed(0)
    assert torch.equal(once, fused_attention(query, query, value, band_bias, dropout=0.5))
    assert not torch.equal(once, again)
    assert not torch.equal(once[0], once[1])
    assert not torch.equal(once[:, :, 0], once[:, :, 1])
    assert not torch.equal(once[:, 0], once[:, 1])


def test_a_layer_that_is_computed_again_drops_the_same():
    case = make_case(padded_mask(50, 50), 2, 10, 8, True, d_kv=16)

    def gradients(again: bool) -> list[Tensor]:
        there, inputs = on_device(case)

        def attend(*tensors: Tensor) -> Tensor:
            named = dict(zip(inputs, tensors, strict=True))
            return by_kernel(there, named, None, fused_attention, dropout=0.5)

        torch.manual_seed(1)
        # A checkpoint keeps the random state of the GPU on which its arguments lie, and of no other.
        arguments = inputs.values()
        output = checkpoint(attend, *arguments, use_reentrant=False) if again else attend(*arguments)
        output.square().sum().backward()
        return [output.detach(), *(tensor.grad for tensor in inputs.values())]

    for first, second in zip(gradients(False), gradients(True), strict=True):
        assert torch.equal(first, second)


def test_no_score_is_high_enough_to_let_padding_in():
    """Nor anything outside the band. Scores of text are zero, those of all else far above."""
    mask = padded_mask(60, 40)
    case, inputs = on_device(make_case(mask, 1, 5, 8, True, d_kv=16))
    inputs = {name: torch.zeros_like(tensor) for name, tensor in inputs.items()}
    inputs["query"][:] = 300.0
    inputs["key"][:, 40:] = inputs["key"][:, 0] = inputs["global key"][:, 5:] = 300.0
    inputs["value"][:, 40:] = inputs["value"][:, 0] = inputs["global value"][:, 5:] = 1.0
    inputs = {name: tensor.requires_grad_() for name, tensor in inputs.items()}
    output = by_kernel(case, inputs, case.mask, fused_attention)
    assert not output[:, 6:40].any()
    output.sum().backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in inputs.values())


def test_no_second_derivatives():
    case, inputs = on_device(make_case(padded_mask(20, 20), 1, 3, 4, True, d_kv=16))
    output = by_kernel(case, inputs, None, fused_attention)
    (gradient,) = torch.autograd.grad(output.square().sum(), inputs["query"], create_graph=True)
    with pytest.raises(RuntimeError):
        gradient.sum().backward()


@pytest.mark.parametrize("has_globals", [False, True], ids=ATTENTION_TYPES)
def test_the_operator_is_what_pytorch_expects(has_globals):
    case, inputs = on_device(make_case(padded_mask(20, 20, 10), 1, 5, 8, has_globals, d_kv=16))
    band = torch.randn(1, 11, device=DEVICE, requires_grad=True)
    tokens = (None, None, None, None)
    if has_globals:
        bias = torch.randn(1, 4, device=DEVICE, requires_grad=True)
        tokens = (inputs["global key"], inputs["global value"], bias, block_ids(case.mask, 8))
    text, seed = case.mask != 0, torch.tensor([7], device=DEVICE)
    vectors = (inputs["query"], inputs["key"], inputs["value"])
    torch.library.opcheck(fused._attend, (*vectors, band, *tokens, 8, text, seed, 0.2))


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_compiled_around_it(dropout):
    """The graph does not break, and what comes out is the same."""
    case, inputs = on_device(make_case(padded_mask(40, 40, 20), 2, 5, 8, True, d_kv=16))
    band = torch.randn(2, 11, device=DEVICE, requires_grad=True)
    bias = torch.randn(2, 10, device=DEVICE, requires_grad=True)
    ids = block_ids(case.mask, 8)

    def attend(query: Tensor, global_key: Tensor) -> Tensor:
        tokens = Globals(2 * global_key, inputs["global value"], bias, ids, 8)
        key, value = inputs["key"], inputs["value"]
        return 3 * fused_attention(2 * query, key, value, band, tokens, case.mask, dropout=dropout)

    def gradients(function) -> list[Tensor]:
        torch.manual_seed(0)
        output = function(inputs["query"], inputs["global key"])
        leaves = [band, bias, *(inputs[name] for name in ("query", "global key", "value"))]
        return [output.detach(), *torch.autograd.grad(output.square().sum(), leaves)]

    torch._dynamo.reset()
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")
    for actual, expected in zip(gradients(compiled), gradients(attend), strict=True):
        assert_close(actual, expected, 1e-6)


def test_what_it_serves():
    device = torch.device(DEVICE)
    assert serves(16, torch.float32, device) and serves(128, torch.float16, device)
    assert serves(64, torch.bfloat16, device) == (DEVICE == "cuda")
    assert not serves(64, torch.float64, device)
    assert not serves(8, torch.float32, device) and not serves(48, torch.float32, device)
    assert not serves(64, torch.float32, torch.device("meta"))


def test_nothing_is_served_where_triton_does_not_run(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not serves(64, torch.float32, torch.device("cpu"))


QUERY = {
    "device": torch.device("cuda"),
    "shape": (1, 4096, 12, 64),
    "dtype": torch.bfloat16,
    "requires_grad": True,
}


@pytest.mark.parametrize("what, change, dropout, expected", [
    ("on a GPU, with gradients", {}, 0.0, "fused"),
    ("with dropout", {}, 0.1, "fused"),
    ("small heads", {"shape": (1, 4096, 12, 8)}, 0.0, "tiled"),
    ("double precision", {"dtype": torch.float64}, 0.0, "tiled"),
    ("after a failure", {}, 0.0, "tiled"),
    ("keys in another precision", {}, 0.0, "tiled"),
    ("on a CPU, with gradients", {"device": torch.device("cpu")}, 0.0, "tiled"),
    ("on a CPU, with dropout", {"device": torch.device("cpu"), "requires_grad": False}, 0.1, "tiled"),
    ("on a CPU", {"device": torch.device("cpu"), "requires_grad": False}, 0.0, "split"),
    ("elsewhere", {"device": torch.device("meta"), "requires_grad": False}, 0.0, "tiled"),
])  # fmt: skip
def test_chosen_where_it_can_be(what, change, dropout, expected, monkeypatch):
    monkeypatch.setattr(dispatch, "_fused_failed", what == "after a failure")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(dispatch, "is_plain", lambda *tensors: True)  # these are none
    query = SimpleNamespace(**{**QUERY, **change})
    key = SimpleNamespace(**{**vars(query), "dtype": torch.float32}) if "keys" in what else query
    assert dispatch._fastest((query, key, query, query, None, None), dropout) == expected


def test_where_triton_cannot_compile_the_tiles_do_the_work(monkeypatch, caplog):
    case = make_case(padded_mask(50, 50, 20), 2, 5, 8, True)
    inputs = {name: tensor.detach().float() for name, tensor in case.inputs.items()}
    monkeypatch.setattr(dispatch, "_fused_failed", False)
    monkeypatch.setattr(dispatch, "_fastest", lambda inputs, dropout: "fused")
    monkeypatch.setattr(
        dispatch, "fused_attention", mock.Mock(side_effect=RuntimeError("no compiler\nand more"))
    )
    output = by_kernel(case, inputs, case.mask, dispatch.encoder_attention)
    assert torch.equal(output, by_kernel(case, inputs, case.mask, tiled_attention))
    assert dispatch._fused_failed and "(no compiler)" in caplog.text
    with dispatch.use("fused"), pytest.raises(RuntimeError, match="no compiler"):
        by_kernel(case, inputs, case.mask, dispatch.encoder_attention)


def test_operations_are_counted():
    """Band and globals: two products of queries and keys forward, five backward, of two operations each."""
    model = tiny_model("LongT5EncoderModel", d_kv=16).to(DEVICE)
    with dispatch.use("fused"), FlopCounterMode(display=False) as counter:
        model(random_ids(1, 40).to(DEVICE)).last_hidden_state.sum().backward()
    counts = counter.get_flop_counts()["Global"]
    layers, heads, keys = 2, 5, 255 + 40 // 16
    product = 2 * layers * heads * 40 * keys * 16
    assert counts[torch.ops.longt5.fused_attention] == 2 * product
    assert counts[torch.ops.longt5.fused_attention_backward] == 5 * product
