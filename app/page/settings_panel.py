"""The folded settings of a summary: one control for each field of `SummarySettings`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import gradio as gr

from app.models import ModelProfile, ModelStore
from app.summarizing.summary import SummarySettings

SAMPLING = ("temperature", "top_p", "seed")


class SettingsPanel:
    """Builds its controls where it is made, inside a `gr.Blocks` context.

    `controls` holds them in the order of the fields of `SummarySettings`, `values` turns what
    they send back into one.
    """

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        profile = store.profile(store.choices[0])
        with gr.Accordion("Settings", open=False, elem_id="settings"):
            self._by_name = _controls(store, profile)
        self.controls = [self._by_name[field.name] for field in fields(SummarySettings)]
        changing = [control for name, control in self._by_name.items() if name != "model"]
        self._by_name["model"].input(
            self._defaults, self._by_name["model"], changing, api_visibility="private", show_progress="hidden"
        )
        self._by_name["do_sample"].change(
            lambda sample: [gr.update(visible=bool(sample)) for _ in SAMPLING],
            self._by_name["do_sample"],
            [self._by_name[name] for name in SAMPLING],
            api_visibility="private",
            show_progress="hidden",
        )

    def settings(self, values: Mapping[Any, Any]) -> SummarySettings:
        """What the controls say, out of all that an event received."""
        return settings_from({name: values[control] for name, control in self._by_name.items()})

    def _defaults(self, model: str) -> list[Any]:
        profile = self._store.profile(model)
        updates = []
        for name in self._by_name:
            if name == "model":
                continue
            update: dict[str, Any] = {"value": getattr(profile.defaults, name)}
            if name == "max_new_tokens":
                update["maximum"] = _longest(profile)
            elif name == "max_input_tokens":
                update["info"] = _input_limit(profile)
            elif name in SAMPLING:
                update["visible"] = profile.defaults.do_sample
            updates.append(gr.update(**update))
        return updates


def settings_from(values: Mapping[str, Any]) -> SummarySettings:
    """Settings out of what JSON or a control calls numbers: 4.0 beams are 4 beams."""
    whole = {field.name for field in fields(SummarySettings) if field.type == "int"}
    read: dict[str, Any] = {name: int(value) if name in whole else value for name, value in values.items()}
    return SummarySettings(**read)


def _input_limit(profile: ModelProfile) -> str:
    return f"Tokens read at once; this model takes up to {profile.max_input_tokens:,}."


def _longest(profile: ModelProfile) -> int:
    """Most tokens of a summary that may be asked for."""
    return max(1024, profile.defaults.max_new_tokens)


def _controls(store: ModelStore, profile: ModelProfile) -> dict[str, Any]:
    default = profile.defaults
    model = gr.Dropdown(
        list(store.choices), value=default.model, label="Model", interactive=True, elem_id="model"
    )
    max_new_tokens = gr.Slider(
        16,
        _longest(profile),
        value=default.max_new_tokens,
        step=8,
        label="Longest summary",
        info="In tokens.",
    )
    writing = gr.Radio(
        [("own words", "own words"), ("quotes: whole sentences of the paper", "quotes")],
        value=default.writing,
        label="Write in",
        elem_id="writing",
    )
    long_papers = gr.Radio(
        [
            ("read all of it, in parts", "windows"),
            ("read its beginning and its end", "beginning and end"),
            ("read its beginning only", "truncate"),
        ],
        value=default.long_papers,
        label="A paper longer than the model\u2019s input",
    )
    max_input_tokens = gr.Number(
        default.max_input_tokens,
        label="Input limit",
        info=_input_limit(profile),
        precision=0,
        minimum=64,
        step=1024,
    )
    include_references = gr.Checkbox(default.include_references, label="Read the reference list too")
    num_beams = gr.Slider(
        1, 8, value=default.num_beams, step=1, label="Beams", info="1 is fastest; more search longer."
    )
    length_penalty = gr.Slider(
        -2,
        4,
        value=default.length_penalty,
        step=0.1,
        label="Length penalty",
        info="Above 0 favours longer summaries.",
    )
    no_repeat_ngram_size = gr.Slider(
        0,
        8,
        value=default.no_repeat_ngram_size,
        step=1,
        label="Never repeat runs of",
        info="Tokens within the summary; 0 is off.",
    )
    encoder_no_repeat_ngram_size = gr.Slider(
        0,
        16,
        value=default.encoder_no_repeat_ngram_size,
        step=1,
        label="Never copy runs of",
        info="Tokens of the paper; 0 is off.",
    )
    repetition_penalty = gr.Slider(
        1,
        5,
        value=default.repetition_penalty,
        step=0.1,
        label="Repetition penalty",
        info="1 is off.",
    )
    do_sample = gr.Checkbox(default.do_sample, label="Sample words at random instead of searching")
    shown = default.do_sample
    temperature = gr.Slider(0.1, 2, value=default.temperature, step=0.05, label="Temperature", visible=shown)
    top_p = gr.Slider(0.05, 1, value=default.top_p, step=0.05, label="Top-p", visible=shown)
    seed = gr.Number(default.seed, label="Seed", precision=0, minimum=0, visible=shown)
    return {
        "model": model,
        "writing": writing,
        "max_new_tokens": max_new_tokens,
        "num_beams": num_beams,
        "length_penalty": length_penalty,
        "no_repeat_ngram_size": no_repeat_ngram_size,
        "encoder_no_repeat_ngram_size": encoder_no_repeat_ngram_size,
        "repetition_penalty": repetition_penalty,
        "do_sample": do_sample,
        "temperature": temperature,
        "top_p": top_p,
        "seed": seed,
        "max_input_tokens": max_input_tokens,
        "long_papers": long_papers,
        "include_references": include_references,
    }
