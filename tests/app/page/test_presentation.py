"""What the page says of its work, and that the words of a stranger never become HTML."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.page import presentation
from app.page.presentation import Status
from app.summarizing.summary import Done, LoadingModel, Queued, Reading, Working
from tests.app.page.html import read_html
from tests.app.page.papers import summary
from tests.page_server import HOSTILE


@pytest.mark.parametrize(
    "page",
    [
        presentation.status(Status(" ".join(HOSTILE), HOSTILE[0], 0.5)),
        presentation.map_heading(HOSTILE[0], HOSTILE[1], HOSTILE[3]),
        presentation.hint(" ".join(HOSTILE)),
    ],
)
def test_nothing_a_stranger_writes_becomes_an_element(page: str) -> None:
    shown = read_html(page)
    assert shown.tags <= {"div", "h3", "p", "progress", "span"}
    assert not {name for name in shown.attributes if name.startswith("on") or name in {"href", "src"}}
    assert any(words in shown.text for words in HOSTILE)


def test_joiners_are_letters_and_codes_of_no_letter_are_not() -> None:
    assert presentation.text("\u0645\u06cc\u200c\u0634\u0648\u062f \u0915\u094d\u200d\u0937") == (
        "\u0645\u06cc\u200c\u0634\u0648\u062f \u0915\u094d\u200d\u0937"
    )
    assert presentation.text("a\u202eb\0") == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("event", "phase", "detail"),
    [
        (Queued(2), "Waiting for the model", "place 2 in the queue"),
        (Reading(3, 30), "Reading the file", "page 3 of 30"),
        (Reading(3, None), "Reading the file", "page 3"),
        (LoadingModel("small"), "Loading the model", "small"),
        (Working("reading", "the paper", 1, 3, 0.41, None, ()), "Reading", "the paper · 41%"),
        (
            Working("writing", "3 Methods", 2, 3, 0.41, 42, ()),
            "Writing about",
            "3 Methods · 41% · about 40 s left",
        ),
        (
            Working("writing", "3 Methods", 2, 3, 0.9, 3, ()),
            "Writing about",
            "3 Methods · 90% · a few seconds left",
        ),
        (
            Working("looking up", "3 Methods", 3, 3, 0.5, 600, ()),
            "Looking up where it comes from:",
            "3 Methods · 50% · about 10 min left",
        ),
    ],
)
def test_every_moment_has_its_line(event: object, phase: str, detail: str) -> None:
    line = presentation.status_of(event)
    assert (line.phase, line.detail) == (phase, detail)


@pytest.mark.parametrize(
    ("seconds", "time"), [(0.86, "0.9 s"), (11.7, "12 s"), (89.9, "90 s"), (200.0, "3 min")]
)
def test_how_long_it_took_is_told(seconds: float, time: str) -> None:
    line = presentation.status_of(Done(replace(summary(), seconds=seconds)))
    assert line.detail.startswith(f"in {time}. Click a sentence")


def test_a_screen_reader_hears_phases_and_errors_not_figures() -> None:
    page = presentation.status(Status("Writing", "3 words"))
    assert '<span class="status-phase" role="status">Writing</span>' in page
    assert 'role="alert"' in presentation.status(Status("No.", kind="error"))
    assert "<progress" not in presentation.status(Status("Done", kind="done"))
