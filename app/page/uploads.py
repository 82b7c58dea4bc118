"""Files on their way in, which leave nothing behind once they have been taken."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr


def file_input(**properties: Any) -> gr.File:
    """A `gr.File` whose events get the path of the file that was uploaded, or a list where there may be several.

    Gradio's own makes an empty file for each one that it gives, which nobody ever deletes, copies it to where
    everybody's file of the same content lies, and fetches whatever address it is given in the place of a path.
    """
    component = gr.File(**properties)
    component.async_move_resource_to_block_cache = _where_it_is
    component.preprocess = _paths
    return component


def discard(file: Path) -> None:
    """Deletes an upload, if it is still there, and the folder that it had to itself."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()


async def _where_it_is(path: str | Path | None) -> str | None:
    if path is not None and "://" in str(path):
        raise gr.Error("Send the file itself, not its address.", print_exception=False)
    return None if path is None else str(path)


def _paths(sent: Any) -> Path | list[Path] | None:
    if sent is None:
        return None
    several = sent if isinstance(sent, list) else getattr(sent, "root", None)
    return Path(sent.path) if several is None else [Path(one.path) for one in several]
