import dataclasses
import json
from pathlib import Path

import pytest
from rouge_score import rouge_scorer

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.evaluation import (
    MEASURES,
    Scores,
    choose_papers,
    cut_to_words,
    evaluate,
    first_sentences,
    random_sentences,
    score,
    summarize_scores,
    table,
)
from longt5.model_summarizer import ModelSummarizer
from longt5.papers import Paper, PapersError, mend, read_papers, without_labels
from longt5.tokenizer_training import train_tokenizer

TEXT = (
    "Introduction\nThe encoder reads a band of tokens. It also reads the sums of blocks. Fig. 1\n"
    "Both together reach every part of a paper. The decoder writes what matters to it most."
)
PAPER = Paper(id="a", source="", title="", text=TEXT, abstract="The encoder reads a band and sums of blocks.")


def test_measures_by_hand() -> None:
    scorer = rouge_scorer.RougeScorer(list(MEASURES), use_stemmer=True)
    scores = score("The encoder reads a band. The encoder reads a band.", PAPER, scorer, 2.0)
    assert scores.rouge1 == pytest.approx(2 * 5 / (10 + 9))
    assert scores.words == 10 and scores.seconds == 2.0
    assert scores.words_in_paper == 1.0
    # "the encoder reads a", "encoder reads a band" stand in the paper, each twice; the three between do not.
    assert scores.four_grams_in_paper == pytest.approx(4 / 7)
    assert scores.repeated_four_grams == pytest.approx(2 / 7)
    empty = score("", PAPER, scorer)
    assert empty.rouge1 == 0.0 and empty.words == 0 and empty.words_in_paper == 0.0


def test_baselines_have_as_many_words_and_no_headings() -> None:
    assert first_sentences(PAPER, 9) == "The encoder reads a band of tokens. It also"
    assert random_sentences(PAPER, 12) == random_sentences(PAPER, 12)
    assert len(random_sentences(PAPER, 12).split()) == 12
    assert "Introduction" not in random_sentences(PAPER, 100)
    assert cut_to_words("One, two. Three", 2) == "One, two"
    assert cut_to_words("One", 0) == ""


def test_intervals_and_table() -> None:
    scores = [Scores(value, value, value, 10, 1.0, 0.5, 0.0, 1.0) for value in (0.2, 0.3, 0.4)]
    row = summarize_scores("a model", scores)
    assert row.means["rouge1"] == pytest.approx(0.3)
    low, high = row.intervals["rouge1"]
    assert 0.2 <= low + 1e-9 < 0.3 < high - 1e-9 <= 0.4
    assert "| a model | 30.00 [" in table([row])


def test_evaluation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter([TEXT] * 9), 330)
    config = LongT5Config(
        vocab_size=330, d_model=16, d_kv=4, num_heads=2, d_ff=16, num_layers=1, decoder_start_token_id=0
    )
    summarizer = ModelSummarizer(
        LongT5ForConditionalGeneration(config), tokenizer, 64, max_new_tokens=12, min_new_tokens=12
    )
    papers = [PAPER, dataclasses.replace(PAPER, id="b")]
    finished = tmp_path / "runs" / "finished.jsonl"
    first = evaluate(papers[:1], summarizer, "tiny", finished)
    assert list(first) == ["tiny", "first sentences", "random sentences"]
    both = evaluate(papers, summarizer, "tiny", finished)
    assert both["tiny"][0] == first["tiny"][0]
    assert len(finished.read_text().splitlines()) == 2
    assert len({one.words for system in both.values() for one in system[:1]}) == 1


def test_papers_are_chosen_by_id_alone(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(index), "text": TEXT, "abstract": "A."}) for index in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(lines)))
    chosen = [paper.id for paper in choose_papers(tmp_path / "a.jsonl", 3)]
    assert chosen == [paper.id for paper in choose_papers(tmp_path / "b.jsonl", 3)]
    assert len(choose_papers(tmp_path / "a.jsonl", None)) == 6


def test_unreadable_papers_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(PapersError, match="no file of papers"):
        list(read_papers(tmp_path / "none.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"text": "no abstract"}\n')
    with pytest.raises(PapersError, match="Line 1 of bad"):
        list(read_papers(tmp_path / "bad.jsonl"))


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("di ff erently", "differently"),
        ("speci fi c", "specific"),
        ("the fi rst e ffi cient", "the first efficient"),
        ("of ﬁnite aﬀairs", "of finite affairs"),
        ("fi nding", "finding"),
    ],
)
def test_ligatures_are_mended(broken: str, whole: str) -> None:
    assert mend(broken) == whole


def test_labels_of_abstracts_are_dropped() -> None:
    text = "Background: Cells grow. Methods: We looked. Results and discussion: They did. Results were clear."
    assert without_labels(text) == "Cells grow. We looked. They did. Results were clear."
