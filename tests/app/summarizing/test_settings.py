"""The table of a summary's settings, and what follows from it in terminal, API and documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.__main__ import _parser
from app.summarizing.settings import LENGTHS, SETTINGS, SummaryError, SummarySettings, changed, schema, table

DEFAULTS = SummarySettings("tiny")
DOCUMENTATION = Path(__file__).parents[3] / "docs" / "settings.md"


def test_every_default_is_allowed() -> None:
    for name, setting in SETTINGS.items():
        assert setting.checked(setting.default) == getattr(DEFAULTS, name)
        assert setting.label and setting.about.endswith(".")


@pytest.mark.parametrize("name", SETTINGS)
def test_both_ends_of_a_range_are_allowed_everywhere_and_nothing_beyond(name: str) -> None:
    setting = SETTINGS[name]
    said = schema()["properties"][name]
    if setting.choices is not None:
        assert said["enum"] == list(setting.choices)
        for choice in setting.choices:
            typed = _parser().parse_args(["paper.pdf", setting.flag, choice.replace(" ", "-")])
            assert getattr(typed, name).replace("-", " ") == choice
        with pytest.raises(SummaryError, match=name):
            setting.checked("nonsense")
    elif setting.kind is bool:
        assert getattr(_parser().parse_args(["paper.pdf", setting.flag]), name) is True
    else:
        assert said["minimum"] == setting.least and said.get("maximum") == setting.most
        assert setting.checked(setting.least) == setting.least
        assert setting.nearest(setting.least - 1) == setting.least
        with pytest.raises(SummaryError, match=name):
            setting.checked(setting.least - 1)
        if setting.most is not None:
            assert setting.checked(setting.most) == setting.nearest(setting.most + 1) == setting.most
            with pytest.raises(SummaryError, match=name):
                setting.checked(setting.most + 1)


def test_what_is_nonsense_becomes_the_default() -> None:
    assert SETTINGS["writing"].nearest("verse") == "own words"
    assert SETTINGS["num_beams"].nearest("many") == 4
    assert SETTINGS["num_beams"].nearest(float("nan")) == 4


def test_settings_without_effect_are_known() -> None:
    idle = {name for name, setting in SETTINGS.items() if not setting.has_effect(vars(DEFAULTS))}
    assert idle >= {"temperature", "top_p", "seed"} and not idle & {"writing", "num_beams", "max_new_tokens"}
    quotes = vars(changed(DEFAULTS, {"writing": "quotes", "length": "short"}))
    idle = {name for name, setting in SETTINGS.items() if not setting.has_effect(quotes)}
    assert idle >= {"max_new_tokens", "length_penalty", "no_repeat_ngram_size", "repetition_penalty"}
    assert "num_beams" not in idle


def test_most_tokens_alone_mean_the_usual_length() -> None:
    medium = changed(DEFAULTS, {"length": "medium"})
    assert medium.words == LENGTHS["medium"]
    assert changed(medium, {"max_new_tokens": 300}) == changed(DEFAULTS, {"max_new_tokens": 300})
    assert changed(medium, {"max_new_tokens": 300, "length": "long"}).length == "long"


def test_there_is_no_other_setting() -> None:
    with pytest.raises(SummaryError, match="no setting 'nonsense'; there are length, writing"):
        changed(DEFAULTS, {"nonsense": 1})


def test_the_documentation_has_the_table() -> None:
    assert table() in DOCUMENTATION.read_text(encoding="utf-8")
