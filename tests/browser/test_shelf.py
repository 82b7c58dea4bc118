"""A visitor's papers as a person meets them: several at once, reload, Back, links, stop, forget."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]
FOUND = "#found"


@pytest.fixture(scope="module")
def three(papers: Path) -> list[str]:
    """Three papers to drop at once."""
    from tests.page_server import paper_pdf

    return [
        str(paper_pdf(papers / f"{name}.pdf", pages=2, title=f"On {name}"))
        for name in ("bees", "moss", "tides")
    ]


def bring(page: Page, files: list[str]) -> None:
    page.set_input_files("#file input[type=file]", files)
    expect(listed(page)).to_have_count(len(files))


def listed(page: Page) -> Locator:
    return page.locator("#shelf-list li")


def states(page: Page) -> list[str]:
    return page.locator(".shelf-state").all_inner_texts()


def until_all(page: Page, state: str) -> None:
    count = listed(page).count()
    expect(page.locator(".shelf-state")).to_have_text([re.compile(state)] * count)


def link(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def again(page: Page) -> None:
    page.reload()
    page.wait_for_selector("#shelf-list li")


def start_writing(page: Page) -> None:
    """Begins to summarize a long paper, and waits until more than one sentence of it has been written."""
    page.click("#summarize")
    page.locator("#summary-text[data-state=growing] .sentence").nth(2).wait_for()


@pytest.fixture(scope="module")
def page(open_page: OpenPage, three: list[str]) -> Page:
    """A page with three papers, all summarized."""
    page = open_page()
    bring(page, three)
    until_all(page, "2 pages")
    page.click("#summarize-all")
    until_all(page, "summarized")
    return page


def test_a_paper_that_was_deleted_elsewhere_is_said_to_be_gone(open_page: OpenPage, three: list[str]) -> None:
    """In the page that still shows it; nothing else is summarized in its place."""
    page = open_page()
    bring(page, three[:1])
    until_all(page, "2 pages")
    other = page.context.new_page()
    other.goto(page.url)
    other.locator("#shelf-list [data-action=delete]").click()
    expect(listed(other)).to_have_count(0)
    page.click("#summarize")
    expect(page.locator("#status")).to_contain_text("no longer here")
    expect(listed(page)).to_have_count(0)
    page.click("#summarize")  # now the example stands there
    expect(listed(page)).to_have_count(1)
    page.click("#stop")


def test_several_papers_are_read_and_summarized_one_after_the_other(page: Page) -> None:
    assert page.locator(".shelf-name, .shelf-title").all_inner_texts()[0]
    for i, name in enumerate(("bees", "moss", "tides")):
        page.locator(".shelf-open").nth(i).click()
        expect(page.locator(FOUND)).to_contain_text(name)
        expect(page.locator(".sentence").first).to_be_visible()
    expect(page.locator('.shelf-open[aria-current="true"]')).to_have_count(1)


def test_all_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    def saved(button: str) -> str:
        with page.expect_download() as arriving:
            page.click(button)
        path = tmp_path / arriving.value.suggested_filename
        arriving.value.save_as(path)
        return path.read_text(encoding="utf-8-sig")

    rows = list(csv.reader(io.StringIO(saved("#download-all-csv"))))
    assert rows[0] == ["title", "TL;DR", "pages", "file"]
    assert sorted(row[3] for row in rows[1:]) == ["bees.pdf", "moss.pdf", "tides.pdf"]
    assert saved("#download-all-md").startswith("# Summaries of 3 papers")


def test_a_reload_shows_the_same_paper_and_the_same_sentence(page: Page) -> None:
    page.locator(".shelf-open").nth(1).click()
    expect(page.locator(FOUND)).to_contain_text("moss")
    summary = page.locator("#summary-text").inner_text()
    page.locator(".sentence").last.click()
    last = page.locator(".sentence").count() - 1
    expect(page).to_have_url(re.compile(f"sentence={last}"))
    again(page)
    expect(page.locator(FOUND)).to_contain_text("moss")
    assert page.locator("#summary-text").inner_text() == summary
    expect(page.locator(".sentence").last).to_have_attribute("aria-pressed", "true")
    assert link(page)["sentence"] == [str(last)]
    assert link(page)["__theme"]  # what else stands in the address stays


def test_back_leads_to_where_one_was(page: Page) -> None:
    page.locator(".shelf-open").nth(2).click()
    expect(page.locator(FOUND)).to_contain_text("tides")
    page.goto("about:blank")
    page.go_back()
    expect(page.locator(FOUND)).to_contain_text("tides")
    expect(listed(page)).to_have_count(3)
    page.locator(".shelf-open").nth(0).click()
    expect(page.locator(FOUND)).to_contain_text("bees")


def test_a_link_opens_in_another_tab_of_the_same_browser_and_in_no_other_browser(
    page: Page, browser: Browser
) -> None:
    for i, name in enumerate(("tides", "moss", "bees")):
        page.locator(".shelf-open").nth(2 - i).click()
        expect(page.locator(FOUND)).to_contain_text(name)
    page.locator(".sentence").first.click()
    expect(page).to_have_url(re.compile("sentence=0"))
    tab = page.context.new_page()
    tab.goto(page.url)
    expect(tab.locator(FOUND)).to_contain_text("bees")
    expect(tab.locator(".sentence").first).to_have_attribute("aria-pressed", "true")
    tab.close()
    stranger = browser.new_context().new_page()
    stranger.goto(page.url)
    expect(stranger.locator("#status")).to_contain_text("The paper of this link is not here")
    assert listed(stranger).count() == 0
    assert "bees" not in stranger.content().replace(page.url, "")
    stranger.context.close()


def test_words_of_the_list_are_kept_in_the_browser_by_nobody_else(page: Page) -> None:
    """Gradio's own history of runs is off."""
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "longt5-visitor" in kept and "bees" not in kept
    assert page.evaluate("indexedDB.databases().then((all) => all.length)") == 0


def test_a_dropped_connection_loses_nothing(page: Page) -> None:
    page.context.set_offline(True)
    page.wait_for_timeout(1_000)
    page.context.set_offline(False)
    again(page)
    expect(listed(page)).to_have_count(3)
    assert set(states(page)) == {"summarized"}


# A network on which the server's stream of events comes half a second late.
LATE_JS = """
const reach = window.fetch.bind(window);
window.fetch = async (...about) => {
    const answer = await reach(...about);
    if (!String(about[0].url ?? about[0]).includes('/queue/data')) return answer;
    const reader = answer.body.getReader();
    const late = new ReadableStream({async start(stream) {
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            const { value } = piece;
            setTimeout(() => stream.enqueue(value), 500);
        }
        setTimeout(() => stream.close(), 500);
    }});
    return new Response(late, answer);
};
"""


def test_what_is_pressed_while_the_stream_of_events_ends_is_answered(page: Page) -> None:
    page.locator(".shelf-open").nth(0).click()
    expect(page.locator(FOUND)).to_contain_text("bees")
    tab = page.context.new_page()
    tab.add_init_script(LATE_JS)
    tab.goto(page.url)
    expect(tab.locator(FOUND)).to_contain_text("bees")
    tab.wait_for_timeout(1_500)  # nothing is under way
    tab.locator(".shelf-open").nth(1).click()
    tab.wait_for_timeout(
        350
    )  # the server has answered and closed the stream, and the browser doesn't know it yet
    tab.locator(".shelf-open").nth(2).click()
    expect(tab.locator(FOUND)).to_contain_text("tides")
    tab.close()


def test_what_was_written_by_a_stop_is_kept(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    bring(page, [str(papers / "long.txt")])
    until_all(page, "pages?")
    start_writing(page)
    page.click("#stop")
    until_all(page, "stopped; what was written is here")
    written = page.locator("#summary-text").inner_text()
    assert written.strip()
    again(page)
    expect(page.locator("#summary-text")).to_have_text(re.compile(r"\w"))
    assert page.locator("#summary-text").inner_text() == written
    expect(page.locator("#exports")).to_be_visible()


def test_work_stops_when_the_browser_is_gone_and_is_there_when_it_comes_back(
    open_page: OpenPage, papers: Path, address: str
) -> None:
    page = open_page()
    context = page.context
    bring(page, [str(papers / "long.txt")])
    until_all(page, "pages?")
    start_writing(page)
    page.close()
    time.sleep(10)
    page = context.new_page()
    page.goto(address)
    until_all(page, "stopped; what was written is here")
    expect(page.locator(".sentence").first).to_be_visible()


def test_papers_can_be_deleted_one_by_one_and_all(open_page: OpenPage, three: list[str]) -> None:
    page = open_page()
    bring(page, three)
    until_all(page, "2 pages")
    page.locator(".shelf-delete").nth(0).click()
    expect(listed(page)).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#forget")
    page.wait_for_timeout(1_000)
    expect(listed(page)).to_have_count(2)
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#forget")
    expect(listed(page)).to_have_count(0)
    assert "paper" not in link(page)
    page.reload()
    page.wait_for_selector("#example")
    page.wait_for_timeout(1_000)
    assert listed(page).count() == 0


def test_text_can_be_pasted(open_page: OpenPage) -> None:
    page = open_page()
    page.click("#paste button")
    page.fill("#pasted textarea", "On lichen\n\n" + "Lichen grows slowly on old stones. " * 40)
    page.click("#read-pasted")
    expect(page.locator(FOUND)).to_contain_text("On lichen")
    expect(page.locator("#pasted textarea")).to_have_value("")


def test_no_address_is_asked_for_where_none_may_be_fetched(open_page: OpenPage) -> None:
    assert not open_page().locator("#address").is_visible()
