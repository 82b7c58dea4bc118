import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import PartialState

import longt5
from longt5 import LongT5ForConditionalGeneration
from longt5.evaluation import samples as evaluation_samples
from longt5.evaluation.baselines import BASELINES, fingerprint, proper_sentences
from longt5.evaluation.evaluation import Evaluation, EvaluationError, batches
from longt5.evaluation.model_summarizer import ModelSummarizer
from longt5.evaluation.samples import samples
from longt5.text.papers import Paper
from longt5.training.tokenizer import train_tokenizer
from tests.longt5.factories import randomize, tiny_config

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(
    id="a", source="", title="Of reading", text=TEXT, abstract="It reads a band and sums of blocks."
)
SYSTEMS = ["model", *BASELINES]


class Summarizer:
    """Stands for a model: eight words of the first sentences; notes which papers it was given together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, papers: list[Paper]) -> list[str]:
        self.batches.append([paper.id for paper in papers])
        return [" ".join(paper.text.split()[1:9]) for paper in papers]


def evaluation(finished: Path, batch_size: int = 1, **settings: object) -> Evaluation:
    return Evaluation(Summarizer(), finished, settings, PartialState(), batch_size)  # type: ignore[arg-type]


def test_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    papers = [PAPER, dataclasses.replace(PAPER, id="b", text=TEXT + " It ends.")]
    finished = tmp_path / "runs" / "finished.jsonl"
    first = evaluation(finished).run(papers[:1])
    assert list(first) == SYSTEMS
    again = evaluation(finished)
    both = again.run(papers)
    assert again.summarizer.batches == [["b"]]
    assert [scores[0] for scores in both.values()] == [scores[0] for scores in first.values()]
    assert both["model"][0].rouge1 == both["first sentences"][0].rouge1 > 0
    assert [json.loads(line)["id"] for line in finished.read_text().splitlines()] == ["a", "b"]
    *others, oracle = ({one.words for one in scores} for scores in both.values())
    assert all(words == {8} for words in others) and max(oracle) <= 8


def test_papers_of_other_settings_are_not_mixed_in(tmp_path: Path) -> None:
    finished = tmp_path / "finished.jsonl"
    evaluation(finished, writing="quotes", generation={"num_beams": 4}).run([PAPER])
    evaluation(finished, writing="quotes", generation={"num_beams": 4}).run([PAPER])
    with pytest.raises(EvaluationError, match="other settings"):
        evaluation(finished, writing="own words").run([PAPER])
    finished.write_text(finished.read_text().replace('"repeats_none"', '"an_old_measure"'))
    with pytest.raises(EvaluationError, match="other settings or measures"):
        evaluation(finished, writing="quotes", generation={"num_beams": 4}).run([PAPER])


def test_kept_rankings_are_used_again(tmp_path: Path) -> None:
    evaluation(tmp_path / "one.jsonl").run([PAPER])
    kept = tmp_path / "rankings.jsonl"
    [record] = [json.loads(line) for line in kept.read_text().splitlines()]
    assert record["sentences"] == fingerprint(proper_sentences(TEXT))
    for ranking in record["rankings"].values():
        ranking.update(order=[3, 2, 1, 0], seconds=12.5)
    kept.write_text(json.dumps(record) + "\n")
    results = evaluation(tmp_path / "two.jsonl").run([PAPER])
    assert results["LexRank"][0].seconds == 12.5
    assert len(kept.read_text().splitlines()) == 1
    other = dataclasses.replace(PAPER, text=TEXT + " It ends with these few words.")
    results = evaluation(tmp_path / "three.jsonl").run([other])
    assert results["LexRank"][0].seconds < 12.5
    assert len(kept.read_text().splitlines()) == 2


def test_batches_hold_papers_of_about_the_same_length() -> None:
    papers = [dataclasses.replace(PAPER, id=str(place), text="x" * (place * 7 % 20)) for place in range(20)]
    made = list(batches(papers, 2))
    assert [len(batch) for batch in made] == [2] * 10
    assert sorted(paper.id for batch in made for paper in batch) == sorted(paper.id for paper in papers)
    lengths = [len(paper.text) for batch in made for paper in batch]
    assert lengths == sorted(lengths[:16]) + sorted(lengths[16:])
    assert [[paper.id for paper in batch] for batch in batches(papers[:3], 2)] == [["0", "1"], ["2"]]


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
def test_two_processes_print_the_tables_of_one(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter([TEXT] * 9), 330)
    model = randomize(LongT5ForConditionalGeneration(tiny_config(vocab_size=330)), seed=4)
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    words = TEXT.split()
    with (tmp_path / "papers.jsonl").open("w") as file:
        for place in range(7):
            text = f"{TEXT} The paper of number {place} ends. {' '.join(words[place:])}"
            file.write(json.dumps({"id": str(place), "text": text, "abstract": PAPER.abstract}) + "\n")
    generation = json.dumps({"max_new_tokens": 30, "suppress_tokens": list(range(3, 270))})
    options = ["--model", "tiny", "--data", "papers.jsonl", "--batch-size", "2", "--generation", generation]
    alone = [sys.executable, "-m", "longt5.evaluation", *options]
    # To accelerate, --multi_gpu means several processes, on CPUs too; with --cpu it would start but one.
    launch = ["--multi_gpu", "--num_processes", "2", "--main_process_port", "0", "-m", "longt5.evaluation"]
    together = [sys.executable, "-m", "accelerate.commands.launch", *launch, *options]

    one, _ = run(tmp_path, *alone, "--finished", "one.jsonl")
    assert one.startswith("7 papers;") and one.count("| tiny |") == 2
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


def test_a_model_is_evaluated(tmp_path: Path) -> None:
    model = randomize(LongT5ForConditionalGeneration(tiny_config(vocab_size=330)), seed=4)
    tokenizer = train_tokenizer(iter([TEXT] * 9), 330)
    summarizer = ModelSummarizer(
        model, tokenizer, 200, max_new_tokens=30, suppress_tokens=list(range(3, 270))
    )
    results = Evaluation(summarizer, tmp_path / "finished.jsonl", {}, PartialState(), 2).run([PAPER])
    [own], [first] = results["model"], results["first sentences"]
    assert own.words == first.words > 0 and own.words_in_paper < 1.0 == first.words_in_paper


def records(count: int) -> list[dict]:
    return [
        {
            "id": str(place),
            "title": "" if place else "A title",
            "abstract": f"Abstract {place}.",
            "summary": f"Summary {place}.",
            "scores": {"model": {"rouge1": 0.5, "rouge2": 0.25, "rougeLsum": 0.125}},
        }
        for place in range(count)
    ]


def test_samples_depend_on_the_seed_and_the_papers_alone() -> None:
    thirty = records(30)
    drawn = samples(thirty, 5, seed=0)
    assert drawn.count("Abstract: ") == drawn.count("Summary: ") == 5
    assert drawn == samples(thirty[::-1] + thirty, 5, seed=0)
    assert drawn != samples(thirty, 5, seed=1)
    assert samples(records(1), 20, seed=0) == (
        "1. A title (ROUGE-1, -2, -Lsum: 50.0, 25.0, 12.5)\n\nAbstract: Abstract 0.\n\nSummary: Summary 0."
    )


def test_samples_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "other.jsonl").write_text('{"id": "a"}\n')
    for name in ("none.jsonl", "other.jsonl"):
        monkeypatch.setattr(sys, "argv", ["evaluation_samples", str(tmp_path / name)])
        assert evaluation_samples.main() == 1
        assert f"no finished papers in {tmp_path / name}" in capsys.readouterr().err
