"""What comes in, what is listed, what is done with it: the handlers as events call them, with real work behind."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.models import ModelStore
from app.page import jobs, shelf_panel
from app.page.links import Look, query_of
from app.page.papers import Paper
from app.page.settings_panel import SettingsPanel
from app.page.shelf_panel import EXAMPLE, GONE, NOT_HERE, ShelfPanel, name_of
from app.page.streaming import Update
from app.page.visitors import MOST_PAPERS, Tab, Visitors
from app.settings import Settings
from tests.app.factories import make_model, make_pdf, paragraphs, wrapped
from tests.app.page.papers import document, summary


class Page:
    """The panel on a page, and one browser that looks at it."""

    def __init__(self, model: Path) -> None:
        self.settings = Settings(models=(str(model),), allow_urls=True)
        self.store = ModelStore(self.settings)
        with gr.Blocks():
            self.panel = ShelfPanel(self.store, Visitors(60, 10**9), gr.HTML())
            self.panel.build_doors()
            self.panel.build_list()
            self.controls = SettingsPanel(self.store)
            self.panel.wire(self.controls, [self.seen], [])

    def open(self) -> None:
        """As if nobody had ever been here."""
        self.key = "browser"
        self.visitors = self.panel._visitors = Visitors(60, 10**9)
        self.store.settings = self.settings

    def seen(self, tab: Tab, values: Update) -> Update:
        return {"paper": tab.paper and tab.paper.title, "notice": tab.notice}

    @property
    def request(self) -> Any:
        return SimpleNamespace(session_hash=self.key, request=None, client=SimpleNamespace(host="1.2.3.4"))

    @property
    def tab(self) -> Tab:
        return self.visitors.tab(self.key)

    def values(self, **said: Any) -> Update:
        named = {"model": self.controls._model, **self.controls._by_name}
        mine = {"files": self.panel._files, "text": self.panel._text, "address": self.panel._address}
        return {control: control.value for control in named.values()} | {
            mine[name]: value for name, value in said.items()
        }

    def last(self, updates: Iterator[Update]) -> Update:
        return ([{}, *updates])[-1]

    def press(self, action: Any, paper: Any) -> Update:
        event = SimpleNamespace(_data={"action": action, "paper": paper})
        return self.last(self.panel._press(self.values(), self.request, event))

    def add(self, **known: Any) -> Paper:
        paper = self.visitors.add(self.tab.visitor, known.pop("name", "x.pdf"))
        for name, value in {"state": "read", "document": document(), **known}.items():
            setattr(paper, name, value)
        return paper


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Page:
    generation = {"max_new_tokens": 24, "num_beams": 1}
    return Page(make_model(tmp_path_factory.mktemp("models") / "tiny", generation=generation))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(gr, "Warning", said.append)
    return said


@pytest.fixture
def page(built: Page, warnings: list[str]) -> Iterator[Page]:
    built.open()
    yield built
    built.visitors.close()


def pdf(folder: Path, name: str, seed: int = 0) -> Path:
    (folder / name).mkdir()
    return make_pdf(folder / name / f"{name}.pdf", [wrapped(paragraphs(2, seed=seed))])


def test_several_files_are_read_in_turn_and_the_first_is_shown(page: Page, tmp_path: Path) -> None:
    files = [pdf(tmp_path, name, seed) for seed, name in enumerate(("a", "b", "c"))]
    updates = list(page.panel._bring(page.values(files=files), page.request))
    assert updates[0] == {page.panel._files: None}
    papers = page.tab.visitor.papers
    assert [paper.name for paper in papers] == ["a.pdf", "b.pdf", "c.pdf"]
    assert all(paper.state == "read" and paper.document for paper in papers)
    assert page.tab.paper is papers[0]
    assert not any(file.parent.exists() for file in files)
    assert updates[-1][page.panel._list].count('data-action="open"') == 3
    assert updates[-1]["paper"] == papers[0].title


def test_more_files_than_there_is_room_for_are_said(page: Page, tmp_path: Path, warnings: list[str]) -> None:
    files = []
    for i in range(MOST_PAPERS + 2):
        (tmp_path / str(i)).mkdir()
        files.append(tmp_path / str(i) / "x.txt")
        files[-1].write_text("Sparse attention reads long papers. " * 20)
    page.last(page.panel._bring(page.values(files=files), page.request))
    assert len(page.tab.visitor.papers) == MOST_PAPERS
    assert warnings and "20" in warnings[0]
    assert not any(file.exists() for file in files)


@pytest.mark.parametrize("files", [None, [], [Path("/nowhere/x.pdf")]])
def test_files_that_are_not_there_are_no_accident(page: Page, warnings: list[str], files: Any) -> None:
    page.last(page.panel._bring(page.values(files=files), page.request))
    assert page.tab.visitor.papers == []
    assert warnings == ([GONE] if files else [])


def test_the_example_is_read_once_and_stays(page: Page) -> None:
    for _ in range(2):
        page.last(page.panel._bring_example(page.values(), page.request))
    (paper,) = page.tab.visitor.papers
    assert paper.state == "read" and paper.document is not None
    page.press("delete", paper.id)
    assert EXAMPLE.exists()


def test_pasted_text_is_a_paper_named_by_its_first_line(page: Page) -> None:
    text = "\n# On a/b tests\n\n" + " ".join(paragraphs(3))
    update = page.last(page.panel._bring_text(page.values(text=text), page.request))
    (paper,) = page.tab.visitor.papers
    assert (paper.name, paper.state) == ("On a b tests", "read")
    assert paper.document and "On a/b tests" in paper.document.text
    assert update["paper"] == paper.title


@pytest.mark.parametrize("text", [None, "", "  \n "])
def test_nothing_pasted_is_said(page: Page, warnings: list[str], text: Any) -> None:
    page.last(page.panel._bring_text(page.values(text=text), page.request))
    assert not page.tab.visitor.papers and warnings


@given(st.text(min_size=1).filter(str.strip))
def test_any_text_has_a_name_for_a_file(text: str) -> None:
    name = name_of(text)
    assert name and len(name) <= 81 and "/" not in name and "\\" not in name and "\n" not in name


def test_an_address_is_fetched_and_read(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: Any, to: Path, **wanted: Any) -> str:
        assert str(url) == "https://arxiv.org/pdf/2112.07916"
        to.write_bytes(pdf(tmp_path, "fetched").read_bytes())
        return "fetched.pdf"

    monkeypatch.setattr(jobs, "download", download)
    page.last(page.panel._bring_address(page.values(address="arXiv:2112.07916"), page.request))
    (paper,) = page.tab.visitor.papers
    assert (paper.name, paper.state) == ("fetched.pdf", "read")
    assert paper.file_bytes > 0


@pytest.mark.parametrize("address", [None, "", "no address", "file:///etc/passwd"])
def test_what_is_no_address_is_said(page: Page, warnings: list[str], address: Any) -> None:
    page.last(page.panel._bring_address(page.values(address=address), page.request))
    assert not page.tab.visitor.papers and len(warnings) == 1


def test_nothing_is_fetched_where_the_owner_does_not_want_it(
    page: Page, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page.store.settings = replace(page.settings, allow_urls=False)
    page.last(page.panel._bring_address(page.values(address="2112.07916"), page.request))
    assert not page.tab.visitor.papers and "fetched" in warnings[0]


def test_an_address_of_this_network_fails_in_a_sentence(page: Page) -> None:
    page.last(page.panel._bring_address(page.values(address="http://127.0.0.1:8765/x.pdf"), page.request))
    (paper,) = page.tab.visitor.papers
    assert paper.state == "failed" and "open internet" in paper.problem


def enter(page: Page, key: str, token: Any = None, query: str = "") -> Tab:
    page.key = key
    page.panel._enter({"visitor": token, "query": query}, page.request)
    return page.tab


def test_a_page_that_is_loaded_again_shows_what_it_showed(page: Page) -> None:
    first = enter(page, "a")
    old, new = page.add(name="old"), page.add(name="new")
    first.show(old)
    time.sleep(0.01)
    first.show(new)
    again = enter(page, "b", first.visitor.token)
    assert again.paper is new
    link = query_of(old.id, Look(sentence=1, view="band", layer=2))
    linked = enter(page, "c", first.visitor.token, f"?x=1&{link[1:]}")
    assert linked.paper is old
    assert old.look == Look(sentence=1, view="band", layer=2)
    remembered = json.loads(page.panel.remember(linked)[page.panel.memory])
    assert remembered == {"visitor": first.visitor.token, "query": link}


def test_a_link_shows_nothing_to_anybody_else(page: Page) -> None:
    enter(page, "a")
    paper = page.add()
    other = enter(page, "b", None, query_of(paper.id))
    assert other.paper is None
    update = page.last(page.panel._show(page.values(), page.request))
    assert update["notice"] == NOT_HERE
    assert paper.id not in json.dumps(str(update))


def test_a_paper_is_opened_stopped_and_deleted_by_its_visitor_only(page: Page, warnings: list[str]) -> None:
    enter(page, "a")
    paper = page.add()
    page.press("open", paper.id)
    assert page.tab.paper is paper
    enter(page, "b")
    for action in ("open", "stop", "delete"):
        page.press(action, paper.id)
    assert page.tab.paper is None and paper.file is not None
    assert warnings == [GONE] * 3
    page.key = "a"
    page.press("delete", paper.id)
    assert page.tab.visitor.papers == [] and page.tab.paper is None


def test_a_paper_stopped_before_it_was_read_is_read_when_it_is_opened(page: Page, tmp_path: Path) -> None:
    page.last(page.panel._bring(page.values(files=[pdf(tmp_path, "a")]), page.request))
    (paper,) = page.tab.visitor.papers
    paper.state, paper.document = "stopped", None
    page.press("open", paper.id)
    assert paper.state == "read"


def test_all_are_summarized_in_turn_and_exported(page: Page, tmp_path: Path) -> None:
    files = [pdf(tmp_path, name, seed) for seed, name in enumerate(("a", "b"))]
    page.last(page.panel._bring(page.values(files=files), page.request))
    locked = page.add(state="locked", document=None)
    page.last(page.panel._start_all(page.values(), page.request))
    first, second = page.tab.visitor.papers[1:]
    assert first.state == second.state == "done" and locked.state == "locked"
    made = first.summary
    page.last(page.panel._start_all(page.values(), page.request))
    assert first.summary is made  # what is done is not done again

    def saved(kind: str) -> str:
        parcel = json.loads(page.panel._exporter(kind)(page.request))
        return base64.b64decode(parcel["data"]).decode("utf-8-sig")

    rows = list(csv.reader(io.StringIO(saved("csv"))))
    assert [row[3] for row in rows] == ["file", "b.pdf", "a.pdf"]
    assert saved("md").startswith("# Summaries of 2 papers")


def test_all_can_be_stopped_and_forgotten(page: Page, tmp_path: Path) -> None:
    text = tmp_path / "x" / "long.txt"
    text.parent.mkdir()
    text.write_text("\n".join(paragraphs(2_000)))
    page.last(page.panel._bring(page.values(files=[text]), page.request))
    waiting = page.add(name="waiting")
    updates = page.panel._start_all(page.values(), page.request)
    next(updates)
    page.panel._halt_all(page.request)
    page.last(updates)
    assert not page.tab.visitor.working
    assert waiting.state in ("stopped", "read")
    for sure in (False, None, "yes"):
        page.panel._forget_all(sure, page.request)
        assert page.tab.visitor.papers
    page.panel._forget_all(True, page.request)
    assert page.tab.visitor.papers == []


ANYTHING = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)
SETTLED = settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SETTLED
@given(ANYTHING | st.fixed_dictionaries({"visitor": ANYTHING, "query": ANYTHING}))
def test_whatever_a_browser_says_when_it_comes(page: Page, said: Any) -> None:
    assert json.loads(page.panel._enter(said, page.request))["visitor"] == page.tab.visitor.token


@SETTLED
@given(ANYTHING | st.fixed_dictionaries({"action": ANYTHING, "paper": ANYTHING}))
def test_whatever_is_pressed(page: Page, said: Any) -> None:
    assert page.last(page.panel._press(page.values(), page.request, SimpleNamespace(_data=said)))


@SETTLED
@given(st.sampled_from(["text", "address"]), ANYTHING)
def test_whatever_is_typed(page: Page, field: str, said: Any) -> None:
    bring: Callable[..., Iterator[Update]] = getattr(page.panel, f"_bring_{field}")
    page.last(bring(page.values(**{field: said}), page.request))


def test_a_number_that_is_missing_is_said(page: Page, warnings: list[str]) -> None:
    page.add(summary=summary())
    said = page.values() | {page.controls._by_name["num_beams"]: None}
    page.last(page.panel._start_all(said, page.request))
    assert warnings and "beams" in warnings[0].lower()


def test_no_summary_is_said(page: Page, warnings: list[str]) -> None:
    page.panel._exporter("csv")(page.request)
    assert warnings == [shelf_panel.NOTHING]
