"""The page under its own policy: the browser refuses nothing that it needs, and finds every door that it knocks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page

from tests.browser.test_page import open_attention, summarize

pytestmark = pytest.mark.browser


def test_nothing_that_the_page_needs_is_refused(open_page: Callable[..., Page], papers: Path) -> None:
    page = open_page()
    refused: list[str] = []
    elsewhere: set[str] = set()

    def hear(message: str) -> None:
        if "Content Security Policy" in message or "Refused to" in message:
            refused.append(message)

    own = urlsplit(page.url).netloc
    page.on("console", lambda message: hear(message.text))
    page.on("pageerror", lambda error: hear(str(error)))
    page.on(
        "response",
        lambda answer: refused.append(answer.url) if answer.status in (401, 403, 413, 421) else None,
    )
    page.on(
        "request",
        lambda asked: (
            elsewhere.add(asked.url)
            if asked.url.startswith("http") and urlsplit(asked.url).netloc != own
            else None
        ),
    )
    page.reload()
    page.wait_for_selector("#example")
    summarize(page, papers / "sparse.pdf")
    open_attention(page)
    assert not refused
    assert not elsewhere


def test_no_other_page_can_frame_it(open_page: Callable[..., Page]) -> None:
    page = open_page()
    address = page.url
    page.goto("about:blank")
    with page.expect_event("framenavigated", lambda frame: frame.url.startswith("chrome-error:")):
        page.set_content(f'<iframe src="{address}"></iframe>')
    assert page.frames[1].query_selector("#header") is None
