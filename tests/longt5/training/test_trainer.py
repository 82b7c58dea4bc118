"""The training command on a small made-up corpus: it learns, is resumed exactly, and runs in several processes."""

import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer

from longt5 import LongT5ForConditionalGeneration
from longt5.layers import Projections
from longt5.training.batches import Batch
from longt5.training.configuration import ConfigurationError, Stage, TrainingConfig
from longt5.training.corpus import DataError
from longt5.training.graphs import GraphedLosses
from longt5.training.trainer import CHECKPOINTS, Trainer, TrainingState, main, set_dropout
from longt5.training.validation import mean_loss
from tests.longt5.training.conftest import run_command


def lines(folder: Path, kind: str = "train") -> list[dict[str, float]]:
    read = map(json.loads, (folder / "log.jsonl").read_text().splitlines())
    return [line for line in read if line["kind"] == kind]


def losses(folder: Path, kind: str = "train") -> list[tuple[float, float]]:
    return [(line["step"], line["loss"]) for line in lines(folder, kind)]


def test_missing_data_is_a_sentence(config: TrainingConfig) -> None:
    with pytest.raises(DataError, match=r"run python -m longt5\.training\.corpus first"):
        Trainer(dataclasses.replace(config, sources={"nothing": 1.0}))


def interrupted_at(trainer: Trainer, step: int) -> Trainer:
    learn = trainer._learn

    def learn_and_ask(*arguments):
        learned = learn(*arguments)
        trainer.stop_asked = trainer.state.step == step - 1
        return learned

    trainer._learn = learn_and_ask  # type: ignore[method-assign]
    return trainer


@pytest.mark.parametrize("optimizer, workers, step", [("muon", 0, 3), ("muon", 2, 6), ("adafactor", 1, 4)])
def test_interrupted_training_goes_on_with_the_same_losses(
    config: TrainingConfig, tmp_path: Path, optimizer: str, workers: int, step: int
) -> None:
    config = dataclasses.replace(config, optimizer=optimizer, accumulation_steps=2)
    Trainer(config).run()
    interrupted = dataclasses.replace(config, output=str(tmp_path / "interrupted"), workers=workers)
    assert interrupted_at(Trainer(interrupted), step).run().step == step
    assert not (tmp_path / "interrupted" / "model").exists()
    assert Trainer(interrupted, resume=True).run().step == 8
    went_on, uninterrupted = (
        [*losses(tmp_path / name), *losses(tmp_path / name, "validation")] for name in ("interrupted", "out")
    )
    if torch.cuda.is_available():  # which adds up in no fixed order: the last digits differ
        for one, other in zip(went_on, uninterrupted, strict=True):
            assert one == pytest.approx(other, rel=1e-3)
        return
    assert went_on == uninterrupted
    first, second = (
        LongT5ForConditionalGeneration.from_pretrained(tmp_path / name / "model").state_dict()
        for name in ("interrupted", "out")
    )
    assert all(torch.equal(first[name], second[name]) for name in second)


def test_every_token_of_a_step_counts_the_same(config: TrainingConfig) -> None:
    """Two batches of different lengths, accumulated, give the gradient of all their tokens at once."""
    config = dataclasses.replace(config, accumulation_steps=2, clip_norm=1e9)
    trainer = Trainer(config)
    set_dropout(trainer.model, 0.0)
    generator = torch.Generator().manual_seed(0)

    def batch(targets: int) -> Batch:
        ids = torch.randint(3, 100, (1, 16), generator=generator)
        return Batch(ids, torch.ones_like(ids), torch.randint(3, 100, (1, targets), generator=generator))

    group = [batch(3), batch(9)]
    model = trainer.accelerator.unwrap_model(trainer.model).eval()
    on_device = [part.to(model.device) for part in group]
    sums = [12.0, *(mean_loss(model, part) * part.labels.numel() for part in on_device)]
    whole = torch.autograd.grad((sums[1] + sums[2]) / sums[0], model.shared.weight)[0]
    weights = trainer._weights(group)
    trainer.optimizer.step = lambda: None  # type: ignore[method-assign]
    trainer.optimizer.zero_grad = lambda **_: None  # type: ignore[method-assign]
    logged = [trainer._learn(part, weight, 0.0)[0] for part, weight in zip(group, weights, strict=True)]
    assert torch.allclose(model.shared.weight.grad, whole, atol=1e-6)
    assert float(sum(logged)) / 2 == pytest.approx(float((sums[1] + sums[2]) / sums[0]), rel=1e-5)


def test_a_tiny_model_learns_what_it_has_not_seen(config: TrainingConfig) -> None:
    """From the copying initialization, on validation papers; without learning anything the loss is ln 420 = 6.04."""
    longer = dataclasses.replace(
        config,
        model={**config.model, "d_model": 160, "d_kv": 32, "num_heads": 4, "feed_forward_proj": "gated-gelu"},
        initialization="copying",
        stages=(Stage(1.0, 400, {"abstract": 1.0, "extract": 1.0}),),
        batch_tokens=2000,
        learning_rate=0.02,
        max_steps=60,
        log_steps=10,
        validation_steps=60,
    )
    Trainer(longer).run()
    (validation,) = lines(Path(config.output), "validation")
    assert validation["extract"] < 1.2 and validation["abstract"] < 1.6


def test_command_trains_draws_and_saves(config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(dataclasses.asdict(config)))
    assert run_command(main, ["--config", path]) == 0
    out = Path(config.output)
    assert (out / "loss.svg").read_text().startswith("<svg")
    assert "validation, extract" in (out / "loss.svg").read_text()
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["data"][0]["papers"] == 8 and len(manifest["data"][0]["sha256"]) == 64
    model = LongT5ForConditionalGeneration.from_pretrained(out / "model")
    assert AutoTokenizer.from_pretrained(out / "model").eos_token_id == 1
    assert model.config.vocab_size == 420
    assert [line["stage"] for line in lines(out)] == [0] * 4 + [1] * 4
    # Another run begins with that one's model.
    second = dataclasses.replace(
        config, model=None, checkpoint=str(out / "model"), output=str(tmp_path / "second"), max_steps=2
    )
    Trainer(second).run()
    assert losses(tmp_path / "second")[0][1] < losses(out)[0][1]


def test_dropout_is_the_stages(config: TrainingConfig) -> None:
    stages = (Stage(0.5, 64, {"gap": 1.0}, dropout=0.25), Stage(0.5, 64, {"gap": 1.0}))
    trainer = Trainer(dataclasses.replace(config, stages=stages))
    for stage, expected in enumerate((0.25, 0.0)):
        trainer._start_stage(stage, 0)
        modules = list(trainer.accelerator.unwrap_model(trainer.model).modules())
        assert {module.p for module in modules if isinstance(module, nn.Dropout)} == {expected}
        assert {module.dropout for module in modules if isinstance(module, Projections)} == {expected}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_graphs_learn_the_same(config: TrainingConfig, tmp_path: Path) -> None:
    still = dataclasses.replace(
        config,
        stages=tuple(dataclasses.replace(stage, dropout=0.0) for stage in config.stages),
        accumulation_steps=2,
    )
    Trainer(still).run()
    Trainer(dataclasses.replace(still, cuda_graphs=True, output=str(tmp_path / "graphed"))).run()
    for (_, first), (_, second) in zip(losses(tmp_path / "out"), losses(tmp_path / "graphed"), strict=True):
        assert first == pytest.approx(second, rel=1e-3)


def test_a_recording_leaves_the_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a resumed run, which records anew, would draw other dropout. Here a graph is no more than what it records."""

    class Nothing(contextlib.AbstractContextManager):
        def __init__(self, *_: object, **__: object) -> None: ...

        def __exit__(self, *_: object) -> None: ...

        def wait_stream(self, stream: object) -> None: ...

    if not torch.cuda.is_available():
        for name in ("CUDAGraph", "Stream", "current_stream", "graph", "graph_pool_handle", "stream"):
            monkeypatch.setattr(torch.cuda, name, Nothing)
        monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
        monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: torch.set_rng_state(state))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = nn.Parameter(torch.ones(8, device=device))
    dropout = nn.Dropout(0.5)
    ids = torch.ones((1, 8), dtype=torch.long, device=device)
    graphed = GraphedLosses(lambda batch: (dropout(weight) * batch.input_ids).sum(), [weight])
    torch.manual_seed(0)
    graphed._record(Batch(ids, ids, ids))
    after = torch.rand(4, device=device)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(4, device=device))
    assert not weight.grad.any() or device == "cpu"  # where what is recorded runs too


def in_two_processes(*command: str) -> None:
    """Runs `python COMMAND` twice, as ranks of one run; on one machine without GPUs they talk through gloo."""
    launch = [
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--main_process_port",
        "0",
    ]
    root = Path(__file__).parents[3]
    subprocess.run(
        [sys.executable, *launch, *command],
        check=True,
        capture_output=True,
        timeout=300,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


@pytest.mark.skipif(torch.cuda.device_count() == 1, reason="two processes want two GPUs, or none")
def test_two_processes_train_one_model(config: TrainingConfig, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**dataclasses.asdict(config), "max_steps": 4, "accumulation_steps": 2}))
    in_two_processes("-m", "longt5.training", "--config", str(path))
    out = Path(config.output)
    assert json.loads((out / "manifest.json").read_text())["processes"] == 2
    assert [step for step, _ in losses(out)] == [1, 2, 3, 4]
    assert len(losses(out, "validation")) == 1
    states = [TrainingState.load(out / "checkpoint" / f"state-{process}.json") for process in range(2)]
    assert [state.step for state in states] == [4, 4]
    alone = Trainer(dataclasses.replace(config, max_steps=4, output=str(tmp_path / "alone")))
    alone.run()
    assert losses(tmp_path / "alone")[0] != losses(out)[0]  # each process has examples of its own


STOPPED_ONE = """
import sys
from longt5.training.configuration import TrainingConfig
from longt5.training.trainer import Trainer
from tests.longt5.training.test_trainer import interrupted_at

trainer = Trainer(TrainingConfig.load(sys.argv[1]))
(trainer if trainer.main else interrupted_at(trainer, 2)).run()
"""


@pytest.mark.skipif(torch.cuda.device_count() == 1, reason="two processes want two GPUs, or none")
def test_one_process_that_is_asked_to_stop_stops_all(config: TrainingConfig, tmp_path: Path) -> None:
    """Else it saves, and waits for those that train on."""
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    (tmp_path / "run.py").write_text(STOPPED_ONE)
    in_two_processes(str(tmp_path / "run.py"), str(tmp_path / "config.json"))
    folder = Path(config.output) / "checkpoint"
    states = [TrainingState.load(folder / f"state-{process}.json") for process in range(2)]
    assert [state.step for state in states] == [2, 2]


class Killed(BaseException):
    """What ends a process without a chance to clean up."""


def is_killed_as_it_saves(trainer: Trainer, moment: int) -> bool:
    """Saves, and ends before that change of a folder, the first being 1; False where there are not so many."""
    changes = itertools.count(1)

    def killing(function):
        def call(*arguments, **options):
            if next(changes) == moment:
                raise Killed
            return function(*arguments, **options)

        return call

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "rmtree", killing(shutil.rmtree))
        patch.setattr(Path, "rename", killing(Path.rename))
        try:
            trainer._save()
        except Killed:
            return True
    return False


@pytest.mark.parametrize("times", [1, 2])
def test_a_run_killed_as_it_saves_is_resumed(config: TrainingConfig, times: int) -> None:
    """At whatever moment, once or twice in a row: there is a whole checkpoint."""
    config = dataclasses.replace(config, max_steps=2)
    trainer = Trainer(config)
    trainer.run()
    for moment in itertools.count(1):
        killed = [is_killed_as_it_saves(trainer, moment) for _ in range(times)]
        assert Trainer(config, resume=True).state.step == 2, moment
        if not any(killed):
            break
    assert moment > 3


def test_state_survives_saving(tmp_path: Path) -> None:
    state = TrainingState(7, 1.5, 1, 3)
    state.save(tmp_path / "state.json")
    assert TrainingState.load(tmp_path / "state.json") == state


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "settings that do not exist: colour"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"model": None}, "either model"),
        ({"stages": [{"share": 1, "source_tokens": 64, "objectives": {"poetry": 1}}]}, "objectives among"),
        ({"stages": [{"share": 0.5, "source_tokens": 64, "objectives": {"gap": 1}}]}, "add up to 1"),
        ({"stages": [{"share": 1, "source_tokens": 4, "objectives": {"gap": 1}}]}, "at least 16"),
        ({"stages": [{"share": 1, "source_tokens": 64, "objectives": {"gap": 0}}]}, "weights above 0"),
        ({"stages": [{"share": 1, "source_tokens": 64, "objectives": ["gap"]}]}, "weights above 0"),
        ({"stages": [{"share": 1, "source_tokens": 64.5, "objectives": {"gap": 1}}]}, "whole number"),
        *(
            ({name: value}, f"{name} must be a whole number from {least}")
            for name, least in (
                ("target_tokens", 2),
                ("batch_tokens", 1),
                ("accumulation_steps", 1),
                ("max_steps", 1),
                ("log_steps", 1),
                ("validation_steps", 1),
                ("validation_batches", 1),
                ("workers", 0),
                ("warmup_steps", 0),
                ("threads", 1),
                ("seed", 0),
            )
            for value in (least - 1, least + 0.5, "many")
        ),
        *(
            ({name: value}, f"{name} must be above 0")
            for name in ("max_minutes", "learning_rate", "clip_norm")
            for value in (0, -1, "much")
        ),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes must be 0 or more"),
        ({"cooldown": 1.5}, "cooldown must be from 0 to 1"),
        ({"sources": {}}, "weight above 0"),
        ({"sources": {"made": 0}}, "weight above 0"),
        ({"sources": {"made": -1}}, "weight above 0"),
        ({"sources": ["made"]}, "weight above 0"),
        ({"data": 5}, "data must be text"),
        ({"tokenizer": "/no/such"}, "The tokenizer /no/such can't be loaded"),
        ({"model": None, "checkpoint": "/no/such"}, "The checkpoint /no/such can't be loaded"),
        ({"model": {"d_model": "big"}}, "The model can't be built"),
        ({"model": {"num_heads": -4}}, "num_heads must be at least 1"),
        ({"model": {"feed_forward_proj": "gated-swishy"}}, "swishy"),
        ({"model": {"colours": 3, "vocab_size": 4}}, "The tokenizer has"),
        ({"output": "/dev/null/out"}, "The folder /dev/null/out can't be written"),
        (
            {"initialization": "copying", "model": {"d_model": 32, "d_kv": 16, "num_layers": 1}},
            "copying initialization",
        ),
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
    assert run_command(main, ["--config", path]) == 1
    said = capsys.readouterr().err
    assert sentence in said and "Traceback" not in said


@pytest.mark.parametrize("missing", ["mask_token", "pad_token", "eos_token"])
def test_a_tokenizer_that_lacks_a_token_is_a_sentence(
    config: TrainingConfig, tmp_path: Path, missing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even where only the first stage wants it."""
    shutil.copytree(config.tokenizer, tmp_path / "tokenizer")
    settings = tmp_path / "tokenizer" / "tokenizer_config.json"
    settings.write_text(
        json.dumps(
            {name: value for name, value in json.loads(settings.read_text()).items() if name != missing}
        )
    )
    stages = (Stage(0.5, 64, {"gap": 1.0}), Stage(0.5, 400, {"abstract": 1.0}))
    config = dataclasses.replace(config, tokenizer=str(tmp_path / "tokenizer"), stages=stages)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert run_command(main, ["--config", tmp_path / "config.json"]) == 1
    said = capsys.readouterr().err
    assert f"no {missing}" in said and "Traceback" not in said
    if missing == "mask_token":
        Trainer(dataclasses.replace(config, stages=(Stage(1.0, 400, {"abstract": 1.0}),)))


@pytest.mark.parametrize("workers", [0, 1])
def test_papers_that_give_nothing_while_training_are_a_sentence(
    config: TrainingConfig, tmp_path: Path, workers: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = (Stage(0.5, 5000, {"continuation": 1.0}), Stage(0.5, 400, {"abstract": 1.0}))
    config = dataclasses.replace(config, stages=stages, workers=workers)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert run_command(main, ["--config", tmp_path / "config.json"]) == 1
    said = capsys.readouterr().err
    assert "The papers give no example of continuation" in said and "Traceback" not in said


@pytest.mark.parametrize("source", ["made", "validation"])
def test_data_of_another_tokenizer_is_a_sentence(config: TrainingConfig, tmp_path: Path, source: str) -> None:
    shutil.copytree(config.data, tmp_path / "data")
    facts = tmp_path / "data" / source / "facts.json"
    facts.write_text(json.dumps({**json.loads(facts.read_text()), "tokenizer_sha256": "0" * 64}))
    with pytest.raises(DataError, match=f"{source} was prepared with another tokenizer than .*tokenizer: "):
        Trainer(dataclasses.replace(config, data=str(tmp_path / "data")))


def test_a_run_that_starts_anew_is_never_resumed_as_the_one_before(config: TrainingConfig) -> None:
    """Though it is killed before it saves."""
    config = dataclasses.replace(config, max_steps=1)
    for name in CHECKPOINTS:
        Trainer(config).run()
        out = Path(config.output)
        if name != "checkpoint":
            (out / "checkpoint").rename(out / name)
        Trainer(config)
        with pytest.raises(ConfigurationError, match="start without --resume"):
            Trainer(config, resume=True)


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
    linear = dataclasses.replace(one, cooldown=1.0)
    assert linear.learning_rate_at(50, 0.5) == pytest.approx(0.5)
    assert [one.stage_at(progress) for progress in (0.0, 0.49, 0.5, 1.0)] == [0, 0, 1, 1]
    timed = dataclasses.replace(one, max_minutes=10.0)
    assert (
        timed.progress(10, 5.0) == 0.5 and timed.progress(80, 5.0) == 0.8 and timed.progress(1, 11.0) == 1.0
    )
