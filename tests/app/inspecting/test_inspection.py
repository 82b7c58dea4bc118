"""Questions of the attention tab stay within what there is."""

from __future__ import annotations

from app.inspecting.inspection import CLOSEST, around, title, within
from app.inspecting.inspector import Outline
from app.inspecting.views import ALL_HEADS, Question

OUTLINE = Outline(
    tokens=1000,
    pages=((1, 0, 400), (2, 400, 1000)),
    encoder_layers=6,
    decoder_layers=2,
    heads=4,
    local_radius=127,
    has_globals=True,
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
    assert within(OUTLINE, ask(sentence=0)).sentence == 3
    far = within(OUTLINE, ask(start=5000, count=5000))
    assert (far.start, far.count) == (999, 1)
    assert within(OUTLINE, ask(start=-7, count=-7)) == ask(start=0, count=1)


def test_zooming_stays_within_the_text() -> None:
    near = around(OUTLINE, ask(), 990, 50)
    assert (near.start, near.count) == (950, 50)
    assert around(OUTLINE, ask(), 0, 1).count == CLOSEST
    everything = around(OUTLINE, ask(), 500, 99999)
    assert (everything.start, everything.count) == (0, 1000)


def test_titles_name_layer_and_head_as_the_code_does() -> None:
    assert title(ask("global", 2, 3)) == "Global blocks \u00b7 encoder layer 2, head 3"
    assert title(ask("cross", 1, ALL_HEADS)) == "Cross-attention \u00b7 decoder layer 1, mean of all heads"
