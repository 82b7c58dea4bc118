"""The page to search a library, opened from disk, with 1,000 papers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from app.corpus.index import PAPER_ROWS, write_index
from app.corpus.ledger import Ledger, parts_of
from app.corpus.rows import failure_row
from app.corpus.sources import SourceFile
from tests.app.corpus.tables import ERROR, made_up_row, make_table

pytestmark = pytest.mark.browser

COUNT = 1_000


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("library")
    write_index(folder, make_table(folder, COUNT), ["html"])
    return folder


@pytest.fixture
def opened(library: Path, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page; whatever it complains of fails the test."""
    complaints: list[str] = []
    contexts = []

    def one(fragment: str = "", width: int = 1280, folder: Path = library) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{folder.as_uri()}/index.html{fragment}")
        expect(page.locator("#count")).to_contain_text("papers")
        return page

    yield one
    hacked = [page.evaluate("window.hacked") for context in contexts for page in context.pages]
    for context in contexts:
        context.close()
    assert not complaints and not any(hacked)


def test_search_finds_what_has_every_word(opened: Callable[..., Page]) -> None:
    page = opened()
    page.keyboard.press("/")
    page.keyboard.type("paper 100")
    expect(page.locator("#rows strong")).to_have_text(["Paper 100 <img src=x onerror=window.hacked=1>"])
    page.fill("#words", "EMILE zola")
    expect(page.locator("#count")).not_to_have_text("1,000 papers")
    assert all("Émile Zola" in text for text in page.locator("#rows small").all_inner_texts())
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("1,000 papers")


def test_filters_and_order(opened: Callable[..., Page]) -> None:
    page = opened()
    page.select_option("#state", "error")
    expect(page.locator("#rows .short").first).to_have_text(ERROR)
    expect(page.locator("#count")).to_have_text(f"{sum(n % 7 == 3 for n in range(COUNT))} of 1,000 papers")
    page.select_option("#state", "")
    page.select_option("#language", "el")
    page.select_option("#order", "pages")
    expect(page.locator("#rows small").first).to_contain_text("40 pages · el")


def test_the_list_grows_while_it_is_scrolled(opened: Callable[..., Page]) -> None:
    page = opened()
    few = page.locator("#rows li").count()
    page.locator("#rows").evaluate("list => list.scrollTo(0, list.scrollHeight)")
    expect(page.locator("#rows li").nth(few)).to_be_attached()


def test_by_keyboard_from_the_search_to_a_passage_and_back(opened: Callable[..., Page]) -> None:
    page = opened()
    page.focus("#words")
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#paper h2")).to_have_text("Paper 1")
    expect(page.locator("#paper h3")).to_have_text(
        ["TL;DR", "Summary", "Section by section", "How it was made"]
    )
    passage = page.locator("#paper .passages").first
    expect(passage).to_be_hidden()
    page.locator("#paper button.page").first.press("Enter")
    expect(passage).to_be_visible()
    assert "#page=" in passage.locator("a").first.get_attribute("href")
    page.keyboard.press("Escape")
    expect(page.locator("#paper")).to_be_hidden()
    expect(page.locator("#rows button").nth(1)).to_be_focused()


def test_an_address_leads_to_a_paper_and_hostile_text_is_text(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator("#rows button").first.click()
    expect(page.locator("#paper h2")).to_contain_text("<img src=x")
    fragment = page.evaluate("location.hash")
    again = opened(fragment)
    expect(again.locator("#paper h2")).to_contain_text("<img src=x")
    assert again.locator("#paper img").count() == 0


UNREAD = (
    "/a/a b.pdf",
    "/b/a b.pdf",
    "/b/é.pdf",
    "/b/100%.pdf",
    "/b/a#b?c.pdf",
    "/b/\u202efdp.a.pdf",
    "/b/a\nb.pdf",
)


@pytest.fixture(scope="module")
def odd_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A paper with two names, and files that can't be read, with names that browsers spell in their own way."""
    folder = tmp_path_factory.mktemp("odd")
    with Ledger(folder, {}, resume=False) as ledger:
        ledger.add(made_up_row(1))
        ledger.add_name(made_up_row(1)["sha256"], SourceFile("/elsewhere/Zwölf.pdf", "1"))
        for name in UNREAD:
            ledger.add(failure_row(SourceFile(name), None, ERROR))
    write_index(folder, parts_of(folder), [])
    return folder


def test_every_name_of_a_paper_is_found(opened: Callable[..., Page], odd_library: Path) -> None:
    page = opened(folder=odd_library)
    page.fill("#words", "zwolf")
    expect(page.locator("#rows strong")).to_have_text(["Paper 1"])
    expect(page.locator("#rows small")).to_contain_text("paper-0001.pdf and 1 more")
    page.locator("#rows button").click()
    expect(page.locator("#paper")).to_contain_text("/elsewhere/Zwölf.pdf")


def test_an_address_leads_to_a_file_of_any_name(opened: Callable[..., Page], odd_library: Path) -> None:
    page = opened(folder=odd_library)
    for place, name in enumerate(UNREAD, 1):
        page.locator("#rows button").nth(place).click()
        expect(page.locator("#paper .error")).to_have_text(ERROR)
        again = opened(page.evaluate("location.hash"), folder=odd_library)
        expect(again.locator("#paper .about").first).to_have_text(" ".join(name.split()))
        link = again.locator("#paper a").first
        assert link.evaluate("link => decodeURIComponent(new URL(link.href).pathname)") == name


def test_narrow_it_shows_one_thing_at_a_time(opened: Callable[..., Page]) -> None:
    page = opened(width=375)
    page.locator("#rows button").nth(1).click()
    expect(page.locator("#rows")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#paper .close").click()
    expect(page.locator("#rows")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_page_whose_folder_was_written_anew_shows_no_other_paper(
    opened: Callable[..., Page], tmp_path: Path
) -> None:
    write_index(tmp_path, make_table(tmp_path, 3), [])
    page = opened(folder=tmp_path)
    with Ledger(tmp_path / "later", {}, resume=False) as ledger:
        for number in (2, 1):
            ledger.add(made_up_row(number))
    write_index(tmp_path, parts_of(tmp_path / "later"), [])
    page.locator("#rows button").nth(1).click()
    expect(page.locator("#paper h2")).to_have_text("Paper 1")
    for moved_or_gone in (0, 2):
        page.locator("#rows button").nth(moved_or_gone).click()
        expect(page.locator("#paper .error")).to_contain_text("or load this page again")
        assert page.locator("#paper h2").count() == 0


def test_a_paper_that_comes_late_changes_nothing(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator("#rows button").nth(PAPER_ROWS + 1).click()
    other = page.locator("#paper h2")
    expect(other).to_have_text(f"Paper {PAPER_ROWS + 1}")
    page.evaluate("document.head.append = (script) => { window.script = script; }")
    page.locator("#rows button").nth(1).click()
    expect(page.locator("#paper .close")).to_be_visible()
    assert other.count() == 0
    page.locator("#rows button").nth(PAPER_ROWS + 1).click()
    expect(other).to_have_text(f"Paper {PAPER_ROWS + 1}")
    page.focus("#words")
    page.evaluate("window.script.onerror()")
    expect(other).to_have_text(f"Paper {PAPER_ROWS + 1}")
    assert page.locator("#paper .error").count() == 0
    expect(page.locator("#words")).to_be_focused()
