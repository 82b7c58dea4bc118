from __future__ import annotations

from app.models import ModelStore
from app.summarizing.notes import reading_notes
from app.summarizing.plan import make_plan
from app.summarizing.settings import SummarySettings
from tests.app.summarizing.test_plan import PAPER, document


def _notes(store: ModelStore, paper=PAPER, read: int | None = None, **changes: object) -> str:
    said = {"repeats_dropped": 0, "ends_early": False, "complete": True}
    said |= {name: changes.pop(name) for name in list(changes) if name in said}
    settings = SummarySettings(model="tiny", **changes)
    with store.use("tiny") as loaded:
        plan = make_plan(paper, settings, loaded.tokenizer, 0)
    read = plan.windows[-1].window.end if read is None else read
    notes = reading_notes(paper, settings, plan, read, **said)
    assert all(note.endswith(".") and "\n" not in note for note in notes)
    return " ".join(notes)


def test_everything_left_out_is_said(store: ModelStore) -> None:
    whole = document(("1 All", "body", 3))
    assert _notes(store, whole).startswith("All ") and "tokens of the text were read" in _notes(store, whole)
    said = _notes(store)
    assert "Left out: reference list (page 2)." in said
    assert "Left out: funding (page 2)." in said and "authors" in said
    assert "funding" not in _notes(store, include_front_and_back=True)
    assert "reference list" not in _notes(store, include_references=True)
    cut = _notes(store, max_input_tokens=500, long_papers="truncate")
    assert "Only the first 499 of" in cut and "all of page 2 among them" in cut
    middle = _notes(store, max_input_tokens=500, long_papers="beginning and end")
    assert "Only the beginning and the end were read" in middle
    parts = _notes(store, max_input_tokens=500)
    assert "longer than the 500 tokens" in parts and "parts" in parts
    assert "One sentence" in _notes(store, repeats_dropped=1)
    assert "3 sentences" in _notes(store, repeats_dropped=3)
    assert "The summary was cut off" in _notes(store, ends_early=True)


def test_a_stop_is_said_with_what_had_been_read(store: ModelStore) -> None:
    assert "Stopped: 0 of" in _notes(store, read=0, complete=False)
    stopped = _notes(store, read=499, max_input_tokens=500, complete=False)
    assert "Stopped: 499 of" in stopped and "parts" not in stopped
    assert "Stopped before the summary was finished." in _notes(store, complete=False)
