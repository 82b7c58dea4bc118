"""Questions of the attention tab stay within what there is, whatever controls, links and callers say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.inspecting.inspection import CLOSEST, around, first_question, title, within
from app.inspecting.inspector import Outline
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY, Question, changed, from_link
from app.inspecting.views import VIEWS

OUTLINE = Outline(
    tokens=1000,
    pages=((1, 0, 400), (2, 400, 1000)),
    encoder_layers=6,
    decoder_layers=2,
    heads=4,
    local_radius=127,
    globals=62,
    global_block_size=16,
    sentences=(3, 4),
)


def ask(
    view: str = "band", layer: int = 0, head: int = 0, sentence: int = 3, start: int = 0, count: int = 100
) -> Question:
    return Question(0, view, layer, head, sentence, start, count)


def test_what_exists_is_left_alone() -> None:
    question = ask("band", 5, ALL_HEADS, 4, 900, 100)
    assert within(OUTLINE, question) == question


def test_what_does_not_exist_becomes_the_nearest_that_does() -> None:
    assert within(OUTLINE, ask("cross", 5)).layer == 1
    assert within(OUTLINE, ask(head=9)).head == 3
    assert within(OUTLINE, ask(head=-5)).head == ALL_HEADS
    assert within(OUTLINE, ask(sentence=0)).sentence == WHOLE_SUMMARY
    far = within(OUTLINE, ask(start=5000, count=5000))
    assert (far.start, far.count) == (999, 1)
    assert within(OUTLINE, ask(start=-7, count=-7)) == ask(start=0, count=1)
    assert within(OUTLINE, ask("no such view")).view == "heads"


ANYTHING = st.none() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8) | st.booleans()
NAMES = "window view layer head sentence start count option sort named".split()
ARGUMENTS = st.dictionaries(st.sampled_from(NAMES), ANYTHING)
OUTLINES = st.builds(
    lambda tokens, layers, heads, globals_, sentences: Outline(
        tokens, ((1, 0, tokens),), *layers, heads, 127, globals_, 16, tuple(range(sentences))
    ),
    st.integers(1, 20_000),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.integers(1, 32),
    st.integers(0, 1024),
    st.integers(0, 5),
)


@given(outline=OUTLINES, said=ARGUMENTS)
def test_whatever_is_asked_there_is_an_answer(outline: Outline, said: dict) -> None:
    """None, numbers out of range, words for numbers: the question that is asked in the end has a view, layer, ..."""
    asked = within(outline, changed(first_question(outline), **said))
    view = VIEWS[asked.view]
    assert view.exists(outline)
    assert 0 <= asked.layer < view.layers(outline) and ALL_HEADS <= asked.head < outline.heads
    assert asked.sentence in (WHOLE_SUMMARY, *outline.sentences)
    assert 0 <= asked.start < asked.end <= outline.tokens
    assert asked.option in [name for _, name in view.options]


@given(
    view=st.sampled_from(sorted(VIEWS)),
    numbers=st.tuples(*[st.integers(-1, 10**6)] * 5),
    words=st.tuples(st.text(), st.text(), st.text()),
)
def test_a_link_restores_the_question(view: str, numbers: tuple, words: tuple) -> None:
    layer, head, sentence, start, count = numbers
    question = Question(0, view, layer, head, sentence, start, count, *words)
    assert from_link(first_question(OUTLINE), question.to_link()) == question


@given(link=st.text())
def test_any_link_is_harmless(link: str) -> None:
    within(OUTLINE, from_link(first_question(OUTLINE), link))


def test_zooming_stays_within_the_text() -> None:
    near = around(OUTLINE, ask(), 990, 50)
    assert (near.start, near.count) == (950, 50)
    assert around(OUTLINE, ask(), 0, 1).count == CLOSEST
    everything = around(OUTLINE, ask(), 500, 99999)
    assert (everything.start, everything.count) == (0, 1000)


def test_titles_name_layer_and_head_as_the_code_does() -> None:
    assert title(ask("globals", 2, 3)) == "Global blocks \u00b7 encoder layer 2, head 3"
    cross = within(OUTLINE, ask("cross", 1, ALL_HEADS))
    assert title(cross) == "Cross-attention (attention weights) \u00b7 decoder layer 1, mean of all heads"
