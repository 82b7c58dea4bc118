"""Models of several layers and of one, beside each other, in a browser that is slow to draw."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.test_page import OpenPage, choose, figure, open_attention, read, see
from tests.page_server import serve, tiny_model

SLOWER = 6  # times: on such a browser, lists lost the choices that came just after they were shown

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "uploads").mkdir()
    deep, flat = tiny_model(folder / "deep", 6, 4), tiny_model(folder / "flat", 1, 1)
    with serve(deep, folder / "uploads", LONGT5_MODELS=f"{deep},{flat}") as address:
        yield address


@pytest.mark.slow
def test_layers_can_be_chosen_whatever_the_model(open_page: OpenPage, papers: Path) -> None:
    page = open_page()
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    read(page, papers / "sparse.pdf")
    page.click("#settings button")
    for model, layers in (("deep", (6, 4)), ("flat", (1, 1)), ("deep", (6, 4))):
        page.get_by_role("tab", name="Summary").click()
        choose(page, "#model", model)
        expect(page.locator("#model input")).to_have_value(model)
        page.click("#summarize")
        expect(page.locator("#summary .facts")).to_contain_text(model)
        open_attention(page)
        for view, stack, count in (
            ("Global blocks", "encoder", layers[0]),
            ("Cross-attention", "decoder", layers[1]),
            ("Local band", "encoder", layers[0]),
        ):
            see(page, view)
            choose(page, "#layer", f"layer {count - 1}")
            expect(page.locator("#map-heading")).to_contain_text(f"{stack} layer {count - 1}")
            expect(page.locator("#layer input")).to_have_value(f"layer {count - 1}")
            expect(page.locator("#map-status")).to_contain_text("Sparse attention")
            figure(page).wait_for()
