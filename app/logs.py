"""The log: a line, or a JSON object, for what happened, and never a word of a paper."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from types import TracebackType
from typing import Any, TypeAlias

_Info: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]"


class _Wordless(logging.Formatter):
    """Formats errors without their messages, which may quote what was read."""

    def formatException(self, ei: _Info) -> str:
        return without_words(ei[1])


class _Json(_Wordless):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        return json.dumps(found, ensure_ascii=False)


def without_words(error: BaseException | None) -> str:
    """Where an error arose and of what kind it is, the innermost place last."""
    if error is None:
        return ""
    places = [
        f"  {frame.filename}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return "\n".join([*places, type(error).__name__])


class _NotCancelled(logging.Filter):
    """Leaves out that an answer in progress ended with the server, or with whoever waited for it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def set_up(as_json: bool) -> None:
    """Has everything that is logged go to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if as_json else _Wordless("%(levelname)s %(name)s: %(message)s"))
    handler.addFilter(_NotCancelled())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for chatty in ("httpx", "mcp"):  # a line a request tells nobody anything
        logging.getLogger(chatty).setLevel(logging.WARNING)
