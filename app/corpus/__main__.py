"""`python -m app.corpus PLACE... --out FOLDER`: every paper of a library into one table, with a page to search it.

Exit code 0: every file has its row; 1: something ended the run, said in a sentence; 2: wrong usage; 130: stopped with
Ctrl-C, to be gone on with by --resume.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.options import add_options, store_settings, summary_settings
from app.settings import SettingsError
from app.summarizing.settings import SummaryError

STOPPED = 130  # what a shell reports for a program ended by Ctrl-C
PAGES = ("md", "html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    return _run(_parser().parse_args(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app.corpus",
        description="Summarize a library of papers, on this machine or on a Ray cluster, into Parquet files and "
        "a page to search them. Settings of the summaries that are not given are the model's own.",
    )
    parser.add_argument(
        "places",
        nargs="+",
        metavar="PLACE",
        help="a folder, a pattern in quotes, an address (s3://, gs://, https://), or a .txt file that lists such",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where everything goes")
    parser.add_argument("--resume", action="store_true", help="go on with the run that is in the folder")
    parser.add_argument(
        "--pages", choices=PAGES, nargs="+", default=[], help="a page for each paper too, as Markdown or HTML"
    )
    parser.add_argument(
        "--address", metavar="A", help='of a Ray cluster, "auto" for the one that this machine belongs to'
    )
    parser.add_argument("--workers", type=_natural, metavar="N", help="processes with a model")
    parser.add_argument(
        "--threads", type=_natural, default=1, metavar="N", help="of each on a CPU (default: 1)"
    )
    parser.add_argument(
        "--workers-per-gpu", type=_natural, default=1, metavar="N", help="that share one (default: 1)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress and no table at the end")
    add_options(parser)
    return parser


def _natural(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def _run(options: argparse.Namespace) -> int:
    # Imported late: torch takes seconds, and a wrong option or --help should not.
    from transformers.utils import logging as transformers_logging

    from app.corpus.cluster import ClusterError, Layout, connected
    from app.corpus.index import write_index
    from app.corpus.ledger import Ledger, LedgerError, parts_of
    from app.corpus.progress import Progress
    from app.corpus.run import carry_out
    from app.corpus.sources import SourcesError, find
    from app.models import ModelStore

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    progress = Progress(quiet=options.quiet)
    try:
        installation = store_settings(options.model)
        settings = summary_settings(options, ModelStore(installation))
        installation = dataclasses.replace(installation, models=_everywhere(installation.models[:1]))
        files = list(find(options.places))
        run = _described(installation.models[0], settings, options.pages)
        layout = Layout(options.workers, options.threads, options.workers_per_gpu)
        with (
            Ledger(options.out, run, resume=options.resume) as ledger,
            connected(options.address, layout) as cluster,
        ):
            desk = cluster.desk(ledger.keys)
            finished = carry_out(
                files,
                ledger,
                desk,
                lambda left: cluster.rows(left, desk, installation, settings, tuple(options.pages)),
                progress,
            )
        write_index(options.out, parts_of(options.out), options.pages)
    except (SettingsError, SummaryError, SourcesError, LedgerError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    if not options.quiet:
        print(progress.table(), file=sys.stderr)
    if not finished:
        print("Stopped; the same command with --resume goes on.", file=sys.stderr)
        return STOPPED
    return 0


def _everywhere(models: tuple[str, ...]) -> tuple[str, ...]:
    """Folders by their whole path, as workers have other working folders."""
    return tuple(str(Path(model).resolve()) if Path(model).is_dir() else model for model in models)


def _described(model: str, settings: Any, pages: Sequence[str]) -> dict[str, Any]:
    """What has an effect on the rows, as JSON knows it."""
    return json.loads(
        json.dumps({"model": model, "settings": dataclasses.asdict(settings), "pages": sorted(pages)})
    )


if __name__ == "__main__":
    sys.exit(main())
