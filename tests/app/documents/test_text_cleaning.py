from __future__ import annotations

import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.text_cleaning import clean_characters, count_words, join_lines

ANY_TEXT = st.text(st.characters())  # surrogates included


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("e\ufb03cient \ufb01le \ufb02ow o\ufb00er ba\ufb04e", "efficient file flow offer baffle"),
        ("di\x0berent classi\x0ccation", "different classification"),
        ("di\0erent e\0ects, speci\0c classi\0cation", "different effects, specific classification"),
        (
            "work\0ow e\0cient in\0uence the \0rst shu\0ing tradeo\0",
            "workflow efficient influence the first shuffling tradeoff",
        ),
        ("a\0b is a minus b", "a b is a minus b"),
        ("2t\0 1 and x\0y and aπ\0 too", "2t 1 and x y and aπ too"),
        ("Hanspeter P\0ster, Abràmo\0, and P\0s", "Hanspeter Pfister, Abràmoff, and P s"),
        ("We\0present\0a\0method", "We present a method"),
        ("na\u00a8\u0131ve H\u00a8olzle caf\u00b4e Erd\u02ddos", "naïve Hölzle café Erd\u02ddos"),
        ("Student\u00b4s t and 5\u00b4UTR to 3\u00b4end", "Student\u00b4s t and 5\u00b4UTR to 3\u00b4end"),
        ("I\u00b4m sure we\u00b4re and they\u00b4ll", "I\u00b4m sure we\u00b4re and they\u00b4ll"),
        ("\u00b4sl\u00b4edzi\u00b4c a m\u00b4etodo, \u00b4Etude", "ślédzić a método, Étude"),
        ("soft\u00adhyphen and exam\u00ad", "softhyphen and exam-"),
        ("\u202efdp.exe\u202c \u200bzero\ufeff", "fdp.exe zero"),
        ("icons \ue000\uf8ff here \ufffe", "icons here"),
        ("bell\x07 and \x1b[31mred", "bell and [31mred"),
        ("pair \ud83d\ude00 and lone \ud83d half", "pair 😀 and lone half"),
        ("  many \t\u00a0\u2003 spaces \r\n", "many spaces"),
        ("Zalgo" + "\u0316" * 60, "Zalgo" + "\u0316" * 5),
        ("हिन्दी ไทย עִבְרִית 中文", "हिन्दी ไทย עִבְרִית 中文"),
    ],
)
def test_characters(raw: str, clean: str) -> None:
    assert clean_characters(raw) == clean


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean_characters(text)
    assert clean_characters(once) == once


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT)
def test_clean_text_can_be_stored_and_shown(text: str) -> None:
    clean = clean_characters(text)
    clean.encode("utf-8")
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Co"} for character in clean)
    assert clean == clean.strip()
    assert "  " not in clean


def words(text: str) -> Counter[str]:
    return count_words(text.split("\n"))


@pytest.mark.parametrize(
    ("lines", "elsewhere", "joined"),
    [
        (["an associ-", "ated term"], "", "an associated term"),
        (["state-of-the-", "art results"], "", "state-of-the-art results"),
        (["a well-", "known fact"], "it is well-known", "a well-known fact"),
        (["pre-", "training helps"], "we use pretraining", "pretraining helps"),
        (["pre-", "training helps"], "we use pre-training often", "pre-training helps"),
        (["under-", "stand it"], "under it we stand", "understand it"),
        (["the C-", "spine was"], "", "the C-spine was"),
        (["an ontology-", "based system"], "", "an ontology-based system"),
        (["Java-", "Script code"], "we like JavaScript", "JavaScript code"),
        (["New York-", "Boston"], "", "New York-Boston"),
        (["from 1997-", "2004"], "", "from 1997-2004"),
        (["pages 78–", "91, Saint-Malo"], "", "pages 78–91, Saint-Malo"),
        (["see https://example.org/", "paper"], "", "see https://example.org/paper"),
        (["see https://example.org/a-", "paper"], "", "see https://example.org/a-paper"),
        (
            ["at https://example.org/paper.", "The code is there"],
            "",
            "at https://example.org/paper. The code is there",
        ),
        (["at www.example.org.", "We thank them"], "", "at www.example.org. We thank them"),
        (["see www.example.org/?", "Nobody does"], "", "see www.example.org/? Nobody does"),
        (["at https://example.", "org/paper"], "", "at https://example.org/paper"),
        (["at https://doi.org/10.1016/j.", "2020.05.001"], "", "at https://doi.org/10.1016/j.2020.05.001"),
        (
            ["at https://doi.org/10.1016/j.", "JECP.2020.05.001"],
            "",
            "at https://doi.org/10.1016/j.JECP.2020.05.001",
        ),
        (["at https://example.org/a.", "_b/c"], "", "at https://example.org/a._b/c"),
        (["at https://example.org/a?", "Id=3"], "", "at https://example.org/a?Id=3"),
        (["two", "lines"], "", "two lines"),
        (["a dash -", "here"], "", "a dash - here"),
        (["", "one", ""], "", "one"),
    ],
)
def test_lines_join(lines: list[str], elsewhere: str, joined: str) -> None:
    assert join_lines(lines, words(elsewhere)) == joined


def test_halves_of_words_are_not_counted() -> None:
    counted = words("an associ-\nated term and an associated one")
    assert counted["associated"] == 1
    assert not counted["associ"]
    assert not counted["ated"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=10))
def test_joining_loses_nothing_but_hyphens(lines: list[str]) -> None:
    lines = [clean_characters(line) for line in lines]
    joined = join_lines(lines, count_words(lines))
    assert joined.replace(" ", "").replace("-", "").replace("\u2010", "") == "".join(lines).replace(
        " ", ""
    ).replace("-", "").replace("\u2010", "")


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        ("a thirteenth-", "story window", True),
        ("the free-", "software movement", True),
        ("for high-", "stakes trials", True),
        ("of file-", "sharing services", True),
        ("a two-", "stage design", True),
        ("it high-", "lighted that", False),
        ("for short-", "ening it", False),
        ("the long-", "itudinal data", False),
        ("under ten-", "sion", False),
        ("his meth-", "odology", False),
        ("the dis-", "tribution", False),
    ],
)
def test_compounds_at_a_line_end_keep_their_hyphen(first: str, second: str, kept: bool) -> None:
    assert join_lines([first, second], Counter()) == first[: None if kept else -1] + second


def test_no_space_between_ideographs_at_a_line_end() -> None:
    assert join_lines(["移动一个", "常数，用于", "ADCP 测量"], Counter()) == "移动一个常数，用于 ADCP 测量"


@pytest.mark.parametrize(
    ("drawn", "clean"),
    [
        ("\u2f42\u2f08\u2ed3", "文人长"),
        ("\ufefb", "\u0644\u0627"),
        ("L I T E R A T U R", "LITERATUR"),
        ("A B C", "A B C"),
        ("\u0645\u06cc\u200c\u0634\u0648\u062f", "\u0645\u06cc\u200c\u0634\u0648\u062f"),
        ("shelf\u200cful", "shelfful"),
    ],
)
def test_look_alikes_and_joiners(drawn: str, clean: str) -> None:
    assert clean_characters(drawn) == clean
    assert clean_characters(clean) == clean
