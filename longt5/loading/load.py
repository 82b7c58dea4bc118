"""Models and tokenizers from a folder or the Hub, checked tensor by tensor; `longt5.loading.rules` has what decides."""

import os

import torch
from transformers import PreTrainedTokenizerFast
from transformers.activations import ACT2FN

from longt5.configuration import LongT5Config
from longt5.loading.checkpoints import equal, stored_tensors
from longt5.loading.files import LoadingError, find_checkpoint, find_folder
from longt5.loading.int8 import quantize
from longt5.loading.placement import DeviceMap, MaxMemory, place
from longt5.loading.rules import compare, compare_depth, read_config, read_generation_config, recognise
from longt5.memory import ran_out_of_memory
from longt5.modeling import LongT5ForConditionalGeneration

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
    config = read_config(checkpoint)
    if str(config.dense_act_fn) not in ACT2FN:
        raise LoadingError(
            f"The config.json of '{checkpoint.name}' asks for the activation '{config.dense_act_fn}', which there is "
            "not: correct its feed_forward_proj or dense_act_fn."
        )
    generation_config = read_generation_config(checkpoint, config)
    if device_map is None and max_memory is not None:
        device_map = "auto"
    tensors = recognise(checkpoint.name, config, stored_tensors(checkpoint), equal)
    compare_depth(checkpoint.name, config, tensors)
    in_int8 = dtype in ("int8", torch.int8)
    if in_int8 and device_map not in (None, "cpu"):
        raise LoadingError(
            "int8 is for models that are wholly in the CPU's memory: leave device map and most memory unset."
        )
    model = _empty_model(config, torch.float32 if in_int8 else _dtype(dtype, device_map, max_memory))
    expected = {key: tuple(parameter.shape) for key, parameter in model.named_parameters()}
    compare(checkpoint.name, config, expected, tensors)
    try:
        place(model, tensors, device_map, max_memory, offload_folder)
    # TypeError: what is no device. AssertionError: a device that this build of PyTorch knows nothing of.
    except (ValueError, RuntimeError, MemoryError, OSError, TypeError, AssertionError) as error:
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
    if ran_out_of_memory(error):
        return (
            f"There is not enough memory for '{name}': offload a part with device_map 'auto' and max_memory."
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"'{name}' could not be placed on the devices asked for: {reason}"
