"""Links to a view: what is written comes back, and what is mangled harms nobody."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.page.links import Look, parse, query_of

numbers = st.none() | st.integers(-1, 10**9 - 1)
looks = st.builds(
    Look,
    sentence=numbers,
    view=st.none() | st.sampled_from(["band", "global", "cross"]),
    layer=numbers,
    head=numbers,
    window=numbers,
    start=numbers,
    count=numbers,
)


@given(st.from_regex(r"[A-Za-z0-9_-]{16}", fullmatch=True), looks)
def test_a_link_leads_back_to_its_view(paper_id: str, look: Look) -> None:
    assert parse(query_of(paper_id, look)) == (paper_id, look)


def test_a_link_says_what_it_shows() -> None:
    assert query_of("ID", Look(sentence=3, view="band", layer=4, head=1)) == (
        "?paper=ID&sentence=3&view=band&layer=4&head=1"
    )


def test_other_parts_of_an_address_do_not_matter() -> None:
    assert parse("?__theme=dark&sentence=3&paper=ID&x=&x=2") == ("ID", Look(sentence=3))


@pytest.mark.parametrize(
    "query",
    [
        None, 7, [], "", "?", "paper", "?paper=", "?paper=../../etc", "?paper=a b", "?paper=<b>", "?sentence=3.5",
        "?sentence=one", "?layer=99999999999", "?head=--1", "?view=a/b", "?view=" + 100 * "x", "?" + 100 * "a=1&",
        "?paper=%00", "?sentence=\u0663",
    ],
)  # fmt: skip
def test_what_can_t_be_used_is_left_out(query: Any) -> None:
    assert parse(query) == (None, Look())


@given(st.text() | st.none() | st.integers())
def test_any_query_can_be_asked_for(query: Any) -> None:
    named, look = parse(query)
    assert named is None or named.isascii()
    assert all(value is None or isinstance(value, int | str) for value in vars(look).values())
