"""Summaries beside the true abstracts, to be read by a person: `python -m longt5.evaluation.samples FILE`.

FILE holds the finished papers of `app.evaluation`; nothing is computed again. The same seed draws the same papers,
whatever model wrote the summaries.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path
from typing import Any

from longt5.evaluation.json_lines import JsonLines


def samples(records: list[dict[str, Any]], count: int, seed: int) -> str:
    """`count` of the finished papers as text, or all if there are fewer: title, abstract, summary, ROUGE."""
    papers = sorted({record["id"]: record for record in records}.values(), key=lambda record: record["id"])
    drawn = random.Random(seed).sample(papers, min(count, len(papers)))
    return "\n\n".join(_describe(number, record) for number, record in enumerate(drawn, start=1))


def _describe(number: int, record: dict[str, Any]) -> str:
    scores = record["scores"]["model"]
    rouge = ", ".join(f"{100 * scores[name]:.1f}" for name in ("rouge1", "rouge2", "rougeLsum"))
    head = f"{number}. {record['title'] or record['id']} (ROUGE-1, -2, -Lsum: {rouge})"
    return f"{head}\n\nAbstract: {record['abstract'].strip()}\n\nSummary: {record['summary'].strip()}"


def main() -> int:
    """Prints the samples; 1 and a sentence on stderr if there are no finished papers."""
    parser = argparse.ArgumentParser(description="Print summaries beside the true abstracts.")
    parser.add_argument("finished", type=Path, help="JSON lines that app.evaluation has written")
    parser.add_argument("--papers", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="draws the papers (default: 0)")
    arguments = parser.parse_args()
    try:
        records = JsonLines(arguments.finished).read()
        text = samples(records, arguments.papers, arguments.seed)
    except (OSError, json.JSONDecodeError, KeyError, TypeError):
        text = ""
    if not text:
        problem = f"There are no finished papers in {arguments.finished}: give a file of app.evaluation."
        print(problem, file=sys.stderr)
        return 1
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
