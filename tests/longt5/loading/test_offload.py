"""Placement by accelerate: a model in memory, on the CPU by name, and on disk computes the same."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import transformers

import longt5
from longt5.loading import LoadingError, load_model
from tests.longt5.factories import TINY, assert_close, random_ids, tiny_model
from tests.longt5.loading.test_load import ENCODER, HEAD, OLD_CONFIG, SHARED, logits, weights, write

TOP_MODULES = ("shared", "encoder", "decoder", "lm_head")
ALL_ON_DISK = {"": "disk"}
MAPS = {
    "all on disk": ALL_ON_DISK,
    "modules on disk": dict.fromkeys(TOP_MODULES, "disk"),
    "embedding in memory": {**dict.fromkeys(TOP_MODULES, "disk"), "shared": "cpu", "lm_head": "cpu"},
    "encoder in memory": {**dict.fromkeys(TOP_MODULES, "disk"), "encoder": "cpu"},
    "one layer on disk": {
        **dict.fromkeys(("shared", "lm_head", "encoder"), "cpu"),
        **{f"decoder.{name}": "cpu" for name in ("embed_tokens", "block.0", "block.2", "final_layer_norm")},
        "decoder.block.1": "disk",
    },
}


@pytest.fixture
def temporary_files(tmp_path, monkeypatch):
    """The folder that temporary folders are made in."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.mark.parametrize("device_map", [None, "auto", "cpu", {"": "cpu"}, torch.device("cpu")])
def test_in_memory(tmp_path, temporary_files, device_map):
    if device_map == "auto" and torch.cuda.is_available():
        pytest.skip("auto means the GPU here")
    loaded = load_model(write(tmp_path / "model"), device_map=device_map)
    assert {tensor.device.type for tensor in loaded.parameters()} == {"cpu"}
    assert loaded.dtype == torch.float32
    assert torch.equal(logits(loaded), logits(tiny_model()))
    del loaded
    gc.collect()
    assert not list(temporary_files.iterdir())


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("name", MAPS)
def test_on_disk(tmp_path, temporary_files, name, file):
    model = tiny_model()
    loaded = load_model(write(tmp_path / "model", file=file), device_map=MAPS[name])
    assert any(tensor.device.type == "meta" for tensor in loaded.parameters())
    for _ in range(2):
        assert torch.equal(logits(loaded), logits(model))
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(logits(load_model(tmp_path / "again")), logits(model))
    del loaded
    gc.collect()
    assert not list(temporary_files.iterdir())


def test_offload_folder_is_kept(tmp_path):
    folder = write(tmp_path / "model", file="pytorch_model.bin")
    loaded = load_model(folder, device_map=ALL_ON_DISK, offload_folder=tmp_path / "offloaded")
    assert torch.equal(logits(loaded), logits(tiny_model()))
    del loaded
    gc.collect()
    assert list((tmp_path / "offloaded").iterdir())


@pytest.mark.parametrize("tie", [True, False])
def test_own_head_on_disk(tmp_path, tie):
    model = tiny_model()
    head = torch.randn(model.lm_head.weight.shape, generator=torch.Generator().manual_seed(5))
    write(tmp_path, {**weights(model), HEAD: head}, {**OLD_CONFIG, "tie_word_embeddings": tie})
    expected = logits(load_model(tmp_path))
    for device_map in (*MAPS.values(), {**dict.fromkeys(TOP_MODULES, "cpu"), "lm_head": "disk"}):
        loaded = load_model(tmp_path, device_map=device_map)
        assert torch.equal(logits(loaded), expected)
    loaded.save_pretrained(tmp_path / "again")
    assert torch.equal(load_model(tmp_path / "again").lm_head.weight, head)


@pytest.mark.parametrize("names", [(ENCODER,), (HEAD,), (SHARED, ENCODER, HEAD)])
@pytest.mark.parametrize("device_map", MAPS.values(), ids=MAPS)
def test_embedding_under_other_names_on_disk(tmp_path, names, device_map):
    model = tiny_model()
    tensors = weights(model)
    embedding = tensors.pop(SHARED)
    write(tmp_path, {**tensors, **{name: embedding.clone() for name in names}})
    assert torch.equal(logits(load_model(tmp_path, device_map=device_map)), logits(model))


def test_max_memory_puts_the_rest_on_disk(tmp_path):
    model = tiny_model(num_layers=6, num_decoder_layers=6)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path, max_memory={"cpu": size // 2})
    devices = set(loaded.hf_device_map.values())
    assert devices == {"cpu", "disk"}
    held = sum(t.numel() * t.element_size() for t in loaded.parameters() if t.device.type == "cpu")
    assert 0 < held <= size // 2
    # A block stays whole, so that its residual connections stay on one device.
    assert all(len(name.split(".")) <= 3 for name in loaded.hf_device_map if ".block." in name)
    assert torch.equal(logits(loaded), logits(model))


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16])
def test_small_dtypes_on_disk_are_computed_in_float32(tmp_path, stored):
    tensors = {name: tensor.to(stored) for name, tensor in weights(tiny_model()).items()}
    write(tmp_path, tensors, {**OLD_CONFIG, "torch_dtype": str(stored).removeprefix("torch.")})
    expected = logits(load_model(tmp_path))
    assert expected.dtype == torch.float32
    assert torch.equal(logits(load_model(tmp_path, device_map=ALL_ON_DISK)), expected)


def test_generate_from_disk(tmp_path):
    model = tiny_model(num_decoder_layers=2)
    write(tmp_path, weights(model), {**OLD_CONFIG, "num_decoder_layers": 2})
    loaded = load_model(tmp_path, device_map=ALL_ON_DISK)
    options = {"num_beams": 3, "max_new_tokens": 8, "no_repeat_ngram_size": 2}
    expected = load_model(tmp_path).generate(random_ids(1, 150), **options)
    assert torch.equal(loaded.generate(random_ids(1, 150), **options), expected)


def test_transformers_places_the_same_files(tmp_path):
    write(tmp_path)
    theirs = transformers.LongT5ForConditionalGeneration.from_pretrained(tmp_path, device_map=ALL_ON_DISK)
    assert_close(logits(load_model(tmp_path, device_map=ALL_ON_DISK)), logits(theirs.eval()))


def test_plain_from_pretrained_on_disk(tmp_path):
    loaded = longt5.LongT5ForConditionalGeneration.from_pretrained(write(tmp_path), device_map=ALL_ON_DISK)
    assert torch.equal(logits(loaded.eval()), logits(tiny_model()))


@pytest.mark.parametrize("device_map", ["nonsense", {"shared": "cpu"}, {"": "nonsense"}, -1])
def test_impossible_maps(tmp_path, temporary_files, device_map):
    with pytest.raises(LoadingError, match="could not be placed") as caught:
        load_model(write(tmp_path / "model"), device_map=device_map)
    assert "\n" not in str(caught.value)
    assert not list(temporary_files.iterdir())


# Prints the peak of this process's memory while it loads a model and runs it, over what the imports took.
MEASURE = """
import json, sys, torch
from longt5.loading import load_model

def memory(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))

torch.set_num_threads(1)
tiny, folder, out, device = sys.argv[1:]
device_map = {"": "disk"} if device == "disk" else None
ids = torch.arange(2, 82)[None]

def run(name):
    model = load_model(name, device_map=device_map)
    with torch.no_grad():
        return model(input_ids=ids, decoder_input_ids=ids[:, :8]).logits

run(tiny)  # imports what is only imported when needed
with open("/proc/self/clear_refs", "w") as peak:
    peak.write("5")
before = memory("VmRSS")
logits = run(folder)
torch.save(logits, out)
print(json.dumps({"before": before, "peak": memory("VmHWM") - before}))
"""


def peak_memory(tmp_path: Path, folder: Path, device: str) -> tuple[int, torch.Tensor]:
    """Bytes that a process needed for loading and running a checkpoint, and its logits."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux's /proc to measure memory")
    out = tmp_path / f"{device}.pt"
    tiny = write(tmp_path / "tiny")
    command = [sys.executable, "-c", MEASURE, str(tiny), str(folder), str(out), device]
    root = Path(longt5.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["peak"], torch.load(out, weights_only=True)


def check_memory_on_disk(tmp_path: Path, share: float, **dimensions: int) -> None:
    """Saves a model and checks that, run from disk, it needs less than this share of its size in memory."""
    model = longt5.LongT5ForConditionalGeneration(
        longt5.LongT5Config(**{**TINY, "num_heads": 4, "tie_word_embeddings": False, **dimensions})
    )
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.parameters())
    model.save_pretrained(tmp_path / "model")
    del model
    peak, from_disk = peak_memory(tmp_path, tmp_path / "model", "disk")
    peak_in_memory, in_memory = peak_memory(tmp_path, tmp_path / "model", "memory")
    print(
        f"model {size / 1e6:.0f} MB; peak from disk {peak / 1e6:.0f} MB, in memory {peak_in_memory / 1e6:.0f} MB"
    )
    assert torch.equal(from_disk, in_memory)
    assert peak_in_memory > 0.9 * size, "the measure misses the model"
    assert peak < share * size


def test_memory_of_a_small_model_on_disk(tmp_path):
    check_memory_on_disk(
        tmp_path, 0.7, vocab_size=4000, d_model=384, d_ff=1024, d_kv=96, num_layers=5, num_decoder_layers=5
    )


@pytest.mark.slow
def test_memory_of_a_model_of_400_megabytes_on_disk(tmp_path):
    check_memory_on_disk(
        tmp_path, 0.5, vocab_size=32128, d_model=768, d_ff=2048, d_kv=192, num_layers=5, num_decoder_layers=5
    )
