"""Tables of made-up papers, for what is made of a table."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from app.corpus.ledger import Ledger, parts_of
from app.corpus.rows import Row, failure_row
from app.corpus.sources import SourceFile
from tests.app.factories import sentence
from tests.page_server import HOSTILE

ERROR = "This PDF is damaged and cannot be read; try to open and save it again, or get another copy."
PARTS = (("tldr", "", 1), ("summary", "", 8), ("section", "1 Introduction", 2), ("section", "2 Methods", 2))


def made_up_row(number: int) -> Row:
    """A paper whose title has its number; every fifth is hostile, every seventh has no summary."""
    chance = random.Random(number)
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    file = SourceFile(f"/library/{number // 100}/paper-{number:04}.pdf", "1")
    if number % 7 == 3:
        return failure_row(file, sha256, ERROR)
    hostile = HOSTILE[number % len(HOSTILE)] if number % 5 == 0 else ""
    sentences = [
        {
            "part": part,
            "heading": heading,
            "text": f"{sentence(chance)} {hostile}".strip(),
            "quoted": False,
            "not_in_paper": ["4.2"],
            "evidence": [
                {"page": chance.randint(1, 20), "quote": f"{sentence(chance)} {hostile}", "score": score}
                for score in (0.6, 0.2, 0.001)
            ],
        }
        for part, heading, count in PARTS
        for _ in range(count)
    ]
    return {
        **failure_row(file, sha256, "", 3.0),
        "error": None,
        "title": f"Paper {number} {hostile}".strip(),
        "authors": ["Ada Lovelace", "Émile Zola"][: number % 3],
        "language": ("en", "en", "de", "el")[number % 4],
        "pages": number % 40 + 1,
        "tldr": sentences[0]["text"],
        "summary": " ".join(found["text"] for found in sentences[1:9]),
        "sentences": sentences,
        "sections": [
            {"heading": heading, "page": page, "text": ""}
            for page, (_, heading, _) in enumerate(PARTS[2:], 1)
        ],
        "notes": ["Pages 1 to 20 were read."],
        "model": "tiny",
        "settings": "{}",
    }


def make_table(folder: Path, count: int) -> list[Path]:
    """The table's files."""
    with Ledger(folder, {}, resume=False) as ledger:
        for number in range(count):
            ledger.add(made_up_row(number))
    return parts_of(folder)
