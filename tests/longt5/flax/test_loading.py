"""from_pretrained and save_pretrained of the Flax classes: ties, heads, formats, what is refused, and no PyTorch."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from longt5 import LongT5Config, LongT5ForConditionalGeneration, LongT5Model
from longt5.flax import FlaxLongT5ForConditionalGeneration, FlaxLongT5Model, LoadingError
from longt5.flax.parameters import Dimensions, flax_path, parameters, torch_name
from tests.longt5.factories import ATTENTION_TYPES, FEED_FORWARDS, assert_close, random_ids, tiny_model
from tests.longt5.flax.conftest import OTHER_KIND_SLOW, Pair


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", FEED_FORWARDS)
def test_every_parameter_has_pytorchs_name(attention: str, feed_forward: str) -> None:
    model = tiny_model(encoder_attention_type=attention, feed_forward_proj=feed_forward)
    paths = [p.path for p in parameters(Dimensions.of(model.config), with_head=False)]
    assert {torch_name(path) for path in paths} == dict(model.named_parameters()).keys()
    assert [flax_path(torch_name(path)) for path in paths] == paths


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "40KB"}, {"safe_serialization": False}], ids=str)
def test_round_trips(pair: Pair, tmp_path: Path, options: dict) -> None:
    pair.flax.save_pretrained(tmp_path, **options)
    again = FlaxLongT5ForConditionalGeneration.from_pretrained(tmp_path)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, again.params, pair.flax.params))
    assert again.generation_config.to_dict() == pair.flax.generation_config.to_dict()
    if options.get("safe_serialization", True):
        assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == ("max_shard_size" in options)
        in_torch = LongT5ForConditionalGeneration.from_pretrained(tmp_path)
        for name, parameter in pair.torch.named_parameters():
            assert torch.equal(in_torch.get_parameter(name), parameter)


def test_a_head_of_its_own_is_kept(pair: Pair, tmp_path: Path) -> None:
    folder = shutil.copytree(pair.folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    head = torch.randn(tensors["shared.weight"].shape)
    save_file({**tensors, "lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"})
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(folder)
    assert np.array_equal(model.params["lm_head"]["kernel"].T, head)
    assert "lm_head" not in FlaxLongT5Model.from_pretrained(folder).params
    model.save_pretrained(tmp_path / "again")
    in_torch = LongT5ForConditionalGeneration.from_pretrained(tmp_path / "again").eval()
    assert torch.equal(in_torch.lm_head.weight, head)
    ids = random_ids(1, 7)
    expected = in_torch(input_ids=ids, decoder_input_ids=ids).logits
    actual = model(ids.numpy(), decoder_input_ids=ids.numpy()).logits
    assert_close(torch.from_numpy(np.array(actual)), expected)


def test_the_class_decides_what_is_written(pair: Pair, tmp_path: Path) -> None:
    """Not whether there are defaults for generation."""
    FlaxLongT5Model.from_pretrained(pair.folder).save_pretrained(tmp_path / "states")
    FlaxLongT5ForConditionalGeneration(pair.flax.config).save_pretrained(tmp_path / "logits")
    for folder, name in (("states", "LongT5Model"), ("logits", "LongT5ForConditionalGeneration")):
        assert json.loads((tmp_path / folder / "config.json").read_text())["architectures"] == [name]
        assert not (tmp_path / folder / "generation_config.json").exists()
    again = FlaxLongT5ForConditionalGeneration.from_pretrained(tmp_path / "states")
    assert "lm_head" not in again.params


def test_a_head_that_was_left_behind_is_missed(pair: Pair, tmp_path: Path) -> None:
    folder = shutil.copytree(pair.folder, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    head = torch.randn(tensors["shared.weight"].shape)
    save_file({**tensors, "lm_head.weight": head}, folder / "model.safetensors", {"format": "pt"})
    FlaxLongT5Model.from_pretrained(folder).save_pretrained(tmp_path / "states")
    again = FlaxLongT5Model.from_pretrained(tmp_path / "states")
    again.save_pretrained(tmp_path / "again")
    for name in ("states", "again"):
        with pytest.raises(LoadingError, match="saved without its head"):
            FlaxLongT5ForConditionalGeneration.from_pretrained(tmp_path / name)
    ids = random_ids(1, 7)
    in_torch = LongT5Model.from_pretrained(tmp_path / "again").eval()
    expected = in_torch(input_ids=ids, decoder_input_ids=ids).last_hidden_state
    actual = again(ids.numpy(), decoder_input_ids=ids.numpy()).last_hidden_state
    assert_close(torch.from_numpy(np.array(actual)), expected)


def test_without_parameters(pair: Pair) -> None:
    model, params = FlaxLongT5ForConditionalGeneration.from_pretrained(pair.folder, _do_init=False)
    with pytest.raises(ValueError, match="give them to each call"):
        _ = model.params
    ids = random_ids(2, 40).numpy()
    expected = pair.flax.encode(ids).last_hidden_state
    assert jnp.array_equal(model.encode(ids, params=params).last_hidden_state, expected)


def test_every_keyword_of_4_57_6(pair: Pair, tmp_path: Path) -> None:
    """Those that change nothing too: scripts pass them."""
    shutil.copytree(pair.folder, tmp_path / "run" / "best")
    model = FlaxLongT5ForConditionalGeneration.from_pretrained(
        tmp_path / "run",
        jnp.bfloat16,
        config=None,
        cache_dir=tmp_path / "cache",
        local_files_only=True,
        token=None,
        revision="main",
        subfolder="best",
        from_pt=True,
        input_shape=(1, 1),
        seed=3,
    )
    assert jax.tree.all(jax.tree.map(jnp.array_equal, model.params, pair.flax.params))
    assert model.dtype == jnp.bfloat16


def test_a_value_of_the_configuration(pair: Pair) -> None:
    ids = random_ids(1, 7).numpy()
    for options in ({"output_attentions": True}, {"output_hidden_states": True, "dropout_rate": 0.3}):
        model = FlaxLongT5Model.from_pretrained(pair.folder, **options)
        assert {name: getattr(model.config, name) for name in options} == options
        outputs = model.encode(ids)
        assert (outputs.attentions is not None) == ("output_attentions" in options)
        assert (outputs.hidden_states is not None) == ("output_hidden_states" in options)


def test_another_configuration(pair: Pair, tmp_path: Path) -> None:
    """As an object, transformers' own too, which stays as it was, or as the folder that has it."""
    ids = random_ids(1, 30).numpy()
    values = {**pair.torch.config.to_dict(), "local_radius": 2}
    theirs = transformers.LongT5Config(**values)
    theirs.save_pretrained(tmp_path)
    expected = FlaxLongT5Model.from_pretrained(pair.folder, local_radius=2).encode(ids).last_hidden_state
    assert not jnp.array_equal(expected, pair.flax.encode(ids).last_hidden_state)
    before = theirs.to_dict()
    for config in (LongT5Config(**values), theirs, tmp_path, str(tmp_path)):
        model = FlaxLongT5Model.from_pretrained(pair.folder, config=config)
        assert jnp.array_equal(model.encode(ids).last_hidden_state, expected)
    assert theirs.to_dict() == before


@pytest.mark.parametrize("name", ["output_atentions", "to_dict", "from_tf"])
def test_unknown_keywords_are_refused(pair: Pair, name: str) -> None:
    with pytest.raises(TypeError, match=rf"does not know {name}: check the spelling"):
        FlaxLongT5Model.from_pretrained(pair.folder, **{name: True})


def test_a_subfolder_that_is_not_there(pair: Pair) -> None:
    with pytest.raises(LoadingError, match="has no folder 'best'"):
        FlaxLongT5Model.from_pretrained(pair.folder, subfolder="best")


def _without_a_layer(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in tensors.items() if ".block.1." not in k}, folder / "model.safetensors")


def _other_attention(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    other = [kind for kind in ATTENTION_TYPES if kind != config["encoder_attention_type"]]
    (folder / "config.json").write_text(json.dumps({**config, "encoder_attention_type": other[0]}))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), "flax_model.msgpack beside its config.json"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 2000), "damaged or cut off"),
        (_without_a_layer, "do not belong together"),
        (_other_attention, "correct the config.json"),
    ],
)
def test_what_is_not_whole_is_refused(pair: Pair, tmp_path: Path, spoil, reason: str) -> None:
    folder = shutil.copytree(pair.folder, tmp_path / "model")
    spoil(folder)
    with pytest.raises(LoadingError, match=reason):
        FlaxLongT5ForConditionalGeneration.from_pretrained(folder)


def test_damaged_msgpack_is_refused(pair: Pair, tmp_path: Path) -> None:
    pair.flax.save_pretrained(tmp_path, safe_serialization=False)
    file = tmp_path / "flax_model.msgpack"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(LoadingError, match="damaged or cut off"):
        FlaxLongT5ForConditionalGeneration.from_pretrained(tmp_path)


WITHOUT_TORCH = """
import sys
from importlib.machinery import PathFinder

class Finder(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.partition(".")[0] in ("torch", "accelerate")
        return None if hidden else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder

import longt5
from longt5.flax import FlaxLongT5ForConditionalGeneration

model = FlaxLongT5ForConditionalGeneration.from_pretrained(sys.argv[1])
print(model.generate([[5, 6, 7]], max_new_tokens=3).sequences.shape)
model.save_pretrained(sys.argv[2])
assert "torch" not in sys.modules
try:
    longt5.LongT5Model
except ImportError as error:
    print(error)
"""


@OTHER_KIND_SLOW
def test_no_pytorch_is_needed(pair: Pair, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(pair.folder), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(1, 4)", "No module named 'torch'"]
