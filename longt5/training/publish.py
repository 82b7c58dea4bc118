"""A trained model made ready to give away: `python -m longt5.training.publish --model DIR --out DIR`.

Weights in bfloat16 (`wo` too: the file is read back in the reader's dtype), the tokenizer, generation defaults. With
`--average DIR SHARE` the weights are the mean of two models, one trained on from the other: such a mean is often better
than both (Wortsman et al. 2022, arXiv 2109.01903).
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
    average: tuple[Path, float] | None = None,
) -> int:
    """Writes the model to `out` and returns the bytes of its weights.

    Args:
        max_input_tokens: longest input the model is meant for, kept as the tokenizer's `model_max_length`.
        generation: generation defaults beside the special tokens, e.g. `{"num_beams": 2}`.
        average: another model of the same sizes, and its share of the weights, 0 to 1.

    Raises:
        ValueError: `generation` has settings that contradict each other.
    """
    model = LongT5ForConditionalGeneration.from_pretrained(model_folder, dtype=torch.float32)
    if average is not None:
        folder, share = average
        others = LongT5ForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).parameters()
        for parameter, other in zip(model.parameters(), others, strict=True):
            parameter.data.lerp_(other.data, share)
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
    parser.add_argument(
        "--average", nargs=2, metavar=("DIR", "SHARE"), help="another model, and its share of the weights"
    )
    arguments = parser.parse_args()
    average = arguments.average and (Path(arguments.average[0]), float(arguments.average[1]))
    size = publish(arguments.model, arguments.out, arguments.max_input_tokens, arguments.generation, average)
    print(f"{arguments.out}: {size / 2**20:.1f} MiB of weights")


if __name__ == "__main__":
    main()
