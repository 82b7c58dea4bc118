"""Which tensors stand in a checkpoint's files, read by PyTorch."""

import zipfile
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open

from longt5.loading.files import Checkpoint, LoadingError, refuse_pointer
from longt5.loading.rules import StoredTensor

FLOATS = ("F64", "F32", "F16", "BF16")  # what PyTorch computes in, as safetensors names it
ROWS_AT_ONCE = 4096  # when two tensors of a file are compared


def stored_tensors(checkpoint: Checkpoint) -> dict[str, StoredTensor]:
    """The tensors in a checkpoint's files, by name, without reading their values.

    Raises:
        LoadingError: a file is damaged, cut off, or holds something else than tensors.
    """
    tensors: dict[str, StoredTensor] = {}
    for file in checkpoint.weights:
        refuse_pointer(checkpoint.name, file)
        if file.suffix == ".safetensors":
            tensors |= _stored_safely(checkpoint.name, file)
            continue
        for key, value in _read_bin(checkpoint.name, file).items():
            shape, is_float = tuple(value.shape), value.is_floating_point()
            tensors[key] = StoredTensor(key, file, shape, is_float, value.__getitem__)
    return tensors


def _stored_safely(name: str, file: Path) -> dict[str, StoredTensor]:
    tensors = {}
    try:
        with safe_open(file, framework="pt") as opened:
            for key in opened.keys():  # noqa: SIM118
                tensor = opened.get_slice(key)
                shape, is_float = tuple(tensor.get_shape()), tensor.get_dtype() in FLOATS
                tensors[key] = StoredTensor(key, file, shape, is_float, partial(_rows, file, key))
    except (SafetensorError, OSError) as error:
        raise LoadingError(
            f"{file.name} of '{name}' is damaged or cut off: get it again ({error})."
        ) from error
    return tensors


def _rows(file: Path, name: str, rows: slice) -> torch.Tensor:
    """Opens the file for this tensor alone: what is mapped into memory goes with the tensor."""
    with safe_open(file, framework="pt") as opened:
        return opened.get_slice(name)[rows]


def _read_bin(name: str, file: Path) -> dict[str, torch.Tensor]:
    """A pickled state dict, read by torch's restricted unpickler, which runs no code of the file."""
    try:
        state_dict = torch.load(
            file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file) or None
        )
    except UnpicklingError as error:
        raise LoadingError(
            f"{file.name} of '{name}' is damaged or holds code instead of tensors, which is never run: "
            "look for a safetensors version of the model."
        ) from error
    except Exception as error:  # whatever the unpickler stumbles over first where a file is cut off
        raise LoadingError(f"{file.name} of '{name}' is damaged or cut off: get it again.") from error
    if not isinstance(state_dict, dict) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state_dict.items()
    ):
        raise LoadingError(
            f"{file.name} of '{name}' is not a plain dictionary of tensors: save the model again."
        )
    return state_dict


def equal(first: StoredTensor, second: StoredTensor) -> bool:
    """Whether two matrices in their files hold the same values, read a few thousand rows at a time."""
    if first.shape != second.shape:
        return False
    parts = (slice(start, start + ROWS_AT_ONCE) for start in range(0, first.shape[0], ROWS_AT_ONCE))
    return all(torch.equal(first.rows(part), second.rows(part)) for part in parts)
