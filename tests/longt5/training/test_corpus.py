"""Prepared papers are the text that was tokenized."""

import json
import pickle
from pathlib import Path

import numpy as np
from transformers import AutoTokenizer

from longt5.training.corpus import PreparedPapers
from longt5.training.corpus import main as prepare
from longt5.training.objectives import Vocabulary
from tests.longt5.training.conftest import run_command


def test_prepared_data_is_the_text(prepared: Path, papers: PreparedPapers) -> None:
    tokenizer = AutoTokenizer.from_pretrained(prepared / "tokenizer")
    original = json.loads((prepared / "corpus" / "train-made.jsonl").read_text().splitlines()[3])
    paper = papers[3]
    assert len(papers) == 8
    assert tokenizer.decode(paper.tokens) == " ".join(original["text"].split())
    assert tokenizer.decode(paper.abstract) == original["abstract"]
    assert paper.starts[0] == 0 and paper.starts[-1] == len(paper.tokens) and len(paper.starts) == 43
    assert tokenizer.decode(paper.tokens[: paper.starts[1]]) == "Introduction"
    assert papers.lengths()[3] == len(paper.tokens)


def test_papers_are_counted_by_the_words_in_them(papers: PreparedPapers, vocabulary: Vocabulary) -> None:
    assert papers.papers_with_unit[-1] == 8
    expected = np.zeros(len(vocabulary.rarity))
    for index in range(8):
        for unit in {unit for unit in vocabulary.units[papers[index].tokens].tolist() if unit >= 0}:
            expected[unit] += 1
    assert np.array_equal(papers.papers_with_unit[:-1], expected)
    everywhere, nowhere = expected.argmax(), expected.argmin()
    assert vocabulary.rarity[everywhere] == 0 and vocabulary.rarity[nowhere] == np.log(9)


def test_worker_processes_get_the_folder_not_the_tokens(papers: PreparedPapers) -> None:
    assert len(papers[0].tokens) > 100
    assert len(pickle.dumps(papers)) < 500
    assert np.array_equal(pickle.loads(pickle.dumps(papers))[0].tokens, papers[0].tokens)


def test_prepared_files_are_left_alone(prepared: Path) -> None:
    facts = prepared / "data" / "made" / "facts.json"
    before = facts.stat().st_mtime_ns
    where = [
        *("--corpus", prepared / "corpus"),
        *("--tokenizer", prepared / "tokenizer"),
        *("--out", prepared / "data"),
    ]
    run_command(prepare, where)
    assert facts.stat().st_mtime_ns == before
