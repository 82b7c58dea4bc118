"""A summary as a file that people take along: one table of formats.

`to_dict` (see data.py for its schema) is what the API answers; `plain` is what Copy and the terminal give.
"""

from app.export.bibtex import to_bibtex
from app.export.blocks import cited, page_reference, plain
from app.export.data import to_dict, to_json
from app.export.formats import FORMATS, Format, file_name
from app.export.several import to_csv, to_one_markdown
from app.export.text import to_markdown, to_text
from app.export.web_page import to_html

__all__ = [
    "FORMATS",
    "Format",
    "cited",
    "file_name",
    "page_reference",
    "plain",
    "to_bibtex",
    "to_csv",
    "to_dict",
    "to_html",
    "to_json",
    "to_markdown",
    "to_one_markdown",
    "to_text",
]
