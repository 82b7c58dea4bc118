"""The same job from a terminal: `python -m app paper.pdf [more files]`; `python -m app inspect` draws its attention.

Summaries go to standard output, progress, notes and complaints to standard error. `--json` prints one array
with an object (see app/export/data.py) for each file that could be summarized. Exit code 0: all were; 1: some could
not be; 2: wrong usage; 130: stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from app.options import add_options, store_settings, summary_settings
from app.settings import SettingsError
from app.summarizing.settings import SummaryError, SummarySettings
from app.summarizing.summary import (
    Done,
    Event,
    LoadingModel,
    Queued,
    Read,
    Reading,
    Summary,
    Working,
)

if TYPE_CHECKING:
    from app.models import ModelStore

STOPPED = 130  # what a shell reports for a program ended by Ctrl-C


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program and returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if given[:1] == ["inspect"]:
            return _inspect(given[1:])
        return _run(_parser().parse_args(given))
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:  # whoever read the summaries, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _inspect(arguments: Sequence[str]) -> int:
    from transformers.utils import logging as transformers_logging

    from app.inspecting import command

    transformers_logging.set_verbosity_error()
    return command.main(arguments, store_settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m app",
        description="Summarize papers. Settings that are not given are the model's own. For figures of the model's "
        "attention see `python -m app inspect --help`.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a PDF, .txt or .md file")
    parser.add_argument(
        "--json", action="store_true", help="print a JSON array, sentences with their evidence"
    )
    add_options(parser)
    parser.add_argument("--password", help="for encrypted PDFs")
    parser.add_argument("--quiet", action="store_true", help="no progress and no notes")
    return parser


def _run(options: argparse.Namespace) -> int:
    # Imported late, here and below: torch takes seconds, and a wrong option or --help should not.
    from transformers.utils import logging as transformers_logging

    from app import export
    from app.allocator import give_back
    from app.documents import DocumentError
    from app.models import ModelStore

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        store = ModelStore.for_many_papers(store_settings(options.model))
        settings = summary_settings(options, store)
    except (SettingsError, SummaryError) as error:
        print(error, file=sys.stderr)
        return 1
    failed = False
    with _Output(options.json, several=len(options.files) > 1) as output:
        for path in options.files:
            try:
                summary = _summarize(path, settings, store, options)
            except (DocumentError, SummaryError) as error:
                print(f"{path}: {error}", file=sys.stderr)
                failed = True
                continue
            output.add(path, export.to_json(summary) if options.json else export.plain(summary))
            give_back()
            if not options.quiet:
                for note in summary.notes:
                    print(f"{path}: {note}", file=sys.stderr)
    return 1 if failed else 0


def _summarize(
    path: str, settings: SummarySettings, store: ModelStore, options: argparse.Namespace
) -> Summary:
    from app.summarizing.summarizer import summarize

    with closing(summarize(path, settings, store, password=options.password)) as events:
        for event in _with_progress(events, path, settings, quiet=options.quiet):
            if isinstance(event, Done):
                return event.summary
    raise AssertionError("summarize ends with Done")


def _with_progress(
    events: Iterator[Event], path: str, settings: SummarySettings, *, quiet: bool
) -> Iterator[Event]:
    """Passes the events on and draws a bar of how far they have come."""
    from tqdm import tqdm

    layout = "{desc:<44.44} {percentage:3.0f}% |{bar}| {elapsed}{postfix}"
    with tqdm(total=100, bar_format=layout, leave=False, disable=quiet, file=sys.stderr) as bar:
        for event in events:
            bar.set_description_str(f"{os.path.basename(path)[:20]}: {_activity(event)}", refresh=False)
            left = getattr(event, "seconds_left", None)
            bar.set_postfix_str(f"about {left:.0f} s left" if left is not None else "", refresh=False)
            bar.update(max(0.0, 100 * _fraction(event) - bar.n))
            bar.refresh()
            yield event


def _activity(event: Event) -> str:
    if isinstance(event, Reading):
        doing = "recognizing" if event.recognizing else "reading"
        if not event.page:
            return doing
        return f"{doing} page {event.page}" + (f"/{event.pages}" if event.pages else "")
    if isinstance(event, Read):
        return f"{len(event.document.pages)} pages read"
    if isinstance(event, Queued):
        return f"waiting, {event.position} ahead"
    if isinstance(event, LoadingModel):
        return f"loading {event.name}"
    if isinstance(event, Working):
        return f"{event.doing} {event.step}/{event.steps}"
    return "done"


def _fraction(event: Event) -> float:
    """Roughly how much of the work is done: a tenth is reading the file."""
    if isinstance(event, Reading):
        return 0.1 * event.page / event.pages if event.pages else 0.0
    if isinstance(event, Read):
        return 0.1
    if isinstance(event, Working):
        return 0.1 + 0.9 * event.fraction
    return 1.0 if isinstance(event, Done) else 0.0


class _Output:
    """Standard output: one text after the other, or a JSON array that is whole however the program ends."""

    def __init__(self, json: bool, several: bool) -> None:
        self._json, self._several, self._count = json, several, 0

    def __enter__(self) -> _Output:
        return self

    def add(self, path: str, text: str) -> None:
        if self._json:
            print("[" if self._count == 0 else ",", text.rstrip(), sep="\n", flush=True)
        else:
            separator = "\n" if self._count else ""
            print(f"{separator}{path}:\n{text}" if self._several else text, flush=True)
        self._count += 1

    def __exit__(self, *exception: object) -> None:
        if self._json:
            print("]" if self._count else "[]", flush=True)


if __name__ == "__main__":
    sys.exit(main())
