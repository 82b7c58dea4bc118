import dataclasses
import json
import sys
from pathlib import Path

import pytest
from accelerate import PartialState

from longt5.evaluation import samples as evaluation_samples
from longt5.evaluation.baselines import BASELINES, fingerprint, proper_sentences
from longt5.evaluation.evaluation import Evaluation, EvaluationError
from longt5.evaluation.samples import samples
from longt5.text.papers import Paper

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(id="a", title="Of reading", text=TEXT, abstract="It reads a band and sums of blocks.")
SYSTEMS = ["model", *BASELINES]


class Summarizer:
    """Stands for a model: eight words of the first sentences; notes which papers it was given."""

    def __init__(self) -> None:
        self.papers: list[str] = []

    def __call__(self, paper: Paper) -> str:
        self.papers.append(paper.id)
        return " ".join(paper.text.split()[1:9])


def evaluation(finished: Path, **settings: object) -> Evaluation:
    return Evaluation(Summarizer(), finished, settings, PartialState())


def test_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    papers = [PAPER, dataclasses.replace(PAPER, id="b", text=TEXT + " It ends.")]
    finished = tmp_path / "runs" / "finished.jsonl"
    first = evaluation(finished).run(papers[:1])
    assert list(first) == SYSTEMS
    again = evaluation(finished)
    both = again.run(papers)
    assert again.summarizer.papers == ["b"]
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
