"""What events get of what a page sends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData, ListFiles

from app.page.sent import discard, said_by


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


@pytest.mark.parametrize("component", [gr.Dropdown, gr.Radio])
@pytest.mark.parametrize("sent", [0, "unknown", None, ["a"], 10**400])
def test_what_was_chosen_comes_as_it_was_sent_whatever_gradio_knows_of_the_choices(
    component: type[gr.components.Component], sent: object
) -> None:
    for made in (component([]), component(**component([]).constructor_args)):
        assert made.preprocess(sent) is sent


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_an_event_that_says_nothing_of_use_says_nothing(data: object) -> None:
    assert said_by(gr.EventData(None, data)) == {}
    assert said_by(gr.EventData(None, {"row": 1})) == {"row": 1}
