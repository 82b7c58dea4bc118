"""How good summaries are, measured: ``python -m longt5.evaluation --model DIR --data FILE --papers N``.

ROUGE-1, -2 and -Lsum F1 against the authors' abstracts with 95 % bootstrap intervals, for a model and for baselines of
as many words as the model's summary of that paper; and what ROUGE does not see: how much of a summary stands in the
paper, and how much it repeats itself. ``accelerate launch -m longt5.evaluation ...`` spreads the papers over processes.

Finished papers are kept in a JSON-lines file, so that an interrupted evaluation goes on where it stopped, with as many
processes as one likes. Rankings of sentences, which do not depend on the model, are kept beside it for the next one.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env
from tqdm.auto import tqdm

from longt5.evaluation.baselines import (
    BASELINES,
    Ranking,
    baseline_summaries,
    fingerprint,
    proper_sentences,
    rank,
)
from longt5.evaluation.json_lines import JsonLines
from longt5.evaluation.metrics import Scorer, Scores
from longt5.evaluation.model_summarizer import LONG_PAPERS, ModelSummarizer
from longt5.evaluation.paper_sets import choose_papers
from longt5.evaluation.tables import faithfulness_table, rouge_table, summarize_scores
from longt5.loading import LoadingError, load_model, load_tokenizer
from longt5.quote_search import SCORES
from longt5.text.papers import Paper, PapersError

_MODEL = "model"
_BATCHES_SORTED = 8  # papers of so many batches are sorted by length, to be put together with little padding
_LONGEST_WAIT = timedelta(days=30)  # the first process to finish waits for the last


class EvaluationError(Exception):
    """An evaluation can't go on; the message is a sentence that says what to do."""


class Evaluation:
    """Summarizes and measures papers, one process's share of them."""

    def __init__(
        self,
        summarizer: ModelSummarizer,
        finished: Path,
        settings: dict[str, Any],
        processes: PartialState,
        batch_size: int = 1,
    ) -> None:
        """
        Args:
            summarizer: writes the summaries.
            finished: JSON lines of finished papers; ``rankings.jsonl`` in the same folder keeps the rankings. All
                processes must see the folder.
            settings: what the summaries depend on, as JSON; kept with every finished paper.
            processes: those that share the papers.
            batch_size: papers that are summarized together.
        """
        self.summarizer = summarizer
        self.settings = json.loads(json.dumps(settings))
        self.processes = processes
        self.batch_size = batch_size
        self._finished = JsonLines(finished, processes.process_index)
        self._kept_rankings = JsonLines(finished.with_name("rankings.jsonl"), processes.process_index)
        self._scorer = Scorer()

    def run(self, papers: Sequence[Paper]) -> dict[str, list[Scores]]:
        """Return the scores of the model and of each baseline, paper by paper; finished papers are not done again.

        Raises:
            EvaluationError: papers were finished with other settings.
        """
        self._gather()
        done = self._done()
        self._rankings = {record["sentences"]: record["rankings"] for record in self._kept_rankings.read()}
        self.processes.wait_for_everyone()  # until all have read, before the first one writes
        todo = [paper for paper in papers if paper.id not in done]
        with self.processes.split_between_processes(todo) as share:
            bar = tqdm(
                total=len(share),
                unit="paper",
                desc="evaluation",
                file=sys.stderr,
                disable=not self.processes.is_main_process,
            )
            with bar:
                for batch in batches(share, self.batch_size):
                    self._measure(batch)
                    bar.update(len(batch))
        self._gather()
        done = self._done()
        return {
            system: [Scores(**done[paper.id]["scores"][system]) for paper in papers]
            for system in (_MODEL, *BASELINES)
        }

    def _gather(self) -> None:
        self.processes.wait_for_everyone()
        if self.processes.is_main_process:
            self._finished.gather()
            self._kept_rankings.gather()
        self.processes.wait_for_everyone()

    def _done(self) -> dict[str, dict[str, Any]]:
        """The records of finished papers by their ids."""
        done = {record["id"]: record for record in self._finished.read()}
        measures = {field.name for field in dataclasses.fields(Scores)}
        for record in done.values():
            if (
                record.get("settings") != self.settings
                or set(record["scores"]) != {_MODEL, *BASELINES}
                or set(record["scores"][_MODEL]) != measures
            ):
                raise EvaluationError(
                    f"{self._finished.path} holds papers finished with other settings or measures: name another "
                    "file with --finished, or delete it."
                )
        return done

    def _measure(self, papers: Sequence[Paper]) -> None:
        start = time.perf_counter()
        summaries = self.summarizer(papers)
        seconds = (time.perf_counter() - start) / len(papers)
        for paper, summary in zip(papers, summaries):
            own = self._scorer(summary, paper, seconds)
            sentences = proper_sentences(paper.text)
            rankings = self._rank(sentences)
            scores = {_MODEL: own}
            for system, text in baseline_summaries(paper, sentences, rankings, own.words).items():
                time_to_rank = rankings[system].seconds if system in rankings else 0.0
                scores[system] = self._scorer(text, paper, time_to_rank)
            self._finished.append(
                {
                    "id": paper.id,
                    "settings": self.settings,
                    "scores": {system: dataclasses.asdict(value) for system, value in scores.items()},
                    "title": paper.title,
                    "summary": summary,
                    "abstract": paper.abstract,
                }
            )

    def _rank(self, sentences: Sequence[str]) -> dict[str, Ranking]:
        key = fingerprint(sentences)
        if key not in self._rankings:
            rankings = {system: dataclasses.asdict(ranking) for system, ranking in rank(sentences).items()}
            self._rankings[key] = rankings
            self._kept_rankings.append({"sentences": key, "rankings": rankings})
        return {system: Ranking(**ranking) for system, ranking in self._rankings[key].items()}


def batches(papers: Sequence[Paper], size: int) -> Iterator[list[Paper]]:
    """``size`` papers at a time of about the same length, not far from the order given."""
    chunk = size * _BATCHES_SORTED
    for start in range(0, len(papers), chunk):
        ordered = sorted(papers[start : start + chunk], key=lambda paper: len(paper.text))
        for first in range(0, len(ordered), size):
            yield ordered[first : first + size]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Measure a model's summaries against abstracts and baselines."
    )
    parser.add_argument("--model", required=True, help="folder or Hub id")
    parser.add_argument(
        "--data",
        required=True,
        help=".jsonl or .jsonl.zst with text and abstract, a folder of Parquet files with article and abstract, or "
        "a data set of the Hub: scientific_papers/pubmed, ccdv/arxiv-summarization/section",
    )
    parser.add_argument("--split", default="test", help="part of a data set (default: test)")
    parser.add_argument("--papers", type=int, help="how many papers, chosen by their ids (default: all)")
    parser.add_argument(
        "--finished",
        type=Path,
        help="JSON lines to keep finished papers in, and to go on from (default: run/evaluation-MODEL.jsonl); a model "
        "that has changed under the same name needs another file",
    )
    parser.add_argument("--max-input-tokens", type=int, default=16384)
    parser.add_argument(
        "--long-papers",
        choices=LONG_PAPERS,
        default=LONG_PAPERS[0],
        help="what to read of papers longer than that (default: beginning and end)",
    )
    parser.add_argument("--writing", choices=("own words", "quotes"), default="own words")
    parser.add_argument(
        "--quote-score",
        choices=SCORES,
        default=SCORES[0],
        help=f"what sentences are chosen by in quotes (default: {SCORES[0]}, as everywhere else)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=1,
        help="papers summarized together in own words (default: 1); quotes are written one after the other",
    )
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--generation", type=json.loads, default={}, help='JSON, e.g. {"num_beams": 4}')
    return parser


def main() -> int:
    """Print the tables; 1 and a sentence on stderr if model or papers can't be read."""
    arguments = _parser().parse_args()
    # Without `cpu`, accelerate takes several processes on CPUs for so many single ones.
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
    processes = PartialState(cpu=on_cpu, timeout=_LONGEST_WAIT)
    device = "cpu" if on_cpu else f"cuda:{processes.local_process_index}"
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    name = Path(arguments.model).name
    try:
        with processes.main_process_first():  # the others find in the cache what it downloads
            papers = choose_papers(arguments.data, arguments.split, arguments.papers)
            summarizer = ModelSummarizer(
                load_model(arguments.model, device_map=device),
                load_tokenizer(arguments.model),
                arguments.max_input_tokens,
                arguments.writing,
                arguments.quote_score,
                arguments.long_papers,
                **arguments.generation,
            )
        settings = {
            key: getattr(arguments, key)
            for key in (
                "model",
                "data",
                "split",
                "max_input_tokens",
                "long_papers",
                "writing",
                "quote_score",
                "generation",
            )
        }
        finished = arguments.finished or Path("run", f"evaluation-{name}.jsonl")
        results = Evaluation(summarizer, finished, settings, processes, arguments.batch_size).run(papers)
    except (PapersError, LoadingError, EvaluationError) as error:
        if processes.is_main_process:
            print(error, file=sys.stderr)
        return 1
    if processes.is_main_process:
        rows = [
            summarize_scores(name if system == _MODEL else system, scores)
            for system, scores in results.items()
        ]
        print(f"{len(papers)} papers; ROUGE F1 in per cent with 95 % bootstrap intervals.\n")
        print(rouge_table(rows), faithfulness_table(rows), sep="\n\n")
    processes.destroy_process_group()
    return 0


if __name__ == "__main__":
    sys.exit(main())
