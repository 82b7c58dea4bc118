"""What events get of a file that was uploaded."""

from __future__ import annotations

import asyncio
from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData, ListFiles

from app.page.uploads import discard


def test_events_get_paths_whenever_gradio_makes_the_component_anew(tmp_path: Path) -> None:
    sent = FileData(path=str(tmp_path / "a.pdf"))
    for component in (gr.File(), gr.File(**gr.File().constructor_args)):
        assert component.preprocess(sent) == tmp_path / "a.pdf"
        assert component.preprocess(ListFiles(root=[sent])) == [tmp_path / "a.pdf"]
        assert component.preprocess(None) is None
    assert not list(tmp_path.iterdir())


def test_an_address_in_the_place_of_a_path_is_refused() -> None:
    with pytest.raises(gr.Error, match="file itself"):
        asyncio.run(gr.File().async_move_resource_to_block_cache("http://127.0.0.1/x"))


def test_an_upload_goes_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "x" / "a.pdf"
    path.parent.mkdir()
    path.write_text("words")
    discard(path)
    discard(path)
    assert not list(tmp_path.iterdir())
