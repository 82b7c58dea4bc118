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
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.options import add_options, store_settings, summary_settings
from app.settings import Settings, SettingsError
from app.summarizing.settings import SummaryError, SummarySettings

if TYPE_CHECKING:
    from app.corpus.ledger import Ledger
    from app.corpus.progress import Progress
    from app.corpus.sources import SourceFile

STOPPED = 130  # what a shell reports for a program ended by Ctrl-C
PAGES = ("md", "html")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    options = _parser().parse_args(arguments)
    if missing := [name for name in ("ray", "pyarrow", "fsspec") if find_spec(name) is None]:
        print(
            f"{' and '.join(missing)} can't be imported; pip install -r requirements-corpus.txt installs it.",
            file=sys.stderr,
        )
        return 1
    try:
        return _run(options)
    except KeyboardInterrupt:  # before there was anything in hand
        return _stopped()


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

    from app.corpus.cluster import ClusterError
    from app.corpus.index import write_index
    from app.corpus.ledger import Ledger, LedgerError, parts_of
    from app.corpus.progress import Progress
    from app.corpus.sources import SourcesError, find
    from app.models import ModelStore

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    progress = Progress(quiet=options.quiet)
    try:
        installation = store_settings(options.model)
        settings = summary_settings(options, ModelStore(installation))
        installation = dataclasses.replace(installation, models=_everywhere(installation.models[:1]))
        files = list(find(options.places, out=options.out))
        run = _described(installation.models[0], settings, options.pages)
        with Ledger(options.out, run, resume=options.resume) as ledger:
            left = [file for file in files if not ledger.knows(file)]
            progress.begin(len(files), len(files) - len(left))
            finished = not left or _work(left, ledger, installation, settings, progress, options)
        write_index(options.out, parts_of(options.out), options.pages)
    except (SettingsError, SummaryError, SourcesError, LedgerError, ClusterError) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{options.out} can't be written any more ({error.strerror}); make room there, and go on with --resume.",
            file=sys.stderr,
        )
        return 1
    if not options.quiet:
        print(progress.table(), file=sys.stderr)
    return 0 if finished else _stopped()


def _work(
    left: list[SourceFile],
    ledger: Ledger,
    installation: Settings,
    settings: SummarySettings,
    progress: Progress,
    options: argparse.Namespace,
) -> bool:
    from app.corpus.cluster import Layout, connected
    from app.corpus.run import carry_out

    layout = Layout(options.workers, options.threads, options.workers_per_gpu)
    with connected(options.address, layout) as cluster:
        desk = cluster.desk(ledger.keys)
        rows = cluster.rows(left, desk, installation, settings, tuple(options.pages))
        return carry_out(rows, ledger, desk, progress)


def _stopped() -> int:
    print("Stopped; the same command with --resume goes on.", file=sys.stderr)
    return STOPPED


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
