"""Summary -> JSON.

The JSON is one object:

    title, file          strings
    pages                number of pages of the file
    pages_read           numbers of the pages of which something was read
    tokens_read, tokens_left_out
    notes                sentences about what was read and left out
    complete             false if the summary was stopped before its end
    model                name of the model
    seconds              seconds it took, without waiting in the queue
    settings             every setting by its name, see `SummarySettings`
    summary              the text of the summary proper
    parts                list of {kind, heading, page, text} in reading order: kind is tldr, summary or section;
                         a section has the heading and the first page of what it is about, the others "" and null
    sentences            list of {part, text, start, end, quoted, unsupported, evidence}, its places being the numbers
                         that name sentences elsewhere: part is an index of `parts`, start and end are characters of
                         that part's text; quoted says that the sentence stands in the paper word for word;
                         unsupported is a list of [start, end], characters of the sentence's text: numbers, units and
                         names that stand nowhere in what the model read;
                         evidence is a list of {page, quote, score, start, end}, best first: score is a share
                         from 0 to 1 of the attention that counts for the sentence (docs/evidence.md), start and end
                         are characters of the text read from the file
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from app.summarizing.summary import Evidence, Part, Summary


def to_dict(summary: Summary) -> dict[str, Any]:
    """The object described above."""
    document = summary.document
    return {
        "title": document.title,
        "file": document.name,
        "pages": len(document.pages),
        "pages_read": list(summary.pages_read),
        "tokens_read": summary.tokens_read,
        "tokens_left_out": summary.tokens_left_out,
        "notes": list(summary.notes),
        "complete": summary.complete,
        "model": summary.settings.model,
        "seconds": round(summary.seconds, 2),
        "settings": dataclasses.asdict(summary.settings),
        "summary": summary.text,
        "parts": [_part(summary, part) for part in summary.parts],
        "sentences": [
            sentence for index, part in enumerate(summary.parts) for sentence in _sentences(index, part)
        ],
    }


def to_json(summary: Summary) -> str:
    """The object described above, indented."""
    return json.dumps(to_dict(summary), ensure_ascii=False, indent=2) + "\n"


def _part(summary: Summary, part: Part) -> dict[str, Any]:
    page = summary.document.page_of(part.start) if part.kind == "section" else None
    return {"kind": part.kind, "heading": part.heading, "page": page, "text": part.text}


def _sentences(index: int, part: Part) -> Iterator[dict[str, Any]]:
    start = 0
    for sentence in part.sentences:
        end = start + len(sentence.text)
        yield {
            "part": index,
            "text": sentence.text,
            "start": start,
            "end": end,
            "quoted": sentence.quoted,
            "unsupported": [list(found) for found in sentence.unsupported],
            "evidence": [_evidence(evidence) for evidence in sentence.evidence],
        }
        start = end + 1  # `Part.text` puts a space between them


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "page": evidence.page,
        "quote": evidence.quote,
        "score": round(evidence.score, 4),
        "start": evidence.start,
        "end": evidence.end,
    }
