"""Prepared papers are the text that was tokenized."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from longt5.training.corpus import DataError, PreparedPapers
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


def test_what_a_tokenizer_was_saved_with_pads_and_cuts_nothing(prepared: Path, tmp_path: Path) -> None:
    content = json.loads((prepared / "tokenizer" / "tokenizer.json").read_text())
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    (tmp_path / "tokenizer").mkdir()
    tokenizer.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    where = [
        "--corpus",
        prepared / "corpus",
        "--tokenizer",
        tmp_path / "tokenizer",
        "--out",
        tmp_path / "data",
    ]
    assert run_command(prepare, [*where, "--processes", "1"]) == 0
    padded, usual = (PreparedPapers(folder / "data" / "made") for folder in (tmp_path, prepared))
    assert np.array_equal(padded.tokens, usual.tokens)
    assert np.array_equal(padded.sentence_starts, usual.sentence_starts)
    assert np.array_equal(padded.abstracts, usual.abstracts)


def test_what_can_not_be_prepared_is_a_sentence(
    prepared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train-none.jsonl").write_text('{"id": "1", "text": "", "abstract": ""}\n')
    for tokenizer, sentence in (
        (prepared / "tokenizer", "train-none.jsonl holds no papers"),
        ("/no/such", "The tokenizer /no/such can't be loaded"),
    ):
        where = [
            "--corpus",
            tmp_path,
            "--tokenizer",
            tokenizer,
            "--out",
            tmp_path / "data",
            "--processes",
            "1",
        ]
        assert run_command(prepare, where) == 1
        assert sentence in capsys.readouterr().err


def test_facts_that_are_no_json_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"papers": ')
    with pytest.raises(DataError, match=r"run python -m longt5\.training\.corpus"):
        len(PreparedPapers(tmp_path))
