"""The picture of the README: `make screenshot`, or LONGT5_SCREENSHOT=assets/screenshot.png with pytest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.settings import EMBEDDED_MODEL
from tests.page_server import ROOT, serve

PICTURE = os.environ.get("LONGT5_SCREENSHOT")


@pytest.mark.browser
@pytest.mark.skipif(PICTURE is None, reason="made only when LONGT5_SCREENSHOT says where to put it")
def test_screenshot(browser: Browser, tmp_path: Path) -> None:
    """The example, summarized by the embedded model, with the evidence of a sentence."""
    (tmp_path / "uploads").mkdir()
    with serve(Path(EMBEDDED_MODEL), tmp_path / "uploads") as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1240}, device_scale_factor=1.5)
        page.goto(f"{address}?__theme=light")
        page.click("#example")
        expect(page.locator("#status")).to_contain_text("Ready to summarize")
        page.click("#summarize")
        page.locator(".sentence").first.wait_for(timeout=300_000)
        page.locator(".sentence").nth(1 if page.locator(".sentence").count() > 1 else 0).click()
        page.locator(".evidence").wait_for()
        page.mouse.move(0, 0)
        page.screenshot(path=ROOT / str(PICTURE), animations="disabled")
