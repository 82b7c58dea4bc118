"""How good summaries are, measured: ``python -m longt5.evaluation --model DIR --data FILE --papers N``.

ROUGE-1, -2 and -Lsum F1 against the authors' abstracts with 95 % bootstrap intervals, for a model and for
baselines cut to the same number of words as the model's summary of that paper; and what ROUGE does not see:
how much of a summary stands in the paper, and how much it repeats itself. Finished papers are kept in a
JSON-lines file, so that an interrupted evaluation goes on where it stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rouge_score import rouge_scorer
from tqdm.auto import tqdm

from .model_summarizer import ModelSummarizer
from .papers import Paper, PapersError, read_papers
from .sentences import split_sentences

MEASURES = ("rouge1", "rouge2", "rougeLsum")
_WORD = re.compile(r"[^\W_]+")
_SHORTEST_SENTENCE = 5  # words; shorter ones are headings, which no extract takes


@dataclass(frozen=True)
class Scores:
    """One summary of one paper, measured. Shares are 0..1; ``seconds`` is the time to write it."""

    rouge1: float
    rouge2: float
    rougeLsum: float
    words: int
    words_in_paper: float
    four_grams_in_paper: float
    repeated_four_grams: float
    seconds: float


@dataclass(frozen=True)
class Row:
    """One line of the table: a system, its mean of each measure, and 95 % intervals of the ROUGE means."""

    system: str
    papers: int
    means: dict[str, float]
    intervals: dict[str, tuple[float, float]]


def score(summary: str, paper: Paper, scorer: rouge_scorer.RougeScorer, seconds: float = 0.0) -> Scores:
    """Measure ``summary`` against the paper's abstract and its text."""
    rouge = scorer.score(_one_sentence_a_line(paper.abstract), _one_sentence_a_line(summary))
    written, read = words_of(summary), words_of(paper.text)
    grams = four_grams(written)
    return Scores(
        **{name: rouge[name].fmeasure for name in MEASURES},
        words=len(written),
        words_in_paper=_share(written, set(read)),
        four_grams_in_paper=_share(grams, set(four_grams(read))),
        repeated_four_grams=1.0 - len(set(grams)) / len(grams) if grams else 0.0,
        seconds=seconds,
    )


def words_of(text: str) -> list[str]:
    """Lower-case words and numbers of ``text``, without punctuation."""
    return _WORD.findall(text.lower())


def four_grams(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Every four words in a row."""
    return [tuple(words[start : start + 4]) for start in range(len(words) - 3)]


def first_sentences(paper: Paper, words: int) -> str:
    """The beginning of the paper without headings, cut to ``words`` words."""
    return cut_to_words(" ".join(_proper_sentences(paper.text)), words)


def random_sentences(paper: Paper, words: int) -> str:
    """Sentences by chance (always the same ones), in the paper's order, cut to ``words`` words."""
    sentences = _proper_sentences(paper.text)
    order = list(range(len(sentences)))
    random.Random(paper.id).shuffle(order)
    chosen, length = [], 0
    while order and length < words:
        chosen.append(order.pop())
        length += len(words_of(sentences[chosen[-1]]))
    return cut_to_words(" ".join(sentences[index] for index in sorted(chosen)), words)


BASELINES = {"first sentences": first_sentences, "random sentences": random_sentences}


def cut_to_words(text: str, words: int) -> str:
    """``text`` up to its ``words``-th word."""
    for count, match in enumerate(_WORD.finditer(text), start=1):
        if count == words:
            return text[: match.end()]
    return text if words else ""


def evaluate(
    papers: Sequence[Paper], summarizer: ModelSummarizer, name: str, finished: Path
) -> dict[str, list[Scores]]:
    """Return the scores of each system, paper by paper; what ``finished`` already holds is not done again."""
    scorer = rouge_scorer.RougeScorer(list(MEASURES), use_stemmer=True)
    done: dict[str, dict[str, dict[str, float]]] = {}
    if finished.exists():
        for line in finished.read_text().splitlines():
            record = json.loads(line)
            done[record["id"]] = record["scores"]
    results: dict[str, list[Scores]] = {system: [] for system in (name, *BASELINES)}
    for paper in tqdm(papers, unit="paper", desc="evaluation", file=sys.stderr):
        if paper.id not in done:
            start = time.perf_counter()
            [summary] = summarizer([paper])
            own = score(summary, paper, scorer, time.perf_counter() - start)
            record = {name: own}
            for system, baseline in BASELINES.items():
                record[system] = score(baseline(paper, own.words), paper, scorer)
            done[paper.id] = {system: dataclasses.asdict(value) for system, value in record.items()}
            finished.parent.mkdir(parents=True, exist_ok=True)
            with finished.open("a") as file:
                file.write(json.dumps({"id": paper.id, "summary": summary, "scores": done[paper.id]}) + "\n")
        for system, scores in results.items():
            scores.append(Scores(**done[paper.id][system]))  # type: ignore[arg-type]
    return results


def summarize_scores(system: str, scores: Sequence[Scores], samples: int = 1000) -> Row:
    """Mean of each measure, with percentile bootstrap intervals over papers for ROUGE."""
    chance = np.random.default_rng(0)
    drawn = chance.integers(len(scores), size=(samples, len(scores)))
    values = {
        entry.name: np.array([getattr(one, entry.name) for one in scores], dtype=float)
        for entry in dataclasses.fields(Scores)
    }
    intervals = {}
    for name in MEASURES:
        low, high = np.percentile(values[name][drawn].mean(axis=1), [2.5, 97.5])
        intervals[name] = (float(low), float(high))
    return Row(system, len(scores), {name: float(array.mean()) for name, array in values.items()}, intervals)


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, ROUGE and shares in per cent."""
    lines = [
        "| system | ROUGE-1 | ROUGE-2 | ROUGE-Lsum | words | words in paper | 4-grams in paper "
        "| repeated 4-grams | s/paper |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        rouge = []
        for name in MEASURES:
            low, high = row.intervals[name]
            rouge.append(f"{100 * row.means[name]:.2f} [{100 * low:.2f}, {100 * high:.2f}]")
        shares = [
            f"{100 * row.means[name]:.1f} %"
            for name in ("words_in_paper", "four_grams_in_paper", "repeated_four_grams")
        ]
        cells = [row.system, *rouge, f"{row.means['words']:.0f}", *shares, f"{row.means['seconds']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def choose_papers(path: Path, count: int | None) -> list[Paper]:
    """The first ``count`` papers of a file in an order that depends on their ids alone; all if None."""
    papers = sorted(read_papers(path), key=lambda paper: hashlib.sha256(paper.id.encode()).digest())
    return papers[:count]


def _proper_sentences(text: str) -> list[str]:
    sentences = (text[start:end] for start, end in split_sentences(text))
    return [
        sentence
        for sentence in sentences
        if sentence.rstrip("\"'”’)]").endswith((".", "?", "!"))
        and len(words_of(sentence)) >= _SHORTEST_SENTENCE
    ]


def _one_sentence_a_line(text: str) -> str:
    """ROUGE-Lsum compares line by line."""
    return "\n".join(text[start:end] for start, end in split_sentences(text))


def _share(items: Sequence[object], known: set[object]) -> float:
    return sum(item in known for item in items) / len(items) if items else 0.0


def main() -> int:
    """Print the table; 1 and a sentence on stderr if model or papers can't be read."""
    parser = argparse.ArgumentParser(
        description="Measure a model's summaries against abstracts and baselines."
    )
    parser.add_argument("--model", required=True, help="folder or Hub id")
    parser.add_argument(
        "--data", type=Path, required=True, help=".jsonl or .jsonl.zst with text and abstract"
    )
    parser.add_argument("--papers", type=int, help="how many papers, chosen by their ids (default: all)")
    parser.add_argument(
        "--finished", type=Path, help="JSON lines to keep finished papers in, and to go on from"
    )
    parser.add_argument("--max-input-tokens", type=int, default=16384)
    parser.add_argument("--writing", choices=("own words", "quotes"), default="own words")
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--generation", type=json.loads, default={}, help='JSON, e.g. {"num_beams": 4}')
    arguments = parser.parse_args()
    from .loading import LoadingError, load_model, load_tokenizer

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    try:
        papers = choose_papers(arguments.data, arguments.papers)
        summarizer = ModelSummarizer(
            load_model(arguments.model),
            load_tokenizer(arguments.model),
            arguments.max_input_tokens,
            arguments.writing,
            **arguments.generation,
        )
    except (PapersError, LoadingError) as error:
        print(error, file=sys.stderr)
        return 1
    name = Path(arguments.model).name
    finished = arguments.finished or Path(f"evaluation-{name}.jsonl")
    results = evaluate(papers, summarizer, name, finished)
    print(table([summarize_scores(system, scores) for system, scores in results.items()]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
