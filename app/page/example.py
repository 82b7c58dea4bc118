"""The example of the first screen: a paper that has been read and summarized before anybody comes.

Its summary is a file, made by `python -m app.page.example` with the model that comes with the repository. A test holds
it against the paper's text and against the model; where they differ the page shows the paper without a summary.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from app.documents import Document, ReadingLimits
from app.documents import read as read_document
from app.models import ModelStore
from app.page.papers import Paper
from app.page.visitors import Visitor, Visitors
from app.settings import EMBEDDED_MODEL, Settings
from app.summarizing.settings import SummarySettings
from app.summarizing.summarizer import summarize
from app.summarizing.summary import Done, Evidence, Part, Sentence, Summary

EXAMPLE = Path(__file__).resolve().parents[2] / "assets" / "example" / "longt5-explained.pdf"
SUMMARY = EXAMPLE.with_name("summary.json")


class Example:
    """The example, read when it is first asked for. For any number of threads."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._paper: Paper | None = None

    def paper(self) -> Paper:
        """The paper, the same for everybody: it is looked at, and not worked on."""
        with self._lock:
            if self._paper is None:
                document = read_document(EXAMPLE, limits=self._store.settings.reading_limits)
                summary = load(SUMMARY, document)
                if summary is not None and summary.settings.model not in self._store.choices:
                    summary = None
                self._paper = Paper(EXAMPLE.name, EXAMPLE, document=document, summary=summary, own_file=False)
                self._paper.state = "read" if summary is None else "done"
            return self._paper

    def copy(self, visitors: Visitors, visitor: Visitor) -> Paper:
        """One of a visitor's own, to be worked on.

        Raises:
            SummaryError: there is no room.
        """
        paper = visitors.add(visitor, EXAMPLE.name, EXAMPLE, move=False)
        paper.document, paper.state = self.paper().document, "read"
        return paper


def save(summary: Summary, path: Path) -> None:
    """Writes a summary without its document and its windows, and what tells which text and which model it is of."""
    without = ("document", "windows")  # a hundred times as large, and for the attention alone
    content = {
        field.name: getattr(summary, field.name) for field in fields(summary) if field.name not in without
    }
    content |= {"text": _digest(summary.document.text.encode()), "weights": weights()}
    written = json.dumps(content, default=asdict, ensure_ascii=False, separators=(",", ":"))
    path.write_text(written + "\n", encoding="utf-8")


def load(path: Path, document: Document) -> Summary | None:
    """A summary that `save` wrote; None if there is none, or it is of another text."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    if content["text"] != _digest(document.text.encode()):
        return None
    return Summary(
        document=document,
        parts=tuple(_part(part) for part in content["parts"]),
        settings=SummarySettings(**content["settings"]),
        tokens_read=content["tokens_read"],
        tokens_left_out=content["tokens_left_out"],
        pages_read=tuple(content["pages_read"]),
        notes=tuple(content["notes"]),
        seconds=content["seconds"],
        windows=(),
    )


def weights() -> str:
    """A digest of the weights of the model that comes along."""
    return _digest((Path(EMBEDDED_MODEL) / "model.safetensors").read_bytes())


def _part(content: dict[str, Any]) -> Part:
    sentences = tuple(
        Sentence(
            **{
                **_tuples(sentence),
                "evidence": tuple(Evidence(**passage) for passage in sentence["evidence"]),
            }
        )
        for sentence in content["sentences"]
    )
    return Part(content["kind"], sentences, content["heading"], content["start"])


def _tuples(content: dict[str, Any]) -> dict[str, Any]:
    """Lists, and lists in them, as tuples."""
    return {
        name: tuple(tuple(item) if isinstance(item, list) else item for item in value)
        if isinstance(value, list)
        else value
        for name, value in content.items()
    }


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def main() -> None:
    """Summarizes the example and writes the file."""
    store = ModelStore(Settings())
    document = read_document(EXAMPLE, limits=ReadingLimits())
    defaults = store.profile(store.choices[0]).defaults
    *_, done = summarize(document, defaults, store)
    assert isinstance(done, Done)
    save(done.summary, SUMMARY)


if __name__ == "__main__":
    main()
