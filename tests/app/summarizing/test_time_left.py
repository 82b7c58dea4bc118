from __future__ import annotations

import pytest

from app.summarizing.time_left import TimeLeft


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_reading_alone_is_foreseen_from_its_fraction() -> None:
    clock = Clock()
    left = TimeLeft([1000, 1000], [50, 50], clock)
    assert left.reading(0, 0.0) is None
    clock.now += 0.1
    assert left.reading(0, 0.1) is None  # too early to tell
    clock.now += 1.9
    assert left.reading(0, 0.2) == pytest.approx(8 + 10)


def test_writing_and_later_windows_are_added_once_their_pace_is_known() -> None:
    clock = Clock()
    left = TimeLeft([1000, 500], [50, 20], clock)
    left.reading(0, 0.0)
    clock.now += 10
    left.reading(0, 1.0)
    assert left.writing(0, 0) is None
    clock.now += 5
    assert left.writing(0, 10) == pytest.approx(40 * 0.5 + 500 * 0.01 + 20 * 0.5)
    clock.now += 5
    assert left.writing(0, 20) == pytest.approx(30 * 0.5 + 500 * 0.01 + 20 * 0.5)


def test_a_hiccup_is_smoothed_and_time_never_runs_below_zero() -> None:
    clock = Clock()
    left = TimeLeft([100], [100], clock)
    left.writing(0, 0)
    clock.now += 5
    assert left.writing(0, 50) == pytest.approx(5)
    clock.now += 5  # nothing written meanwhile: at face value 10 seconds left
    estimate = left.writing(0, 50)
    assert estimate is not None and 0 < estimate < 10
    clock.now += 100
    assert left.writing(0, 100) == 0.0
