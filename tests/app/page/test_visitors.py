"""Who is here, what is kept for them, and for how long."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from app.page import visitors as house
from app.page.visitors import MOST_PAPERS, MOST_TABS, Visitors
from app.summarizing.settings import SummaryError

PLENTY = 10**9


@pytest.fixture
def visitors() -> Iterator[Visitors]:
    visitors = Visitors(60, PLENTY)
    yield visitors
    visitors.close()


def endless(stop: threading.Event) -> Iterator[Any]:
    stop.wait()
    yield from ()


def upload(folder: Path, text: str = "words", name: str = "paper.pdf") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_browser_finds_its_papers_again(visitors: Visitors, tmp_path: Path) -> None:
    tab = visitors.enter("a")
    paper = visitors.add(tab.visitor, "paper.pdf", upload(tmp_path))
    tab.show(paper)
    visitors.leave("a")
    again = visitors.enter("b", tab.visitor.token)
    assert again is not tab
    assert again.visitor.papers == [paper]
    assert visitors.tab("b") is again
    assert visitors.tab("a").paper is paper  # its connection broke, and it came back


@pytest.mark.parametrize("token", [None, "", "guess", 7, ["x"], {"a": 1}, 10**6 * "x"])
def test_nobody_comes_in_with_a_token_of_his_own_making(visitors: Visitors, token: Any) -> None:
    first = visitors.enter("a")
    other = visitors.enter("b", token)
    assert other.visitor is not first.visitor
    assert other.visitor.token != token
    assert visitors.find(token) is None


def test_a_tab_stays_with_its_visitor(visitors: Visitors, tmp_path: Path) -> None:
    """Whoever knows the key of somebody's page can't have what is dropped there come to himself."""
    victim, thief = visitors.enter("victim"), visitors.enter("thief")
    visitors.add(victim.visitor, "paper.pdf", upload(tmp_path))
    assert visitors.enter("victim", thief.visitor.token) is victim


def test_tokens_and_ids_can_t_be_guessed(visitors: Visitors, tmp_path: Path) -> None:
    found = [visitors.enter(str(i)).visitor for i in range(20)]
    papers = [visitors.add(visitor, "paper.pdf", upload(tmp_path)) for visitor in found]
    assert len({visitor.token for visitor in found} | {paper.id for paper in papers}) == 40
    assert all(len(visitor.token) >= 32 for visitor in found)
    assert all(len(paper.id) >= 16 for paper in papers)


def test_a_paper_is_found_by_its_visitor_only(visitors: Visitors, tmp_path: Path) -> None:
    mine, other = visitors.enter("a").visitor, visitors.enter("b").visitor
    paper = visitors.add(mine, "paper.pdf", upload(tmp_path))
    assert mine.find(paper.id) is paper
    assert other.find(paper.id) is None
    assert mine.find(None) is None
    assert visitors.find(paper.id) is None


def test_files_are_moved_to_where_only_their_owner_looks(visitors: Visitors, tmp_path: Path) -> None:
    """Two people who bring the same file each have their own."""
    papers = []
    for key in "ab":
        path = upload(tmp_path, "the same words", "secret name.pdf")
        papers.append(visitors.add(visitors.enter(key).visitor, path.name, path))
        assert not path.exists()
    first, second = papers
    assert first.file and second.file and first.file.parent == second.file.parent
    assert stat.S_IMODE(first.file.parent.stat().st_mode) == 0o700
    assert "secret" not in str(first.file)
    visitors.tab("a").visitor.delete(first)
    assert not first.file.exists()
    assert second.file.read_text() == "the same words"


def test_a_file_that_is_not_the_visitor_s_own_stays(visitors: Visitors, tmp_path: Path) -> None:
    path = upload(tmp_path)
    visitor = visitors.enter("a").visitor
    visitor.delete(visitors.add(visitor, "example.pdf", path, move=False))
    assert path.exists()


def test_forgetting_leaves_nothing(visitors: Visitors, tmp_path: Path) -> None:
    tab = visitors.enter("a")
    paper = visitors.add(tab.visitor, "paper.pdf", upload(tmp_path))
    tab.show(paper)
    tab.visitor.desk.start(paper, "reading", endless)
    tab.visitor.forget()
    assert paper.stop.is_set()
    assert not tab.visitor.papers and tab.paper is None
    assert paper.file and not list(paper.file.parent.iterdir())


def test_closing_the_house_removes_its_folder(tmp_path: Path) -> None:
    visitors = Visitors(60, PLENTY)
    paper = visitors.add(visitors.enter("a").visitor, "paper.pdf", upload(tmp_path))
    visitors.close()
    assert paper.file and not paper.file.parent.exists()


def test_the_idlest_paper_makes_room_and_one_at_work_never_does(visitors: Visitors, tmp_path: Path) -> None:
    visitor = visitors.enter("a").visitor
    papers = [visitors.add(visitor, f"{i}.pdf", upload(tmp_path)) for i in range(MOST_PAPERS)]
    for paper in papers[1:]:
        paper.state = "done"
    visitors.add(visitor, "new.pdf", upload(tmp_path))
    assert papers[0] in visitor.papers and papers[1] not in visitor.papers
    for paper in visitor.papers:
        paper.state = "waiting"
    with pytest.raises(SummaryError, match="20"):
        visitors.add(visitor, "one more.pdf", upload(tmp_path))


def test_too_many_bytes_send_the_idlest_away_and_then_refuse(tmp_path: Path) -> None:
    visitors = Visitors(60, most_bytes=1_000)
    first, second, third = (visitors.enter(key).visitor for key in "abc")
    for visitor in (first, second):
        visitors.add(visitor, "x.pdf", upload(tmp_path, 900 * "x")).state = "done"
    second.last_used -= 1
    visitors.add(third, "x.pdf", upload(tmp_path, 10 * "x")).state = "reading"
    assert not second.papers or not first.papers
    visitors.add(third, "y.pdf", upload(tmp_path, 2_000 * "x")).state = "reading"
    with pytest.raises(SummaryError, match="no room"):
        visitors.add(visitors.enter("d").visitor, "z.pdf", upload(tmp_path))
    visitors.close()


def test_a_crowd_of_one_address_sends_its_own_away_first(tmp_path: Path) -> None:
    """Whoever opens a hundred pages costs nobody else his papers."""
    visitors = Visitors(60, PLENTY, most=10)
    victim = visitors.enter("victim", address="1.1.1.1").visitor
    visitors.add(victim, "x.pdf", upload(tmp_path)).state = "done"
    for i in range(100):
        visitors.enter(f"empty {i}", address="6.6.6.6")
    assert visitors.find(victim.token) is victim
    for i in range(100):
        crowd = visitors.enter(f"full {i}", address="6.6.6.6").visitor
        visitors.add(crowd, "x.pdf", upload(tmp_path)).state = "done"
    assert visitors.find(victim.token) is victim
    assert len(visitors) == 10
    visitors.close()


def test_who_is_idle_is_forgotten(tmp_path: Path) -> None:
    visitors = Visitors(0.05, PLENTY)
    idle, busy = visitors.enter("idle").visitor, visitors.enter("busy").visitor
    paper = visitors.add(idle, "x.pdf", upload(tmp_path))
    paper.state = "done"
    visitors.add(busy, "x.pdf", upload(tmp_path)).state = "reading"
    time.sleep(0.1)
    visitors.sweep()
    assert visitors.find(idle.token) is None
    assert visitors.find(busy.token) is busy
    assert paper.file and not paper.file.exists()
    visitors.close()


def test_work_goes_on_while_a_page_is_open_and_ends_when_none_is(
    visitors: Visitors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "ALONE_SECONDS", 0.1)
    tab = visitors.enter("a")
    visitor = tab.visitor
    paper = visitors.add(visitor, "x.pdf", upload(tmp_path))
    visitor.desk.start(paper, "reading", endless)
    visitors.leave("a")
    visitors.enter("b", visitor.token)  # loaded again
    time.sleep(0.3)
    assert paper.busy
    visitors.leave("b")
    visitors.leave("nobody")
    deadline = time.monotonic() + 2
    while paper.busy and time.monotonic() < deadline:
        time.sleep(0.02)
    assert paper.state == "stopped"
    assert visitor.papers == [paper]


def test_a_program_is_a_visitor_without_a_page(visitors: Visitors) -> None:
    program = visitors.open("1.2.3.4")
    assert visitors.find(program.token) is program
    visitors.drop(program)
    assert visitors.find(program.token) is None


class AnyDay(RuleBasedStateMachine):
    """Whatever browsers do, in whatever order, the house stays within its bounds and nobody meets another's papers."""

    keys = st.sampled_from("abcdefgh")

    @initialize()
    def open(self) -> None:
        self.visitors = Visitors(60, most_bytes=5_000, most=3)
        self.given: dict[str, list[Any]] = {}

    def teardown(self) -> None:
        self.visitors.close()

    @rule(key=keys, stranger=st.sampled_from([None, "", "x", 3]), back=st.booleans())
    def enter(self, key: str, stranger: Any, back: bool) -> None:
        token = self.visitors.tab(key).visitor.token if back else stranger
        tab = self.visitors.enter(key, token)
        assert tab.visitor.token == token or not back

    @rule(key=keys)
    def leave(self, key: str) -> None:
        self.visitors.leave(key)

    @rule(key=keys, size=st.integers(0, 3_000), state=st.sampled_from(["done", "failed", "reading"]))
    def bring(self, key: str, size: int, state: Any) -> None:
        visitor = self.visitors.tab(key).visitor
        try:
            paper = self.visitors.add(visitor, "x")
        except SummaryError:
            return
        assert paper.file
        paper.file.write_bytes(bytes(size))
        paper.file_bytes, paper.state = size, state
        self.given.setdefault(visitor.token, []).append(paper)

    @rule(key=keys)
    def delete(self, key: str) -> None:
        for paper in self.visitors.tab(key).visitor.papers[:1]:
            self.visitors.tab(key).visitor.delete(paper)

    @invariant()
    def within_bounds(self) -> None:
        self.visitors.sweep()
        kept = [self.visitors.find(token) for token in list(self.given)]
        at_work = sum(visitor.working for visitor in kept if visitor)
        assert len(self.visitors) <= max(3, at_work + 1)
        idle = [visitor for visitor in kept if visitor and visitor.papers and not visitor.working]
        assert self.visitors.bytes <= 5_000 or not idle
        for visitor in filter(None, kept):
            assert len(visitor.papers) <= MOST_PAPERS
            assert len(visitor.tabs) <= MOST_TABS
            assert set(visitor.papers) <= set(self.given[visitor.token])

    @invariant()
    def no_file_without_its_paper(self) -> None:
        kept = [paper for token in self.given for paper in (self.visitors.find(token) or _Nobody).papers]
        files = {path.name for path in self.visitors._folder.iterdir()}
        assert files <= {paper.id for paper in kept}


class _Nobody:
    papers: tuple[Any, ...] = ()


TestAnyDay = AnyDay.TestCase
TestAnyDay.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_only_files_are_taken_in(visitors: Visitors, tmp_path: Path) -> None:
    """A path comes from whoever calls: the folder of everybody's uploads is one too."""
    folder = tmp_path / "uploads"
    somebody_elses = folder / "x" / "paper.pdf"
    somebody_elses.parent.mkdir(parents=True)
    somebody_elses.write_text("words")
    link = tmp_path / "link.pdf"
    link.symlink_to(somebody_elses)
    visitor = visitors.enter("a").visitor
    for path in (folder, folder / "x", link, tmp_path / "none.pdf"):
        with pytest.raises(FileNotFoundError):
            visitors.add(visitor, "paper.pdf", path)
    assert not visitor.papers
    assert somebody_elses.read_text() == "words" and link.is_symlink()


def test_a_tab_that_is_pushed_out_shows_nothing_any_more(visitors: Visitors) -> None:
    first = visitors.enter("first")
    stop = first.begin_maps()
    for number in range(MOST_TABS):
        visitors.enter(str(number), first.visitor.token)
    assert first.closed and stop.is_set()
    assert len(first.visitor.tabs) == MOST_TABS
    assert not visitors.tab("first").closed  # it may come back
