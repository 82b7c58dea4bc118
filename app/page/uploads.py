"""Files on their way in, which leave nothing behind once they have been taken."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr


class PaperFile(gr.File):
    """A `gr.File` whose events get the path of the file that was uploaded, or a list where there may be several.

    Gradio's own makes an empty file for each one that it gives, which nobody ever deletes, copies it to where
    everybody's file of the same content lies, and fetches whatever address it is given in the place of a path.
    A class and not a changed component: Gradio makes components anew for its own purposes.
    """

    def get_block_name(self) -> str:
        """The browser knows it as what it is."""
        return "file"

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        if url_or_file_path is not None and "://" in str(url_or_file_path):
            raise gr.Error("Send the file itself, not its address.", print_exception=False)
        return None if url_or_file_path is None else str(url_or_file_path)

    def preprocess(self, payload: Any) -> Path | list[Path] | None:
        if payload is None:
            return None
        several = payload if isinstance(payload, list) else getattr(payload, "root", None)
        return Path(payload.path) if several is None else [Path(one.path) for one in several]


def discard(file: Path) -> None:
    """Deletes an upload, if it is still there, and the folder that it had to itself."""
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        file.parent.rmdir()
