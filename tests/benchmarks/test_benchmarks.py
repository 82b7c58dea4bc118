"""The benchmark commands run and print whole tables, also where one side fails."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from app.summarizing.windows import TokenizedText
from benchmarks import _floor, evidence
from benchmarks._floor import encoding_floor
from benchmarks._job import EXAMPLE_TEXT, OURS, REFERENCE, Job, build
from benchmarks._memory import children_watched
from benchmarks._report import row
from benchmarks._turns import Measured, take_turns
from benchmarks.corpus import Timed, course
from benchmarks.encoder import agreement, growth

ROOT = Path(__file__).resolve().parents[2]
TINY = Job("encoder", OURS, "small", "local", length=40, batch=1, dtype="float32", device="cpu", threads=1)


def printed(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", *arguments, "--repeats", "1"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        (["encoder", "--lengths", "40", "80"], 4),
        (["generate", "--lengths", "40", "--new-tokens", "3"], 3),
        (["train", "--lengths", "40", "--target-tokens", "8", "--autocast"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_prints_a_table(arguments: list[str], rows: int) -> None:
    lines = printed(f"benchmarks.{arguments[0]}", *arguments[1:], "--attention", "local")
    assert "float32" in lines[0] and "threads" in lines[0]
    head = next(line for line in lines if line.startswith("| | longt5"))
    table = [line for line in lines if line.startswith("| local, ")]
    assert len(table) == rows
    assert all(line.count("|") == head.count("|") for line in table)


@pytest.mark.slow
def test_a_library_of_papers_is_compared_with_both_ways_of_the_terminal() -> None:
    pytest.importorskip("ray", reason="requirements-corpus.txt is not installed")
    lines = printed("benchmarks.corpus", "--count", "2", "--words", "150", "--no-sections")
    table = [line for line in lines if line.startswith(("| a process for each", "| one process", "| corpus"))]
    assert len(table) == 3
    assert sum(line.startswith("The corpus is ") for line in lines) == 2
    assert any(line.startswith("| 2–2 | ") for line in lines)


def test_a_run_is_followed_by_tenths_of_its_papers() -> None:
    run = Timed(
        whole=130,
        finished=[10.0, *(15.0 + 5 * number for number in range(20))],
        memory=[(9, 3 * 2**30), (12, 2**30), (18, 2**31), (109, 2**29), (120, 2**32)],
    )
    head, _, first, *_, last = course(run).splitlines()
    assert head == "| papers | minutes | papers a minute | most memory, GiB |"
    assert first == "| 2–3 | 0.3 | 12 | 2 |"  # finished after 15 and 20 s
    assert last == "| 20–21 | 1.8 | 12 | 0.5 |"
    assert "| 4–5 | 0.5 | 12 | nan |" in course(run)  # nobody looked between 20 and 30 s
    assert run.most_memory() == 4


def test_memory_of_children_is_seen_while_they_live() -> None:
    holds = "import sys; held = bytearray(b'x' * 200_000_000); print(flush=True); sys.stdin.read()"
    with (
        children_watched(every=0.05) as seen,
        subprocess.Popen(
            [sys.executable, "-c", holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child,
    ):
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        before = len(seen)
        deadline = time.monotonic() + 30
        while len(seen) < before + 2:  # one look may have begun before
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child.stdin.close()
    assert 200e6 < seen[before + 1][1] < 600e6


@pytest.mark.slow
def test_what_the_app_takes_is_printed() -> None:
    lines = printed("benchmarks.app", "--tokens", "300")
    assert sum(line.startswith("| --- |") for line in lines) == 3
    for name in ("the page answers", "the model is ready too", "band, ", "any view", "longt5-explained.pdf"):
        assert any(line.startswith(f"| {name}") for line in lines)


@pytest.mark.slow
def test_evidence_is_measured_on_papers_that_the_weights_were_not_fitted_on(tmp_path: Path) -> None:
    paragraphs = EXAMPLE_TEXT.read_text(encoding="utf-8").split("\n\n")
    half = len(paragraphs) // 2
    data = tmp_path / "papers.jsonl"
    with data.open("w", encoding="utf-8") as file:
        for name, part in (("a", paragraphs[:half]), ("b", paragraphs[half:])):
            abstract = "We show that attention over blocks reads whole papers. It costs less than it did."
            json.dump({"id": name, "title": "", "text": "\n\n".join(part), "abstract": abstract}, file)
            file.write("\n")
    command = [
        sys.executable,
        "-m",
        "benchmarks.evidence",
        "--data",
        str(data),
        "--papers",
        "2",
        "--tokens",
        "300",
    ]
    lines = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert "fitted on 1 papers, figures of 1 others" in lines[0]
    weights = json.loads(
        "{" + next(line for line in lines if line.startswith('"evidence_head_weights"')) + "}"
    )
    assert [len(row) for row in weights["evidence_head_weights"]] == [6, 6, 6, 6]
    table = [line for line in lines if line.startswith("| ")]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table[2:]] == list(evidence.METHODS)
    assert all(line.count("|") == table[0].count("|") for line in table)


def test_candidates_come_in_the_order_of_their_occlusion() -> None:
    learned = np.array([np.arange(20.0, 0, -1)])
    drops = np.array([[*[1.0, 5.0, -2.0, 3.0, 0.5, 0.1, 0.2, 0.3], *[9.0] * 12]])
    found = evidence.reranked(learned, lambda number, tested: drops[number, tested])
    assert np.argsort(-found[0], kind="stable")[:4].tolist() == [1, 3, 0, 4]
    assert not found[0, evidence.TESTED :].any()  # what was not tested is not known


def test_quotes_stand_in_the_paper_once_and_are_one_passage() -> None:
    again = "It was a fine day in the old town."
    text = f"{again} The sun rose early over the river. {again} No."
    starts = np.array([0, 9, 16, 25])  # in words, each a token of its own
    words = [match.span() for match in re.finditer(r"\S+", text)]
    names = {word: number for number, word in enumerate(dict.fromkeys(text.split()))}
    ids = np.array([names[text[start:end]] for start, end in words])
    tokens = TokenizedText(ids, np.array(words), starts)
    passages = np.array([[2, 11], [11, 18], [18, 27], [27, 28]])  # after a prefix of two
    source = evidence.Source(text, tokens, 2, passages, encoded=None)  # type: ignore[arg-type]
    written, places = evidence.quotes_of(source, np.random.default_rng(0))
    assert (written.sentences, places) == (["The sun rose early over the river."], [1])
    assert (written.ids, written.ranges) == (tuple(ids[9:16].tolist()), [(0, 7)])


@pytest.mark.slow
def test_a_side_that_fails_leaves_the_other_going() -> None:
    broken = Job(**{**vars(TINY), "library": REFERENCE, "dtype": "float31"})
    ours, theirs = take_turns([TINY, broken], 2, "tiny")
    assert len(ours.seconds["encode"]) == 2 and not ours.failure
    assert theirs.failure == "AttributeError"
    assert "AttributeError" in row("tiny", [ours, theirs], "encode", agreement)


def test_both_sides_have_the_same_weights() -> None:
    ours, theirs = (
        build(Job(**{**vars(TINY), "library": library}), "LongT5EncoderModel").state_dict()
        for library in (OURS, REFERENCE)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_row_has_medians_spreads_and_ratios() -> None:
    ours = Measured({"encode": [1.0, 3.0, 2.0]}, {"encode": 2**30})
    theirs = Measured({"encode": [8.0, 8.0, 9.0]}, {"encode": 2**32})
    cells = "a | 2 (1–3) | 8 (8–9) | 4.00 | 1 | 4 | 25% | same"
    assert row("a", [ours, theirs], "encode", lambda *_: "same") == f"| {cells} |"
    halves = row("a", [ours], "encode", parts=2)
    assert halves == "| a | 1 (0.5–1.5) | skipped | - | 1 | skipped | - | - |"


def test_growth_is_by_the_shortest_and_longest() -> None:
    assert "3 times from 4,000 to 16,000 tokens, 0.75 of" in growth("local", {4000: 100, 8000: 1, 16000: 300})


def test_products_of_a_pass_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_floor, "product_rate", lambda *_: 1.0)
    local = 300 * 256 * (4 * 256 + 3 * 1024) + 300 * 255 * 2 * 256
    assert encoding_floor(replace(TINY, length=300)).seconds == 2 * 4 * local
    of_globals = 18 * 256 * 2 * 256 + 300 * 18 * 2 * 256
    transient_global = replace(TINY, length=300, attention="transient-global")
    assert encoding_floor(transient_global).seconds == 2 * 4 * (local + of_globals)
