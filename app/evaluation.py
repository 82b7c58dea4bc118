"""How good the app's own summaries are: `python -m app.evaluation --model DIR --data FILE --papers N`.

Every paper goes through `app.summarizing`, as one that a person drops into the page does, with the model's own
settings unless others are given; `longt5.evaluation` measures what comes out. `accelerate launch -m app.evaluation ...`
spreads the papers over processes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import parse_flag_from_env

from app.documents import Document, Page, undivided
from app.models import ModelStore
from app.settings import SettingsError, from_environment
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summarizer import checked, summarize
from app.summarizing.summary import Done
from longt5.evaluation.evaluation import Evaluation, EvaluationError, tables
from longt5.evaluation.paper_sets import choose_papers
from longt5.text.papers import Paper, PapersError

_LONGEST_WAIT = timedelta(days=30)  # the first process to finish waits for the last


class Summarizer:
    """Summarizes papers as the app does."""

    def __init__(self, store: ModelStore, given: dict[str, Any]) -> None:
        """
        Args:
            store: offers one model.
            given: replaces settings of the model, and what else its generation configuration has.

        Raises:
            SummaryError: the model can't be loaded, or a setting can't be used.
        """
        [name] = store.choices
        known = {field.name for field in fields(SummarySettings)}
        settings = {key: value for key, value in given.items() if key in known}
        self.store = store
        # Abstracts are what is compared: what stands below the summary would be written for nobody.
        defaults = replace(store.profile(name).defaults, sections=False)
        self.settings = checked(replace(defaults, **settings), store)
        with store.use(name) as loaded:  # the time to load it is no paper's
            for key, value in given.items():
                if key not in known:
                    setattr(loaded.model.generation_config, key, value)

    def __call__(self, paper: Paper) -> str:
        """Returns the summary of a paper, an empty one if the model finds nothing to say."""
        try:
            for event in summarize(_document(paper), self.settings, self.store):
                if isinstance(event, Done):
                    return event.summary.text
        except SummaryError as error:
            print(f"{paper.id}: {error}", file=sys.stderr)
        return ""


def _document(paper: Paper) -> Document:
    """A paper as one page that has been read."""
    pages = (Page(1, 0, len(paper.text)),)
    return Document(paper.id, paper.title, paper.text, pages, undivided(paper.text), notes=())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.evaluation",
        description="Measure the app's summaries against abstracts and baselines.",
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
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    app = parser.add_argument_group("settings of the app (default: the model's own)")
    app.add_argument("--writing", help='"own words" or "quotes"')
    app.add_argument("--length", help="short, medium or long")
    app.add_argument("--long-papers", help='"windows", "beginning and end" or "truncate"')
    app.add_argument("--max-input-tokens", type=int)
    app.add_argument(
        "--generation",
        type=json.loads,
        default={},
        help='other settings, and fields of the generation configuration, as JSON: {"num_beams": 4}',
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; 1 and a sentence on stderr if model or papers can't be read."""
    options = _parser().parse_args(arguments)
    # Without `cpu`, accelerate takes several processes on CPUs for so many single ones.
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.cuda.is_available()
    processes = PartialState(cpu=on_cpu, timeout=_LONGEST_WAIT)
    try:
        with processes.main_process_first():  # the others find in the cache what it downloads
            papers = choose_papers(options.data, options.split, options.papers)
            store = ModelStore.for_many_papers(
                replace(
                    from_environment(),
                    models=(options.model,),
                    device_map="cpu" if on_cpu else f"cuda:{processes.local_process_index}",
                    threads=options.threads,
                )
            )
            given = {**options.generation, **_given(options)}
            summarizer = Summarizer(store, given)
        settings = {
            "data": options.data,
            "split": options.split,
            **asdict(summarizer.settings),
            "model": options.model,
            "generation": options.generation,
        }
        finished = options.finished or Path("run", f"evaluation-{Path(options.model).name}.jsonl")
        results = Evaluation(summarizer, finished, settings, processes).run(papers)
    except (PapersError, SettingsError, SummaryError, EvaluationError) as error:
        if processes.is_main_process:
            print(error, file=sys.stderr)
        return 1
    if processes.is_main_process:
        print(tables(results, Path(options.model).name))
    processes.destroy_process_group()
    return 0


def _given(options: argparse.Namespace) -> dict[str, Any]:
    names = ("writing", "length", "long_papers", "max_input_tokens")
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


if __name__ == "__main__":
    sys.exit(main())
