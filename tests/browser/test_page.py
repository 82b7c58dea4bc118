"""The page as a person uses it: drop a paper, watch, check, look inside, save, stop, err, go on."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from app.inspecting.views import VIEWS
from tests.page_server import EXAMPLE, HOSTILE, PASSWORD

pytestmark = pytest.mark.browser
OpenPage = Callable[..., Page]


# What a sentence says, without the word of caution that screen readers hear.
WORDS_JS = (
    "sentence => [...sentence.cloneNode(true).childNodes].map("
    "node => node.nodeType === 3 ? node.data : node.firstChild.data).join('')"
)


def drop(page: Page, path: Path) -> None:
    page.set_input_files("#file input[type=file]", str(path))


def read(page: Page, path: Path) -> None:
    """Drops a paper in and waits until it can be summarized."""
    drop(page, path)
    expect(page.locator("#status")).to_contain_text("Ready to summarize")
    expect(page.locator("#summarize")).to_be_enabled()
    expect(page.locator("#summary-text")).to_have_count(0)  # the example's has gone


def summarize(page: Page, path: Path) -> None:
    read(page, path)
    page.click("#summarize")
    page.wait_for_selector(".sentence")
    expect(page.locator("#status")).to_contain_text("Done")


def figure(page: Page) -> Locator:
    return page.locator("#map-figure .figure .panel").first


def open_attention(page: Page) -> None:
    page.get_by_role("tab", name="Attention").click()
    figure(page).wait_for()


def see(page: Page, view: str) -> None:
    """Opens a view of the attention and waits for its figure."""
    page.get_by_test_id(f"{view}-radio-label").click()
    expect(page.locator("#map-heading .facts")).to_contain_text(view)
    figure(page).wait_for()


def save(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as arriving:
        page.click(button)
    path = folder / arriving.value.suggested_filename
    arriving.value.save_as(path)
    return path


def scroll_width(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


@pytest.fixture(scope="module")
def page(open_page: OpenPage, papers: Path) -> Page:
    """A page on which a paper has been summarized."""
    page = open_page()
    summarize(page, papers / "sparse.pdf")
    return page


def test_a_summary_grows_before_the_eyes(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    expect(page.locator("#summarize")).to_be_disabled()
    read(page, papers / "sparse.pdf")
    assert "Sparse attention" in page.inner_text("#found")
    assert "3 pages" in page.inner_text("#found")
    page.evaluate(
        """() => {
            window.seen = []; window.lines = [];
            new MutationObserver(() => {
                window.seen.push(document.getElementById('summary').innerText.length);
                window.lines.push(document.querySelector('.status-phase').innerText);
            }).observe(
                document.getElementById('summary-column'), {subtree: true, childList: true, characterData: true}
            );
        }"""
    )
    page.click("#summarize")
    page.wait_for_selector(".sentence")
    lengths = sorted(set(page.evaluate("window.seen")))
    assert len(lengths) >= 3, lengths
    phases = page.evaluate("window.lines")
    assert "Writing about" in phases
    expect(page.locator("#status")).to_contain_text("Done in")
    assert "tokens" in page.inner_text("#summary")


def test_a_sentence_shows_where_it_comes_from(page: Page) -> None:
    sentence = page.locator(".sentence:not([data-passages='[]'])").first
    sentence.click()
    pill = page.locator(".passages .pill").first
    pill.wait_for()
    assert sentence.get_attribute("aria-pressed") == "true"
    assert re.search(r"p\. [1-3]", pill.inner_text())
    assert re.search(r"\d+ %|quoted", pill.inner_text())
    expect(page.locator(".mark.chosen").first).to_be_attached()


def test_the_summary_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    words = page.locator(".part-summary .sentence").first.evaluate(WORDS_JS)
    result = json.loads(save(page, "#download-json", tmp_path).read_text(encoding="utf-8"))
    assert result["title"] == "Sparse attention"
    assert words in result["summary"]
    assert words in save(page, "#download-txt", tmp_path).read_text(encoding="utf-8")
    markdown = save(page, "#download-md", tmp_path).read_text(encoding="utf-8")
    assert markdown.startswith("# Sparse attention")
    page.click("#copy")
    expect(page.locator("#copy")).to_contain_text("Copied")
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text("Copy")
    assert words in page.evaluate("navigator.clipboard.readText()")


PANELS = {"heads": "tiles-panel", "text": "text-panel", "source": "bars-panel"}


def test_every_view_of_the_attention_opens(page: Page) -> None:
    open_attention(page)
    assert "encoder heads:" in page.inner_text("#map-heading")
    for view in VIEWS.values():
        see(page, view.label)
        expect(page.locator("#map-heading h3")).to_have_text(view.question)
        expect(page.locator(f"#map-figure .{PANELS.get(view.name, 'heatmap')}")).to_be_visible()
    assert "attention is not an explanation" in page.inner_text("#inspector")


def test_layer_and_head_are_chosen_in_lists_and_in_the_grid(page: Page) -> None:
    open_attention(page)
    see(page, "Local band")
    choose(page, "#layer", "layer 2")
    expect(page.locator("#map-heading")).to_contain_text("encoder layer 2")
    choose(page, "#head", "all heads")
    expect(page.locator("#map-heading")).to_contain_text("mean of all heads")
    see(page, "All heads")
    choose(page, "#sort", "entropy")
    expect(page.locator("#map-figure .tile-number").first).to_contain_text("nats")
    choose(page, "#sort", "layer and head")
    expect(page.locator("#map-figure .tiles.by-layer")).to_be_visible()
    page.locator("#map-figure .tile").nth(2).click()
    expect(page.locator("#map-heading")).to_contain_text("encoder layer 0, head 2")


def test_pointing_at_a_word_colours_what_it_attends_to(page: Page) -> None:
    open_attention(page)
    see(page, "On the text")
    choose(page, "#head", "head 2")  # not one that only reads globals, as the first shown does
    expect(page.locator("#map-heading")).to_contain_text("layer 0, head 2")
    words = page.locator("#map-figure .text-words:not(.text-summary) .word")
    words.nth(40).hover()
    expect(words.nth(40)).to_have_class(re.compile("asking"))
    coloured = "#map-figure .text-words:not(.text-summary) .word[style*='rgb']"
    assert page.locator(coloured).count() > 0
    words.nth(40).click()  # kept
    words.nth(60).hover()
    expect(words.nth(40)).to_have_class(re.compile("asking"))
    page.locator("#map-figure .text-choices button", has_text="sentence").click()
    assert page.locator("#map-figure .word.asking").count() > 1
    page.locator("#map-figure .text-summary .word").first.hover()
    expect(page.locator(".figure-tip")).to_contain_text("summary")


def test_two_maps_stand_side_by_side(page: Page) -> None:
    open_attention(page)
    see(page, "Local band")
    page.click("#map-pin")
    expect(page.locator("#map-pin")).to_have_text("Let go")
    choose(page, "#head", "head 3")
    expect(page.locator("#map-figure .panel-title")).to_have_count(3)  # both, and their difference
    page.click("#map-pin")
    expect(page.locator("#map-figure .panel-title")).to_have_count(0)


def test_zooming_reaches_single_tokens_and_comes_back(page: Page) -> None:
    open_attention(page)
    see(page, "Global blocks")
    choose(page, "#go-to", "whole text")
    expect(page.locator("#map-heading")).to_contain_text("pages 1 to 3")
    expect(page.locator("#map-heading")).to_contain_text("Pooled")
    shown = page.locator("#zoom input >> nth=1")
    tokens = int(shown.input_value())
    while tokens > 32:
        page.wait_for_timeout(500)  # the figure may just be drawn anew
        page.locator("#map-figure canvas").first.click()
        tokens = max(32, tokens // 6)
        expect(shown).to_have_value(str(tokens))
        expect(page.locator("#map-status")).to_contain_text("Sparse attention")
    rows = page.locator("#map-figure .ticks.rows span").all_inner_texts()
    assert len(rows) > 15 and "p. 1" not in rows
    page.locator("#map-figure canvas").first.hover()
    expect(page.locator(".figure-tip")).to_contain_text("p. ")
    expect(page.locator(".figure-tip-value")).to_contain_text("%")
    page.click("#zoom-out")
    expect(shown).to_have_value("192")
    choose(page, "#go-to", "page 3")
    expect(page.locator("#map-heading")).to_contain_text("page 3")
    choose(page, "#go-to", "whole text")
    expect(page.locator("#map-heading")).to_contain_text("pages 1")


def test_a_figure_can_be_taken_along(page: Page, tmp_path: Path, browser, address: str) -> None:
    open_attention(page)
    see(page, "Local band")
    picture = save(page, "#map-png", tmp_path)
    assert "-band-layer" in picture.name
    assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert picture.stat().st_size > 20_000
    with np.load(save(page, "#map-npz", tmp_path)) as numbers:
        assert numbers["weights"].shape == (len(numbers["row_spans"]), len(numbers["column_spans"]))
        assert numbers["weights"].max() > 0
    assert save(page, "#map-svg", tmp_path).read_text().startswith("<svg")
    assert save(page, "#map-pdf", tmp_path).read_bytes().startswith(b"%PDF")
    alone = save(page, "#map-html", tmp_path)
    context = browser.new_context(offline=True)
    other = context.new_page()
    other.goto(alone.as_uri())
    other.wait_for_selector(".heatmap canvas")
    assert "attention is not an explanation" in other.inner_text("body")
    context.close()


def test_from_a_sentence_to_its_attention(page: Page) -> None:
    page.get_by_role("tab", name="Summary").click()
    page.locator(".sentence").last.click()
    page.click("#inspect")
    expect(page.locator("#map-heading .facts")).to_contain_text("Cross-attention")
    last = page.locator(".sentence").count()
    assert page.input_value("#sentence input").startswith(f"{last}. ")


def test_the_first_way_into_the_attention_may_be_a_sentence(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    summarize(page, papers / "sparse.pdf")
    page.locator(".sentence").first.click()
    page.click("#inspect")
    expect(page.locator("#map-heading")).to_contain_text("mean of all heads")
    page.wait_for_timeout(1500)
    expect(page.locator("#map-heading")).to_contain_text("Cross-attention")


def choose(page: Page, dropdown: str, label: str) -> None:
    page.click(f"{dropdown} input")
    page.locator("[role=option]", has_text=label).first.click()


def test_stop_takes_effect_and_the_next_paper_works(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    read(page, papers / "long.txt")
    page.click("#summarize")
    expect(page.locator(".status-phase")).to_have_text(re.compile("reading the paper|Writing"))
    page.click("#stop")
    stopped = time.monotonic()
    expect(page.locator(".status-phase")).to_have_text("Stopped.")
    assert time.monotonic() - stopped < 10
    expect(page.locator("#summarize")).to_be_enabled()
    expect(page.locator("#stop")).to_be_hidden()
    summarize(page, papers / "sparse.pdf")


def test_whoever_waits_sees_the_place_and_can_leave(open_page: OpenPage, papers: Path) -> None:
    first, second = open_page(), open_page()
    read(first, papers / "long.txt")
    read(second, papers / "sparse.pdf")
    first.click("#settings button")
    first.get_by_label("Input limit").fill("500")  # hundreds of windows: long enough to wait for
    first.click("#summarize")
    expect(first.locator(".status-phase")).to_have_text(re.compile("reading the paper|Writing"))
    second.click("#summarize")
    expect(second.locator("#status")).to_contain_text("place 1 in the queue")
    second.click("#stop")
    expect(second.locator(".status-phase")).to_have_text("Stopped.")
    first.close()  # whoever leaves makes room
    second.click("#summarize")
    second.wait_for_selector(".sentence")


def test_a_file_that_can_t_be_read_is_one_sentence_and_the_next_one_works(
    open_page: OpenPage, papers: Path
) -> None:
    page = open_page()
    drop(page, papers / "broken.pdf")
    alert = page.locator(".status-error [role=alert]")
    alert.wait_for()
    assert re.search(r"\w+ \w+ .*\.$", alert.inner_text())
    assert "Traceback" not in page.inner_text("body")
    expect(page.locator("#summarize")).to_be_disabled()
    read(page, papers / "sparse.pdf")


WRONG = "This password does not open the PDF"


def test_a_locked_file_asks_for_its_password(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    field = page.locator("#password input")
    assert not field.is_visible()
    drop(page, papers / "locked.pdf")
    field.wait_for()
    field.fill("wrong")
    page.click("#unlock")
    expect(page.locator(".status-error")).to_contain_text(WRONG)
    field.wait_for()
    field.fill(PASSWORD)
    field.press("Enter")
    expect(page.locator("#found")).to_contain_text("3 pages")
    assert not field.is_visible()


def test_text_of_a_stranger_is_never_run(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    summarize(page, next(papers.glob("hostile*")))
    assert HOSTILE[0] in page.inner_text("#found h2")
    for sentence in page.locator(".sentence").all():
        sentence.click()
        expect(page.locator(".passages-lead")).not_to_be_empty()
    page.click("[data-text]")  # the pages' text
    page.fill("#page-field", "2")
    page.press("#page-field", "Enter")
    page.locator(".page-body", has_text=HOSTILE[1]).first.wait_for()
    open_attention(page)
    see(page, "On the text")
    see(page, "Cross-attention")
    choose(page, "#go-to", "page 2")
    expect(page.locator("#map-heading")).to_contain_text("page 2")
    box = page.locator("#map-figure canvas").first.bounding_box()
    assert box
    for part in (0.1, 0.3, 0.5):
        page.mouse.move(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        page.wait_for_timeout(150)
    assert page.evaluate("window.hacked") is None
    strange = "#found img, #summary img, #found script, #summary a, .page.is-text img, .page a, #map-figure :is(a, img)"
    assert page.locator(strange).count() == 0


def test_the_keyboard_is_enough(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    read(page, papers / "sparse.pdf")
    page.focus("#summarize")
    page.keyboard.press("Enter")
    page.wait_for_selector(".sentence")
    page.focus(".sentence")
    page.keyboard.press("Space")
    expect(page.locator(".passages-lead")).not_to_be_empty()
    assert page.locator(".sentence").first.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className || document.activeElement.id")
    page.get_by_role("tab", name="Attention").focus()
    page.keyboard.press("Enter")
    figure(page).wait_for()
    see(page, "Local band")
    page.focus("#map-figure canvas")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".figure-tip")).to_contain_text("token")
    page.focus("#zoom-in")
    page.keyboard.press("Enter")
    expect(page.locator("#map-heading")).not_to_contain_text("Tokens 0\u2013")


def test_the_keyboard_goes_on_where_it_was_in_a_figure_drawn_anew(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    summarize(page, papers / "sparse.pdf")
    open_attention(page)
    heading = page.inner_text("#map-heading")
    page.locator("#map-figure .tile").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#map-heading")).not_to_have_text(heading)
    expect(page.locator("#map-figure canvas:focus")).to_have_count(1)
    see(page, "On the text")
    words = page.locator(".text-words").first
    words.focus()
    said = page.inner_text(".text-said")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator(".text-said")).not_to_have_text(said)
    page.locator(".text-strip").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".figure-tip")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_phone_shows_all_of_it(open_page: OpenPage, papers: Path, dark: bool) -> None:
    page = open_page(width=375, height=740, dark=dark)
    assert scroll_width(page) <= 375
    summarize(page, papers / "sparse.pdf")
    page.locator(".sentence").first.click()
    page.locator(".paper.open").wait_for()
    assert scroll_width(page) <= 375
    page.click(".paper-close")
    save_buttons = page.locator("#exports button").all()
    assert len({button.bounding_box()["x"] for button in save_buttons}) <= 4  # in columns
    open_attention(page)
    assert scroll_width(page) <= 375
    see(page, "Local band")
    assert scroll_width(page) <= 375
    lists = page.locator("#scale input, #layer input, #head input, #go-to input")
    overflows = lists.evaluate_all("inputs => inputs.map(input => getComputedStyle(input).textOverflow)")
    assert overflows == ["ellipsis"] * 4  # else the words run under the arrow
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (("#header h1", "color"), ("body", "backgroundColor"))
    )
    assert (luminance(ink) > luminance(paper)) is dark
    tick = page.evaluate("getComputedStyle(document.querySelector('#map-figure .ticks span')).color")
    assert (luminance(tick) > 128) is dark


def luminance(colour: str) -> float:
    red, green, blue = map(float, re.findall(r"[\d.]+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.skipif(not EXAMPLE.exists(), reason="the example paper is not in this checkout")
def test_the_example_is_read(open_page: OpenPage) -> None:
    page = open_page()
    page.focus("#example")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("Ready to summarize")
    assert "LongT5" in page.inner_text("#found")
