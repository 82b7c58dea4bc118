"""The training commands on a small made-up corpus, from papers to a model that is resumed exactly."""

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from longt5 import LongT5ForConditionalGeneration
from longt5.training.batches import BatchStream, Position, batches_by_tokens
from longt5.training.configuration import ConfigurationError, TrainingConfig
from longt5.training.corpus import DataError, PreparedPapers, TokenizedPaper
from longt5.training.corpus import main as prepare
from longt5.training.objectives import Example, Vocabulary, make_example
from longt5.training.tokenizer import train_tokenizer
from longt5.training.trainer import Trainer, TrainingState
from longt5.training.trainer import main as train

SUBJECTS = ("The encoder", "A global token", "The small model", "Each block", "Our method")
VERBS = ("reads", "summarizes", "attends to", "keeps", "measures")
OBJECTS = ("long papers", "its neighbours", "sixteen inputs", "the band", "every page", "results of 2022")


def made_up_papers(count: int) -> list[dict[str, str]]:
    chance = random.Random(0)

    def sentence() -> str:
        words = chance.choice(SUBJECTS), chance.choice(VERBS), chance.choice(OBJECTS), chance.choice(OBJECTS)
        return "{} {} {} and then {} again.".format(*words)

    return [
        {
            "id": str(index),
            "text": "Introduction\n"
            + "\nMethods\n".join(" ".join(sentence() for _ in range(20)) for _ in range(2)),
            "abstract": " ".join(sentence() for _ in range(2)),
        }
        for index in range(count)
    ]


@pytest.fixture(scope="module")
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


def run_command(main, arguments: list[object]) -> int:
    before, sys.argv = sys.argv, ["x", *map(str, arguments)]
    try:
        return main()
    finally:
        sys.argv = before


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
            "num_heads": 2,
            "d_ff": 32,
            "num_layers": 1,
            "num_decoder_layers": 1,
            "encoder_attention_type": "transient-global",
            "local_radius": 15,
            "dropout_rate": 0.1,
            "tie_word_embeddings": True,
            "decoder_start_token_id": 0,
        },
        curriculum=((0.0, 48), (0.5, 96)),
        target_tokens=40,
        batch_tokens=400,
        pool_examples=12,
        warmup_steps=2,
        max_steps=8,
        threads=1,
        log_steps=1,
        validation_steps=4,
        validation_examples=4,
    )


def losses(folder: Path, kind: str = "train") -> list[tuple[int, float]]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if line["kind"] == kind]


def test_prepared_data_is_the_text(prepared: Path) -> None:
    papers = PreparedPapers(prepared / "data" / "made")
    tokenizer = AutoTokenizer.from_pretrained(prepared / "tokenizer")
    original = json.loads((prepared / "corpus" / "train-made.jsonl").read_text().splitlines()[3])
    paper = papers[3]
    assert len(papers) == 8
    assert tokenizer.decode(paper.tokens) == " ".join(original["text"].split())
    assert tokenizer.decode(paper.abstract) == original["abstract"]
    assert paper.starts[0] == 0 and paper.starts[-1] == len(paper.tokens) and len(paper.starts) == 43
    assert tokenizer.decode(paper.tokens[: paper.starts[1]]) == "Introduction"


def test_prepared_files_are_left_alone(prepared: Path) -> None:
    facts = prepared / "data" / "made" / "facts.json"
    before = facts.stat().st_mtime_ns
    where = [
        "--corpus",
        prepared / "corpus",
        "--tokenizer",
        prepared / "tokenizer",
        "--out",
        prepared / "data",
    ]
    run_command(prepare, where)
    assert facts.stat().st_mtime_ns == before


def test_missing_data_is_a_sentence(config: TrainingConfig) -> None:
    with pytest.raises(DataError, match=r"run python -m longt5\.data first"):
        Trainer(dataclasses.replace(config, sources={"nothing": 1.0}))


@pytest.fixture
def vocabulary(prepared: Path) -> Vocabulary:
    return Vocabulary.of(AutoTokenizer.from_pretrained(prepared / "tokenizer"))


@pytest.mark.parametrize("objective", ["principal", "oracle", "selection", "abstract"])
def test_examples(prepared: Path, vocabulary: Vocabulary, objective: str) -> None:
    paper = PreparedPapers(prepared / "data" / "made")[0]
    chance = np.random.default_rng(0)
    sentences = [paper.tokens[start:end].tolist() for start, end in zip(paper.starts[:-1], paper.starts[1:])]
    for _ in range(10):
        example = make_example(objective, paper, vocabulary, chance, source_tokens=200, target_tokens=60)
        assert example is not None
        assert len(example.input_ids) <= 200 and len(example.labels) <= 60
        assert example.input_ids[-1] == example.labels[-1] == 1
        target = example.labels[:-1].tolist()
        if objective == "abstract":
            assert target == paper.abstract.tolist()
            continue
        while target:  # whole sentences, copied from the input, in the paper's order
            written = next(sentence for sentence in sentences if target[: len(sentence)] == sentence)
            sentences_in_input = " ".join(map(str, example.input_ids))
            assert " ".join(map(str, written)) in sentences_in_input
            target = target[len(written) :]
        assert (example.branches is not None) == (objective == "selection")
        if example.branches is not None:
            shares = np.bincount(example.branches.positions, weights=example.branches.shares)
            assert set(np.round(shares, 5)) <= {0.0, 1.0} and example.branches.positions[0] == 0


def test_masked_sentences_leave_the_input(prepared: Path, vocabulary: Vocabulary) -> None:
    paper = PreparedPapers(prepared / "data" / "made")[0]
    shared = {"source_tokens": 200, "target_tokens": 60}
    plain = make_example("principal", paper, vocabulary, np.random.default_rng(1), **shared)
    masked = make_example(
        "principal", paper, vocabulary, np.random.default_rng(1), masked_share=1.0, **shared
    )
    assert plain is not None and masked is not None
    assert masked.labels.tolist() == plain.labels.tolist()
    count = int((masked.input_ids == vocabulary.mask_token_id).sum())
    assert count >= 1
    assert len(masked.input_ids) == len(plain.input_ids) - (len(plain.labels) - 1) + count


def test_a_paper_without_sentences_gives_no_example(vocabulary: Vocabulary) -> None:
    paper = TokenizedPaper(np.array([300]), np.array([0, 1]), np.array([300]))
    shared = {"source_tokens": 20, "target_tokens": 10}
    assert make_example("principal", paper, vocabulary, np.random.default_rng(0), **shared) is None
    with pytest.raises(ValueError, match="no objective 'poetry'"):
        make_example("poetry", paper, vocabulary, np.random.default_rng(0), **shared)


def test_batches_hold_every_example_once_and_keep_the_budget() -> None:
    chance = np.random.default_rng(0)
    examples = [
        Example(np.ones(n, dtype=int), np.ones(5, dtype=int)) for n in chance.integers(5, 60, size=50)
    ]
    batches = list(batches_by_tokens(examples, 200))
    assert sorted(map(id, (one for batch in batches for one in batch))) == sorted(map(id, examples))
    for batch in batches:
        cost = len(batch) * (max(len(one.input_ids) for one in batch) + 5)
        assert cost <= 200 or len(batch) == 1


def test_stream_depends_on_position_alone(config: TrainingConfig, vocabulary: Vocabulary) -> None:
    first, second = BatchStream(config, vocabulary, 0), BatchStream(config, vocabulary, 0)
    position = Position()
    for _ in range(6):
        batch = first.batch(position, 0.0)
        assert torch.equal(batch.input_ids, second.batch(position, 0.0).input_ids)
        assert torch.equal(batch.input_ids, BatchStream(config, vocabulary, 0).batch(position, 0.0).input_ids)
        position = batch.next
    other = BatchStream(config, vocabulary, 0, process=1).batch(Position(), 0.0)
    assert not torch.equal(first.batch(Position(), 0.0).input_ids[0], other.input_ids[0])
    assert first.batch(Position(pool=9), 0.9).input_ids.shape[1] > 48


@pytest.mark.parametrize("optimizer", ["adamw", "adamw_scaled", "adafactor"])
def test_interrupted_training_goes_on_with_the_same_losses(
    config: TrainingConfig, tmp_path: Path, optimizer: str
) -> None:
    config = dataclasses.replace(config, optimizer=optimizer, accumulation_steps=2, schedule="inverse_sqrt")
    Trainer(config).run()
    interrupted = dataclasses.replace(config, output=str(tmp_path / "interrupted"))
    first = Trainer(interrupted)
    log = first._log
    first._log = lambda kind, state, **values: (  # type: ignore[method-assign]
        log(kind, state, **values),
        setattr(first, "stop_asked", state.step == 3),
    )
    assert first.run().step == 3
    assert not (tmp_path / "interrupted" / "model").exists()
    assert Trainer(interrupted, resume=True).run().step == 8
    assert losses(tmp_path / "interrupted") == losses(tmp_path / "out")
    assert losses(tmp_path / "interrupted", "validation") == losses(tmp_path / "out", "validation")


def test_command_trains_draws_and_saves(config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert run_command(train, ["--config", path]) == 0
    out = Path(config.output)
    assert (out / "loss.svg").read_text().startswith("<svg")
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["data"][0]["papers"] == 8 and len(manifest["data"][0]["sha256"]) == 64
    model = LongT5ForConditionalGeneration.from_pretrained(out / "model")
    assert AutoTokenizer.from_pretrained(out / "model").eos_token_id == 1
    assert model.config.vocab_size == 420
    # A second stage begins with the first one's model.
    second = dataclasses.replace(
        config,
        model=None,
        checkpoint=str(out / "model"),
        output=str(tmp_path / "second"),
        objectives={"selection": 1.0},
        validation_rouge=2,
        max_steps=4,
    )
    Trainer(second).run()
    *_, last = map(json.loads, (tmp_path / "second" / "log.jsonl").read_text().splitlines())
    assert last["kind"] == "validation" and last["choice_loss"] > 0
    assert 0 < last["rouge2"] < last["rouge1"] < 1
    assert "ROUGE-1" in (tmp_path / "second" / "loss.svg").read_text()


def test_a_model_begins_as_an_extractor_of_what_is_counted(config: TrainingConfig) -> None:
    sizes = {"d_model": 272, "d_kv": 96, "num_heads": 4, "feed_forward_proj": "gated-gelu"}
    extracting = dataclasses.replace(
        config, model={**config.model, **sizes}, initialization="extract", objectives={"selection": 1.0}
    )
    assert Trainer(extracting).validate()["token_loss"] < 0.6 * Trainer(config).validate()["token_loss"]
    with pytest.raises(ConfigurationError, match="num_heads of 4"):
        Trainer(dataclasses.replace(extracting, model={**config.model, **sizes, "num_heads": 3}))


def test_two_processes_train_one_model(config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**dataclasses.asdict(config), "max_steps": 4, "accumulation_steps": 2}))
    # The same switch on one machine without GPUs: the processes then talk through gloo.
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = [*launch, "--main_process_port", "0", "-m", "longt5.training", "--config", str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=Path(__file__).parents[3])
    out = Path(config.output)
    assert json.loads((out / "manifest.json").read_text())["processes"] == 2
    assert [step for step, _ in losses(out)] == [1, 2, 3, 4]
    assert len(losses(out, "validation")) == 1
    states = [TrainingState.load(out / "checkpoint" / f"state-{process}.json") for process in range(2)]
    assert [state.step for state in states] == [4, 4]
    alone = Trainer(dataclasses.replace(config, max_steps=4, output=str(tmp_path / "alone")))
    alone.run()
    assert losses(tmp_path / "alone")[0] != losses(out)[0]  # each process has examples of its own


def test_state_survives_saving(tmp_path: Path) -> None:
    state = TrainingState(7, 1.5, Position(2, 3, 96))
    state.save(tmp_path / "state.json")
    assert TrainingState.load(tmp_path / "state.json") == state


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "settings that do not exist: colour"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"model": None}, "either model"),
        ({"objectives": {"poetry": 1}}, "objectives among"),
        ({"curriculum": [[0.5, 96]]}, "begin with a share of 0"),
    ],
)
def test_wrong_settings_are_sentences(
    config: TrainingConfig,
    tmp_path: Path,
    change: dict[str, object],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**dataclasses.asdict(config), **change}))
    assert run_command(train, ["--config", path]) == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "configs").glob("*.json")), ids=lambda path: path.stem
)
def test_the_configurations_that_come_along_can_be_read(path: Path) -> None:
    TrainingConfig.load(path)


def test_missing_settings_and_checkpoints_are_sentences(config: TrainingConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"data": "x"}')
    with pytest.raises(ConfigurationError, match="lacks a setting"):
        TrainingConfig.load(tmp_path / "config.json")
    with pytest.raises(ConfigurationError, match="start without --resume"):
        Trainer(config, resume=True)


def test_schedules(config: TrainingConfig) -> None:
    one = dataclasses.replace(config, learning_rate=1.0, warmup_steps=4, max_steps=100, cooldown=0.2)
    assert [one.learning_rate_at(step, 0.0) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert one.learning_rate_at(50, 0.9) == pytest.approx(0.5)
    inverse = dataclasses.replace(one, schedule="inverse_sqrt")
    assert inverse.learning_rate_at(15, 0.15) == pytest.approx(0.5)
    linear = dataclasses.replace(one, schedule="linear", cooldown=0.0)
    assert linear.learning_rate_at(50, 0.5) == pytest.approx(0.5)
    timed = dataclasses.replace(one, max_minutes=10.0)
    assert (
        timed.progress(10, 5.0) == 0.5 and timed.progress(80, 5.0) == 0.8 and timed.progress(1, 11.0) == 1.0
    )
