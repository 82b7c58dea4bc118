from __future__ import annotations

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app import export
from app.documents import Document, Page, undivided
from app.summarizing.settings import SummarySettings
from app.summarizing.summary import Evidence, Sentence, Summary

NASTY = "1. <b>*Not* bold</b> & [a](http://b.c) `code` | x_y_z ~~s~~ $m$ ![i](j) # h"


def _summary(text: str = NASTY) -> Summary:
    document = Document(
        "a_b.pdf",
        f"# Title {text}",
        text + " Tail.",
        (Page(1, 0, 9), Page(2, 9, 99)),
        undivided(text + " Tail."),
        (),
    )
    evidence = Evidence(0, len(text), 1, text, 0.4321987)
    return Summary(
        document=document,
        text=f"{text} Second.",
        sentences=(
            Sentence(text, 0, len(text), 0, 0, 5, (evidence,)),
            Sentence("Second.", len(text) + 1, len(text) + 8, 0, 5, 7),
        ),
        settings=SummarySettings(model="tiny"),
        tokens_read=20,
        tokens_left_out=3,
        pages_read=(1, 2),
        notes=("The reference list was left out (3 tokens).",),
        seconds=12.3456,
        windows=(),
    )


def test_json_holds_what_the_schema_says() -> None:
    values = json.loads(export.to_json(_summary()))
    assert values["file"] == "a_b.pdf" and values["title"].startswith("# Title")
    assert (values["pages"], values["pages_read"]) == (2, [1, 2])
    assert (values["tokens_read"], values["tokens_left_out"]) == (20, 3)
    assert values["model"] == "tiny" and values["settings"]["num_beams"] == 4
    assert values["seconds"] == 12.35
    assert values["notes"] == ["The reference list was left out (3 tokens)."]
    first, second = values["sentences"]
    assert values["summary"][first["start"] : first["end"]] == first["text"] == NASTY
    assert values["summary"][second["start"] : second["end"]] == second["text"]
    assert first["evidence"] == [{"page": 1, "quote": NASTY, "score": 0.4322, "start": 0, "end": len(NASTY)}]
    schema = export.__doc__ or ""
    assert all(re.search(rf"\b{key}\b", schema) for key in (*values, *first, *first["evidence"][0]))


def test_text_shows_everything_plainly() -> None:
    text = export.to_text(_summary())
    assert text.startswith(f"# Title {NASTY}\n")
    assert f"   page 1 (43%): {NASTY}" in text
    assert "left out (3 tokens)" in text and "12 seconds" in text and export.CAUTION in text


def _shown(markdown: str) -> str:
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return renderer.render(markdown)


def test_markdown_shows_text_as_it_is() -> None:
    shown = _shown(export.to_markdown(_summary()))
    assert set(re.findall(r"<(\w+)", shown)) == {"h1", "h2", "p", "ol", "li", "blockquote", "em", "ul"}
    assert shown.count("<ol") == 1 and shown.count("<h1>") == 1
    assert html.unescape(shown).count(NASTY) == 4  # title, summary, sentence, quote


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=60))
def test_no_text_means_anything_in_markdown(text: str) -> None:
    shown = _shown(export._escaped(text))
    assert html.unescape(re.sub("</?p>", "", shown)).strip() == " ".join(text.split())


@pytest.mark.parametrize("text", ["1. a", "12) a", "- a", "+ a", "===", "---", "# a", "> a", ": a", "[a]: b"])
def test_no_line_begins_a_block(text: str) -> None:
    assert html.unescape(_shown(export._escaped(text))) == f"<p>{text}</p>\n"


def test_a_document_without_title_goes_by_its_file() -> None:
    summary = _summary()
    document = Document(
        "x.pdf", "", summary.document.text, summary.document.pages, summary.document.sections, ()
    )
    from dataclasses import replace

    assert export.to_text(replace(summary, document=document)).startswith("x.pdf\n")
