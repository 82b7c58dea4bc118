"""A resumable run over papers: each summarized by whatever is given, and measured beside the baselines.

ROUGE-1, -2 and -Lsum F1 against the authors' abstracts with 95 % bootstrap intervals, for a summarizer and for
baselines of as many words as its summary of that paper; and what ROUGE does not see: how much of a summary stands in
the paper, how much it repeats itself, and which numbers, units and names the paper does not have. `accelerate launch`
spreads the papers over processes.

Finished papers are kept in a JSON-lines file, so that an interrupted evaluation goes on where it stopped, with as
many processes as one likes. Rankings of sentences, which do not depend on the summaries, are kept beside it.
`python -m app.evaluation` is the command that runs the app's own summaries through it.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from accelerate import PartialState
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
from longt5.evaluation.tables import claims_table, faithfulness_table, rouge_table, summarize_scores
from longt5.text.papers import Paper

MODEL = "model"


class EvaluationError(Exception):
    """An evaluation can't go on; the message is a sentence that says what to do."""


class Evaluation:
    """Summarizes and measures papers, one process's share of them."""

    def __init__(
        self,
        summarizer: Callable[[Paper], str],
        finished: Path,
        settings: dict[str, Any],
        processes: PartialState,
    ) -> None:
        """
        Args:
            summarizer: writes the summaries.
            finished: JSON lines of finished papers; `rankings.jsonl` in the same folder keeps the rankings. All
                processes must see the folder.
            settings: what the summaries depend on, as JSON; kept with every finished paper.
            processes: those that share the papers.
        """
        self.summarizer = summarizer
        self.settings = json.loads(json.dumps(settings))
        self.processes = processes
        self._finished = JsonLines(finished, processes.process_index)
        self._kept_rankings = JsonLines(finished.with_name("rankings.jsonl"), processes.process_index)
        self._scorer = Scorer()

    def run(self, papers: Sequence[Paper]) -> dict[str, list[Scores]]:
        """Returns the scores of the model and of each baseline, paper by paper; finished papers are not done again.

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
                for paper in share:
                    self._measure(paper)
                    bar.update()
        self._gather()
        done = self._done()
        return {
            system: [Scores(**done[paper.id]["scores"][system]) for paper in papers]
            for system in (MODEL, *BASELINES)
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
                or set(record["scores"]) != {MODEL, *BASELINES}
                or set(record["scores"][MODEL]) != measures
            ):
                raise EvaluationError(
                    f"{self._finished.path} holds papers finished with other settings or measures: name another "
                    "file with --finished, or delete it."
                )
        return done

    def _measure(self, paper: Paper) -> None:
        start = time.perf_counter()
        summary = self.summarizer(paper)
        own = self._scorer(summary, paper, time.perf_counter() - start)
        sentences = proper_sentences(paper.text)
        rankings = self._rank(sentences)
        scores = {MODEL: own}
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


def tables(results: dict[str, list[Scores]], name: str) -> str:
    """The tables of a run, its summarizer called `name`."""
    rows = [
        summarize_scores(name if system == MODEL else system, scores) for system, scores in results.items()
    ]
    papers = len(results[MODEL])
    head = f"{papers} papers; ROUGE F1 in per cent with 95 % bootstrap intervals."
    return "\n\n".join([head, rouge_table(rows), faithfulness_table(rows), claims_table(rows)])
