from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.summarizing.progress import WRITING_COST, Progress, Step


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_that_of_tokens_still_to_be_read_and_written() -> None:
    clock = _Clock()
    progress = Progress([Step(read=1000), Step(write=100), Step(write=50)], clock)
    progress.reading(0, 0.0)
    assert progress.seconds_left is None
    clock.now = 5.0
    progress.reading(0, 0.5)
    per_token = 5 / 500
    expected = 500 * per_token + 150 * per_token * WRITING_COST  # as nothing is known of the writing yet
    assert progress.seconds_left == pytest.approx(expected)
    clock.now = 10.0
    progress.reading(0, 1.0)
    progress.writing(1, 0)
    for tokens in range(1, 101):
        clock.now = 10 + tokens
        progress.writing(1, tokens)
    assert progress.seconds_left == pytest.approx(50, rel=0.1)  # a second for each
    clock.now = 111.0
    progress.writing(2, 0)
    assert progress.fraction == pytest.approx((1000 + 100 * WRITING_COST) / (1000 + 150 * WRITING_COST))


steps = st.lists(
    st.one_of(
        st.builds(Step, read=st.integers(1, 16_384)),
        st.builds(Step, read=st.just(0), write=st.integers(1, 500)),
    ),
    min_size=1,
    max_size=8,
)


@given(steps, st.lists(st.floats(0, 100), min_size=3, max_size=30))
def test_the_bar_never_falls_and_ends_full(steps: list[Step], waits: list[float]) -> None:
    clock = _Clock()
    progress = Progress(steps, clock)
    seen = [0.0]
    for number, step in enumerate(steps):
        for share in (0.0, 0.3, 1.0):
            clock.now += waits[number % len(waits)]
            if step.read:
                progress.reading(number, share)
            else:
                progress.writing(number, round(share * step.write))
            seen.append(progress.fraction)
            assert progress.seconds_left is None or progress.seconds_left >= 0
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
