"""Models and tokenizers from a folder or the Hub, checked tensor by tensor.

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
from collections.abc import Mapping

import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from longt5.configuration import LongT5Config
from longt5.loading.checkpoints import (
    GENERATION_CONFIG_FILE,
    Checkpoint,
    LoadingError,
    StoredTensor,
    equal,
    find_checkpoint,
    find_folder,
    read_json,
    stored_tensors,
)
from longt5.loading.int8 import quantize
from longt5.loading.placement import DeviceMap, MaxMemory, place
from longt5.modeling import LongT5ForConditionalGeneration

logger = logging.getLogger(__name__)

EMBEDDING = "shared.weight"
EMBEDDING_NAMES = (EMBEDDING, "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
HEAD = "lm_head.weight"
# Old files of the T5 family hold this one although nothing uses it: cross-attention has no position bias.
UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_FILES = [TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
PROBE = "Summarize 1 paper (of 2). " * 40  # some regular expressions give up on long texts only
SPECIAL_TOKENS = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}  # T5's own


def load_model(
    name_or_path: str | os.PathLike,
    *,
    device_map: DeviceMap | None = None,
    max_memory: MaxMemory | None = None,
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
            whatever the file holds: CPUs without bfloat16 units are a hundred times slower in it. "int8" rounds the
            linear layers, on a CPU, and keeps the rest in float32 (see `longt5.loading.int8`).
        revision: branch, tag or commit on the Hub.
        token: for private and gated models; if None, the one logged in with.

    Raises:
        LoadingError: see its sentence.
    """
    checkpoint = find_checkpoint(os.fspath(name_or_path), revision, token)
    config = _config(checkpoint)
    generation_config = _generation_config(checkpoint, config)
    if device_map is None and max_memory is not None:
        device_map = "auto"
    tensors = _recognise(checkpoint.name, config, stored_tensors(checkpoint))
    _compare_depth(checkpoint.name, config, tensors)
    in_int8 = dtype in ("int8", torch.int8)
    if in_int8 and device_map not in (None, "cpu"):
        raise LoadingError(
            "int8 is for models that are wholly in the CPU's memory: leave device map and most memory unset."
        )
    model = _empty_model(config, torch.float32 if in_int8 else _dtype(dtype, device_map, max_memory))
    _compare(checkpoint.name, model, tensors)
    try:
        place(model, tensors, device_map, max_memory, offload_folder)
    except (ValueError, RuntimeError, MemoryError, OSError) as error:
        raise LoadingError(_placement_failure(checkpoint.name, error)) from error
    _check_numbers(checkpoint.name, model)
    if in_int8:
        quantize(model)
    model.generation_config = generation_config
    model.config.name_or_path = checkpoint.name
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
        tokenizer(PROBE, return_offsets_mapping=True)
    except BaseException as error:  # the tokenizers library raises bare Exception for a file it cannot read
        if not isinstance(error, Exception) and not is_panic(error):
            raise
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


def is_panic(error: BaseException) -> bool:
    """Whether a library in Rust gave up. That is no Exception to Python, though nobody wanted the program to end."""
    return type(error).__name__ == "PanicException"


def check_vocabulary(model: LongT5ForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
    """Holds a tokenizer against the model that it is used with.

    Raises:
        LoadingError: it has more entries than the model has embeddings.
    """
    if len(tokenizer) > model.config.vocab_size:
        raise LoadingError(
            f"The tokenizer of '{model.config.name_or_path}' has {len(tokenizer):,} entries and the model embeddings "
            f"for {model.config.vocab_size:,} only: call `resize_token_embeddings` where words were added, train them, "
            "and save the model again."
        )


def _config(checkpoint: Checkpoint) -> LongT5Config:
    """The configuration, with the start token that old files leave out."""
    try:
        config = LongT5Config.from_dict(dict(checkpoint.config))
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


def _recognise(
    name: str, config: LongT5Config, stored: Mapping[str, StoredTensor]
) -> dict[str, StoredTensor]:
    """The tensors of a file by the model's names, the embedding and a tied head once.

    Sets in `config` the vocabulary's size and whether the head is tied.

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


def _empty_model(config: LongT5Config, dtype: torch.dtype) -> LongT5ForConditionalGeneration:
    """The model without memory for its weights."""
    config.dtype = dtype
    with torch.device("meta"):
        model = LongT5ForConditionalGeneration(config).to(dtype)
    if dtype == torch.float16:  # these overflow in it, see transformers' _get_dtype_plan
        for name, module in model.named_modules():
            if name.rpartition(".")[2] in model._keep_in_fp32_modules:
                module.float()
    model.tie_weights()
    return model


def _compare_depth(name: str, config: LongT5Config, tensors: Mapping[str, StoredTensor]) -> None:
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


def _check_numbers(name: str, model: LongT5ForConditionalGeneration) -> None:
    """Looks for weights that no training would leave; those that stay on disk are not looked at.

    Raises:
        LoadingError: a weight is infinite or not a number.
    """
    for key, parameter in model.named_parameters():
        if parameter.device.type != "meta" and not bool(torch.isfinite(parameter).all()):
            raise LoadingError(
                f"The tensor {key} of '{name}' holds values that are no numbers: get the model again."
            )


def _compare(name: str, model: LongT5ForConditionalGeneration, tensors: Mapping[str, StoredTensor]) -> None:
    """Holds a file's tensors against the model that its config.json describes.

    Raises:
        LoadingError: one is missing, superfluous, of another shape, or quantized.
    """
    expected = dict(model.named_parameters())
    missing = [key for key in expected if key not in tensors]
    leftover = [key for key in tensors if key not in expected]
    attention = model.config.encoder_attention_type
    other = "TransientGlobalSelfAttention" if attention == "local" else "LocalSelfAttention"
    if missing and any(f".{other}." in key for key in leftover):
        raise LoadingError(
            f"The weights of '{name}' do not fit its config.json's encoder_attention_type, which is '{attention}' "
            "('local' where it says nothing): correct the config.json."
        )
    if missing:
        raise LoadingError(f"The weights of '{name}' lack {_named(missing)}: get the whole model again.")
    for key, parameter in expected.items():
        if tensors[key].shape != tuple(parameter.shape):
            raise LoadingError(
                f"The tensor {key} of '{name}' has the shape {tensors[key].shape}, but its config.json asks for "
                f"{tuple(parameter.shape)}: the two files do not belong together."
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


def _dtype(
    asked: torch.dtype | str | None, device_map: DeviceMap | None, max_memory: MaxMemory | None
) -> torch.dtype:
    """The dtype asked for. Else bfloat16 where a GPU that computes in it does the work: what is offloaded from a
    GPU to CPU or disk is computed on the GPU all the same. Else float32."""
    if asked is not None:
        dtype = getattr(torch, asked, None) if isinstance(asked, str) else asked
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise LoadingError(
                f"There is no dtype '{asked}' for weights: use 'float32', 'bfloat16', 'float16' or 'int8'."
            )
        return dtype
    if device_map is None or not torch.cuda.is_available():
        return torch.float32
    if isinstance(device_map, dict):
        devices = {str(device) for device in device_map.values()}
    elif device_map == "auto":
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
