"""What Gradio keeps of a page: nothing that was shown, and nothing once the page will not come back."""

from __future__ import annotations

import pickle
from pathlib import Path

import gradio as gr
import pytest
from gradio.routes import App
from gradio.state_holder import StateHolder

from app.models import ModelStore
from app.service.scratch import Scratch
from app.service.server import application
from app.service.sessions import Sessions
from app.settings import Host, Settings
from tests.page_server import tiny_model

SECRET = "a sentence of somebody's paper"


@pytest.fixture
def page() -> gr.Blocks:
    with gr.Blocks() as page:
        gr.HTML("", elem_id="paper")
        gr.Dropdown(["one"], elem_id="layer")
    return page


def component(page: gr.Blocks, name: str) -> int:
    return next(number for number, block in page.blocks.items() if block.elem_id == name)


def test_what_is_shown_is_not_kept(page: gr.Blocks) -> None:
    for holder, kept in ((StateHolder(), True), (Sessions(page), False)):
        holder.set_blocks(page)
        session = holder["a"]
        session._update_value_in_config(component(page, "paper"), SECRET)
        assert (SECRET.encode() in pickle.dumps(dict(session.config_values))) == kept


def test_changes_of_a_component_are_its_page_s_own(page: gr.Blocks) -> None:
    sessions = Sessions(page)
    layer = component(page, "layer")
    sessions["a"][layer] = gr.Dropdown(["one", "two"], render=False)
    assert [choice for choice, _ in sessions["a"][layer].choices] == ["one", "two"]
    assert [choice for choice, _ in sessions["b"][layer].choices] == ["one"]
    assert layer in sessions["b"]


def test_a_page_that_was_closed_is_forgotten_and_an_open_one_is_not(page: gr.Blocks) -> None:
    sessions = Sessions(page)
    sessions["open"], sessions["closed"]
    sessions.session_data["closed"].is_closed = True
    sessions.sweep(60)
    assert list(sessions.session_data) == ["open", "closed"]
    sessions.sweep(0)
    assert list(sessions.session_data) == ["open"]


def test_the_server_keeps_its_pages_so(tmp_path: Path) -> None:
    settings = Settings(models=(str(tiny_model(tmp_path / "tiny")),))
    scratch = Scratch(tmp_path / "scratch")
    app = application(settings, Host.of({}), ModelStore(settings), scratch)
    scratch.remove()
    (served,) = (route.app for route in app.routes if isinstance(getattr(route, "app", None), App))
    assert isinstance(served.state_holder, Sessions)
    assert served.get_blocks().state_holder is served.state_holder
    assert app.state.gradio_stopped is served.stop_event
