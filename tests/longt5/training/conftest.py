"""A small made-up corpus with tokenizer and prepared data, and a configuration that trains a tiny model on it."""

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from longt5.training.configuration import Stage, TrainingConfig
from longt5.training.corpus import PreparedPapers
from longt5.training.corpus import main as prepare
from longt5.training.objectives import Vocabulary
from longt5.training.tokenizer import train_tokenizer

SUBJECTS = ("The encoder", "A global token", "The small model", "Each block", "Our method")
VERBS = ("reads", "summarizes", "attends to", "keeps", "measures")
OBJECTS = ("long papers", "its neighbours", "sixteen inputs", "the band", "every page", "results of 2022")


def made_up_papers(count: int) -> list[dict[str, str]]:
    """Papers whose abstracts are sentences of theirs, so that there is something to learn."""
    rng = random.Random(0)

    def sentence() -> str:
        words = rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS), rng.choice(OBJECTS)
        return "{} {} {} and then {} again.".format(*words)

    papers = []
    for index in range(count):
        methods, results = ([sentence() for _ in range(20)] for _ in range(2))
        text = "Introduction\n" + " ".join(methods) + "\nMethods\n" + " ".join(results)
        papers.append({"id": str(index), "text": text, "abstract": f"{methods[0]} {results[0]}"})
    return papers


def run_command(main: Callable[[], int | None], arguments: list[object]) -> int | None:
    """What `main` returns when it finds these arguments on its command line."""
    before, sys.argv = sys.argv, ["x", *map(str, arguments)]
    try:
        return main()
    finally:
        sys.argv = before


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with corpus, tokenizer and prepared data."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "corpus").mkdir()
    papers = made_up_papers(12)
    for name, part in (("train-made", papers[:8]), ("validation", papers[8:])):
        (folder / "corpus" / f"{name}.jsonl").write_text("".join(json.dumps(paper) + "\n" for paper in part))
    train_tokenizer((paper["text"] for paper in papers), 400).save_pretrained(folder / "tokenizer")
    where = ["--corpus", folder / "corpus", "--tokenizer", folder / "tokenizer", "--out", folder / "data"]
    run_command(prepare, [*where, "--processes", "1"])
    return folder


@pytest.fixture
def papers(prepared: Path) -> PreparedPapers:
    return PreparedPapers(prepared / "data" / "made")


@pytest.fixture
def vocabulary(prepared: Path, papers: PreparedPapers) -> Vocabulary:
    return Vocabulary.of(AutoTokenizer.from_pretrained(prepared / "tokenizer"), papers.papers_with_unit)


@pytest.fixture
def config(prepared: Path, tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        data=str(prepared / "data"),
        tokenizer=str(prepared / "tokenizer"),
        output=str(tmp_path / "out"),
        sources={"made": 1.0},
        model={
            "vocab_size": 420,
            "d_model": 32,
            "d_kv": 8,
            "num_heads": 3,
            "d_ff": 32,
            "num_layers": 1,
            "num_decoder_layers": 1,
            "encoder_attention_type": "transient-global",
            "local_radius": 15,
            "tie_word_embeddings": True,
            "decoder_start_token_id": 0,
        },
        stages=(
            Stage(0.5, 64, {"gap": 1.0, "continuation": 1.0}, dropout=0.1),
            Stage(0.5, 400, {"abstract": 1.0, "extract": 1.0}, dropout=0.1),
        ),
        target_tokens=80,
        batch_tokens=800,
        warmup_steps=2,
        max_steps=8,
        workers=0,
        threads=1,
        log_steps=1,
        validation_steps=4,
        validation_batches=2,
    )
