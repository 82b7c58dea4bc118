"""A place to drop a file, of which the server is told the path and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr


def paper_file(**options: Any) -> gr.File:
    """A file component for files that were uploaded, which leaves nothing behind.

    Gradio's own makes an empty file for every one that is sent, copies it where everybody's file of the same content
    lies, and fetches whatever address it is given instead of a path.
    """
    file = gr.File(**options)
    file.async_move_resource_to_block_cache = _where_it_is
    file.preprocess = _path
    return file


async def _where_it_is(path: str | Path | None) -> str | None:
    if path is not None and "://" in str(path):
        raise gr.Error("Send the file itself, not its address.", print_exception=False)
    return None if path is None else str(path)


def _path(sent: Any) -> str | None:
    return None if sent is None else str(sent.path)
