"""The picture of the README: `make screenshot`, or LONGT5_SCREENSHOT=assets/screenshot.png with pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from app.settings import EMBEDDED_MODEL
from tests.page_server import ROOT, serve

PICTURE = os.environ.get("LONGT5_SCREENSHOT")


@pytest.mark.browser
@pytest.mark.skipif(PICTURE is None, reason="made only when LONGT5_SCREENSHOT says where to put it")
def test_screenshot(browser: Browser, tmp_path: Path) -> None:
    """The example, summarized by the embedded model, with the evidence of a sentence."""
    (tmp_path / "uploads").mkdir()
    with serve(Path(EMBEDDED_MODEL), tmp_path / "uploads") as address:
        page = browser.new_page(viewport={"width": 1280, "height": 860}, device_scale_factor=1.5)
        page.goto(f"{address}?__theme=light")
        page.locator(".part-summary .sentence:not([data-passages='[]'])").first.click(timeout=60_000)
        page.locator(".mark.chosen").first.wait_for()
        page.wait_for_timeout(1000)  # the page comes into view, and its image into the page
        page.mouse.move(0, 0)
        page.screenshot(path=ROOT / str(PICTURE), animations="disabled")
