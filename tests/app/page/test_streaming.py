"""An update that never arrives must not matter."""

from __future__ import annotations

import gradio as gr

from app.page.streaming import cumulative


def test_the_last_update_says_all_that_was_said() -> None:
    updates = [{"stop": gr.update(interactive=True)}, {"status": "reading"}, {"status": "writing"}]
    assert list(cumulative(iter(updates)))[-1] == {"stop": gr.update(interactive=True), "status": "writing"}


def test_properties_of_one_component_add_up() -> None:
    updates = [
        {"list": gr.update(choices=["a"], value="a")},
        {"list": gr.update(visible=True)},
        {"list": "b"},
    ]
    assert list(cumulative(iter(updates)))[-1]["list"] == gr.update(choices=["a"], value="b", visible=True)
    after_value = list(cumulative(iter([{"x": 3}, {"x": gr.update(visible=False)}])))
    assert after_value[-1]["x"] == gr.update(value=3, visible=False)


def test_each_update_is_its_own() -> None:
    first, second = cumulative(iter([{"a": 1}, {"b": 2}]))
    assert first == {"a": 1}
    assert second == {"a": 1, "b": 2}
