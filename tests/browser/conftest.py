"""A real page in headless Chromium."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from app.settings import EMBEDDED_MODEL
from tests.page_server import HOSTILE, PASSWORD, SENTENCES, paper_pdf, serve, tiny_model

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-background-networking "
    "--disable-component-update --disable-sync --no-first-run"
).split()
# Seconds are plenty on a free machine; a loaded one with two cores needs more.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="package")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files to drop in."""
    folder = tmp_path_factory.mktemp("papers")
    paper_pdf(folder / "sparse.pdf")
    paper_pdf(folder / "locked.pdf", password=PASSWORD)
    paper_pdf(folder / "hostile <img src=x onerror=window.hacked=6>.pdf", title=HOSTILE[0])
    (folder / "long.txt").write_text("\n".join(f"{i}. {SENTENCES[i % len(SENTENCES)]}" for i in range(6_000)))
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 20)
    return folder


@pytest.fixture(scope="package")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "uploads").mkdir()
    # A window holds the papers of three pages; a long one has many, whose first sentences come soon.
    tiny = tiny_model(folder / "tiny-longt5", max_input_tokens=5_000)
    # The model that the example was summarized with is on offer too: its summary is shown, and it is never loaded.
    with serve(tiny, folder / "uploads", LONGT5_MODELS=f"{tiny},{EMBEDDED_MODEL}") as address:
        yield address


@pytest.fixture(scope="package")  # not longer: its event loop is in the way of other tests
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium here: install the package chromium, or set CHROMIUM to the path of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(address: str, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page in a browser of its own: `open_page(width=375, dark=True)`."""
    contexts: list[BrowserContext] = []

    def open_one(width: int = 1280, height: int = 860, dark: bool = False) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}?__theme={'dark' if dark else 'light'}")
        page.wait_for_selector("#example")
        return page

    yield open_one
    for context in contexts:
        context.close()
