"""Settings of a summary as options of a command: every command that summarizes has the same."""

from __future__ import annotations

import argparse
import dataclasses
import os
from typing import TYPE_CHECKING, Any

from app import settings as environment
from app.summarizing.settings import SETTINGS, Setting, SummarySettings, changed

if TYPE_CHECKING:
    from app.models import ModelStore


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds `--model` and an option for every setting of a summary."""
    parser.add_argument("--model", metavar="M", help="a folder, a Hub id, or one of LONGT5_MODELS")
    for setting in SETTINGS.values():
        parser.add_argument(setting.flag, dest=setting.name, help=setting.help, **_values(setting))


def _values(setting: Setting) -> dict[str, Any]:
    """What the option of a setting may be followed by; None stands for what is not given."""
    if setting.choices is not None:
        return {"choices": [choice.replace(" ", "-") for choice in setting.choices]}
    if setting.kind is bool:
        return {"action": argparse.BooleanOptionalAction, "default": None}
    return {"type": setting.kind, "metavar": "N" if setting.kind is int else "X"}


def store_settings(model: str | None) -> environment.Settings:
    """The installation's settings with the model that was asked for.

    Raises:
        app.settings.SettingsError: a variable of the environment can't be used.
    """
    settings = environment.from_environment()
    if model is None:
        return settings
    chosen = [path for path in settings.models if model in (path, os.path.basename(path))]
    return dataclasses.replace(settings, models=(chosen[0] if chosen else model,))


def summary_settings(options: argparse.Namespace, store: ModelStore) -> SummarySettings:
    """The model's own settings with those that were given.

    Raises:
        app.summarizing.settings.SummaryError: the model's files can't be read, or a setting is out of its range.
    """
    # Imported late: torch takes seconds, and a wrong option or --help should not.
    from app.summarizing.summarizer import checked

    given = {name: getattr(options, name) for name in SETTINGS}
    for name, setting in SETTINGS.items():
        if setting.choices is not None and given[name] is not None:
            given[name] = given[name].replace("-", " ")
    defaults = store.profile(store.choices[0]).defaults
    return checked(
        changed(defaults, {name: value for name, value in given.items() if value is not None}), store
    )
