"""Summary -> Markdown, plain text or JSON.

The JSON is one object:

    title, file          strings
    pages                number of pages of the file
    pages_read           numbers of the pages of which something was read
    tokens_read, tokens_left_out
    notes                sentences about what was read and left out
    model                name of the model
    seconds              seconds it took, without waiting in the queue
    settings             every setting by its name, see `SummarySettings`
    summary              the whole text
    sentences            list of {text, evidence};
                         evidence is a list of {page, quote, score, start, end}, best first: score is a share
                         of attention from 0 to 1, start and end are characters of the text read from the file
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from app.summarizing.summary import Evidence, Sentence, Summary

QUOTED = "Every sentence stands in the paper word for word, on the page named."
CAUTION = "The passages are those that the model attended to most; attention is a hint, not a proof."
# What can mean something in CommonMark, its HTML, or the tables, maths, notes and bare links of its dialects:
# some signs anywhere, some at the beginning of a line only.
_MARKDOWN_SIGNS = re.compile(
    r"[\\`*_{}\[\]<>#!|~$^&@=]|:(?=//)|(?<=www)\.|^[-+:]|(?<=^\d)[.)]|^\d{2,9}[.)]", re.I
)


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
        "model": summary.settings.model,
        "seconds": round(summary.seconds, 2),
        "settings": dataclasses.asdict(summary.settings),
        "summary": summary.text,
        "sentences": [
            {
                "text": sentence.text,
                "evidence": [_evidence(evidence) for evidence in sentence.evidence],
            }
            for sentence in summary.sentences
        ],
    }


def to_json(summary: Summary) -> str:
    """The object described above, indented."""
    return json.dumps(to_dict(summary), ensure_ascii=False, indent=2) + "\n"


def to_text(summary: Summary) -> str:
    """The summary as plain text: title, summary, evidence, what was read."""
    lines = [_one_line(_title(summary)), "", summary.text, "", "Where it comes from", ""]
    for number, sentence in enumerate(summary.sentences, start=1):
        lines.append(f"{number}. {_one_line(sentence.text)}")
        lines += [f"   {_one_line(line)}" for line in _passages(sentence)]
    lines += ["", _caution(summary), "", *map(_one_line, _about(summary))]
    return "\n".join(lines) + "\n"


def to_markdown(summary: Summary) -> str:
    """The same as Markdown, text of the paper and of the model escaped so that it shows as it is."""
    lines = [f"# {_escaped(_title(summary))}", "", _escaped(summary.text), "", "## Where it comes from", ""]
    for number, sentence in enumerate(summary.sentences, start=1):
        lines += [f"{number}. {_escaped(sentence.text)}", ""]
        for line in _passages(sentence):
            lines += [f"    > {_escaped(line)}", ""]
    lines += [f"*{_caution(summary)}*", "", "## How it was made", ""]
    lines += [f"- {_escaped(line)}" for line in _about(summary)]
    return "\n".join(lines) + "\n"


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "page": evidence.page,
        "quote": evidence.quote,
        "score": round(evidence.score, 4),
        "start": evidence.start,
        "end": evidence.end,
    }


def _title(summary: Summary) -> str:
    return summary.document.title or summary.document.name


def _passages(sentence: Sentence) -> list[str]:
    """A line for each passage that the sentence rests on."""
    if sentence.quoted:
        return [f"page {sentence.evidence[0].page}, quoted"]
    return [f"page {passage.page} ({passage.score:.0%}): {passage.quote}" for passage in sentence.evidence]


def _caution(summary: Summary) -> str:
    return QUOTED if summary.settings.writing == "quotes" else CAUTION


def _about(summary: Summary) -> list[str]:
    return [
        *summary.notes,
        f"File {summary.document.name}, {len(summary.document.pages)} pages; model {summary.settings.model}; "
        f"{summary.seconds:.0f} seconds.",
    ]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _escaped(text: str) -> str:
    """Text that Markdown shows letter by letter, on one line."""
    return _MARKDOWN_SIGNS.sub(lambda sign: f"{sign[0][:-1]}\\{sign[0][-1]}", _one_line(text))
