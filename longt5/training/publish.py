"""A trained model made ready to give away: `python -m longt5.training.publish --model DIR --out DIR`.

Weights in bfloat16 (`wo` too: the file is read back in the reader's dtype), the tokenizer, generation defaults.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from transformers import AutoTokenizer, GenerationConfig

from longt5 import LongT5ForConditionalGeneration


def publish(
    model_folder: Path,
    out: Path,
    max_input_tokens: int,
    generation: dict[str, object],
) -> int:
    """Writes the model to `out` and returns the bytes of its weights.

    Args:
        max_input_tokens: longest input the model is meant for, kept as the tokenizer's `model_max_length`.
        generation: generation defaults beside the special tokens, e.g. `{"num_beams": 2}`.

    Raises:
        ValueError: `generation` has settings that contradict each other.
    """
    model = LongT5ForConditionalGeneration.from_pretrained(model_folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.model_max_length = max_input_tokens
    model.generation_config = GenerationConfig(
        pad_token_id=model.config.pad_token_id,
        eos_token_id=model.config.eos_token_id,
        decoder_start_token_id=model.config.decoder_start_token_id,
        **generation,
    )
    model.generation_config.validate(strict=True)
    for parameter in model.parameters():  # model.to() would leave `wo` in float32
        parameter.data = parameter.data.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    picture = model_folder.parent / "loss.svg"
    if picture.exists():
        shutil.copy(picture, out / "training.svg")
    return (out / "model.safetensors").stat().st_size


def main() -> None:
    """Publishes a model and says how large it is."""
    parser = argparse.ArgumentParser(
        description="Make a trained model ready to give away: bfloat16 weights, tokenizer, defaults."
    )
    parser.add_argument(
        "--model", type=Path, required=True, help="folder written by python -m longt5.training"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--max-input-tokens", type=int, default=16384)
    parser.add_argument("--generation", type=json.loads, default={}, help='JSON, e.g. {"num_beams": 2}')
    arguments = parser.parse_args()
    size = publish(arguments.model, arguments.out, arguments.max_input_tokens, arguments.generation)
    print(f"{arguments.out}: {size / 2**20:.1f} MiB of weights")


if __name__ == "__main__":
    main()
