"""The evaluation command: the app's own summaries, by one process and by two, interrupted and resumed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import PartialState

import longt5
from app.evaluation import Summarizer, main
from app.models import ModelStore
from app.settings import Settings
from longt5 import LongT5ForConditionalGeneration
from longt5.evaluation.evaluation import Evaluation
from longt5.text.papers import Paper
from longt5.training.tokenizer import train_tokenizer
from tests.longt5.factories import randomize, tiny_config

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(id="a", title="Of reading", text=TEXT, abstract="It reads a band and sums of blocks.")
SENTENCES = [
    "The encoder reads a band of tokens.",
    "It also reads the sums of blocks.",
    "Both together reach every part of a paper.",
    "The decoder writes what matters to it most.",
]
# Bytes, most of which look the same decoded, and special tokens.
WORDS_ONLY = {"max_new_tokens": 30, "suppress_tokens": list(range(3, 270))}


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    tokenizer = train_tokenizer(iter([TEXT] * 9), 330)
    model = randomize(LongT5ForConditionalGeneration(tiny_config(vocab_size=330)), seed=4)
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def test_the_apps_summaries_are_evaluated(tiny: Path) -> None:
    store = ModelStore(Settings(models=(str(tiny),)))
    summarizer = Summarizer(store, {**WORDS_ONLY, "num_beams": 2})
    assert summarizer.settings.num_beams == 2 and summarizer.settings.max_new_tokens == 30
    results = Evaluation(summarizer, tiny.parent / "finished.jsonl", {}, PartialState()).run([PAPER])
    [own], [first] = results["model"], results["first sentences"]
    assert own.words == first.words > 0 and own.words_in_paper < 1.0 == first.words_in_paper


def test_quotes_are_sentences_of_the_paper_in_its_order(tiny: Path) -> None:
    store = ModelStore(Settings(models=(str(tiny),)))
    summary = Summarizer(store, {"writing": "quotes", "max_new_tokens": 90})(PAPER)
    quoted = [sentence for sentence in SENTENCES if sentence in summary]
    assert summary == " ".join(quoted)
    assert len(quoted) >= 2


def test_a_paper_of_which_nothing_can_be_said_has_an_empty_summary(
    tiny: Path, capsys: pytest.CaptureFixture
) -> None:
    store = ModelStore(Settings(models=(str(tiny),)))
    empty = Paper(id="blank", title="", text=" ", abstract="")
    assert Summarizer(store, {})(empty) == ""
    assert "blank: " in capsys.readouterr().err


def test_complaints(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    data = str(tiny.parent / "papers.jsonl")
    assert main(["--model", str(tiny), "--data", data]) == 1
    assert "There is no file of papers" in capsys.readouterr().err
    Path(data).write_text(json.dumps({"text": TEXT, "abstract": PAPER.abstract}) + "\n")
    assert main(["--model", str(tiny), "--data", data, "--writing", "verse"]) == 1
    assert "own words" in capsys.readouterr().err
    assert main(["--model", str(tiny.parent / "none"), "--data", data]) == 1
    assert "none" in capsys.readouterr().err


def run(folder: Path, *command: str) -> tuple[str, str]:
    """What a command prints and says on stderr, run in a folder with this package."""
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("ACCELERATE")},
        "PYTHONPATH": str(Path(longt5.__file__).parents[1]),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HOME": str(folder / "home"),  # no configuration of accelerate's
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def without_seconds(tables: str) -> str:
    return re.sub(r" \d+\.\d\d \|$", " |", tables, flags=re.MULTILINE)


@pytest.mark.slow
def test_two_processes_print_the_tables_of_one(tiny: Path, tmp_path: Path) -> None:
    words = TEXT.split()
    with (tmp_path / "papers.jsonl").open("w") as file:
        for place in range(7):
            text = f"{TEXT} The paper of number {place} ends. {' '.join(words[place:])}"
            file.write(json.dumps({"id": str(place), "text": text, "abstract": PAPER.abstract}) + "\n")
    generation = json.dumps(WORDS_ONLY)
    options = ["--model", "tiny", "--data", "papers.jsonl", "--generation", generation]
    alone = [sys.executable, "-m", "app.evaluation", *options]
    # To accelerate, --multi_gpu means several processes, on CPUs too; with --cpu it would start but one.
    launch = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "-m", "app.evaluation"]
    together = [sys.executable, "-m", "accelerate.commands.launch", *launch, *options]

    one, _ = run(tmp_path, *alone, "--finished", "one.jsonl")
    assert one.startswith("7 papers;") and one.count("| tiny |") == 3
    two, log = run(tmp_path, *together, "--finished", "two.jsonl")
    assert without_seconds(two) == without_seconds(one)
    assert "4/4" in log and "7/7" not in log  # the first one's share
    assert not list(tmp_path.glob("*.part*"))
    assert len((tmp_path / "two.jsonl").read_text().splitlines()) == 7
    assert len((tmp_path / "rankings.jsonl").read_text().splitlines()) == 7

    # Interrupted, a process leaves its part and another one a line cut short; any number goes on from there.
    lines = (tmp_path / "two.jsonl").read_text().splitlines(keepends=True)
    for count, command in enumerate((alone, together)):
        (tmp_path / "rest.jsonl").write_text("".join(lines[:2]) + lines[2][:50])
        (tmp_path / "rest.jsonl.part1").write_text(lines[3])
        resumed, log = run(tmp_path, *command, "--finished", "rest.jsonl")
        assert without_seconds(resumed) == without_seconds(one)
        assert ("4/4", "2/2")[count] in log
        assert len((tmp_path / "rest.jsonl").read_text().splitlines()) == 7

    draw = [sys.executable, "-m", "longt5.evaluation.samples", "--papers", "2"]
    drawn, _ = run(tmp_path, *draw, "two.jsonl")
    assert drawn.count(f"Abstract: {PAPER.abstract}") == 2
    assert drawn == run(tmp_path, *draw, "one.jsonl")[0]
