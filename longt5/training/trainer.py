"""Pre-training and fine-tuning on accelerate: `python -m longt5.training --config FILE [--resume]`.

One configuration file is one run, on a CPU or a GPU; the same command under `accelerate launch` runs on several GPUs or
machines. The output folder receives `log.jsonl` (losses), `manifest.json` (what exactly was run), `checkpoint/` (to
resume from), `loss.svg` and, at the end, `model/`. A run that is interrupted (Ctrl-C, SIGTERM) saves a checkpoint
first; resumed, it goes on with the same batches and losses as if nothing had happened.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.optimization import Adafactor

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.layers import Projections
from longt5.training.batches import Batch, PaperSources, batches_from, stage_batches
from longt5.training.configuration import ConfigurationError, TrainingConfig
from longt5.training.corpus import DataError, PreparedPapers, check_tokenizer
from longt5.training.graphs import GraphedLosses
from longt5.training.initialization import initialize_to_copy
from longt5.training.objectives import MASKING, Vocabulary
from longt5.training.optimizer import muon
from longt5.training.plot import draw_training
from longt5.training.validation import Validation, mean_loss

# Folders a run is resumed from, the first that is there; the second is the last one while it is being replaced.
CHECKPOINTS = ("checkpoint", "checkpoint-previous")


@dataclass(frozen=True)
class TrainingState:
    """What a resumed run must know beside model, optimizer and random numbers (which accelerate saves)."""

    step: int = 0
    minutes: float = 0.0
    stage: int = 0
    batch: int = 0
    """Batches of the stage that this process has learned from."""

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Reads what `save` wrote."""
        return cls(**json.loads(path.read_text()))


class Trainer:
    """One run: builds everything in `__init__`, trains in `run`."""

    def __init__(self, config: TrainingConfig, *, resume: bool = False) -> None:
        """Loads data and model, and the checkpoint if `resume`.

        Raises:
            ConfigurationError: no checkpoint to resume from, a tokenizer or a model that can't be used, or no folder to
                write to.
            DataError: a folder named in the configuration holds no prepared papers, or those of another tokenizer.
        """
        self.config = config
        self.folder = Path(config.output)
        if config.threads is not None:
            torch.set_num_threads(config.threads)
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # or accelerate would not see other processes without a GPU
            gradient_accumulation_steps=config.accumulation_steps,
            mixed_precision=config.mixed_precision,
        )
        self.main = self.accelerator.is_main_process
        set_seed(config.seed, device_specific=True)
        self.tokenizer = load_tokenizer(config)
        names = {**config.sources, config.validation: 1.0}
        check_tokenizer([PreparedPapers(Path(config.data) / name) for name in names], config.tokenizer)
        self.papers = PaperSources(Path(config.data), config.sources)
        self.vocabulary = Vocabulary.of(self.tokenizer, self.papers.papers_with_unit)
        model = build_model(config)
        if len(self.tokenizer) > model.config.vocab_size:
            raise ConfigurationError(
                f"The tokenizer has {len(self.tokenizer)} entries, the model {model.config.vocab_size} only."
            )
        self.validation = Validation(config, self.vocabulary, self.tokenizer.pad_token_id)
        self.model, self.optimizer = self.accelerator.prepare(model, build_optimizer(config, model))
        self.graphed: GraphedLosses | None = None  # of the stage that is under way
        self.state = TrainingState()
        self.stop_asked = False
        if resume:
            self._resume()
        elif self.main:
            self._start_anew()
        if self.main:
            manifest = run_manifest(config, self.papers, self.accelerator.num_processes)
            (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))

    def _start_anew(self) -> None:
        """Empties the log and removes the checkpoints of a run before, which this one would be resumed from.

        Raises:
            ConfigurationError: the folder can't be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "log.jsonl").write_text("")
            for folder in (self.folder / name for name in CHECKPOINTS):
                if folder.is_dir():
                    shutil.rmtree(folder)
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self.folder} can't be written to ({error.strerror}): name another output."
            ) from error

    def run(self) -> TrainingState:
        """Trains to the end, or until `stop_asked` is set on any process; returns the state reached."""
        config = self.config
        log = _Log(self.folder if self.main else None, config.log_steps)
        clock = last_save = time.monotonic()
        minutes_before = self.state.minutes
        self.model.train()
        batches = self._start_stage(self.state.stage, self.state.batch)
        progress, _, stops = self._agreed(config.progress(self.state.step, self.state.minutes), 0.0)
        while progress < 1.0 and not stops:
            state, stage = self.state, config.stage_at(progress)
            if stage != state.stage:
                batches = self._start_stage(stage, 0)
                state = dataclasses.replace(state, stage=stage, batch=0)
            rate = config.learning_rate_at(state.step, progress)
            group = [next(batches) for _ in range(config.accumulation_steps)]
            for batch, weight in zip(group, self._weights(group), strict=True):
                log.add(*self._learn(batch, weight, rate))
            now = time.monotonic()
            self.state = state = TrainingState(
                state.step + 1,
                minutes_before + (now - clock) / 60,
                stage,
                state.batch + config.accumulation_steps,
            )
            progress, unsaved, stops = self._agreed(
                config.progress(state.step, state.minutes), (now - last_save) / 60
            )
            log.step(state, progress, learning_rate=rate, stage=stage)
            if state.step % config.validation_steps == 0 or progress >= 1.0:
                log.write("validation", state, **self.validate())
            if unsaved >= config.checkpoint_minutes:
                self._save()
                last_save = time.monotonic()
        log.close()
        self._save()
        if progress >= 1.0:
            self._finish()
        return self.state

    def _start_stage(self, stage: int, first_batch: int) -> Iterator[Batch]:
        """Sets the stage's dropout and returns its batches from the first that is still to be learned from."""
        alone_on_a_gpu = self.accelerator.device.type == "cuda" and self.accelerator.num_processes == 1
        if self.config.cuda_graphs and alone_on_a_gpu:  # recorded anew: the dropout is another one
            self.graphed = GraphedLosses(partial(mean_loss, self.model), self.model.parameters())
        set_dropout(self.accelerator.unwrap_model(self.model), self.config.stages[stage].dropout)
        batches = stage_batches(
            self.config,
            self.papers,
            self.vocabulary,
            self.tokenizer.pad_token_id,
            stage,
            self.accelerator.process_index,
        )
        return batches_from(batches, first_batch, self.config.workers)

    def _weights(self, group: list[Batch]) -> list[float]:
        """What the mean losses of the batches of one step count, so that every token of the step counts the same."""
        targets = [int((batch.labels != -100).sum()) for batch in group]
        mean = torch.tensor(sum(targets) / len(targets), device=self.accelerator.device)
        if self.accelerator.num_processes > 1:
            mean = self.accelerator.reduce(mean, reduction="mean")
        return [count / max(float(mean), 1.0) for count in targets]

    def _learn(self, batch: Batch, weight: float, learning_rate: float) -> tuple[Tensor, int]:
        """Adds a batch's gradient, steps if that completes the accumulation.

        Returns:
            The loss, times the batch's `weight` among those of the step, and the number of tokens.
        """
        batch = batch.to(self.accelerator.device)
        with self.accelerator.accumulate(self.model):
            if self.graphed is not None:
                loss = self.graphed(batch, weight / self.config.accumulation_steps)
            else:
                loss = mean_loss(self.model, batch)
                self.accelerator.backward(loss * weight)
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
                for group in self.optimizer.param_groups:
                    group["lr"] = learning_rate
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=self.graphed is None)
        return loss.detach() * weight, batch.input_ids.numel() + batch.labels.numel()

    def _agreed(self, progress: float, unsaved: float) -> tuple[float, float, bool]:
        """What every process goes by, as one that saved while others train would wait for them for ever.

        Returns:
            The main process's progress and minutes since it saved, and whether any process was asked to stop.
        """
        if self.accelerator.num_processes == 1:
            return progress, unsaved, self.stop_asked
        clocks = (progress, unsaved) if self.main else (0.0, 0.0)
        mine = torch.tensor([*clocks, float(self.stop_asked)], device=self.accelerator.device)
        progress, unsaved, stops = self.accelerator.reduce(mine, reduction="sum").tolist()
        return progress, unsaved, stops > 0

    def validate(self) -> dict[str, float]:
        """Losses as they are logged, see `Validation.losses`."""
        model = self.accelerator.unwrap_model(self.model).eval()
        with self.accelerator.autocast():
            losses = self.validation.losses(model)
        self.model.train()
        return losses

    def _save(self) -> None:
        """Writes a checkpoint beside the last one, which it then replaces: at every moment there is a whole one."""
        draft = self.folder / "checkpoint-draft"
        if self.main:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(draft), safe_serialization=True)
        self.state.save(draft / f"state-{self.accelerator.process_index}.json")
        self.accelerator.wait_for_everyone()
        if self.main:
            self._replace_checkpoint(draft)
        self.accelerator.wait_for_everyone()

    def _replace_checkpoint(self, draft: Path) -> None:
        """Puts a whole draft in the last checkpoint's place, which is moved aside until it is there."""
        final, previous = (self.folder / name for name in CHECKPOINTS)
        if final.is_dir():
            shutil.rmtree(previous, ignore_errors=True)  # of a run that was killed here
            final.rename(previous)
        draft.rename(final)
        shutil.rmtree(previous, ignore_errors=True)

    def _resume(self) -> None:
        folders = [self.folder / name for name in CHECKPOINTS]
        checkpoint = next((folder for folder in folders if folder.is_dir()), None)
        if checkpoint is None:
            raise ConfigurationError(f"There is no checkpoint in {self.folder}: start without --resume.")
        self.accelerator.load_state(str(checkpoint))
        self.state = TrainingState.load(checkpoint / f"state-{self.accelerator.process_index}.json")
        log = self.folder / "log.jsonl"
        if self.main:  # what was logged after the checkpoint will be logged again
            lines = [
                line for line in log.read_text().splitlines() if json.loads(line)["step"] <= self.state.step
            ]
            log.write_text("".join(line + "\n" for line in lines))

    def _finish(self) -> None:
        if self.main:
            self.accelerator.unwrap_model(self.model).save_pretrained(self.folder / "model")
            self.tokenizer.save_pretrained(self.folder / "model")


class _Log:
    """The log of one run: a line every some steps, a picture of it, and a bar on the terminal."""

    def __init__(self, folder: Path | None, every: int) -> None:
        """`folder`: None on all processes but the main one, which then say nothing."""
        self.folder, self.every = folder, every
        self.bar = tqdm(
            total=1000,
            unit="‰",
            disable=folder is None,
            desc=folder.name if folder else None,
            mininterval=5,
            file=sys.stderr,
        )
        self.losses: list[Tensor] = []
        self.tokens, self.since = 0, time.monotonic()

    def add(self, loss: Tensor, tokens: int) -> None:
        self.losses.append(loss)
        self.tokens += tokens

    def step(self, state: TrainingState, progress: float, **values: float) -> None:
        """Writes the mean of what was added since the last line, if it is time for one."""
        if state.step % self.every:
            return
        loss = float(torch.stack(self.losses).mean())  # waits for the GPU
        speed = round(self.tokens / (time.monotonic() - self.since))
        self.write("train", state, loss=loss, tokens_per_second=speed, **values)
        self.bar.set_postfix(step=state.step, loss=f"{loss:.3f}")
        self.bar.update(int(1000 * progress) - self.bar.n)

    def write(self, kind: str, state: TrainingState, **values: float) -> None:
        """Writes a line; what was added starts anew."""
        if self.folder is not None:
            rounded = {name: round(value, 6) for name, value in values.items()}
            line = {"kind": kind, "step": state.step, "minutes": round(state.minutes, 3), **rounded}
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        self.losses, self.tokens, self.since = [], 0, time.monotonic()

    def close(self) -> None:
        self.bar.close()
        if self.folder is not None:
            draw_training(self.folder / "log.jsonl", self.folder / "loss.svg")


def load_tokenizer(config: TrainingConfig) -> PreTrainedTokenizerBase:
    """Returns the tokenizer of a run.

    Raises:
        ConfigurationError: it can't be loaded, or lacks a token that the run needs.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(config.tokenizer)
    except Exception as error:  # each library in between has its own
        raise ConfigurationError(
            f"The tokenizer {config.tokenizer} can't be loaded: {_reason(error)}"
        ) from error
    masking = any(name in MASKING for stage in config.stages for name in stage.objectives)
    for name in ("pad_token", "eos_token", *(["mask_token"] if masking else [])):
        if getattr(tokenizer, name) is None:
            wanted = f" for the objectives {' and '.join(MASKING)}" if name == "mask_token" else ""
            raise ConfigurationError(
                f"The tokenizer {config.tokenizer} has no {name}{wanted}: take another one, or add it."
            )
    return tokenizer


def build_model(config: TrainingConfig) -> LongT5ForConditionalGeneration:
    """Returns the model a run begins with.

    Raises:
        ConfigurationError: it can't be loaded or built, or has no room for its initialization.
    """
    if config.checkpoint is not None:
        try:
            model = LongT5ForConditionalGeneration.from_pretrained(config.checkpoint, dtype=torch.float32)
        except Exception as error:  # each library in between has its own
            raise ConfigurationError(
                f"The checkpoint {config.checkpoint} can't be loaded: {_reason(error)}"
            ) from error
    else:
        assert config.model is not None
        try:
            model = LongT5ForConditionalGeneration(LongT5Config(**config.model))
        except Exception as error:  # of the configuration's validation, of unknown activations, of memory
            raise ConfigurationError(f"The model can't be built: {_reason(error)}") from error
        if config.initialization == "copying":
            try:
                initialize_to_copy(model, torch.Generator().manual_seed(config.seed))
            except ValueError as error:
                raise ConfigurationError(str(error)) from error
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model


def _reason(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def build_optimizer(config: TrainingConfig, model: nn.Module) -> torch.optim.Optimizer:
    """Returns Muon or Adafactor, whose steps are shares of each parameter's size."""
    if config.optimizer == "muon":
        return muon(model, config.learning_rate)
    return Adafactor(model.parameters(), lr=config.learning_rate, relative_step=False, scale_parameter=True)


def set_dropout(model: nn.Module, probability: float) -> None:
    """Sets the dropout of all parts of a LongT5, attention weights included."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif isinstance(module, Projections):
            module.dropout = probability


def run_manifest(config: TrainingConfig, papers: PaperSources, processes: int) -> dict[str, object]:
    """Returns what is needed to tell exactly what was run: configuration, data hashes, commit, versions."""
    git = ["git", "-C", str(Path(__file__).parents[2]), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "configuration": dataclasses.asdict(config),
        "data": [source.facts for source in papers.sources],
        "commit": commit or None,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "processes": processes,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> int:
    """Do one run; 1 and a sentence on stderr where it can't be."""
    parser = argparse.ArgumentParser(description="Train LongT5 as a configuration file says.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see configs/")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    arguments = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        trainer = Trainer(TrainingConfig.load(arguments.config), resume=arguments.resume)

        def ask_to_stop(*_: object) -> None:
            trainer.stop_asked = True

        signal.signal(signal.SIGTERM, ask_to_stop)
        signal.signal(signal.SIGINT, ask_to_stop)
        trainer.run()
    except (ConfigurationError, DataError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
