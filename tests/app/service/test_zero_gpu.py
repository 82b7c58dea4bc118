"""The real page on a stand-in for ZeroGPU, which runs each call in a forked process as ZeroGPU does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.settings import EMBEDDED_MODEL, Host
from tests.page_server import EXAMPLE, ROOT, paper_pdf, running, tiny_model

STAND_IN = ROOT / "tests" / "stand_in_spaces"
SHORT = {
    "max_new_tokens": 40,
    "num_beams": 1,
    "max_input_tokens": 1024,
    "long_papers": "truncate",
    "sections": False,
}
QUOTA = "You have exceeded your free ZeroGPU quota (60s requested vs. 12s left). Try again in 3:20:11. Authenticate"


class Space:
    """A page on the stand-in."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address = address
        self.client = Client(address, verbose=False, headers={"x-ip-token": "token of the visitor"})
        self.refuses = folder / "refuses"
        self._log = folder / "calls"

    def calls(self) -> list[str]:
        return self._log.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    folder = tmp_path_factory.mktemp("zero-gpu")
    variables = {
        "SPACES_ZERO_GPU": "true",
        "PYTHONPATH": os.pathsep.join((str(STAND_IN), str(ROOT))),
        "STAND_IN_REFUSES": str(folder / "refuses"),
        "STAND_IN_LOG": str(folder / "calls"),
        "LONGT5_DTYPE": "float32",
    }
    models = f"{tiny_model(folder / 'tiny')},{EMBEDDED_MODEL}"
    with running(Path(models), folder / "uploads", **variables) as (address, _):
        yield Space(address, folder)


def test_the_example_is_summarized_and_its_attention_shown_by_processes_that_end(space: Space) -> None:
    summary = space.client.predict(handle_file(EXAMPLE), "", SHORT, "", api_name="/summarize")
    assert summary["sentences"] and summary["sentences"][0]["evidence"]
    heads = space.client.predict(summary["summary_id"], 0, api_name="/attention_overview")
    shown = space.client.predict(summary["summary_id"], api_name="/attention_map")
    assert heads["tokens"] > 500 and len(shown["weights"]) > 1
    calls = space.calls()
    asked = [line for line in calls if " s for " in line]
    assert len(asked) == 3 and all("token of the visitor" in line for line in asked)
    assert len({line for line in calls if line.startswith("call in")}) == 3
    assert len({line.split(" of ")[1] for line in calls if line.startswith("call in")}) == 1


@pytest.mark.slow
def test_every_model_on_offer_is_there(space: Space) -> None:
    summary = space.client.predict(
        handle_file(EXAMPLE), Path(EMBEDDED_MODEL).name, SHORT, "", api_name="/summarize"
    )
    assert summary["sentences"]


def test_a_quota_is_a_sentence(space: Space) -> None:
    space.refuses.write_text(f"ZeroGPU quota exceeded\n{QUOTA}", encoding="utf-8")
    try:
        with pytest.raises(AppError, match=r"used up for 3:20:11; with an account"):
            space.client.predict(handle_file(EXAMPLE), "", SHORT, "", api_name="/summarize")
    finally:
        space.refuses.unlink()


@pytest.mark.slow
def test_a_summary_that_is_left_ends_in_its_process_and_the_next_one_begins(
    space: Space, tmp_path: Path
) -> None:
    long = {"max_new_tokens": 512, "num_beams": 4, "max_input_tokens": 4096}
    paper = paper_pdf(tmp_path / "paper.pdf", pages=8)
    job = space.client.submit(handle_file(paper), "", long, "", api_name="/summarize")
    before = len(space.calls())
    while len(space.calls()) < before + 2:
        time.sleep(0.1)
    job.cancel()
    began = time.monotonic()
    summary = space.client.predict(handle_file(EXAMPLE), "tiny", SHORT, "", api_name="/summarize")
    assert summary["sentences"] and time.monotonic() - began < 60


def test_nothing_of_it_is_used_elsewhere() -> None:
    assert Host.of({"SPACES_ZERO_GPU": "true"}).is_zero_gpu
    assert not Host.of({"SPACE_ID": "somebody/papers"}).is_zero_gpu
