"""float16 and bfloat16: no NaN, no infinity, no waiting for the device to find out; and memory linear in length."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from longt5.attention.dispatch import use
from tests.longt5.factories import (
    ATTENTION_TYPES,
    FEED_FORWARDS,
    padded_mask,
    random_ids,
    relative_difference,
    tiny_model,
    writers,
)

HALVES = (torch.float16, torch.bfloat16)
# Which weights are made large, and how much: enough that float16 goes beyond 65,504 there.
DRIVES = {
    "inside the feed-forward network": {"wi": 3e3, "wi_0": 3e3, "wi_1": 3e3},
    "out of the feed-forward network": {"wo": 3e4},
    "in the scores": {"q": 3e3, "k": 3e3},
    "out of the attention": {"v": 1e3, "o": 1e3},
    "in the global tokens": {"layer_norm": 1e4},
    "in the embeddings": {"shared": 2e4},
    "everywhere": {
        "wi": 300.0,
        "wi_0": 300.0,
        "wi_1": 300.0,
        "wo": 300.0,
        "q": 300.0,
        "v": 300.0,
        "o": 300.0,
    },
}


def driven_model(drive: str, dtype: torch.dtype, **overrides):
    """A tiny model whose activations leave float16's range where `drive` says."""
    model = tiny_model(**overrides)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(DRIVES[drive].get(name.split(".")[-2], 1.0)).clamp_(-6e4, 6e4)
    return model.to(dtype)


def check_finite(model, length: int) -> None:
    ids, mask = random_ids(2, length), padded_mask(length, length, length // 3)
    with torch.no_grad():
        outputs = model(
            input_ids=ids,
            attention_mask=mask,
            labels=random_ids(2, 5),
            output_hidden_states=True,
            use_cache=True,
        )
    for states in (*outputs.encoder_hidden_states, *outputs.decoder_hidden_states, outputs.logits):
        assert torch.isfinite(states).all()
    assert torch.isfinite(outputs.loss)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
def test_nothing_overflows(dtype, drive, attention, feed_forward):
    model = driven_model(drive, dtype, encoder_attention_type=attention, feed_forward_proj=feed_forward)
    check_finite(model, 200)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_nothing_overflows_in_a_thousand_tokens(dtype, attention):
    check_finite(driven_model("everywhere", dtype, encoder_attention_type=attention), 1024)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_nothing_overflows_in_sixteen_thousand_tokens(dtype, attention):
    check_finite(driven_model("everywhere", dtype, encoder_attention_type=attention), 16_384)


class Largest(TorchDispatchMode):
    """The largest number that any sum or product gives, without the one that stands for "masked"."""

    def __init__(self):
        super().__init__()
        self.number = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in ("mm", "bmm", "mul", "add", "index_add", "embedding"):
            numbers = output.abs().float()
            self.number = max(self.number, numbers[numbers < 1e37].amax().item())
        return output


@pytest.mark.parametrize("drive", DRIVES)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_these_weights_do_leave_the_range_of_float16(drive, attention):
    """Else the tests above would show nothing."""
    if drive == "in the global tokens" and attention == "local":
        pytest.skip("local attention has no global tokens")
    model = driven_model(drive, torch.float32, encoder_attention_type=attention)
    with Largest() as largest:
        model(input_ids=random_ids(1, 200), decoder_input_ids=random_ids(1, 5))
    assert largest.number > 65_504


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_halves_are_close_to_float32_where_nothing_overflows(dtype, attention):
    model = tiny_model(encoder_attention_type=attention)
    ids, mask = random_ids(2, 300), padded_mask(300, 300, 120)
    batch = {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": random_ids(2, 5)}
    with torch.no_grad():
        # The same rounded weights on both sides: what is left is the arithmetic.
        rounded = model.to(dtype).float()(**batch).logits
        half = model.to(dtype)(**batch).logits
    assert half.dtype == dtype
    assert relative_difference(half.float(), rounded) < (0.01 if dtype == torch.float16 else 0.08)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_a_loaded_half_computes_the_last_projection_in_float32(tmp_path, dtype):
    """As in transformers' T5: `wo` is where real checkpoints overflow float16."""
    tiny_model().save_pretrained(tmp_path)
    model = type(tiny_model()).from_pretrained(tmp_path, dtype=dtype)
    kinds = {name.split(".")[-2]: parameter.dtype for name, parameter in model.named_parameters()}
    assert kinds.pop("wo") in (torch.float32, dtype)
    assert set(kinds.values()) == {dtype}
    check_finite(model, 100)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_an_additive_mask_made_for_float32(dtype):
    """Its lowest number is infinite in halves, and may bar all of a row."""
    mask = torch.zeros(2, 1, 5, 30)
    mask[1, :, 2:] = torch.finfo(torch.float32).min
    model = tiny_model().to(dtype)
    with torch.no_grad():
        encoded = model.encoder(random_ids(2, 30))
        logits = model(
            encoder_outputs=encoded, attention_mask=mask, decoder_input_ids=random_ids(2, 5)
        ).logits
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("num_beams", [1, 3])
def test_generation_in_halves(dtype, num_beams):
    (model,) = writers(1)
    sequences = model.to(dtype).generate(random_ids(2, 60), num_beams=num_beams, max_new_tokens=8)
    assert sequences.shape[0] == 2


class Waits(TorchDispatchMode):
    """Counts the operations that bring a value from the device to the program, and so wait for the device."""

    BRINGING = (
        "_local_scalar_dense",
        "nonzero",
        "masked_select",
        "equal",
        "is_nonzero",
        "_unique",
        "allclose",
    )

    def __init__(self):
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in ("index", "index_put_") and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or name.startswith(self.BRINGING):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES], ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("kernel, training", [("tiled", False), ("tiled", True)])
def test_nothing_waits_for_the_device(dtype, attention, kernel, training):
    model = driven_model("everywhere", dtype, encoder_attention_type=attention).train(training)
    ids, mask, labels = random_ids(2, 200), padded_mask(200, 200, 60), random_ids(2, 5)
    # By the kernels that a GPU would take; that of the CPU may look at the mask.
    with torch.set_grad_enabled(training), use(kernel), Waits() as waits:
        model(input_ids=ids, attention_mask=mask, labels=labels)
    assert not waits.seen


def test_waiting_would_be_noticed():
    with Waits() as waits:
        x = torch.ones(3)
        if x.isinf().any():
            x = x.clamp(max=1)
        x[x > 0] = 2
        float(x.sum())
    assert waits.seen == ["_local_scalar_dense", "index_put_", "_local_scalar_dense"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("kernel", ["tiled", "fused"])
def test_nothing_waits_for_the_gpu(dtype, attention, kernel):
    model = driven_model("everywhere", dtype, encoder_attention_type=attention, d_kv=16).cuda()
    ids, mask = random_ids(2, 1024).cuda(), padded_mask(1024, 1024, 600).cuda()
    decoder_ids = random_ids(2, 5).cuda()
    with torch.no_grad(), use(kernel):  # compiles
        model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids)
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.no_grad(), use(kernel):
            outputs = model(input_ids=ids, attention_mask=mask, decoder_input_ids=decoder_ids)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.isfinite(outputs.logits).all()


PEAK = """
import json, sys, torch
from pathlib import Path
from tests.longt5.factories import random_ids, tiny_model
attention, training, length = sys.argv[1], sys.argv[2] == "train", int(sys.argv[3])
model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention).train(training)

def memory(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

def run(length):
    with torch.set_grad_enabled(training):
        states = model(random_ids(1, length)).last_hidden_state
        if training:
            states.sum().backward()

run(512)
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
run(length)
print(json.dumps(memory("VmHWM") - before))
"""


def peak_bytes(attention: str, mode: str, length: int) -> int:
    """What encoding `length` tokens adds to the memory of a fresh process at its peak."""
    command = [sys.executable, "-c", PEAK, attention, mode, str(length)]
    # So that freed memory is given back at once (glibc): else the peak depends on what happened to be free.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_memory_grows_linearly(attention, mode):
    half, whole = peak_bytes(attention, mode, 8_192), peak_bytes(attention, mode, 16_384)
    assert whole < 2.5 * half, f"{half / 2**20:.0f} MiB at 8,192 tokens, {whole / 2**20:.0f} at 16,384"
    # The scores of one layer alone, 16,384 x (255 + 1,024) x 5 heads in float32, would take 400 MiB.
    assert whole < 400 * 2**20


@pytest.mark.slow
@pytest.mark.parametrize("attention", ATTENTION_TYPES)
def test_sixty_five_thousand_tokens(attention):
    """What is far away from the end of a text changes nothing there but the globals."""
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention)
    ids = random_ids(1, 65_536)
    with torch.no_grad():
        states = model(ids).last_hidden_state
        assert torch.isfinite(states).all()
        tail = model(ids[:, -2048:]).last_hidden_state
    # Two layers reach 254 tokens back.
    same = torch.allclose(states[:, -1700:], tail[:, -1700:], atol=1e-4)
    assert same == (attention == "local")
