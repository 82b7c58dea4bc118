"""What a page sends, on its way to the handlers: as it was sent, for they judge it; files leave nothing behind.

Importing this changes Gradio's components, for all of them: what is changed in one is lost whenever Gradio makes it
anew, as it does for its own purposes; and of a class of ours it would write an interface file beside this one.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import gradio as gr


async def _where_it_is(component: gr.File, path: str | Path | None) -> str | None:
    """Leaves an upload where it is: Gradio's own copies it, and fetches whatever address it is given instead."""
    if path is not None and "://" in str(path):
        raise gr.Error("Send the file itself, not its address.", print_exception=False)
    return None if path is None else str(path)


def _paths(component: gr.File, sent: Any) -> Path | list[Path] | None:
    """What an event gets: the path of the file, or a list where there may be several.

    Gradio's own makes an empty file for each besides, which nobody ever deletes.
    """
    if sent is None:
        return None
    several = sent if isinstance(sent, list) else getattr(sent, "root", None)
    return Path(sent.path) if several is None else [Path(one.path) for one in several]


def _as_sent(component: gr.components.Component, sent: Any) -> Any:
    """What was chosen in a list, which Gradio's own holds against the choices of the page, if it still knows them."""
    return sent


gr.File.async_move_resource_to_block_cache = _where_it_is
gr.File.preprocess = _paths
gr.Dropdown.preprocess = gr.Radio.preprocess = _as_sent


def said_by(event: gr.EventData) -> dict[str, Any]:
    """What a script of the page says of an event; nothing where it is no object."""
    return event._data if isinstance(event._data, dict) else {}


def discard(file: Path) -> None:
    """Deletes an upload, if it is still there, and the folder that it had to itself."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)
        file.parent.rmdir()
