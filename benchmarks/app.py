"""How long people wait for the app besides the model's own work: its start, attention views, PDFs.

python -m benchmarks.app
python -m benchmarks.app --only pdfs --pdfs papers
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks._app_start import start_app
from benchmarks._attention_views import time_views
from benchmarks._job import ROOT
from benchmarks._pdf_reading import time_pdfs
from benchmarks._report import digits, machine, spread

PARTS = ("start", "views", "pdfs")


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    options.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="which tables")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument(
        "--tokens", type=int, default=16_384, help="length of the paper whose attention is shown"
    )
    options.add_argument(
        "--pdfs", type=Path, default=ROOT / "assets" / "example", help="folder of the PDFs to read"
    )
    return options.parse_args()


def main() -> None:
    options = arguments()
    print(f"{machine()}, {torch.get_num_threads()} threads, {options.repeats} repeats.", flush=True)
    if "start" in options.only:
        print_start(options.repeats)
    if "views" in options.only:
        print_views(options.tokens, options.repeats)
    if "pdfs" in options.only:
        print_pdfs(options.pdfs, options.repeats)


def print_start(repeats: int) -> None:
    starts = [start_app() for _ in tqdm(range(repeats), desc="starts of app.py", leave=False)]
    print("\n| From the start of `app.py` until | s, median (least to most) |\n| --- | ---: |")
    print(f"| the page answers | {spread([start.page for start in starts])} |")
    print(f"| the model is ready too | {spread([start.model for start in starts])} |", flush=True)


def print_views(tokens: int, repeats: int) -> None:
    timed = time_views(tokens, repeats)
    print(
        f"\n| After {timed.tokens:,} tokens were summarized in {digits(timed.summary)} s | median, s | most, s |"
    )
    print("| --- | ---: | ---: |")
    print(f"| opening the tab: the overview of all heads | {digits(timed.opening)} | |")
    for view, seconds in timed.views.items():
        print(f"| {view}, {len(seconds)} questions | {_middle_and_most(seconds)} |")
    together = [second for seconds in timed.views.values() for second in seconds]
    print(f"| any view | {_middle_and_most(together)} |", flush=True)


def print_pdfs(folder: Path, repeats: int) -> None:
    files = sorted(folder.glob("*.pdf"))
    if not files:
        raise SystemExit(f"There are no PDFs in {folder}.")
    timed = time_pdfs(files, repeats)
    print("\n| PDF | pages | app, s | pypdf, s | beyond it | its extraction alone, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    lines = [(name, t.pages, t.app, t.pypdf, t.calls) for name, t in timed.items()]
    sums = [sum(column) for column in list(zip(*lines))[1:]]
    for name, pages, app, pypdf, calls in [*lines, ("all", *sums)]:
        seconds = f"{digits(app)} | {digits(pypdf)} | {app / pypdf - 1:.0%} | {digits(calls)}"
        print(f"| {name} | {pages} | {seconds} |")
    print(
        "\npypdf is a process of its own that extracts the text without looking at it, start and import included."
    )


def _middle_and_most(seconds: list[float]) -> str:
    middle = sorted(seconds)[len(seconds) // 2]
    return f"{digits(middle)} | {digits(max(seconds))}"


if __name__ == "__main__":
    main()
