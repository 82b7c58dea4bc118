"""Summary -> a Word file."""

from __future__ import annotations

import io
import re

from app.export.blocks import Block, blocks
from app.summarizing.summary import Summary

_STYLES = {
    "title": "Title",
    "heading": "Heading 1",
    "subheading": "Heading 2",
    "paragraph": "Normal",
    "numbered": "Normal",
    "passage": "Quote",
    "fact": "List Bullet",
}
# What XML 1.0 has no place for, and what is a code of no character.
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_docx(summary: Summary) -> bytes:
    """Everything, in the styles that Word comes with."""
    import docx  # a third of a second that only this takes

    file = docx.Document()
    file.core_properties.title = _shown(summary.document.title)[:255]
    file.core_properties.author = ""
    for block in blocks(summary):
        file.add_paragraph(_shown(_words(block)), style=_STYLES[block.kind])
    content = io.BytesIO()
    file.save(content)
    return content.getvalue()


def _words(block: Block) -> str:
    return f"{block.number}. {block.text}" if block.kind == "numbered" else block.text


def _shown(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
