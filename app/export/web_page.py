"""Summary -> a web page that stands alone: sentences lead to their passages, marked in the paper's text."""

from __future__ import annotations

import html
from collections.abc import Iterator
from itertools import pairwise

from app.documents import Page
from app.export.blocks import HEADINGS, INCOMPLETE, about_file, caution, facts, heading, shown_evidence
from app.summarizing.summary import Part, Sentence, Summary

# Nothing is loaded and nothing runs, whatever stands in the paper.
_HEAD = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.55; font-family: system-ui, sans-serif; }}
h1 {{ line-height: 1.2; }} .facts {{ opacity: .75; font-size: .9rem; }}
a {{ color: #0f766e; text-decoration: none; white-space: nowrap; font-size: .85em; }}
a:hover {{ text-decoration: underline; }}
mark {{ background: #fde68a; color: #111; }}
:target + mark, :target + span + mark {{ outline: 2px solid #0f766e; }}
.unsupported {{ text-decoration: underline wavy #b45309; }}
.page {{ border-top: 1px solid; margin-top: 2rem; font-size: .85rem; opacity: .75; }}
@media (prefers-color-scheme: dark) {{ a {{ color: #5eead4; }} }}
</style>
</head>
<body>
"""
# What is shown though Python calls it unprintable: line ends, and the joiners of Persian and Indic scripts.
_SHOWN = "\n\t\u200c\u200d"
_UNSUPPORTED = "This does not stand in what the model read: check it in the paper."


def to_html(summary: Summary) -> str:
    """Everything, the paper's text included, as one file without scripts."""
    document = summary.document
    title = as_html(document.title or document.name)
    lines = [
        _HEAD.format(title=title, language=as_html(document.language or "en")),
        f'<h1 dir="auto">{title}</h1>\n<p class="facts">{as_html(about_file(summary))}</p>',
        *([] if summary.complete else [f"<p><strong>{as_html(INCOMPLETE)}</strong></p>"]),
        *_written(summary),
        f'<p class="facts">{as_html(caution(summary))}</p>',
        "<h2>How it was made</h2>\n<ul>",
        *(f"<li>{as_html(fact)}</li>" for fact in facts(summary)),
        "</ul>\n<h2>The text of the paper, as it was read</h2>",
        *(line for page in document.pages for line in _page(summary, page)),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _written(summary: Summary) -> Iterator[str]:
    number, last = 0, ""
    for part in summary.parts:
        if part.kind != last:
            yield f"<h2>{as_html(HEADINGS[part.kind])}</h2>"
        last = part.kind
        if part.kind == "section":
            yield f'<h3 dir="auto">{as_html(heading(summary, part))}</h3>'
        yield f'<p dir="auto">{_sentences(part, number)}</p>'
        number += len(part.sentences)


def _sentences(part: Part, first: int) -> str:
    return " ".join(
        f'<span id="s{number}">{_sentence(sentence)}</span> {_links(sentence, number)}'.strip()
        for number, sentence in enumerate(part.sentences, start=first)
    )


def _sentence(sentence: Sentence) -> str:
    shown, end = [], 0
    for start, stop in sorted(sentence.unsupported):
        shown.append(as_html(sentence.text[end:start]))
        shown.append(
            f'<span class="unsupported" title="{_UNSUPPORTED}">{as_html(sentence.text[start:stop])}</span>'
        )
        end = stop
    return "".join(shown) + as_html(sentence.text[end:])


def _links(sentence: Sentence, number: int) -> str:
    passages = enumerate(shown_evidence(sentence))
    return " ".join(f'<a href="#s{number}e{i}">p. {passage.page}</a>' for i, passage in passages)


def _page(summary: Summary, page: Page) -> Iterator[str]:
    """The text of a page, a paragraph for each line of it, the passages marked."""
    yield f'<p class="page">Page {page.number}</p>'
    marks = [
        (passage.start, passage.end, f"s{number}e{i}")
        for number, sentence in enumerate(summary.sentences)
        for i, passage in enumerate(shown_evidence(sentence))
        if passage.start < page.end and passage.end > page.start
    ]
    start = page.start
    for line in summary.document.text[page.start : page.end].split("\n"):
        end = start + len(line)
        if line.strip():
            yield f'<p dir="auto">{_marked(summary.document.text, start, end, marks)}</p>'
        start = end + 1


def _marked(text: str, start: int, end: int, marks: list[tuple[int, int, str]]) -> str:
    """`text[start:end]`, cut wherever a passage begins or ends: passages may overlap, elements may not."""
    inside = [mark for mark in marks if mark[0] < end and mark[1] > start]
    cuts = sorted({start, end, *(max(start, m[0]) for m in inside), *(min(end, m[1]) for m in inside)})
    shown = []
    for left, right in pairwise(cuts):
        piece = as_html(text[left:right])
        if any(begin <= left and right <= stop for begin, stop, _ in inside):
            names = "".join(f'<span id="{name}"></span>' for begin, _, name in inside if begin == left)
            piece = f"{names}<mark>{piece}</mark>"
        shown.append(piece)
    return "".join(shown)


def as_html(value: object) -> str:
    """A value as HTML that shows it letter by letter."""
    letters = "".join(sign if sign.isprintable() or sign in _SHOWN else "\ufffd" for sign in str(value))
    return html.escape(letters, quote=True)
