"""The attention tab without a browser: whatever its controls send, a map is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.documents import Document, Page, undivided
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.page.inspector_panel import AWAITED, EMPTY, UNREAD, InspectorPanel, _clicked
from app.page.papers import Paper
from app.page.summary_panel import SummaryPanel
from app.page.visitors import Visitors
from app.settings import Settings
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Summary
from tests.app.factories import paragraphs
from tests.page_server import tiny_model

SIZES = {"deep": (6, 4), "flat": (1, 1)}


class Tab:
    """An attention tab with the values of its controls, as a browser that does what it is told would keep them."""

    def __init__(self, store: ModelStore) -> None:
        self.store = store
        self.visitors = Visitors(60, 2**30)
        self.summaries: dict[str, Summary] = {}
        with gr.Blocks():
            courier = gr.HTML()
            with gr.Tabs() as tabs, gr.Tab() as tab:
                self.panel = InspectorPanel(store, self.visitors, courier)
            self.panel.wire(tab, tabs, SummaryPanel(store, self.visitors, courier))
        self.controls = {
            name: getattr(self.panel, f"_{name}")
            for name in "part view option sort named layer head sentence scale from count page".split()
        }
        self.values = {name: control.value for name, control in self.controls.items()}
        self.choices: dict[str, list[Any]] = {}

    def summarize(self, model: str) -> None:
        if model not in self.summaries:
            text = "\n".join(paragraphs(4))
            document = Document("x.txt", "X", text, (Page(1, 0, len(text)),), undivided(text), ())
            *_, done = summarize(document, SummarySettings(model, max_new_tokens=40, num_beams=1), self.store)
            self.summaries[model] = done.summary
        tab = self.visitors.tab("page")
        tab.paper = Paper("x.txt", summary=self.summaries[model])
        tab.inspection, tab.link = None, ""

    def updates(self, handler: Any) -> Iterator[dict[Any, Any]]:
        """Of an event with the controls as they are."""
        sent = {self.controls[name]: value for name, value in self.values.items()}
        return self.panel._guarded(handler)(sent, SimpleNamespace(session_hash="page", request=None))

    def send(self, handler: Any, **changes: Any) -> dict[Any, Any]:
        """An event with the controls as they are, but for some; component -> the value that it ends with."""
        self.values = {**self.values, **changes}
        *_, last = self.updates(handler)
        updates = {shown: new if isinstance(new, dict) else {"value": new} for shown, new in last.items()}
        for name, control in self.controls.items():
            update = updates.get(control, {})
            if "choices" in update:
                self.choices[name] = [value for _, value in update["choices"]]
            self.values[name] = update.get("value", self.values[name])
        return {shown: update.get("value") for shown, update in updates.items()}

    def drawn(self, shown: dict[Any, Any]) -> str:
        """The heading of what was drawn, with the layer and head that the lists now name."""
        assert "status-idle" in shown[self.panel._status]
        assert "figure-data" in shown[self.panel._map]
        assert self.values["layer"] in self.choices["layer"]
        assert self.values["head"] in self.choices["head"]
        return shown[self.panel._heading]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Tab:
    folder = tmp_path_factory.mktemp("models")
    models = [tiny_model(folder / name, *layers) for name, layers in SIZES.items()]
    return Tab(ModelStore(Settings(models=tuple(map(str, models)))))


@pytest.mark.parametrize("view", VIEWS)
def test_every_layer_and_head_of_every_view_is_drawn(tab: Tab, view: str) -> None:
    tab.summarize("deep")
    tab.drawn(tab.send(tab.panel._enter))
    heading = tab.drawn(tab.send(tab.panel._change_view, view=view))
    assert VIEWS[view].question.removesuffix("?") in heading
    encoder, decoder = SIZES["deep"]
    assert tab.choices["layer"] == list(range(decoder if VIEWS[view].stack == "decoder" else encoder))
    if "layer" not in VIEWS[view].controls:
        return
    last = tab.choices["layer"][-1]
    for layer, head in [(0, 0), (last, 1), (last, ALL_HEADS)]:
        heading = tab.drawn(tab.send(tab.panel._redraw, view=view, layer=layer, head=head))
        name = "mean of all heads" if head == ALL_HEADS else f"head {head}"
        assert f"{VIEWS[view].stack} layer {layer}, {name}" in heading


def test_the_lists_are_full_as_soon_as_they_are_shown(tab: Tab) -> None:
    """What reaches a list between its appearance and its first drawing, a busy browser may lose."""
    tab.summarize("deep")
    first = next(update for update in tab.updates(tab.panel._enter) if tab.panel._all in update)
    for name in ("part", "view", "option", "layer", "head", "sentence", "page"):
        update = first[tab.controls[name]]
        assert update["value"] in [value for _, value in update["choices"]], name


CONTROLS = "part view option sort named layer head sentence scale from count page".split()
ANYTHING = (
    st.none() | st.integers(-(10**9), 10**9) | st.sampled_from(["", "x", "log", *VIEWS]) | st.booleans()
)
HANDLERS = "_enter _change_part _change_view _redraw _go_to _change_pin".split()


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(handler=st.sampled_from(HANDLERS), sent=st.dictionaries(st.sampled_from(CONTROLS), ANYTHING))
def test_whatever_controls_send_the_tab_goes_on(tab: Tab, handler: str, sent: dict[str, Any]) -> None:
    """Empty, out of range, of another kind: no handler fails, and the next one draws."""
    tab.summarize("flat")
    tab.drawn(tab.send(tab.panel._enter))
    if sent.get("scale") not in ("log", "linear"):
        sent.pop("scale", None)
    before = dict(tab.values)
    shown = tab.send(getattr(tab.panel, handler), **sent)
    assert "status-error" not in str(shown.get(tab.panel._status, ""))
    tab.values = before
    tab.drawn(tab.send(tab.panel._redraw))


@pytest.mark.parametrize("view", ["band", "globals", "self", "cross"])
def test_a_list_that_is_empty_for_a_moment_asks_for_what_was_there(tab: Tab, view: str) -> None:
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    tab.send(tab.panel._redraw, view="band", layer=3, head=2)
    heading = tab.drawn(
        tab.send(tab.panel._redraw, view=view, layer=None, head=None, sentence=None, scale=None)
    )
    assert f"{VIEWS[view].stack} layer 3, head 2" in heading


def test_another_model_with_fewer_or_more_layers_keeps_a_valid_choice(tab: Tab) -> None:
    for model in ("deep", "flat", "deep"):
        tab.summarize(model)
        tab.drawn(tab.send(tab.panel._enter))
        assert len(tab.choices["layer"]) == SIZES[model][0]
        for view in VIEWS:
            tab.drawn(tab.send(tab.panel._change_view, view=view))
        tab.drawn(tab.send(tab.panel._change_view, view="cross"))
        layer = tab.choices["layer"][-1]  # the last of the decoder's
        tab.drawn(tab.send(tab.panel._redraw, layer=layer))
        assert tab.values["layer"] == layer


def test_a_click_on_a_head_opens_it(tab: Tab) -> None:
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    for option in ("band", "globals", "self", "cross"):
        tab.send(tab.panel._change_view, view="heads")
        tab.send(tab.panel._redraw, view="heads", option=option)
        heading = tab.drawn(tab.send(partial(tab.panel._ask, partial(_clicked, 2, 1))))
        assert "layer 2, head 1" in heading and tab.values["view"] == option
    assert tab.values["sentence"] == WHOLE_SUMMARY


def test_a_kept_map_stays_beside_the_next_ones(tab: Tab) -> None:
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    tab.send(tab.panel._change_view, view="band")
    tab.send(tab.panel._change_pin)
    shown = tab.send(tab.panel._redraw, head=2)
    assert shown[tab.panel._map].count('"kind":"heatmap"') == 3  # both and their difference
    shown = tab.send(tab.panel._redraw, view="globals")
    assert shown[tab.panel._map].count('"kind":"heatmap"') == 2  # they have no cells in common
    tab.summarize("flat")
    assert tab.send(tab.panel._enter)
    shown = tab.send(tab.panel._change_pin)
    tab.send(tab.panel._change_view, view="band")
    assert tab.visitors.tab("page").inspection.pinned is None


def test_what_was_written_is_listed_by_what_it_is_about(tab: Tab) -> None:
    tab.summarize("deep")
    session = tab.visitors.tab("page")
    window = session.paper.summary.windows[0]
    names = ("the paper", "3 Methods", "3 Methods")
    windows = tuple(replace(window, name=name) for name in names)
    session.paper.summary = replace(session.paper.summary, windows=windows)
    *_, last = tab.updates(tab.panel._enter)
    assert last[tab.controls["part"]]["choices"] == [("the paper", 0), ("3 Methods", 1), ("3 Methods (2)", 2)]


def test_a_link_restores_the_view(tab: Tab) -> None:
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    tab.send(tab.panel._change_view, view="cross")
    tab.send(tab.panel._redraw, layer=2, head=1, sentence=0)
    asked = tab.visitors.tab("page").inspection.question
    tab.summarize("deep")
    tab.visitors.tab("page").link = asked.to_link()
    tab.drawn(tab.send(tab.panel._enter))
    assert tab.visitors.tab("page").inspection.question == asked


def test_a_question_that_was_overtaken_says_nothing_at_its_end(tab: Tab) -> None:
    """Its end is told after the newer one has been answered."""
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    tab.values["view"] = "cross"
    older = tab.updates(tab.panel._redraw)
    while "Computing" not in str(next(older).get(tab.panel._status)):
        pass
    tab.visitors.tab("page").begin_maps()  # as the next question does
    *_, last = older
    assert last == {tab.panel._status: gr.skip()}


def test_a_question_that_is_overtaken_after_its_answer_says_nothing_either(tab: Tab) -> None:
    """Gradio asks for what comes after the answer when it gets round to it, which may be after the newer one's."""
    tab.summarize("deep")
    tab.send(tab.panel._enter)
    answered = tab.updates(tab.panel._redraw)
    while "figure-data" not in str(next(answered).get(tab.panel._map)):
        pass
    tab.visitors.tab("page").begin_maps()
    assert list(answered) == [{tab.panel._status: gr.skip()}]


def test_who_comes_before_the_summary_sees_its_attention_when_it_is_written(tab: Tab) -> None:
    tab.summarize("deep")
    session = tab.visitors.tab("page")
    written, session.paper.summary, session.paper.state = session.paper.summary, None, "summarizing"
    entering = tab.updates(tab.panel._enter)
    while AWAITED not in str(next(entering).get(tab.panel._status)):
        pass
    session.paper.summary, session.paper.state = written, "done"
    session.visitor.desk.changed()
    *_, last = entering
    assert "figure-data" in str(last[tab.panel._map])


def test_of_a_paper_that_no_model_read_it_is_said_that_there_is_none(tab: Tab) -> None:
    tab.summarize("deep")
    session = tab.visitors.tab("page")
    session.paper.summary = replace(session.paper.summary, windows=())
    *_, last = tab.updates(tab.panel._enter)
    assert UNREAD in str(last[tab.panel._status])


def test_who_waits_for_a_summary_that_fails_is_told_that_there_is_none(tab: Tab) -> None:
    tab.summarize("deep")
    session = tab.visitors.tab("page")
    session.paper.summary, session.paper.state = None, "reading"
    entering = tab.updates(tab.panel._enter)
    while AWAITED not in str(next(entering).get(tab.panel._status)):
        pass
    session.paper.state = "failed"
    session.visitor.desk.changed()
    *_, last = entering
    assert EMPTY in str(last[tab.panel._status])
