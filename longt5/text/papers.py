"""Papers on disk: JSON lines of full texts with their abstracts, read one at a time and mended on the way.

A file holds one JSON object a line with at least `text` and `abstract` (`id` and `title` are
optional), plain or compressed with zstd (`.zst`).
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Paper:
    """One paper: `text` is the body with its headings as lines, `abstract` the authors' own summary."""

    id: str
    title: str
    text: str
    abstract: str


class PapersError(Exception):
    """A file of papers can't be used; the message is a sentence that says what to do."""


# Words that stand alone before a ligature gap: "the fi rst", but "speci fi c".
_WHOLE_WORDS = (
    "a an and are as at be but by can for from has have in into is it its may more no not of on one or our "
    "per so than that the their these this those to two up was we were when which will with"
)
_LIGATURE_GAP = re.compile(r"\b([A-Za-z]*[a-z]) (ffi|ffl|ff|fi|fl) (?=[a-z])")
_LIGATURE_START = re.compile(r"(?<![A-Za-z])(ffi|ffl|fi|fl) (?=[a-z]{2})")
_LIGATURES = str.maketrans({"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "\u00ad": None})
_KINDS = {type(None): "null", list: "a list", dict: "an object", bool: "a truth value"}
_ABSTRACT_LABEL = re.compile(
    r"(?:(?<=^)|(?<=[.!?)\]] )|(?<=\n))"
    r"(?:(?:Abstract|Summary|Background|Introduction|Purpose|Aims?|Objectives?|Motivation|Hypothesis|Methods?|"
    r"Methodology|Materials? and [Mm]ethods?|Methods? and [Mm]aterials?|Methodology/Principal [Ff]indings|"
    r"Principal [Ff]indings|Study [Dd]esign|Design|Setting|Participants|Findings|Results?|Main [Rr]esults|"
    r"Results and [Dd]iscussion|Discussion|Conclusions?|Conclusions?/[Ss]ignificance|Significance|"
    r"Interpretation|Implications|Availability|Context)\s*[:.]\s+)(?=[A-Z0-9(])"
)


def mend(text: str) -> str:
    """Returns `text` without the ligature faults of PDF readers: "di ff erently" becomes "differently"."""

    def join(match: re.Match[str]) -> str:
        left, ligature = match.groups()
        return f"{left} {ligature}" if f" {left.lower()} " in f" {_WHOLE_WORDS} " else left + ligature

    text = text.translate(_LIGATURES)
    return _LIGATURE_START.sub(r"\1", _LIGATURE_GAP.sub(join, text))


def without_labels(abstract: str) -> str:
    """Returns a structured abstract without its labels ("Background: ...", "Results: ...")."""
    return " ".join(_ABSTRACT_LABEL.sub("", abstract).split())


def read_papers(path: str | Path) -> Iterator[Paper]:
    """Yields the papers of one `.jsonl` or `.jsonl.zst` file, mended.

    Raises:
        PapersError: the file is missing, or a line is not a JSON object with `text` and `abstract`, is not UTF-8, or
            has the id of an earlier one; the sentence names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise PapersError(
            f"There is no file of papers at {path}: give the path of a .jsonl or .jsonl.zst file."
        )
    seen: set[str] = set()
    with path.open("rb") as file:
        stream: Any = file
        if path.suffix == ".zst":
            import zstandard

            stream = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file))
        for number, line in enumerate(stream, start=1):
            line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
            if line.strip():
                paper = _parse(line, number, where=f"Line {number} of {path.name}")
                if paper.id in seen:
                    raise PapersError(
                        f"Line {number} of {path.name} has the id '{paper.id}' of an earlier line: give each paper an "
                        "id of its own."
                    )
                seen.add(paper.id)
                yield paper


def _parse(line: bytes, number: int, where: str) -> Paper:
    try:
        record = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise PapersError(f"{where} is not UTF-8: save the file in that encoding.") from error
    except (ValueError, RecursionError) as error:
        raise PapersError(f"{where} is no paper: it must be a JSON object with text, abstract.") from error
    if not isinstance(record, dict) or not {"text", "abstract"} <= record.keys():
        raise PapersError(f"{where} is no paper: it must be a JSON object with text, abstract.")
    for key in ("text", "abstract"):
        if not isinstance(record[key], str):
            raise PapersError(
                f"{where} has {_KINDS.get(type(record[key]), 'a number')} as its {key}: it must be one string."
            )
    identity, title = record.get("id"), record.get("title")
    return Paper(
        id=str(number if identity is None else identity),
        title=title if isinstance(title, str) else "",
        text=mend(record["text"]),
        abstract=without_labels(mend(record["abstract"])),
    )
