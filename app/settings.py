"""How this installation runs: one dataclass, read from the environment and nowhere else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

EMBEDDED_MODEL = str(Path(__file__).resolve().parent.parent / "assets" / "longt5-embedded")

MiB = 2**20
GiB = 2**30


class SettingsError(Exception):
    """An environment variable has a value that can't be used; `str(error)` is one sentence."""


def _natural(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) == 0:
        raise ValueError("a whole number above 0")
    return int(value)


def _bytes(value: str) -> int:
    """`64MiB`, `2 GB` or a plain number of bytes."""
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": MiB, "GIB": GiB}
    match = re.fullmatch(r"([0-9]{1,12}) ?([KMG]i?B)?", value, re.IGNORECASE)
    if not match or int(match[1]) == 0:
        raise ValueError("a size such as 50MiB")
    return int(match[1]) * units[(match[2] or "").upper()]


def _port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 0 < int(value) < 65536:
        raise ValueError("a port from 1 to 65535")
    return int(value)


def _switch(value: str) -> bool:
    if value.lower() not in {"0", "1", "false", "true", "no", "yes", "off", "on"}:
        raise ValueError("1 or 0")
    return value.lower() in {"1", "true", "yes", "on"}


def _names(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    if not names:
        raise ValueError("folders or Hub ids separated by commas")
    return names


def _device_map(value: str) -> str | dict[str, int | str]:
    """`auto`, or a JSON object from module names to devices."""
    if value == "auto":
        return value
    try:
        device_map = json.loads(value)
    except ValueError:
        device_map = None
    if not isinstance(device_map, dict) or not device_map:
        raise ValueError('"auto" or a JSON object such as {"": "cpu"}')
    return device_map


def _max_memory(value: str) -> dict[int | str, str]:
    """`0=10GiB,cpu=24GiB`: most memory per GPU number and for the CPU, as accelerate takes it."""
    limits: dict[int | str, str] = {}
    for part in value.split(","):
        match = re.fullmatch(r"\s*([0-9]+|cpu|mps|disk)\s*=\s*([0-9]+ ?[KMG]i?B)\s*", part, re.IGNORECASE)
        if not match:
            raise ValueError("a list such as 0=10GiB,cpu=24GiB")
        limits[int(match[1]) if match[1].isdigit() else match[1].lower()] = match[2].replace(" ", "")
    return limits


def _dtype(value: str) -> str:
    if value not in {"auto", "float32", "float16", "bfloat16"}:
        raise ValueError("auto, float32, float16 or bfloat16")
    return value


def _setting(default: Any, variable: str, parse: Callable[[str], Any], about: str) -> Any:
    return field(default=default, metadata={"variable": variable, "parse": parse, "about": about})


@dataclass(frozen=True)
class Settings:
    """Everything that differs from one installation to the next. Each line: default, variable, what it is."""

    models: tuple[str, ...] = _setting(
        (EMBEDDED_MODEL,),
        "LONGT5_MODELS",
        _names,
        "Models on offer, the first is preselected: folders or Hub ids.",
    )
    device_map: str | dict[str, int | str] | None = _setting(
        None,
        "LONGT5_DEVICE_MAP",
        _device_map,
        "Placement by accelerate: auto, or a JSON object module -> device.",
    )
    max_memory: dict[int | str, str] | None = _setting(
        None,
        "LONGT5_MAX_MEMORY",
        _max_memory,
        "Most memory per device for that placement, as 0=10GiB,cpu=24GiB.",
    )
    offload_folder: str | None = _setting(
        None, "LONGT5_OFFLOAD_FOLDER", str, "Folder for the weights that fit neither GPU nor CPU memory."
    )
    dtype: str | None = _setting(
        None, "LONGT5_DTYPE", _dtype, "Number type of the weights; by the machine if unset."
    )
    threads: int | None = _setting(
        None, "LONGT5_THREADS", _natural, "CPU threads of the model; torch's own if unset."
    )
    kept_encodings_bytes: int = _setting(
        2 * GiB,
        "LONGT5_KEPT_ENCODINGS",
        _bytes,
        "Memory for encoder states kept for the attention maps, all papers.",
    )
    max_upload_bytes: int = _setting(50 * MiB, "LONGT5_MAX_UPLOAD", _bytes, "Largest file that is accepted.")
    max_pages: int = _setting(500, "LONGT5_MAX_PAGES", _natural, "Longest paper that is accepted, in pages.")
    max_characters: int = _setting(
        3_000_000, "LONGT5_MAX_CHARACTERS", _natural, "Longest text that is accepted."
    )
    reading_seconds: int = _setting(
        120, "LONGT5_READING_SECONDS", _natural, "Longest time for reading one file."
    )
    reading_memory_bytes: int = _setting(
        2 * GiB, "LONGT5_READING_MEMORY", _bytes, "Most memory for the process that reads one file."
    )
    queue_size: int = _setting(
        20, "LONGT5_QUEUE_SIZE", _natural, "People that may wait for the model at once."
    )
    session_seconds: int = _setting(
        3600, "LONGT5_SESSION_SECONDS", _natural, "How long an idle page keeps its paper."
    )
    host: str | None = _setting(
        None, "LONGT5_HOST", str, "Address to serve on; Gradio's own choice if unset."
    )
    port: int | None = _setting(None, "LONGT5_PORT", _port, "Port to serve on; Gradio's own choice if unset.")
    mcp: bool = _setting(False, "LONGT5_MCP", _switch, "Offer the functions as MCP tools too.")


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings with every `LONGT5_` variable that is set and not empty.

    Raises:
        SettingsError: a value can't be used, or there is no variable of such a name.
    """
    environment = os.environ if environment is None else environment
    values = {}
    known = set()
    for item in fields(Settings):
        variable = item.metadata["variable"]
        known.add(variable)
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            values[item.name] = item.metadata["parse"](text)
        except ValueError as error:
            raise SettingsError(f"{variable} is {text!r}, but it must be {error}.") from None
    return Settings(**values)
