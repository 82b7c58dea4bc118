"""Several summaries in one file: Markdown to read, a table for a spreadsheet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from app.export.blocks import blocks
from app.export.text import escaped, markdown_of
from app.summarizing.summary import Part, Summary

COLUMNS = ("title", "TL;DR", "pages", "file")
# What a spreadsheet may take for a formula at the beginning of a cell.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_FORMULA_INSIDE = re.compile("([;,|\"'])([=+@\uff1d\uff0b\uff0d\uff20-])")
BOM = "\ufeff"  # without it Excel reads UTF-8 as something else


def to_one_markdown(summaries: Sequence[Summary]) -> str:
    """One after the other, without the passages that each sentence rests on."""
    papers = "1 paper" if len(summaries) == 1 else f"{len(summaries)} papers"
    parts = [markdown_of(blocks(summary, passages=False), level=2) for summary in summaries]
    return "\n".join([f"# Summaries of {escaped(papers)}\n", *parts])


def to_csv(summaries: Sequence[Summary]) -> str:
    """A line for each: title, TL;DR, pages of the file, name of the file. No cell is taken for a formula."""
    table = io.StringIO()
    table.write(BOM)
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for summary in summaries:
        document = summary.document
        writer.writerow(
            [
                cell(document.title or document.name),
                cell(tldr(summary)),
                len(document.pages),
                cell(document.name),
            ]
        )
    return table.getvalue()


def tldr(summary: Summary) -> str:
    """The TL;DR; where there is none, the first sentence."""
    short: Part | None = next((part for part in summary.parts if part.kind == "tldr"), None)
    if short is not None:
        return short.text
    return summary.sentences[0].text if summary.sentences else ""


def cell(text: str) -> str:
    """Text for a cell, on one line, which no spreadsheet takes for a formula.

    An apostrophe makes it text. Some read commas where others read semicolons, so a formula may not begin after one of
    these either.
    """
    text = " ".join(text.replace("\0", "").split())
    text = _FORMULA_INSIDE.sub(r"\1 \2", text)
    return f"'{text}" if text.startswith(_FORMULA_SIGNS) else text
