"""How this installation runs: one table of settings, read from the environment and nowhere else.

`python -m app.settings` prints the table for the documentation.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from app.documents import ReadingLimits

EMBEDDED_MODEL = str(Path(__file__).resolve().parent.parent / "assets" / "longt5-embedded")

DeviceMap: TypeAlias = str | dict[str, Any]


class SettingsError(Exception):
    """An environment variable has a value that can't be used; `str(error)` is one sentence."""


def _natural(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) == 0:
        raise ValueError("a whole number above 0")
    return int(value)


def _bytes(value: str) -> int:
    """`64MiB`, `2 GB` or a plain number of bytes."""
    units = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
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


def _hosts(value: str) -> tuple[str, ...]:
    hosts = tuple(dict.fromkeys(host.strip().lower() for host in value.split(",") if host.strip()))
    if not hosts or not all(re.fullmatch(r"[a-z0-9._:\[\]/-]+", host) for host in hosts):
        raise ValueError("names or addresses of hosts separated by commas")
    return hosts


def _credentials(value: str) -> tuple[str, str]:
    user, colon, password = value.partition(":")
    if not (user and colon and password):
        raise ValueError("a user and a password, as user:password")
    return user, password


def _device_map(value: str) -> DeviceMap:
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


def _max_memory(value: str) -> dict[int | str, int | str]:
    """`0=10GiB,cpu=24GiB`: most memory per GPU number and for the CPU, as accelerate takes it."""
    limits: dict[int | str, int | str] = {}
    for part in value.split(","):
        match = re.fullmatch(r"\s*([0-9]+|cpu|mps|disk)\s*=\s*([0-9]+ ?[KMG]i?B)\s*", part, re.IGNORECASE)
        if not match:
            raise ValueError("a list such as 0=10GiB,cpu=24GiB")
        limits[int(match[1]) if match[1].isdigit() else match[1].lower()] = match[2].replace(" ", "")
    return limits


def _dtype(value: str) -> str:
    if value not in {"auto", "float32", "float16", "bfloat16", "int8"}:
        raise ValueError("auto, float32, float16, bfloat16 or int8")
    return value


def _setting(parse: Callable[[str], Any], text: str | None, about: str, default: Any = None) -> Any:
    """A field of `Settings`: all that is known of it.

    Args:
        parse: value of the variable -> value of the field; raises ValueError with what the value must be.
        text: the default as somebody would write it; None for unset.
        about: a sentence for the documentation.
        default: where the field's default is not `parse(text)`.
    """
    if default is None and text is not None:
        default = parse(text)
    return field(default=default, metadata={"parse": parse, "text": text, "about": about})


@dataclass(frozen=True)
class Settings:
    """Everything that differs from one installation to the next.

    The variable of a field is LONGT5_ and its name in capitals: LONGT5_MAX_PAGES=100. Sizes may have units, as
    in 50MiB.
    """

    models: tuple[str, ...] = _setting(
        _names,
        "assets/longt5-embedded",
        "Models on offer, the first preselected: folders or Hub ids, separated by commas.",
        (EMBEDDED_MODEL,),
    )
    device_map: DeviceMap | None = _setting(
        _device_map,
        None,
        'Placement by accelerate: "auto", or a JSON object from modules to devices. Unset: a GPU if there is one.',
    )
    max_memory: dict[int | str, int | str] | None = _setting(
        _max_memory,
        None,
        "Most memory for the model by device, as 0=10GiB,cpu=24GiB; the rest goes to disk.",
    )
    offload_folder: str | None = _setting(str, None, "Folder for weights on disk; a temporary one if unset.")
    dtype: str | None = _setting(
        _dtype,
        None,
        "Number type of the weights: float32, float16, bfloat16, int8 (on a CPU) or auto. "
        "Unset: chosen by the machine.",
    )
    threads: int | None = _setting(_natural, None, "CPU threads of the model. Unset: torch's choice.")
    max_input_tokens: int = _setting(_natural, "65536", "Most tokens a person may let a model read at once.")
    kept_encodings_bytes: int = _setting(
        _bytes, "2GiB", "Memory for encoder states kept for the attention maps, of all papers together."
    )
    max_upload_bytes: int = _setting(_bytes, "50MiB", "Largest file that is accepted.")
    max_uploads_bytes: int = _setting(
        _bytes, "2GiB", "Disk for files that wait to be read, of all people together."
    )
    uploads_per_hour: int = _setting(
        _natural, "2000", "How many files are taken from one address within an hour."
    )
    max_pages: int = _setting(_natural, "500", "Longest paper that is accepted, in pages.")
    max_characters: int = _setting(_natural, "3000000", "Longest text that is accepted.")
    max_recognized_pages: int = _setting(
        _natural,
        "100",
        "Most pages of one file whose text is recognized on their pictures, if Tesseract is installed.",
    )
    reading_seconds: int = _setting(
        _natural,
        "300",
        "Longest time for reading one file, and again for recognizing its pages that are pictures.",
    )
    reading_memory_bytes: int = _setting(_bytes, "1GiB", "Most memory for the process that reads a file.")
    readers: int = _setting(_natural, "2", "How many files are read at once, each in a process of its own.")
    queue_size: int = _setting(
        _natural, "100", "How many people may wait for the model, or to be read, at once."
    )
    queue_share: int = _setting(_natural, "3", "How many of these may be requests of one visitor.")
    turn_seconds: int = _setting(
        _natural, "180", "How long a part of somebody's paper may keep others waiting for the model."
    )
    session_seconds: int = _setting(
        _natural, "3600", "How long papers of somebody who does nothing are kept."
    )
    kept_papers_bytes: int = _setting(
        _bytes, "2GiB", "Room for the papers and summaries of all visitors together, on disk and in memory."
    )
    allow_urls: bool = _setting(
        _switch,
        "0",
        "Fetch papers by arXiv id, DOI or address: from the open web only, never from private networks.",
    )
    host: str | None = _setting(str, None, "Address to serve on. Unset: Gradio's choice.")
    port: int | None = _setting(_port, None, "Port to serve on. Unset: Gradio's choice.")
    hosts: tuple[str, ...] = _setting(
        _hosts,
        None,
        "Names under which it is reached, separated by commas, such as papers.example.org; it answers to no other, "
        "but to addresses in figures and to localhost.",
        (),
    )
    proxies: tuple[str, ...] = _setting(
        _hosts,
        None,
        "Addresses of the reverse proxies before it, separated by commas, which are believed who the visitor is.",
        (),
    )
    auth: tuple[str, str] | None = _setting(
        _credentials, None, "A user and a password, as user:password, to ask for."
    )
    mcp: bool = _setting(_switch, "0", "Offer the functions as MCP tools too.")
    metrics: bool = _setting(_switch, "0", "Count what happens at /metrics, in the format of Prometheus.")
    json_log: bool = _setting(_switch, "0", "Write the log as a JSON object a line.")

    @property
    def most_requests(self) -> int:
        """How many requests are at work or waiting at the same time, each of which holds a thread."""
        return 40 + 4 * self.queue_size

    @property
    def reading_limits(self) -> ReadingLimits:
        """The limits for reading one file."""
        return ReadingLimits(
            max_bytes=self.max_upload_bytes,
            max_pages=self.max_pages,
            max_characters=self.max_characters,
            max_recognized_pages=self.max_recognized_pages,
            seconds=self.reading_seconds,
            memory_bytes=self.reading_memory_bytes,
        )


@dataclass(frozen=True)
class Host:
    """What the machine's environment says about where this is served; people set `Settings`."""

    name: str
    """Address to serve on, where the settings name none."""
    port: int | None
    """Port to serve on, where the settings name none; None for the first that is free."""
    is_space: bool
    """Whether this is a Space of Hugging Face: reached by its proxy only, and shown inside a page of theirs."""
    is_zero_gpu: bool
    """Whether it is one of the ZeroGPU kind, which lends a GPU for one call at a time."""
    names: tuple[str, ...]
    """Names that lead to it."""

    @classmethod
    def of(cls, environment: Mapping[str, str] | None = None) -> Host:
        """The one that the environment tells of, in Gradio's variables and those of Spaces."""
        environment = os.environ if environment is None else environment
        port = environment.get("GRADIO_SERVER_PORT", "")
        names = ("localhost", socket.gethostname(), *environment.get("SPACE_HOST", "").split(","))
        return cls(
            name=environment.get("GRADIO_SERVER_NAME") or "127.0.0.1",
            port=int(port) if port.isdigit() else None,
            is_space=bool(environment.get("SPACE_ID")),
            is_zero_gpu=environment.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true"),
            names=tuple(name.strip().lower() for name in names if name.strip()),
        )


VARIABLES = {f"LONGT5_{setting.name.upper()}": setting for setting in fields(Settings)}
"""Environment variable -> its field of `Settings`."""
SECRET = "LONGT5_AUTH"
"""The variable whose value is never shown."""


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings, with every variable that is set and not empty.

    Raises:
        SettingsError: a value can't be used.
    """
    environment = os.environ if environment is None else environment
    values = {}
    for variable, setting in VARIABLES.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            values[setting.name] = setting.metadata["parse"](text)
        except ValueError as error:
            shown = "not right" if variable == SECRET else repr(text)
            raise SettingsError(f"{variable} is {shown}, but it must be {error}.") from None
    return Settings(**values)


def table() -> str:
    """All settings as a Markdown table, for the documentation."""
    rows = ["| Variable | Default | Meaning |", "| --- | --- | --- |"]
    for variable, setting in VARIABLES.items():
        text, about = setting.metadata["text"], setting.metadata["about"]
        rows.append(f"| `{variable}` | {'unset' if text is None else f'`{text}`'} | {about} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
