"""Checkpoint files: where they lie, in a folder or on the Hub. Nothing here needs PyTorch."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CONFIG_FILE = "config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
ADAPTER_FILE = "adapter_config.json"
# (one file, index of many), the first that is there is taken
WeightFiles = Sequence[tuple[str, str]]
WEIGHT_FILES: WeightFiles = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)


class LoadingError(Exception):
    """A model or tokenizer cannot be loaded; `str()` is one sentence that says why and what to do."""


@dataclass(frozen=True)
class Place:
    """Where a folder's or a model's files are looked for, if not where they usually are."""

    subfolder: str = ""  # of the folder or of the model on the Hub
    cache_dir: str | Path | None = None  # where the Hub's files are kept on this machine
    local_files_only: bool = False  # the Hub is not asked


USUAL = Place()


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's files, all on this machine."""

    name: str  # as the person gave it
    folder: Path
    config: dict[str, Any]  # config.json as it stands
    weights: tuple[Path, ...]  # all of one kind, see `WeightFiles`


def find_checkpoint(
    name: str,
    revision: str | None,
    token: str | bool | None,
    weight_files: WeightFiles = WEIGHT_FILES,
    place: Place = USUAL,
) -> Checkpoint:
    """The files of a LongT5 checkpoint, downloaded if they are on the Hub. Nothing large is downloaded before
    config.json has been seen to describe a LongT5.

    Args:
        weight_files: kinds of weights that can be read; the first that is there is taken.

    Raises:
        LoadingError: no such folder or model, no access, offline, not a LongT5, no weights, or some missing.
    """
    small_files = [CONFIG_FILE, GENERATION_CONFIG_FILE, *(index for _, index in weight_files)]
    folder, fetch = find_folder(name, [*small_files, ADAPTER_FILE], revision, token, place)
    refuse_adapter(name, folder)
    config = read_config_file(name, folder)
    for single, index in weight_files:
        is_sharded = (folder / index).is_file() and not (folder / single).is_file()
        files = _shard_names(name, folder / index) if is_sharded else [single]
        # Where nothing is absent, what an earlier download left will do, and the Hub is not asked again.
        if _absent(folder, files):
            fetch(files)
        absent = _absent(folder, files)
        if is_sharded and absent:
            raise LoadingError(
                f"'{name}' lacks the file {absent[0]} that its {index} names: get the whole model again."
            )
        if not absent:
            return Checkpoint(name, folder, config, tuple(folder / file for file in files))
    expected = " or ".join(single for single, _ in weight_files)
    raise LoadingError(
        f"'{name}' holds no weights that can be read: it should have {expected} beside its {CONFIG_FILE}."
    )


def find_folder(
    name: str, files: list[str], revision: str | None, token: str | bool | None, place: Place = USUAL
) -> tuple[Path, Callable[[list[str]], object]]:
    """The folder that holds those of `files` that exist, and a function that brings more files into it.

    Raises:
        LoadingError: no such folder or model, no access to it, or the Hub cannot be reached.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        folder /= place.subfolder
        if not folder.is_dir():
            raise LoadingError(f"'{name}' has no folder '{place.subfolder}': check the subfolder.")
        # Whoever reads from a pipe or a device waits for ever, and so would everybody else.
        odd = next((path.name for path in folder.iterdir() if path.exists() and not _is_ordinary(path)), None)
        if odd is not None:
            raise LoadingError(
                f"'{name}' holds {odd}, which is not a file: remove it, or get the model again."
            )
        return folder, lambda more: None
    if folder.is_file():
        raise LoadingError(f"'{name}' is a file: give the folder that holds it and its {CONFIG_FILE}.")
    if not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name):
        raise LoadingError(f"There is no folder '{name}': check the path.")
    snapshot = _fetch(name, files, revision, token, place)
    # Later files come from the same commit, even if someone pushes to the repository in between.
    return snapshot / place.subfolder, lambda more: _fetch(name, more, snapshot.name, token, place)


def _is_ordinary(path: Path) -> bool:
    return path.is_file() or path.is_dir()


def _fetch(name: str, files: list[str], revision: str | None, token: str | bool | None, place: Place) -> Path:
    """Downloads those of `files` that the Hub's model has, and config.json; returns the folder of the whole model."""
    try:
        return Path(
            snapshot_download(
                name,
                revision=revision,
                token=token,
                cache_dir=place.cache_dir,
                local_files_only=place.local_files_only,
                allow_patterns=sorted(
                    str(PurePosixPath(place.subfolder, file)) for file in {CONFIG_FILE, *files}
                ),
            )
        )
    except GatedRepoError as error:
        raise LoadingError(
            f"The model '{name}' is gated: ask for access on its page, then log in (`hf auth login`)."
        ) from error
    except RepositoryNotFoundError as error:
        raise LoadingError(
            f"There is no folder '{name}', and no model of that name on the Hub that you may see: check the "
            "name, and log in (`hf auth login` or HF_TOKEN) if it is private."
        ) from error
    except RevisionNotFoundError as error:
        raise LoadingError(
            f"The model '{name}' has no revision '{revision}': check it on its page."
        ) from error
    except LocalEntryNotFoundError as error:
        raise LoadingError(
            f"There is no folder '{name}', and the Hub could not be reached for a model of that name: check "
            "the connection (or HF_HUB_OFFLINE and local_files_only), or give a folder."
        ) from error
    except HFValidationError as error:
        raise LoadingError(
            f"'{name}' is neither a folder nor a possible name of a model on the Hub."
        ) from error
    except Exception as error:  # proxies, certificates, a full disk: each library has its own errors
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise LoadingError(f"The download of '{name}' failed, try again later ({reason}).") from error


def refuse_adapter(name: str, folder: Path) -> None:
    """An adapter holds only what was learned on top of another model.

    Raises:
        LoadingError: the folder holds one, and no whole model.
    """
    if not (folder / ADAPTER_FILE).is_file() or (folder / CONFIG_FILE).is_file():
        return
    base = read_json(name, folder / ADAPTER_FILE).get("base_model_name_or_path")
    raise LoadingError(
        f"'{name}' is an adapter (LoRA) for the model '{base or 'it was trained on'}' and no model of its own: merge "
        "the two with peft (`merge_and_unload`, then `save_pretrained`) and give that folder."
    )


def read_config_file(name: str, folder: Path) -> dict[str, Any]:
    """The config.json in the folder of the model `name`.

    Raises:
        LoadingError: there is none, or it describes no LongT5.
    """
    if not (folder / CONFIG_FILE).is_file():
        raise LoadingError(f"'{name}' has no {CONFIG_FILE}, so it is not a model: check the name.")
    config = read_json(name, folder / CONFIG_FILE)
    architecture = str(config.get("architectures"))
    kind = config.get("model_type", "longt5" if "LongT5" in architecture else architecture)
    if kind != "longt5":
        raise LoadingError(f"'{name}' is a model of the kind '{kind}', and only 'longt5' can be loaded.")
    if config.get("quantization_config"):
        raise LoadingError(f"'{name}' is a quantized model, which cannot be loaded: take the original one.")
    return config


def read_json(name: str, file: Path) -> dict[str, Any]:
    """The object in a JSON file of the checkpoint `name`.

    Raises:
        LoadingError: the file cannot be read, or there is none in it.
    """
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoadingError(f"The {file.name} of '{name}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise LoadingError(f"The {file.name} of '{name}' is not valid JSON: get it again.") from error
    if not isinstance(values, dict):
        raise LoadingError(f"The {file.name} of '{name}' should hold a JSON object: get it again.")
    return values


def _absent(folder: Path, files: list[str]) -> list[str]:
    return [file for file in files if not (folder / file).is_file()]


def _shard_names(name: str, index: Path) -> list[str]:
    weight_map = read_json(name, index).get("weight_map")
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    shards = sorted({str(shard) for shard in weight_map.values()}) if isinstance(weight_map, dict) else []
    # An index comes from a stranger: its files are plain names beside it, never a path to somewhere else.
    if not shards or not all(re.fullmatch(rf"[\w-][\w.-]*\{suffix}", shard) for shard in shards):
        raise LoadingError(
            f"The {index.name} of '{name}' does not name weight files beside it: get it again."
        )
    return shards


def refuse_pointer(name: str, file: Path) -> None:
    """Where Git LFS is not installed, what stands for a large file names it only.

    Raises:
        LoadingError: `file` is such a pointer.
    """
    if file.stat().st_size < 1024 and file.read_bytes().startswith(b"version "):
        raise LoadingError(f"{file.name} of '{name}' is only a Git LFS pointer: run `git lfs pull` there.")
