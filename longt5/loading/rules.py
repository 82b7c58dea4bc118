"""What decides how a LongT5 checkpoint is read, with PyTorch and without.

What LongT5 checkpoints need beyond `from_pretrained`:
- `tie_word_embeddings: false` in an official config.json only means "do not scale the decoder's output".
- The encoder's and decoder's embeddings are always `shared`, under whichever of their names the file has it.
- The head is the file's `lm_head.weight` where it differs from `shared`, else `shared`, never random. If it
  differs, `config.tie_word_embeddings` is False, and `save_pretrained` keeps it.
- The vocabulary is as large as the tensor says. config.json is often off (32128 for 32100), so it gives way.
- Defaults for generation may stand in config.json.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import GenerationConfig

from longt5.configuration import LongT5Config
from longt5.loading.files import GENERATION_CONFIG_FILE, Checkpoint, LoadingError, read_json

logger = logging.getLogger(__name__)

EMBEDDING = "shared.weight"
EMBEDDING_NAMES = (EMBEDDING, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
HEAD = "lm_head.weight"
# Old files of the T5 family hold this one although nothing uses it: cross-attention has no position bias.
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"


@dataclass(frozen=True)
class StoredTensor:
    """A tensor still in its file."""

    name: str  # in the file
    file: Path
    shape: tuple[int, ...]
    is_float: bool  # of a kind PyTorch computes in, not a quantized one
    rows: Callable[[slice], Any]  # reads some of the first dimension, into an array of whoever asks


def read_config(checkpoint: Checkpoint, **overrides: Any) -> LongT5Config:
    """The configuration, some of its values replaced, with the start token that old files leave out."""
    try:
        config = LongT5Config.from_dict(dict(checkpoint.config), **overrides)
    except Exception as error:  # huggingface_hub's validation has errors of its own, not all ValueErrors
        reason = " ".join(str(error).split())
        raise LoadingError(
            f"The config.json of '{checkpoint.name}' does not describe a LongT5: {reason}"
        ) from error
    if config.pad_token_id is None:
        config.pad_token_id = 0
    if getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = config.pad_token_id
    return config


def read_generation_config(checkpoint: Checkpoint, config: LongT5Config) -> GenerationConfig:
    """The defaults for generation: generation_config.json's, and config.json's where the former does not exist
    or was itself made from the latter. The special tokens are the model's where both are silent."""
    file = checkpoint.folder / GENERATION_CONFIG_FILE
    values = read_json(checkpoint.name, file) if file.is_file() else {"_from_model_config": True}
    if values.get("_from_model_config"):
        known = vars(GenerationConfig()).keys() - {"transformers_version"}
        old = {
            key: checkpoint.config[key] for key in known & checkpoint.config.keys() if not key.startswith("_")
        }
        values = old | {key: value for key, value in values.items() if value is not None}
        del values["_from_model_config"]  # what we save is the whole truth
    for key in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if values.get(key) is None:
            values[key] = getattr(config, key)
    try:
        return GenerationConfig.from_dict(values)
    except (ValueError, TypeError) as error:
        raise LoadingError(
            f"The defaults for generation of '{checkpoint.name}' are not valid: {error}"
        ) from error


def recognise(
    name: str,
    config: LongT5Config,
    stored: Mapping[str, StoredTensor],
    equal: Callable[[StoredTensor, StoredTensor], bool],
) -> dict[str, StoredTensor]:
    """The tensors of a file by the model's names, the embedding and a tied head once.

    Sets in `config` the vocabulary's size and whether the head is tied.

    Args:
        equal: whether two tensors hold the same values.

    Raises:
        LoadingError: there is no embedding, or there are two.
    """
    embedded = [key for key in (*EMBEDDING_NAMES, HEAD) if key in stored]
    if not embedded:
        raise LoadingError(f"The weights of '{name}' lack the tensor {EMBEDDING}: get the whole model again.")
    embedding = stored[embedded[0]]
    if len(embedding.shape) != 2:
        raise LoadingError(
            f"The tensor {embedding.name} of '{name}' has the shape {embedding.shape}, but should be a matrix: "
            "get the model again."
        )
    if embedding.shape[0] != config.vocab_size:
        logger.warning(
            "'%s' has embeddings for %d tokens where its config.json says %d; the embeddings are right.",
            *(name, embedding.shape[0], config.vocab_size),
        )
        config.vocab_size = embedding.shape[0]

    tensors = {key: tensor for key, tensor in stored.items() if key not in embedded and key != UNUSED}
    tensors[EMBEDDING] = embedding
    for key in embedded[1:]:
        if equal(stored[key], embedding):
            continue
        if key != HEAD:
            raise LoadingError(
                f"'{name}' holds a {key} that differs from its {embedding.name}, but LongT5 has one embedding "
                "for both stacks: it was not trained as a LongT5."
            )
        config.tie_word_embeddings = False
        tensors[HEAD] = stored[HEAD]
    return tensors


def compare_depth(name: str, config: LongT5Config, tensors: Mapping[str, StoredTensor]) -> None:
    """Holds the number of layers against a file's tensors, before any layer is made: each takes time, even empty.

    Raises:
        LoadingError: config.json asks for more layers than there are.
    """
    for stack, layers in (("encoder", config.num_layers), ("decoder", config.num_decoder_layers)):
        stored = len({key.split(".")[2] for key in tensors if key.startswith(f"{stack}.block.")})
        if layers > stored:
            raise LoadingError(
                f"The config.json of '{name}' asks for {layers:,} {stack} layers, and its weights have {stored}: "
                "the two files do not belong together."
            )


def compare(
    name: str,
    config: LongT5Config,
    expected: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, StoredTensor],
) -> None:
    """Holds a file's tensors against the model that its config.json describes.

    Args:
        expected: the shapes of the model's parameters, by their names.

    Raises:
        LoadingError: one is missing, superfluous, of another shape, or quantized.
    """
    missing = [key for key in expected if key not in tensors]
    leftover = [key for key in tensors if key not in expected]
    attention = config.encoder_attention_type
    other = "TransientGlobalSelfAttention" if attention == "local" else "LocalSelfAttention"
    if missing and any(f".{other}." in key for key in leftover):
        raise LoadingError(
            f"The weights of '{name}' do not fit its config.json's encoder_attention_type, which is '{attention}' "
            "('local' where it says nothing): correct the config.json."
        )
    if missing:
        raise LoadingError(f"The weights of '{name}' lack {_named(missing)}: get the whole model again.")
    for key, shape in expected.items():
        if tensors[key].shape != shape:
            raise LoadingError(
                f"The tensor {key} of '{name}' has the shape {tensors[key].shape}, but its config.json asks for "
                f"{shape}: the two files do not belong together."
            )
        if not tensors[key].is_float:
            raise LoadingError(f"The tensor {key} of '{name}' is quantized: take the original model.")
    # More layers than the config says would be a different model, cut down without a word.
    ours = [key for key in leftover if key.startswith(("encoder.", "decoder."))]
    if ours:
        raise LoadingError(
            f"The weights of '{name}' hold {_named(ours)}, which its config.json does not describe: "
            "the two files do not belong together."
        )
    if leftover:
        logger.warning("'%s' holds %s, which LongT5 does not use.", name, _named(leftover))


def _named(keys: list[str]) -> str:
    more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
    return f"the tensor {keys[0]}{more}"
