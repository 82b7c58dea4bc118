"""The paper beside its summary: what is clicked on one side is shown on the other, in the right place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.test_page import OpenPage, read, scroll_width
from tests.page_server import EXAMPLE, HOSTILE, SENTENCES, paper_pdf

pytestmark = pytest.mark.browser
A4_HEIGHT = 841.9
WITH_PASSAGE = ".sentence:not([data-passages='[]'])"
# Milliseconds from the click on an element to the first new mark on a page.
TIMED_CLICK = """async (element) => {
    document.querySelectorAll('.mark').forEach((mark) => mark.remove());
    const start = performance.now();
    return new Promise((done) => {
        const look = new MutationObserver(() => {
            if (!document.querySelector('.mark.chosen')) return;
            look.disconnect();
            requestAnimationFrame(() => done(performance.now() - start));
        });
        look.observe(document.querySelector('.paper-scroll'), {childList: true, subtree: true});
        element.click();
    });
}"""


def quote(page: Page, path: Path) -> None:
    """Summarizes a paper in quotes, whose place is known."""
    read(page, path)
    page.click("#settings button")
    page.locator("#writing label", has_text="quotes").click()
    page.click("#summarize")
    page.locator(f"#summary-text[data-state=done] {WITH_PASSAGE}").first.wait_for()


@pytest.fixture(scope="module")
def page(open_page: OpenPage, papers: Path) -> Page:
    page = open_page(width=1440, height=900)
    quote(page, papers / "sparse.pdf")
    return page


def expected_top(words: str) -> float:
    """How far down its page `paper_pdf` draws a numbered line, as a share of the page's height."""
    number, line = map(int, re.match(r"(\d)\.(\d+) ", words).groups())
    row = line - 1 + (len(HOSTILE) if number == 2 and line > 3 else 0)
    baseline = (740 if number == 1 else 780) - 18 * row
    return (A4_HEIGHT - baseline - 8) / A4_HEIGHT


def place(mark: Locator) -> tuple[float, str]:
    """How far down a mark is on its page, as a share of that, and which page."""
    return mark.evaluate(
        """mark => {
            const page = mark.closest('.page'), [box, all] = [mark, page].map(e => e.getBoundingClientRect());
            return [(box.top - all.top) / all.height, page.dataset.page];
        }"""
    )


def in_view(element: Locator, pane: str) -> bool:
    return element.evaluate(
        """(element, pane) => {
            const [box, all] = [element, element.closest(pane)].map(e => e.getBoundingClientRect());
            return box.top >= all.top && box.bottom <= all.bottom;
        }""",
        pane,
    )


def test_every_quote_is_marked_where_it_stands(page: Page) -> None:
    height = page.evaluate("document.scrollingElement.scrollTop")
    numbered = [
        sentence
        for sentence in page.locator(WITH_PASSAGE).all()
        if re.match(r"\d\.\d+ ", sentence.inner_text())
    ]
    assert numbered
    for sentence in numbered[:6]:
        words = sentence.inner_text()
        sentence.click()
        mark = page.locator(".mark.chosen").first
        expect(page.locator(".pill[aria-pressed=true]")).to_contain_text(f"p. {words[0]}")
        expect(page.locator(f".page[data-page='{words[0]}'] .mark.chosen").first).to_be_attached()
        page.wait_for_timeout(600)  # it comes into view
        assert in_view(mark, ".paper-scroll")
        top, number = place(mark)
        assert number == words[0]
        assert abs(top - expected_top(words)) < 0.012, words
    assert page.evaluate("document.scrollingElement.scrollTop") == height  # the page itself stays where it is


def test_a_chip_leads_to_its_page(page: Page) -> None:
    chip = page.locator(".chip").last
    chip.click()
    number = re.search(r"\d+", chip.inner_text())[0]
    expect(page.locator(f".page[data-page='{number}'] .mark.chosen").first).to_be_attached()
    expect(page.locator("#page-field")).to_have_value(number)


def test_words_are_found_on_the_pages(page: Page) -> None:
    field = page.locator("#search-field")
    field.fill("grows with the length")
    hits = sum(
        SENTENCES[(number + i) % len(SENTENCES)] == SENTENCES[2] for number in (1, 2, 3) for i in range(1, 30)
    )
    expect(page.locator(".paper-hits")).to_have_text(re.compile(rf"\d+ of {hits}"))
    first = int(page.inner_text(".paper-hits").split()[0])
    expect(page.locator(".mark.current").first).to_be_attached()
    field.press("Enter")
    expect(page.locator(".paper-hits")).to_have_text(f"{first % hits + 1} of {hits}")
    field.press("Shift+Enter")
    expect(page.locator(".paper-hits")).to_have_text(f"{first} of {hits}")
    field.fill("quantum chromodynamics")
    expect(page.locator(".paper-hits")).to_have_text("not found")
    field.press("Escape")
    expect(field).to_have_value("")
    expect(page.locator(".mark.hit")).to_have_count(0)


def test_a_passage_leads_back_to_the_sentences_that_rest_on_it(page: Page) -> None:
    sentence = page.locator(f".part-summary {WITH_PASSAGE}").first
    sentence.click()
    mark = page.locator(".mark.chosen").first
    mark.wait_for(state="attached")
    page.wait_for_timeout(600)
    box = mark.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator(".passages-lead")).to_contain_text("on this place")
    assert "rests" in sentence.get_attribute("class")
    page.evaluate("document.querySelector('.paper-scroll').scrollTop = 0")
    box = page.locator(".page").first.bounding_box()
    first_line = expected_top("1.1 ") + 0.007
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * first_line)
    expect(page.locator(".passages-lead")).to_have_text("No sentence of the summary rests on this place.")


def test_evidence_is_quick(page: Page) -> None:
    times = [
        sentence.evaluate(TIMED_CLICK) for sentence in page.locator(f".part-summary {WITH_PASSAGE}").all()
    ]
    print("milliseconds from click to mark:", [round(time) for time in times])
    assert min(times) < 2_000  # 150 on a machine that has nothing else to do


def test_pages_can_be_read_as_text(page: Page) -> None:
    page.locator(WITH_PASSAGE).first.click()
    page.evaluate("document.querySelector('.paper-scroll').scrollTop = 0")
    page.wait_for_timeout(500)
    page.click("[data-text]")
    page.locator(".page.is-text").first.wait_for()
    page.locator(".page.is-text[data-page='2']").wait_for(state="attached")  # near, and not to be seen yet
    page.locator(WITH_PASSAGE).first.click()
    expect(page.locator("mark.chosen").first).to_have_text(page.locator(WITH_PASSAGE).first.inner_text())
    page.click("[data-text]")
    page.locator(".page img").first.wait_for()


def test_pages_that_are_on_their_way_as_images_become_text_too(open_page: OpenPage, papers: Path) -> None:
    page = open_page(width=1440, height=900)

    def late(route: Route) -> None:
        if '"text":false' in (route.request.post_data or ""):
            page.wait_for_timeout(400)
        route.continue_()

    page.route("**/component_server/", late)
    with page.expect_request(lambda asked: '"text":false' in (asked.post_data or "")):
        read(page, papers / "sparse.pdf")
    page.click("[data-text]")
    page.locator(".page-body", has_text=SENTENCES[0]).first.wait_for()
    page.wait_for_timeout(1_000)
    assert page.locator(".page img").count() == 0


def test_a_text_file_is_shown_as_text_with_its_marks(open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(width=1440, height=900)
    text = "# Notes \U0001f600\n\n" + "\n\n".join(f"{i}. {SENTENCES[i % len(SENTENCES)]}" for i in range(60))
    (tmp_path / "notes.md").write_text(text, encoding="utf-8")
    quote(page, tmp_path / "notes.md")
    assert not page.locator("[data-text]").is_visible()
    sentence = page.locator(WITH_PASSAGE).last
    sentence.click()
    mark = page.locator("mark.chosen").first
    expect(mark).to_have_text(sentence.inner_text())
    page.wait_for_timeout(600)
    assert in_view(mark, ".paper-scroll")
    mark.click()
    expect(page.locator(".passages-lead")).to_contain_text("on this place")


def test_on_a_phone_the_page_comes_up_from_below(open_page: OpenPage, papers: Path) -> None:
    page = open_page(width=390, height=844)
    quote(page, papers / "sparse.pdf")
    assert not page.locator(".paper").is_visible()
    sentence = page.locator(f".part-summary {WITH_PASSAGE}").first
    sentence.click()
    sheet = page.locator(".paper")
    expect(page.locator(".mark.chosen").first).to_be_attached()
    page.wait_for_timeout(700)
    box, words = sheet.bounding_box(), sentence.bounding_box()
    assert abs(box["y"] - 844 * 0.4) < 4 and abs(box["height"] - 844 * 0.6) < 4
    assert words["y"] + 20 < box["y"]  # the sentence can still be seen
    assert in_view(page.locator(".mark.chosen").first, ".paper-scroll")
    assert scroll_width(page) <= 390
    page.keyboard.press("Escape")
    expect(sheet).not_to_be_visible()
    assert page.evaluate("document.activeElement.className") == "sentence"
    page.locator(".chip").first.click()
    page.click(".paper-close")
    expect(sheet).not_to_be_visible()


def test_stop_keeps_what_is_written(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    read(page, papers / "long.txt")
    page.click("#summarize")
    page.locator(".sentence").first.wait_for()
    page.click("#stop")
    expect(page.locator(".status-phase")).to_have_text("Stopped.")
    expect(page.locator("#exports")).to_be_visible()
    page.locator(".sentence").first.click()
    expect(page.locator(".passages-lead")).not_to_be_empty()


def test_what_is_left_out_can_be_put_back(page: Page, open_page: OpenPage) -> None:
    page = open_page()
    page.click("#example")
    expect(page.locator("#status")).to_contain_text("Ready to summarize")
    expect(page.locator(".reads")).to_contain_text("leaves out")
    page.locator(".link", has_text="reference list").click()
    expect(page.locator(".reads")).to_contain_text("leave the reference list out")
    page.click("#settings button")
    expect(page.get_by_label("Read the reference list too")).to_be_checked()


@pytest.mark.skipif(not EXAMPLE.with_name("summary.json").exists(), reason="the example has no summary here")
def test_the_first_screen_has_a_finished_example(open_page: OpenPage) -> None:
    page = open_page(width=1440, height=900)
    page.locator(WITH_PASSAGE).first.click()
    expect(page.locator(".mark.chosen").first).to_be_attached()
    expect(page.locator("#status")).to_contain_text("An example")
    assert page.title() == page.inner_text("h1") == "LongT5 Reader"
    inside = page.evaluate(
        "document.querySelector('#workspace').getBoundingClientRect().bottom <= innerHeight"
    )
    assert inside


def test_what_was_chosen_in_one_paper_is_not_marked_in_the_next(open_page: OpenPage, papers: Path) -> None:
    page = open_page(width=1440, height=900)
    quote(page, papers / "sparse.pdf")
    page.locator(WITH_PASSAGE).first.click()
    expect(page.locator(".mark.chosen").first).to_be_attached()
    expect(page.locator(".passages-told")).to_contain_text("p. ")
    page.fill("#search-field", "nowhere in it")
    expect(page.locator(".paper-hits")).to_have_text("not found")
    page.locator(".mark.chosen").first.click(force=True)
    expect(page.locator(".passages-lead")).to_contain_text("on this place")
    page.set_input_files("#file input[type=file]", str(paper_pdf(papers / "moss.pdf", title="On moss")))
    expect(page.locator("#found")).to_contain_text("moss")
    expect(page.locator(".page.loaded").first).to_be_attached()
    expect(page.locator(".mark")).to_have_count(0)
    expect(page.locator(".passages")).not_to_be_visible()
    expect(page.locator(".paper-hits")).to_have_text("")
    expect(page.locator(".passages-told")).to_have_text("")


def test_a_summary_made_again_forgets_what_was_chosen_in_the_one_before(page: Page) -> None:
    page.locator(WITH_PASSAGE).first.click()
    expect(page.locator(".pill").first).to_be_visible()
    page.click("#summarize")
    expect(page.locator(".pill")).to_have_count(0)
    page.locator(f"#summary-text[data-state=done] {WITH_PASSAGE}").first.wait_for()
    expect(page.locator(".mark.chosen")).to_have_count(0)


def test_a_page_that_did_not_come_is_asked_for_again(open_page: OpenPage, papers: Path) -> None:
    page = open_page(width=1440, height=900)
    refused: list[str] = []

    def refuse(route: Route) -> None:
        if "paper_page" in (route.request.post_data or "") and len(refused) < 3:
            refused.append(route.request.url)
            route.abort()
        else:
            route.continue_()

    page.route("**/component_server/**", refuse)
    page.set_input_files("#file input[type=file]", str(papers / "sparse.pdf"))
    expect(page.locator(".paper-note")).to_contain_text("does not answer")
    expect(page.locator(".page.loaded").first).to_be_attached()
    expect(page.locator(".paper-note")).to_have_text("")
    assert len(refused) == 3


def test_a_phone_has_the_text_of_the_pages_too(open_page: OpenPage, papers: Path) -> None:
    page = open_page(width=375, height=740)
    quote(page, papers / "sparse.pdf")
    page.locator(WITH_PASSAGE).first.click()
    page.locator(".paper.open").wait_for()
    page.click("[data-text]")
    expect(page.locator(".page.is-text").first).to_be_attached()
    assert scroll_width(page) <= 375
    widths = page.locator(".paper-scroll").evaluate("pages => [pages.scrollWidth, pages.clientWidth]")
    assert widths[0] <= widths[1]  # nothing of a line is beside what can be seen


def test_on_paper_stands_the_whole_summary_and_nothing_over_it(page: Page) -> None:
    page.locator(WITH_PASSAGE).first.click()
    page.emulate_media(media="print")
    expect(page.locator(".paper")).not_to_be_visible()
    whole, seen = page.locator("#summary-column").evaluate(
        "column => [column.scrollHeight, column.clientHeight]"
    )
    assert whole - seen <= 1
    page.emulate_media(media="screen")
    expect(page.locator(".paper")).to_be_visible()


# ------------------------------------------------------------------------------------ accessibility

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not here: `make axe` fetches it with npm")
@pytest.mark.parametrize(("width", "dark"), [(1440, False), (1440, True), (390, False), (390, True)])
def test_axe_finds_no_serious_fault(open_page: OpenPage, papers: Path, width: int, dark: bool) -> None:
    page = open_page(width=width, height=844, dark=dark)
    quote(page, papers / "sparse.pdf")
    page.locator(WITH_PASSAGE).first.click()
    expect(page.locator(".mark.chosen").first).to_be_attached()
    page.wait_for_timeout(500)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate(
        """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
            .filter(each => ['serious', 'critical'].includes(each.impact))
            .flatMap(each => each.nodes.map(node => `${each.id}: ${node.target} ${node.failureSummary}`))"""
    )
    assert not found, "\n".join(found)
