"""Files on their way in, which leave nothing behind once they have been taken."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr


def file_input(**properties: Any) -> gr.File:
    """A `gr.File` whose events get the path of each file that was uploaded.

    Gradio's own makes an empty file for each one that it gives, and nobody ever deletes it.
    """
    component = gr.File(**properties)
    component._process_single_file = lambda file: Path(file.path)
    return component


def discard(file: Path) -> None:
    """Deletes an upload, if it is still there, and the folder that it had to itself."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()
