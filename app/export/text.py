"""Summary -> Markdown or plain text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.export.blocks import Block, blocks
from app.summarizing.summary import Summary

# What can mean something in CommonMark, its HTML, or the tables, maths, notes and bare links of its dialects:
# some signs anywhere, some at the beginning of a line only.
_MARKDOWN_SIGNS = re.compile(
    r"[\\`*_{}\[\]<>#!|~$^&@=]|:(?=//)|(?<=www)\.|^[-+:]|(?<=^\d)[.)]|^\d{2,9}[.)]", re.I
)


def to_text(summary: Summary) -> str:
    """Everything as plain text."""
    lines: list[str] = []
    for block in blocks(summary):
        if block.kind == "numbered":
            lines.append(f"{block.number}. {block.text}")
        elif block.kind == "passage":
            lines.append(f"   {block.text}")
        elif block.kind in ("heading", "subheading"):
            lines += ["", block.text]
        else:
            lines += ["", block.text] if lines and block.kind == "paragraph" else [block.text]
    return "\n".join(lines) + "\n"


def to_markdown(summary: Summary) -> str:
    """Everything as Markdown, text of the paper and of the model escaped so that it shows as it is."""
    return markdown_of(blocks(summary))


def markdown_of(content: Iterable[Block], level: int = 1) -> str:
    """Blocks as Markdown; `level` is that of the title's heading."""
    lines: list[str] = []
    marks = {"title": "#" * level, "heading": "#" * (level + 1), "subheading": "#" * (level + 2)}
    previous = None
    indent = " " * 4
    for block in content:
        shown = escaped(block.text)
        if block.kind in marks:
            shown = f"{marks[block.kind]} {shown}"
        elif block.kind == "numbered":
            shown = f"{block.number}. {shown}"
            # What belongs to an item stands no further left than the item's text.
            indent = " " * max(4, len(f"{block.number}. "))
        elif block.kind == "passage":
            shown = f"{indent}> {shown}"
        elif block.kind == "fact":
            shown = f"- {shown}"
        if lines and not (block.kind == "fact" and previous == "fact"):
            lines.append("")
        lines.append(shown)
        previous = block.kind
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Text of one line that Markdown shows letter by letter."""
    return _MARKDOWN_SIGNS.sub(lambda sign: f"{sign[0][:-1]}\\{sign[0][-1]}", " ".join(text.split()))
