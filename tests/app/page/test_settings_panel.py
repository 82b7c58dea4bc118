"""The controls of a summary's settings: ranges of the table, defaults of the model, shown while they have an effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.models import ModelStore
from app.page.settings_panel import CONDITIONAL, DECIDING, SettingsPanel
from app.settings import Settings
from app.summarizing.settings import SETTINGS, SummaryError
from tests.app.factories import make_model


@pytest.fixture(scope="module")
def panel(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> SettingsPanel:
    other = make_model(
        tmp_path_factory.mktemp("models") / "other", generation={"length": "medium", "num_beams": 7}
    )
    with gr.Blocks():
        return SettingsPanel(ModelStore(Settings(models=(str(model_folder), str(other)))))


def values(panel: SettingsPanel, **changes: Any) -> dict[Any, Any]:
    """What the controls send, some of them changed."""
    named = {"model": panel._model, **panel._by_name}
    return {control: changes.get(name, control.value) for name, control in named.items()}


def shown(panel: SettingsPanel, **changes: Any) -> set[str]:
    said = values(panel, **changes)
    updates = panel._show({panel._by_name[name]: said[panel._by_name[name]] for name in DECIDING})
    return {name for name, update in zip(CONDITIONAL, updates, strict=True) if update["visible"]}


def test_controls_have_the_range_of_the_table(panel: SettingsPanel) -> None:
    assert list(panel._by_name) == list(SETTINGS)
    for name, control in panel._by_name.items():
        if isinstance(control, gr.Slider):
            assert (control.minimum, control.maximum) == (SETTINGS[name].least, SETTINGS[name].most)
        if isinstance(control, gr.Radio):
            assert [value for _, value in control.choices] == list(SETTINGS[name].choices or ())


def test_only_what_has_an_effect_is_shown(panel: SettingsPanel) -> None:
    usual = shown(panel)
    assert "num_beams" in usual and "max_new_tokens" in usual and "seed" not in usual
    assert usual == {name for name in CONDITIONAL if panel._by_name[name].visible}
    assert "max_new_tokens" not in shown(panel, length="short")
    assert shown(panel, writing="quotes") == {"num_beams", "max_new_tokens"}
    sampling = shown(panel, do_sample=True)
    assert {"temperature", "top_p", "seed"} <= sampling and "num_beams" not in sampling


def test_what_is_hidden_asks_for_nothing(panel: SettingsPanel) -> None:
    settings = panel.settings(values(panel, length="long", max_new_tokens=None, seed=None))
    assert (settings.length, settings.seed) == ("long", 0)
    with pytest.raises(SummaryError, match="is empty"):
        panel.settings(values(panel, max_input_tokens=None))


def test_another_model_brings_its_own_defaults(panel: SettingsPanel) -> None:
    updates = dict(zip(SETTINGS, panel._defaults("other"), strict=True))
    assert (updates["length"]["value"], updates["num_beams"]["value"]) == ("medium", 7)
    assert not updates["max_new_tokens"]["visible"]


def test_a_model_that_cannot_be_read_is_a_sentence_and_the_page_goes_on(
    model_folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    with gr.Blocks():
        panel = SettingsPanel(ModelStore(Settings(models=(str(model_folder), str(broken)))))
    for model in ("broken", None, 5, ["tiny"], "unknown"):
        with pytest.raises(SummaryError):
            panel.settings(values(panel, model=model))
        assert panel.shown(values(panel, model=model)).model == panel._model.value
        with pytest.warns(UserWarning):
            assert panel._readable(model) == panel._model.value
        assert {update["value"] for update in panel._defaults(model)} == {
            control.value for control in panel._by_name.values()
        }
