from __future__ import annotations

import threading

import numpy as np
import pytest

from app.inspecting import inspector
from app.models import ModelStore
from app.settings import Settings
from app.summarizing.settings import SummaryError
from app.summarizing.summary import Summary
from app.work import Stopped
from tests.app.factories import make_model
from tests.app.inspecting.conftest import shown


def test_the_outline_bounds_the_controls(store: ModelStore, summary: Summary) -> None:
    outlines = [inspector.outline(store, summary, window) for window in range(len(summary.windows))]
    assert len(outlines) > 1
    for outline, trace in zip(outlines, summary.windows):
        assert outline.tokens == len(trace.input_ids)
        assert outline.pages[0][1] == 0 and outline.pages[-1][2] == outline.tokens
        for page, start, end in outline.pages:
            assert start < end
            assert summary.document.page_of(trace.offsets[start][0]) == page
    assert outlines[0].pages[0][0] == 1 and outlines[-1].pages[-1][0] == 2
    assert sorted(i for outline in outlines for i in outline.sentences) == list(range(len(summary.sentences)))
    first = outlines[0]
    assert (first.encoder_layers, first.decoder_layers, first.heads) == (2, 2, 4)
    assert (first.local_radius, first.global_block_size, first.globals) == (15, 4, first.tokens // 4)


def test_statistics_of_every_head(store: ModelStore, summary: Summary) -> None:
    overview = inspector.overview(store, summary, 0)
    assert overview.statistics.measures["entropy"].shape == (2, 4)
    assert [len(layer) for layer in overview.names] == [4, 4]
    kept: dict[str, inspector.Overview] = {}
    cross = inspector.overview(store, summary, 0, stack="cross", kept=kept)
    assert set(kept) == {"decoder", "cross"} and cross is kept["cross"]  # made once for both


def test_what_does_not_exist_is_one_sentence(store: ModelStore, summary: Summary) -> None:
    questions = (
        lambda: inspector.outline(store, summary, 99),
        lambda: shown(store, summary, "band", window=-1),
        lambda: shown(store, summary, "band", layer=7),
        lambda: shown(store, summary, "band", head=9),
        lambda: shown(store, summary, "band", start=50, end=40),
        lambda: shown(store, summary, "globals", end=10**6),
        lambda: shown(store, summary, "cross", sentence=99),
        lambda: shown(store, summary, "source", sentence=-7),
    )
    for question in questions:
        with pytest.raises(SummaryError) as error:
            question()
        assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_questions_work_after_the_states_were_dropped_and_the_model_replaced(
    model_folder, tmp_path, summary: Summary, store: ModelStore
) -> None:
    expected = shown(store, summary, "band", layer=1, end=30)
    other = make_model(tmp_path / "other", seed=1)
    fresh = ModelStore(Settings(models=(str(model_folder), str(other)), kept_encodings_bytes=1))
    with fresh.use("other"):
        pass
    again = shown(fresh, summary, "band", layer=1, end=30)
    np.testing.assert_allclose(again.arrays["weights"], expected.arrays["weights"], rtol=1e-5)
    assert again.panels[0].rows == expected.panels[0].rows


def test_a_question_can_be_stopped(model_folder, summary: Summary) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        inspector.overview(ModelStore(Settings(models=(str(model_folder),))), summary, 0, stop)
