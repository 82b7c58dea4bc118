"""Checkpoint files of the Flax classes, read and written without PyTorch, by the rules of `longt5.loading`.

Safetensors files have PyTorch's names and shapes, so that one file serves both; `flax_model.msgpack` is what the
classes of transformers 4.57.6 wrote.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.serialization import msgpack_restore, msgpack_serialize
from jax import Array
from safetensors import SafetensorError, safe_open
from safetensors.flax import save_file
from transformers import GenerationConfig, PreTrainedConfig

from longt5.configuration import LongT5Config
from longt5.flax.parameters import (
    HEAD,
    Dimensions,
    Params,
    flattened,
    nested,
    parameters,
    torch_name,
)
from longt5.loading.files import (
    CONFIG_FILE,
    Checkpoint,
    LoadingError,
    Place,
    find_checkpoint,
    find_folder,
    read_config_file,
    refuse_pointer,
)
from longt5.loading.rules import (
    StoredTensor,
    compare,
    compare_depth,
    read_config,
    read_generation_config,
    recognise,
)

SAFE_FILE, SAFE_INDEX = "model.safetensors", "model.safetensors.index.json"
MSGPACK_FILE, MSGPACK_INDEX = "flax_model.msgpack", "flax_model.msgpack.index.json"
WEIGHT_FILES = ((SAFE_FILE, SAFE_INDEX), (MSGPACK_FILE, MSGPACK_INDEX))
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Loaded:
    """What a checkpoint holds."""

    config: LongT5Config
    generation_config: GenerationConfig
    params: Params


def load(
    name: str,
    revision: str | None,
    token: str | bool | None,
    place: Place,
    given: PreTrainedConfig | str | os.PathLike | None,
    overrides: Mapping[str, Any],
    *,
    with_head: bool,
) -> Loaded:
    """Reads a checkpoint from a folder or the Hub; see `longt5.loading.rules`.

    Args:
        given: the configuration in place of the checkpoint's, or the folder or model that has it.
        overrides: values that replace the configuration's.
    Raises:
        LoadingError: see its sentence.
    """
    checkpoint = find_checkpoint(name, revision, token, WEIGHT_FILES, place)
    # Old files say `tie_word_embeddings: false` of models that scale nothing; where that has a field of its own, it is
    # said of the head.
    untied = checkpoint.config.get("tie_word_embeddings") is False
    has_own_head = untied and "scale_decoder_outputs" in checkpoint.config
    if isinstance(given, PreTrainedConfig):
        checkpoint = replace(checkpoint, config=given.to_dict())
    elif given is not None:
        folder, _ = find_folder(os.fspath(given), [CONFIG_FILE], revision, token, place)
        checkpoint = replace(checkpoint, config=read_config_file(os.fspath(given), folder))
    config = read_config(checkpoint, **overrides)
    generation_config = read_generation_config(checkpoint, config)
    stored = _stored(checkpoint)
    lacks_head = has_own_head and torch_name(HEAD) not in stored
    if with_head and lacks_head:
        raise LoadingError(
            f"'{name}' was saved without its head, which is another matrix than its embedding: load it as "
            "FlaxLongT5Model, or take the whole model."
        )
    tensors = recognise(checkpoint.name, config, stored, _equal)
    if lacks_head:
        config.tie_word_embeddings = False  # as `recognise` says where the head is there
    compare_depth(checkpoint.name, config, tensors)
    has_head = torch_name(HEAD) in tensors
    wanted = list(parameters(Dimensions.of(config), with_head=has_head))
    expected = {torch_name(path): shape[::-1] if path[-1] == "kernel" else shape for path, shape, _ in wanted}
    compare(checkpoint.name, config, expected, tensors)
    params = {}
    for path, _, _ in wanted:
        if path == HEAD and not with_head:
            continue
        value = jnp.asarray(tensors[torch_name(path)].rows(slice(None)))
        if not bool(jnp.isfinite(value).all()):
            raise LoadingError(
                f"The tensor {torch_name(path)} of '{checkpoint.name}' holds values that are no numbers: "
                "get the model again."
            )
        params[path] = value.T if path[-1] == "kernel" else value
    config.name_or_path = checkpoint.name
    return Loaded(config, generation_config, nested(params))


def _stored(checkpoint: Checkpoint) -> dict[str, StoredTensor]:
    """The tensors in a checkpoint's files by PyTorch's names."""
    tensors: dict[str, StoredTensor] = {}
    for file in checkpoint.weights:
        refuse_pointer(checkpoint.name, file)
        try:
            read = _read_safely(file) if file.suffix == ".safetensors" else _read_msgpack(file)
            tensors |= {tensor.name: tensor for tensor in read}
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise LoadingError(
                f"{file.name} of '{checkpoint.name}' is damaged or cut off: get it again ({error})."
            ) from error
    return tensors


def _read_safely(file: Path) -> Iterable[StoredTensor]:
    with safe_open(file, framework="flax") as opened:
        for key in opened.keys():  # noqa: SIM118
            tensor = opened.get_slice(key)
            is_float = tensor.get_dtype() in ("F64", "F32", "F16", "BF16")
            yield StoredTensor(key, file, tuple(tensor.get_shape()), is_float, partial(_rows, file, key))


def _rows(file: Path, name: str, rows: slice) -> Array:
    with safe_open(file, framework="flax") as opened:
        return opened.get_slice(name)[rows]


def _read_msgpack(file: Path) -> Iterable[StoredTensor]:
    for path, value in flattened(msgpack_restore(file.read_bytes())).items():
        array = np.asarray(value)
        array = array.T if path[-1] == "kernel" else array
        is_float = jnp.issubdtype(array.dtype, jnp.floating)
        yield StoredTensor(torch_name(path), file, array.shape, is_float, array.__getitem__)


def _equal(first: StoredTensor, second: StoredTensor) -> bool:
    """Whether two matrices in their files hold the same values."""
    whole = slice(None)
    return first.shape == second.shape and bool(jnp.array_equal(first.rows(whole), second.rows(whole)))


def save(
    folder: str | os.PathLike,
    config: LongT5Config,
    generation_config: GenerationConfig | None,
    params: Params,
    max_shard_size: str | int,
    safe_serialization: bool,
    *,
    with_head: bool,
) -> None:
    """Writes a checkpoint; see `FlaxLongT5PreTrainedModel.save_pretrained`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    flat = flattened(params)
    config.architectures = ["LongT5ForConditionalGeneration" if with_head else "LongT5Model"]
    # For PyTorch's classes: a head that the file has stays one. One that a class without a head left behind is still
    # told of, so that `load` finds it missing.
    config.tie_word_embeddings = HEAD not in flat and (with_head or config.tie_word_embeddings)
    config.save_pretrained(folder)
    if with_head and generation_config is not None:
        generation_config.save_pretrained(folder)
    for file in (*folder.glob("model*.safetensors*"), *folder.glob("flax_model*.msgpack*")):
        file.unlink()
    if not safe_serialization:
        (folder / MSGPACK_FILE).write_bytes(msgpack_serialize(jax.tree.map(np.asarray, params)))
        return
    shards = _shards(flat, _bytes(max_shard_size))
    if len(shards) == 1:
        save_file(shards[0], folder / SAFE_FILE, metadata={"format": "pt"})
        return
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file(shard, folder / file_name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file_name)
    size = sum(array.nbytes for shard in shards for array in shard.values())
    index = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / SAFE_INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shards(flat: dict[tuple[str, ...], Array], most: int) -> list[dict[str, Array]]:
    """The parameters by PyTorch's names, in files of at most `most` bytes, as long as each is smaller."""
    shards: list[dict[str, Array]] = [{}]
    size = 0
    for path, value in flat.items():
        array = value.T if path[-1] == "kernel" else value
        if shards[-1] and size + array.nbytes > most:
            shards.append({})
            size = 0
        shards[-1][torch_name(path)] = jnp.asarray(array)
        size += array.nbytes
    return shards


def _bytes(size: str | int) -> int:
    """A size as people write it, "5GB", in bytes."""
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"(\d+)\s*([KMG]I?B)", size.strip().upper())
    if match is None:
        raise ValueError(f"max_shard_size is a number of bytes or like '5GB', not '{size}'.")
    return int(match[1]) * UNITS[match[2]]
