"""The settings of a summary on the page: a control for each entry of the table, shown while it has an effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from app.models import ModelProfile, ModelStore
from app.summarizing.settings import SETTINGS, Setting, SummaryError, SummarySettings, changed

CONDITIONAL = [name for name, setting in SETTINGS.items() if setting.when]
DECIDING = {condition.setting for setting in SETTINGS.values() for condition in setting.when}
PAGE_EVENT: dict[str, Any] = {
    "api_visibility": "private",
    "show_progress": "hidden",
    # Gradio would drop a click while an earlier one on the same thing is answered, and one that starts work is answered
    # until the work is done. "always_last" is no way out where a click says what it fell on: it says so of the first.
    "trigger_mode": "multiple",
}


class SettingsPanel:
    """Builds its controls where it is made, inside a `gr.Blocks` context.

    `controls` holds them all, `settings` turns what they send back into `SummarySettings`.
    """

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        profile = store.profile(store.choices[0])
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self._model = gr.Dropdown(
                list(store.choices),
                value=profile.name,
                label="Model",
                interactive=True,
                elem_id="model",
                visible=len(store.choices) > 1,
            )
            self._by_name = {name: _control(setting, profile) for name, setting in SETTINGS.items()}
        self.controls = [self._model, *self._by_name.values()]
        chosen = self._model.input(self._readable, self._model, self._model, **PAGE_EVENT)
        chosen.then(self._defaults, self._model, list(self._by_name.values()), **PAGE_EVENT)
        deciding = {self._by_name[name] for name in DECIDING}
        for control in deciding:
            control.input(self._show, deciding, [self._by_name[name] for name in CONDITIONAL], **PAGE_EVENT)

    def settings(self, values: Mapping[Any, Any]) -> SummarySettings:
        """What the controls say, out of all that an event received; what has no effect stays the model's own.

        Raises:
            SummaryError: a number is missing.
        """
        said = {name: values[control] for name, control in self._by_name.items()}
        given = {name: value for name, value in said.items() if SETTINGS[name].has_effect(said)}
        return changed(self._store.profile(values[self._model]).defaults, given)

    def control(self, name: str) -> Any:
        """The control of one setting."""
        return self._by_name[name]

    def shown(self, values: Mapping[Any, Any]) -> SummarySettings:
        """The same as `settings`, for showing: where something can't be used, the model's own, or else the first's."""
        try:
            return self.settings(values)
        except SummaryError:
            return self._profile(values[self._model]).defaults

    def _defaults(self, model: Any) -> list[Any]:
        profile = self._profile(model)
        return [gr.update(**_properties(SETTINGS[name], profile)) for name in self._by_name]

    def _readable(self, model: Any) -> str:
        """The model that was chosen, or the first and a warning where it can't be read."""
        try:
            return self._store.profile(model).name
        except SummaryError as error:
            gr.Warning(str(error))
            return self._store.choices[0]

    def _profile(self, model: Any) -> ModelProfile:
        """Of a model, or of the first where it can't be read."""
        try:
            return self._store.profile(model)
        except SummaryError:
            return self._store.profile(self._store.choices[0])

    def _show(self, values: Mapping[Any, Any]) -> list[Any]:
        said = {name: values[self._by_name[name]] for name in DECIDING}
        return [gr.update(visible=SETTINGS[name].has_effect(said)) for name in CONDITIONAL]


def _properties(setting: Setting, profile: ModelProfile) -> dict[str, Any]:
    """What of a control depends on the model."""
    found: dict[str, Any] = {
        "value": getattr(profile.defaults, setting.name),
        "visible": setting.has_effect(vars(profile.defaults)),
    }
    if setting.name == "max_input_tokens":
        found["info"] = f"Tokens read at once; this model takes up to {profile.max_input_tokens:,}."
    return found


def _control(setting: Setting, profile: ModelProfile) -> Any:
    shared = {"label": setting.label, "elem_id": setting.name.replace("_", "-"), "min_width": 220}
    shared |= _properties(setting, profile)
    if setting.choices is not None:
        return gr.Radio([(label, value) for value, label in setting.choices.items()], **shared)
    if setting.kind is bool:
        return gr.Checkbox(**shared)
    shared = {"info": setting.about, "minimum": setting.least, "step": setting.step} | shared
    if setting.step is not None and setting.most is not None:
        return gr.Slider(maximum=setting.most, **shared)
    return gr.Number(precision=0, **shared)
