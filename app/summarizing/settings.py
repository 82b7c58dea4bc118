"""What can be changed about a summary: one table, which page, terminal, API, MCP and documentation follow.

A setting is a field of `SummarySettings`; all that is known of it stands there, and nowhere else.
`python -m app.summarizing.settings` prints the table for the documentation.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

LENGTHS = {"short": 80, "medium": 180, "long": 260}
"""Words of a summary, about; its usual length is the model's own."""
TOKENS_PER_WORD = 1.5  # about, in English


class SummaryError(Exception):
    """A summary can't be made; `str(error)` is one sentence for the person that says what to do."""


class When(NamedTuple):
    """A condition for a setting to have an effect: that another one has a value."""

    setting: str
    value: object
    words: str


OWN_WORDS = When("writing", "own words", "in own words")
SEARCHING = When("do_sample", False, "without sampling")
SAMPLING = When("do_sample", True, "with sampling")
USUAL_LENGTH = When("length", "usual", "at the usual length")


@dataclass(frozen=True)
class Setting:
    """All that is known of a setting."""

    name: str
    default: Any
    label: str
    """What the page calls it."""
    about: str
    """A sentence, for terminal and programs too."""
    choices: Mapping[str, str] | None = None
    """Value -> what the page calls it; None for numbers and switches."""
    least: float = 0
    most: float | None = None
    """None where the installation sets it, or nobody."""
    step: float | None = None
    """Of the page's slider; None for a number to type."""
    when: tuple[When, ...] = ()
    """All that must hold for the setting to have an effect."""
    option: str | None = None
    """Its name in the terminal where that is not the field's."""

    @property
    def kind(self) -> type:
        """bool, int, float or, for one of several choices, str."""
        return type(self.default)

    @property
    def flag(self) -> str:
        """Its option in the terminal."""
        return "--" + (self.option or self.name).replace("_", "-")

    @property
    def help(self) -> str:
        """What it is, and when it has an effect."""
        only = ", ".join(condition.words for condition in self.when)
        return f"{self.about} Only {only}." if only else self.about

    @property
    def values(self) -> str:
        """The values that it takes, in words."""
        if self.choices is not None:
            return ", ".join(self.choices)
        if self.kind is bool:
            return "on, off"
        return f"from {self.least:,}" + ("" if self.most is None else f" to {self.most:,}")

    def has_effect(self, values: Mapping[str, Any]) -> bool:
        """Whether it changes anything beside these values of other settings."""
        return all(values[condition.setting] == condition.value for condition in self.when)

    def nearest(self, value: Any) -> Any:
        """The value, or the nearest number that is allowed, or else the default."""
        if _is_number(value) and self.kind in (int, float):
            value = max(value, self.least) if self.most is None else min(max(value, self.least), self.most)
            return self.kind(value)
        try:
            return self.checked(value)
        except SummaryError:
            return self.default

    def checked(self, value: Any) -> Any:
        """The value in the setting's type: 4.0 beams are 4 beams.

        Raises:
            SummaryError: it is none of those allowed.
        """
        said = "empty" if value is None else reprlib.repr(value)
        if self.kind is bool:
            if not isinstance(value, bool):
                raise SummaryError(f'"{self.label}" ({self.name}) must be true or false, but it is {said}.')
            return value
        if self.choices is not None:
            if not isinstance(value, str) or value not in self.choices:
                raise SummaryError(
                    f'"{self.label}" ({self.name}) must be one of {self.values}, but it is {said}.'
                )
            return value
        inside = _is_number(value) and self.least <= value <= (math.inf if self.most is None else self.most)
        if not inside or (self.kind is int and value != int(value)):
            what = "a whole number" if self.kind is int else "a number"
            raise SummaryError(
                f'"{self.label}" ({self.name}) must be {what} {self.values}, but it is {said}.'
            )
        return self.kind(value)


def _is_number(value: Any) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    return isinstance(value, float) and math.isfinite(value)


def setting(default: Any, label: str, about: str, **known: Any) -> Any:
    """A field of `SummarySettings` with what its `Setting` says."""
    return field(default=default, metadata={"label": label, "about": about, **known})


@dataclass(frozen=True)
class SummarySettings:
    """What a person can change about a summary; `ModelStore.profile(name).defaults` are a model's own."""

    model: str
    """One of `ModelStore.choices`."""
    length: str = setting(
        "usual",
        "Length",
        "About how many words a summary has, in own words or in quotes; the usual length is the model's own.",
        choices={
            "usual": "the model’s usual",
            **{name: f"{name}, {words} words" for name, words in LENGTHS.items()},
        },
    )
    writing: str = setting(
        "own words",
        "Write in",
        "Own words are free; quotes are whole sentences of the paper, in which nothing is changed.",
        choices={"own words": "own words", "quotes": "quotes: whole sentences of the paper"},
    )
    long_papers: str = setting(
        "windows",
        "A paper longer than the model’s input",
        "What is read of it: all, in parts that follow its sections, its beginning and its end, or its beginning only.",
        choices={
            "windows": "read all of it, in parts",
            "beginning and end": "read its beginning and its end",
            "truncate": "read its beginning only",
        },
    )
    max_input_tokens: int = setting(
        16_384,
        "Input limit",
        "Most tokens that the model reads at once, prefix and end token included.",
        least=64,
    )
    sections: bool = setting(
        True,
        "Summarize each section too",
        "One to three sentences about each section of the paper stand under its heading, after the summary.",
    )
    include_references: bool = setting(
        False, "Read the reference list too", "The reference list is left out otherwise."
    )
    include_front_and_back: bool = setting(
        False,
        "Read front and back matter too",
        "Affiliations, contents, thanks, funding and the like are left out otherwise.",
    )
    max_new_tokens: int = setting(
        256,
        "Longest summary",
        "Most tokens of a summary.",
        least=8,
        most=2048,
        step=8,
        when=(USUAL_LENGTH,),
    )
    num_beams: int = setting(
        4,
        "Beams",
        "Beams of the search: 1 is fastest, more search longer.",
        least=1,
        most=16,
        step=1,
        when=(SEARCHING,),
        option="beams",
    )
    length_penalty: float = setting(
        1.0,
        "Length penalty",
        "Above 0 favours longer summaries among the beams, below 0 shorter ones.",
        least=-5.0,
        most=5.0,
        step=0.1,
        when=(OWN_WORDS, SEARCHING),
    )
    no_repeat_ngram_size: int = setting(
        3,
        "Never repeat runs of",
        "No run of that many tokens stands in the summary twice; 0 is off.",
        most=32,
        step=1,
        when=(OWN_WORDS,),
    )
    encoder_no_repeat_ngram_size: int = setting(
        0,
        "Never copy runs of",
        "No run of that many tokens is copied from the paper; 0 is off.",
        most=32,
        step=1,
        when=(OWN_WORDS,),
    )
    repetition_penalty: float = setting(
        1.0,
        "Repetition penalty",
        "Above 1 makes tokens already written less likely.",
        least=1.0,
        most=5.0,
        step=0.1,
        when=(OWN_WORDS,),
    )
    do_sample: bool = setting(
        False,
        "Draw at random instead of searching",
        "Words, or quotes, are drawn at random instead of searching for the likeliest.",
        option="sample",
    )
    temperature: float = setting(
        1.0,
        "Temperature",
        "Below 1 draws more carefully, above 1 more freely.",
        least=0.05,
        most=2.0,
        step=0.05,
        when=(SAMPLING,),
    )
    top_p: float = setting(
        1.0,
        "Top-p",
        "Draws only from the likeliest that hold this much probability together.",
        least=0.05,
        most=1.0,
        step=0.05,
        when=(SAMPLING,),
    )
    seed: int = setting(
        0,
        "Seed",
        "The same seed draws the same summary.",
        most=2**53 - 1,  # the largest whole number that JSON carries safely
        when=(SAMPLING,),
    )

    @property
    def words(self) -> float:
        """About how many words a summary has at most."""
        return LENGTHS.get(self.length, self.max_new_tokens / TOKENS_PER_WORD)


SETTINGS: dict[str, Setting] = {
    known.name: Setting(known.name, known.default, **known.metadata)
    for known in fields(SummarySettings)
    if known.metadata
}
"""Every setting but the model, by its name, in the order of the page."""


def changed(defaults: SummarySettings, given: Mapping[str, Any]) -> SummarySettings:
    """The defaults with what was given.

    Who gives the most tokens of a summary and no length means the length that they allow.

    Raises:
        SummaryError: there is no such setting, or its value can't be used.
    """
    if "max_new_tokens" in given:
        given = {"length": "usual", **given}
    for name in given:
        if name not in SETTINGS:
            raise SummaryError(f"There is no setting {reprlib.repr(name)}; there are {', '.join(SETTINGS)}.")
    return replace(defaults, **{name: SETTINGS[name].checked(value) for name, value in given.items()})


def schema() -> dict[str, Any]:
    """The JSON schema of an object of settings, for programs and language models."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    properties: dict[str, Any] = {}
    for name, known in SETTINGS.items():
        about = properties[name] = {"type": names[known.kind], "description": known.help}
        if known.choices is not None:
            about["enum"] = list(known.choices)
        elif known.kind is not bool:
            about["minimum"] = known.least
            if known.most is not None:
                about["maximum"] = known.most
    return {"type": "object", "properties": properties}


def table() -> str:
    """All settings as a Markdown table, for the documentation."""
    rows = ["| Setting | In the terminal | Values | Default | Meaning |", "| --- | --- | --- | --- | --- |"]
    for name, known in SETTINGS.items():
        default = ("off", "on")[known.default] if known.kind is bool else str(known.default)
        rows.append(f"| `{name}` | `{known.flag}` | {known.values} | {default} | {known.help} |")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    print(table(), end="")
