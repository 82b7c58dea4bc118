"""Models and tokenizers from a folder or the Hub, checked tensor by tensor and placed by accelerate.

What LongT5 checkpoints need beyond `from_pretrained`:
- `tie_word_embeddings: false` in an official config.json only means "do not scale the decoder's output".
- The encoder's and decoder's embeddings are always `shared`, under whichever of their names the file has it.
- The head is the file's `lm_head.weight` where it differs from `shared`, else `shared`, never random. If it
  differs, `config.tie_word_embeddings` is False, and `save_pretrained` keeps it.
- The vocabulary is as large as the tensor says. config.json is often off (32128 for 32100), so it gives way.
- Defaults for generation may stand in config.json.
"""

import logging
import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from longt5.checkpoints import (
    GENERATION_CONFIG_FILE,
    Checkpoint,
    LoadingError,
    StoredTensor,
    equal,
    find_checkpoint,
    find_folder,
    open_tensors,
    read_json,
)
from longt5.configuration import LongT5Config
from longt5.modeling import LongT5ForConditionalGeneration

__all__ = ["LoadingError", "load_model", "load_tokenizer"]

logger = logging.getLogger(__name__)

DeviceMap = str | int | torch.device | dict[str, str | int | torch.device]

EMBEDDING = "shared.weight"
EMBEDDING_NAMES = (EMBEDDING, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
HEAD = "lm_head.weight"
# Old files of the T5 family hold this one although nothing uses it: cross-attention has no position bias.
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_FILES = [TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
SPECIAL_TOKENS = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}  # T5's own


def load_model(
    name_or_path: str | os.PathLike,
    *,
    device_map: DeviceMap | None = None,
    max_memory: dict[int | str, int | str] | None = None,
    offload_folder: str | os.PathLike | None = None,
    dtype: torch.dtype | str | None = None,
    revision: str | None = None,
    token: str | None = None,
) -> LongT5ForConditionalGeneration:
    """A LongT5 with its head, in evaluation mode, from a folder or the Hub.

    Args:
        name_or_path: a folder, or else the name of a model on the Hub.
        device_map: where the modules go: None and "cpu" (all in memory), "auto" (GPUs, then CPU, then disk,
            as far as each reaches), a device, or a map from module names to devices, "cpu" and "disk".
        max_memory: most that "auto" may put on each device, as {0: "10GiB", "cpu": "20GiB"}. Implies "auto".
        offload_folder: for weights on disk that are not in safetensors files (those are read where they lie,
            so the files must stay). A temporary folder that goes with the model, if None.
        dtype: of the weights in memory. If None, bfloat16 on a GPU that computes in it, else float32,
            whatever the file holds: CPUs without bfloat16 units are a hundred times slower in it.
        revision: branch, tag or commit on the Hub.
        token: for private and gated models; if None, the one logged in with.

    Raises:
        LoadingError: see its sentence.
    """
    checkpoint = find_checkpoint(name_or_path, revision, token)
    if device_map is None and max_memory is not None:
        device_map = "auto"
    config = _config(checkpoint)
    generation_config = _generation_config(checkpoint, config)
    with open_tensors(checkpoint) as tensors:
        renamed = _check_tensors(checkpoint.name, config, tensors)

    temporary = None
    if offload_folder is None and device_map is not None:
        temporary = offload_folder = tempfile.mkdtemp(prefix="longt5-offload-")
    try:
        with _no_report():
            model = LongT5ForConditionalGeneration.from_pretrained(
                checkpoint.folder,
                config=config,
                generation_config=generation_config,
                key_mapping=renamed or None,
                dtype=_default_dtype(device_map, max_memory) if dtype is None else dtype,
                device_map=device_map,
                max_memory=max_memory,
                offload_folder=offload_folder,
                use_safetensors=checkpoint.is_safetensors,
                local_files_only=True,
            )
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise LoadingError(_placement_failure(checkpoint.name, error)) from error
    if temporary is not None:
        weakref.finalize(model, shutil.rmtree, temporary, ignore_errors=True)
    # transformers would undo the renaming when saving; what we save has the usual names.
    model._weight_conversions = []
    return model.eval()


def load_tokenizer(
    name_or_path: str | os.PathLike, *, revision: str | None = None, token: str | None = None
) -> PreTrainedTokenizerFast:
    """The tokenizer beside a model, which gives the characters of each token (`return_offsets_mapping=True`).

    It is taken from tokenizer.json as it stands, not rebuilt from its vocabulary as a T5Tokenizer would be.

    Raises:
        LoadingError: no such folder or model, or no tokenizer.json in it.
    """
    name = os.fspath(name_or_path)
    folder, _ = find_folder(name, TOKENIZER_FILES, revision, token)
    if not (folder / TOKENIZER_FILE).is_file():
        raise LoadingError(
            f"'{name}' has no {TOKENIZER_FILE}: save its tokenizer in that form "
            "(AutoTokenizer.from_pretrained and save_pretrained, with sentencepiece installed)."
        )
    try:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for a file it cannot read
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise LoadingError(f"The tokenizer of '{name}' cannot be read, get it again ({reason}).") from error
    known = tokenizer.get_vocab()
    unset = {
        role: text
        for role, text in SPECIAL_TOKENS.items()
        if getattr(tokenizer, role) is None and text in known
    }
    if unset:
        tokenizer.add_special_tokens(unset)
    return tokenizer


def _config(checkpoint: Checkpoint) -> LongT5Config:
    """The configuration, with the start token that old files leave out."""
    try:
        config = LongT5Config.from_dict(dict(checkpoint.config))
    except (
        Exception
    ) as error:  # huggingface_hub's validation has its own family of errors, not all ValueErrors
        reason = " ".join(str(error).split())
        raise LoadingError(
            f"The config.json of '{checkpoint.name}' does not describe a LongT5: {reason}"
        ) from error
    if config.pad_token_id is None:
        config.pad_token_id = 0
    if getattr(config, "decoder_start_token_id", None) is None:
        config.decoder_start_token_id = config.pad_token_id
    return config


def _generation_config(checkpoint: Checkpoint, config: LongT5Config) -> GenerationConfig:
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
    for key in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if values.get(key) is None:
            values[key] = getattr(config, key)
    try:
        return GenerationConfig.from_dict(values)
    except (ValueError, TypeError) as error:
        raise LoadingError(
            f"The defaults for generation of '{checkpoint.name}' are not valid: {error}"
        ) from error


def _check_tensors(name: str, config: LongT5Config, tensors: Mapping[str, StoredTensor]) -> dict[str, str]:
    """Holds a file's tensors against the model that `config` describes. Sets in `config` the vocabulary's size
    and whether the head is tied.

    Returns: patterns of names in the file that have to be read under another name.
    Raises LoadingError: a tensor is missing, superfluous, of another shape, or quantized.
    """
    stored = next((key for key in (*EMBEDDING_NAMES, HEAD) if key in tensors), None)
    if stored is None:
        raise LoadingError(f"The weights of '{name}' lack the tensor {EMBEDDING}: get the whole model again.")
    embedding = tensors[stored]
    if len(embedding.shape) == 2 and embedding.shape[0] != config.vocab_size:
        logger.warning(
            "'%s' has embeddings for %d tokens where its config.json says %d; the embeddings are right.",
            *(name, embedding.shape[0], config.vocab_size),
        )
        config.vocab_size = embedding.shape[0]

    renamed = {stored: EMBEDDING} if stored != EMBEDDING else {}
    for key in (*EMBEDDING_NAMES, HEAD):
        if key == stored or key not in tensors:
            continue
        same = equal(tensors[key], embedding)
        if key == HEAD and not same:
            config.tie_word_embeddings = False
            continue
        if not same:
            logger.warning("'%s' holds %s besides a different %s, which is the one used.", name, key, stored)
        renamed[key] = f"superseded.{key}"

    with torch.device("meta"):
        expected = {
            key: tuple(tensor.shape)
            for key, tensor in LongT5ForConditionalGeneration(config).state_dict().items()
        }
    for key in (*EMBEDDING_NAMES, HEAD):
        if key != EMBEDDING and (key != HEAD or config.tie_word_embeddings):
            del expected[key]
    found = {renamed.get(key, key): tensor for key, tensor in tensors.items()}
    _compare(name, config, expected, found)
    return {f"^{re.escape(key)}$": new for key, new in renamed.items()}


def _compare(
    name: str, config: LongT5Config, expected: dict[str, tuple[int, ...]], found: Mapping[str, StoredTensor]
) -> None:
    missing = [key for key in expected if key not in found]
    leftover = [
        key for key in found if key not in expected and key != UNUSED and not key.startswith("superseded.")
    ]
    attention = "TransientGlobal" if config.encoder_attention_type == "local" else "Local"
    if missing and any(f"{attention}SelfAttention" in key for key in leftover):
        raise LoadingError(
            f"The weights of '{name}' do not fit the encoder_attention_type '{config.encoder_attention_type}' "
            "of its config.json ('local' where it says nothing): correct the config.json."
        )
    if missing:
        raise LoadingError(f"The weights of '{name}' lack {_named(missing)}: get the whole model again.")
    for key, shape in expected.items():
        if found[key].shape != shape:
            raise LoadingError(
                f"The tensor {key} of '{name}' has the shape {found[key].shape}, but its config.json asks "
                f"for {shape}: the two files do not belong together."
            )
        if not found[key].is_float:
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


def _default_dtype(device_map: DeviceMap | None, max_memory: dict[int | str, Any] | None) -> torch.dtype:
    """bfloat16 where a GPU that computes in it does the work, else float32. What is offloaded from a GPU to
    CPU or disk is computed on the GPU all the same."""
    if device_map is None or not torch.cuda.is_available():
        return torch.float32
    if isinstance(device_map, dict):
        devices = {str(device) for device in device_map.values()}
    elif device_map in ("auto", "balanced", "balanced_low_0", "sequential"):
        devices = {str(device) for device, memory in (max_memory or {0: 1}).items() if memory not in (0, "0")}
    else:
        devices = {str(device_map)}
    on_gpu = any(device.isdigit() or device.startswith("cuda") for device in devices)
    return (
        torch.bfloat16
        if on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
        else torch.float32
    )


def _placement_failure(name: str, error: Exception) -> str:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error):
        return (
            f"There is not enough memory for '{name}': offload a part with device_map 'auto' and max_memory."
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"'{name}' could not be placed on the devices asked for: {reason}"


@contextmanager
def _no_report() -> Iterator[None]:
    """Silences transformers' table of unexpected names: `_compare` has already said what matters."""

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    log = logging.getLogger("transformers.modeling_utils")
    log.addFilter(keep)
    try:
        yield
    finally:
        log.removeFilter(keep)
