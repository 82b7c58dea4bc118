"""Device maps made whole: nothing within another entry, tied weights on one device."""

import pytest
import torch

from longt5 import LongT5ForConditionalGeneration
from longt5.loading.placement import full_map
from tests.longt5.factories import tiny_config


@pytest.fixture
def model() -> LongT5ForConditionalGeneration:
    with torch.device("meta"):
        return LongT5ForConditionalGeneration(tiny_config())


def test_one_device(model):
    assert full_map(model, "cpu", None) == {"": "cpu"}
    assert full_map(model, {"": "disk"}, None) == {"": "disk"}
    assert full_map(model, torch.device("cuda", 1), None) == {"": "cuda:1"}


def test_tied_weights_follow_the_embedding(model):
    devices = full_map(
        model, {"shared": "cuda:0", "encoder": "cuda:0", "decoder": "cuda:1", "lm_head": "cuda:1"}, None
    )
    assert devices["shared"] == devices["lm_head"] == devices["decoder.embed_tokens"] == "cuda:0"
    assert devices["encoder"] == "cuda:0"
    assert devices["decoder.block"] == devices["decoder.final_layer_norm"] == "cuda:1"
    assert "decoder" not in devices


def test_an_own_head_stays_where_it_was_put():
    config = tiny_config()
    config.tie_word_embeddings = False
    with torch.device("meta"):
        model = LongT5ForConditionalGeneration(config)
    devices = full_map(model, {"": "cpu", "lm_head": "disk"}, None)
    assert devices["lm_head"] == "disk"
    assert devices["shared"] == "cpu"


def test_the_narrower_entry_counts(model):
    devices = full_map(model, {"": "cpu", "decoder": "cuda:0", "decoder.block.1": "disk"}, None)
    assert devices["encoder"] == devices["shared"] == devices["decoder.embed_tokens"] == "cpu"
    assert devices["decoder.block.0"] == devices["decoder.block.2"] == "cuda:0"
    assert devices["decoder.block.1"] == "disk"
    for outer in devices:
        assert not any(inner.startswith(f"{outer}.") for inner in devices), outer


@pytest.mark.parametrize("device_map", [{"shared": "cpu"}, {}, {"": "nowhere"}, {"": -5}, "nowhere"])
def test_impossible_maps(model, device_map):
    with pytest.raises((ValueError, RuntimeError)):
        full_map(model, device_map, None)
