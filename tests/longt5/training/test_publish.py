from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.training.publish import publish
from longt5.training.tokenizer import train_tokenizer


def save_model(folder: Path, seed: int = 0, *, tied: bool = True) -> LongT5ForConditionalGeneration:
    """A tiny model with a tokenizer beside it, as a training run leaves it."""
    torch.manual_seed(seed)
    config = LongT5Config(
        vocab_size=330,
        d_model=16,
        d_kv=4,
        num_heads=2,
        d_ff=16,
        num_layers=1,
        decoder_start_token_id=0,
        tie_word_embeddings=tied,
    )
    model = LongT5ForConditionalGeneration(config).eval()
    model.save_pretrained(folder)
    train_tokenizer(iter(["A band of blocks."] * 9), 330).save_pretrained(folder)
    return model


@pytest.mark.parametrize("tied", [True, False])
def test_published_model_is_small_and_the_same(tmp_path: Path, tied: bool) -> None:
    model = save_model(tmp_path / "run" / "model", tied=tied)
    (tmp_path / "run" / "loss.svg").write_text("<svg></svg>")
    size = publish(tmp_path / "run" / "model", tmp_path / "out", 4096, {"num_beams": 2, "max_new_tokens": 9})
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}
    assert size == (tmp_path / "out" / "model.safetensors").stat().st_size
    published = LongT5ForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    assert published.generation_config.num_beams == 2 and published.generation_config.max_new_tokens == 9
    assert AutoTokenizer.from_pretrained(tmp_path / "out").model_max_length == 4096
    assert (tmp_path / "out" / "training.svg").exists()
    for (name, value), (_, original) in zip(published.state_dict().items(), model.state_dict().items()):
        torch.testing.assert_close(value, original, rtol=1e-2, atol=1e-2, msg=name)


def test_contradicting_generation_defaults_are_refused(tmp_path: Path) -> None:
    save_model(tmp_path / "model")
    with pytest.raises(ValueError):
        publish(tmp_path / "model", tmp_path / "out", 4096, {"num_beams": 1, "num_return_sequences": 3})


def test_an_average_of_two_models(tmp_path: Path) -> None:
    models = [save_model(tmp_path / name, seed) for seed, name in enumerate(("first", "second"))]
    publish(tmp_path / "first", tmp_path / "out", 4096, {}, average=(tmp_path / "second", 0.25))
    published = LongT5ForConditionalGeneration.from_pretrained(tmp_path / "out", dtype=torch.float32)
    for mean, first, second in zip(published.parameters(), *(model.parameters() for model in models)):
        torch.testing.assert_close(mean, 0.75 * first + 0.25 * second, rtol=2**-8, atol=1e-6)
