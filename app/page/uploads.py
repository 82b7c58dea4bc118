"""Files on their way in, which leave nothing behind once they have been taken."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr


def _path_of(component: gr.File, file: Any) -> Path:
    """What an event gets of a file. Gradio's own makes an empty file besides, which nobody ever deletes."""
    return Path(file.path)


# For all of them: what is changed in one is lost whenever Gradio makes it anew, as it does for its own purposes.
gr.File._process_single_file = _path_of


def discard(file: Path) -> None:
    """Deletes an upload, if it is still there, and the folder that it had to itself."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()
