"""One figure from a terminal: `python -m app inspect paper.pdf --view globals --layer 4 --head 1 --out figure.svg`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from app.documents import DocumentError
from app.inspecting.paper import SUFFIXES, InspectedPaper, kind_of
from app.inspecting.questions import ALL_HEADS, WHOLE_SUMMARY
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.settings import Settings, SettingsError
from app.summarizing.settings import SummaryError


def main(arguments: Sequence[str], settings_for: Callable[[str | None], Settings]) -> int:
    """Writes the figure, and says what it shows; 0 if it could, 1 with a sentence on standard error if not.

    Args:
        settings_for: the settings with the model that was named, if one was.
    """
    options = vars(_parser().parse_args(arguments))
    path, words, out, model, password = (
        options.pop(name) for name in ("file", "words", "out", "model", "password")
    )
    try:
        kind_of(out)  # before the paper is read, which takes long
        store = ModelStore(settings_for(model))
        paper = InspectedPaper.read(path, words, store=store, password=password)
        asked = {name: value for name, value in options.items() if value is not None}
        figure = paper.ask(**asked, progress=_progress)
        figure.save(out)
    except (DocumentError, SettingsError, SummaryError) as error:
        print(error, file=sys.stderr)
        return 1
    print(figure.says)
    return 0


def _progress(fraction: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{fraction:4.0%}", end="\n" if fraction >= 1 else "", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    views = "\n".join(f"  {view.name:8} {view.question}" for view in VIEWS.values())
    parser = argparse.ArgumentParser(
        prog="python -m app inspect",
        description="One figure of a model's attention to a paper.",
        epilog=f"views:\n{views}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", metavar="FILE", help="a PDF, .txt or .md file")
    parser.add_argument("--view", choices=list(VIEWS), required=True, help="which view, see below")
    parser.add_argument("--out", required=True, metavar="FILE", help=f"where to: .{', .'.join(SUFFIXES)}")
    parser.add_argument("--layer", type=int, metavar="N", help="from 0, of the view's stack")
    parser.add_argument("--head", type=int, metavar="N", help=f"from 0; {ALL_HEADS} for the mean of all")
    parser.add_argument(
        "--words", default="", metavar="TEXT", help="the summary that views of its words are about"
    )
    parser.add_argument(
        "--sentence", type=int, metavar="N", help=f"of these words, from 0; {WHOLE_SUMMARY} for all of them"
    )
    parser.add_argument("--start", type=int, metavar="N", help="first token of the paper to show")
    parser.add_argument("--count", type=int, metavar="N", help="how many tokens to show")
    options = sorted({name for view in VIEWS.values() for _, name in view.options if name})
    parser.add_argument("--option", choices=options, help="of the view")
    parser.add_argument("--sort", metavar="MEASURE", help="what the heads of `heads` are sorted by")
    parser.add_argument("--scale", choices=["log", "linear"], help="how colours follow the numbers")
    parser.add_argument("--model", metavar="M", help="a folder, a Hub id, or one of LONGT5_MODELS")
    parser.add_argument("--password", help="for encrypted PDFs")
    return parser
