"""Pre-training and fine-tuning on accelerate: ``python -m longt5.training --config FILE [--resume]``.

One configuration file is one stage. The same command under ``accelerate launch`` runs on several GPUs or
machines. The output folder receives ``log.jsonl`` (losses), ``manifest.json`` (what exactly was run),
``checkpoint/`` (to resume from), ``loss.svg`` and, at the end, ``model/``. A stage that is interrupted
(Ctrl-C, SIGTERM) saves a checkpoint first; resumed, it goes on with the same batches and losses as if
nothing had happened.
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
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerBase
from transformers.optimization import Adafactor

from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.training.batches import Batch, BatchStream, Position
from longt5.training.configuration import ConfigurationError, TrainingConfig
from longt5.training.corpus import DataError, PreparedPapers
from longt5.training.extractive_initialization import initialize_as_extractor
from longt5.training.losses import TargetLosses, target_losses
from longt5.training.objectives import Vocabulary
from longt5.training.plot import draw_training
from longt5.training.salience import learn_tokens, selectable_texts
from longt5.training.validation import Validation

_TEXTS_COUNTED, _TEXTS_MEASURED = 9000, 8  # for the extractive initialisation
_SMALLEST_SCALE = 0.02  # a parameter that begins at zero must still be able to leave it


@dataclass(frozen=True)
class TrainingState:
    """What a resumed run must know beside model, optimizer and random numbers (which accelerate saves)."""

    step: int = 0
    minutes: float = 0.0
    position: Position = field(default_factory=Position)

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> TrainingState:
        """Read what ``save`` wrote."""
        values = json.loads(path.read_text())
        return cls(values["step"], values["minutes"], Position(**values["position"]))


class Trainer:
    """One stage: builds everything in ``__init__``, trains in ``run``."""

    def __init__(self, config: TrainingConfig, *, resume: bool = False) -> None:
        """Load data and model, and the checkpoint if ``resume``.

        Raises:
            ConfigurationError: no checkpoint to resume from, or a vocabulary larger than the model's.
            DataError: a folder named in the configuration holds no prepared papers.
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
        self.tokenizer = AutoTokenizer.from_pretrained(config.tokenizer)
        self.vocabulary = Vocabulary.of(self.tokenizer)
        model = build_model(config, self.tokenizer, self.vocabulary)
        self.stream = BatchStream(
            config, self.vocabulary, self.tokenizer.pad_token_id, self.accelerator.process_index
        )
        self.validation = Validation(config, self.vocabulary, self.tokenizer)
        self.model, self.optimizer = self.accelerator.prepare(model, build_optimizer(config, model))
        self.state = TrainingState()
        self.stop_asked = False
        if resume:
            self._resume()
        elif self.main:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / "log.jsonl").write_text("")
        if self.main:
            manifest = run_manifest(config, self.stream.sources, self.accelerator.num_processes)
            (self.folder / "manifest.json").write_text(json.dumps(manifest, indent=1))

    def run(self) -> TrainingState:
        """Train to the end, or until ``stop_asked`` is set; return the state reached."""
        config, state = self.config, self.state
        bar = tqdm(
            total=1000, unit="‰", disable=not self.main, desc=self.folder.name, mininterval=5, file=sys.stderr
        )
        clock = last_save = time.monotonic()
        minutes_before = state.minutes
        losses: list[TargetLosses] = []
        tokens, since = 0, clock
        self.model.train()
        progress = config.progress(state.step, state.minutes)
        while progress < 1.0 and not self.stop_asked:
            position = state.position
            for _ in range(config.accumulation_steps):
                batch = self.stream.batch(position, progress)
                losses.append(self._learn(batch, config.learning_rate_at(state.step, progress)))
                tokens += batch.input_ids.numel() + batch.labels.numel()
                position = batch.next
            now = time.monotonic()
            state = TrainingState(state.step + 1, minutes_before + (now - clock) / 60, position)
            progress = self._agreed(config.progress(state.step, state.minutes))
            if state.step % config.log_steps == 0:
                measured = loss_values(reduce(add, losses), config.choice_weight)
                self._log(
                    "train",
                    state,
                    **measured,
                    learning_rate=config.learning_rate_at(state.step - 1, progress),
                    source_tokens=batch.input_ids.shape[1],
                    tokens_per_second=round(tokens / (now - since)),
                )
                bar.set_postfix(step=state.step, loss=f"{measured['loss']:.3f}")
                bar.update(int(1000 * progress) - bar.n)
                losses, tokens, since = [], 0, now
            if state.step % config.validation_steps == 0 or progress >= 1.0:
                self._log("validation", state, **self.validate())
                since = time.monotonic()
            if self._agreed((now - last_save) / 60) >= config.checkpoint_minutes:
                self._save(state)
                last_save = time.monotonic()
        bar.close()
        self.state = state
        self._save(state)
        if progress >= 1.0:
            self._finish()
        return state

    def _learn(self, batch: Batch, learning_rate: float) -> TargetLosses:
        """Add one batch's gradient, and step if it completes the accumulation; return its losses."""
        with self.accelerator.accumulate(self.model):
            losses = self._losses(batch.to(self.accelerator.device))
            self.accelerator.backward(losses.mean(self.config.choice_weight))
            if self.accelerator.sync_gradients:
                self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
                self._set_learning_rate(learning_rate)
            self.optimizer.step()
            self.optimizer.zero_grad()
        return losses.detached()

    def _losses(self, batch: Batch) -> TargetLosses:
        model = self.accelerator.unwrap_model(self.model)
        logits = self.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            decoder_input_ids=model.prepare_decoder_input_ids_from_labels(batch.labels),
            use_cache=False,
        ).logits
        return target_losses(logits, batch)

    def _set_learning_rate(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            scale = 1.0
            if self.config.optimizer == "adamw_scaled":
                (value,) = group["params"]
                scale = max(_SMALLEST_SCALE, float(value.detach().square().mean().sqrt()))
            group["lr"] = learning_rate * scale

    def _agreed(self, value: float) -> float:
        """The main process's ``value`` on every process, so that clocks that differ never part them."""
        if self.accelerator.num_processes == 1:
            return value
        tensor = torch.tensor([value if self.main else 0.0], device=self.accelerator.device)
        return float(self.accelerator.reduce(tensor, reduction="sum"))

    def validate(self) -> dict[str, float]:
        """Losses, and ROUGE where the configuration asks for it, as they are logged."""
        model = self.accelerator.unwrap_model(self.model).eval()
        with self.accelerator.autocast():
            measured = loss_values(self.validation.losses(model), self.config.choice_weight)
            if self.config.validation_rouge:
                measured |= {name: round(value, 4) for name, value in self.validation.rouge(model).items()}
        self.model.train()
        return measured

    def _log(self, kind: str, state: TrainingState, **values: float) -> None:
        if self.main:
            line = {"kind": kind, "step": state.step, "minutes": round(state.minutes, 3), **values}
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            draw_training(self.folder / "log.jsonl", self.folder / "loss.svg")

    def _save(self, state: TrainingState) -> None:
        """Write a checkpoint beside the last one, then put it in its place: never is there half of one."""
        draft, final = self.folder / "checkpoint-draft", self.folder / "checkpoint"
        if self.main:
            shutil.rmtree(draft, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(draft), safe_serialization=True)
        state.save(draft / f"state-{self.accelerator.process_index}.json")
        self.accelerator.wait_for_everyone()
        if self.main:
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        checkpoint = self.folder / "checkpoint"
        if not checkpoint.is_dir():
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


def loss_values(losses: TargetLosses, choice_weight: float) -> dict[str, float]:
    """Mean losses a target position in nats, as they are logged."""
    values = {
        "loss": float(losses.mean(choice_weight)),
        "token_loss": float(losses.tokens / losses.token_count.clamp(min=1)),
    }
    if losses.choice_count:
        values["choice_loss"] = float(losses.choices / losses.choice_count)
    return {name: round(value, 4) for name, value in values.items()}


def build_model(
    config: TrainingConfig, tokenizer: PreTrainedTokenizerBase, vocabulary: Vocabulary
) -> LongT5ForConditionalGeneration:
    """Return the model a stage begins with.

    Raises:
        ConfigurationError: the tokenizer has more entries than the model, or the model no room for its initialisation.
    """
    if config.checkpoint is not None:
        model = LongT5ForConditionalGeneration.from_pretrained(config.checkpoint, dtype=torch.float32)
    else:
        assert config.model is not None
        model = LongT5ForConditionalGeneration(LongT5Config(**config.model))
        if config.initialization == "extract":
            texts = selectable_texts(Path(config.data), config.sources, vocabulary, _TEXTS_COUNTED)
            knowledge = learn_tokens(model.config, vocabulary, texts)
            samples = [torch.from_numpy(text.tokens) for text in texts[:_TEXTS_MEASURED]]
            try:
                initialize_as_extractor(model, knowledge, samples, config.seed)
            except ValueError as error:
                raise ConfigurationError(str(error)) from error
    if len(tokenizer) > model.config.vocab_size:
        raise ConfigurationError(
            f"The tokenizer has {len(tokenizer)} entries, the model {model.config.vocab_size} only."
        )
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model


def build_optimizer(config: TrainingConfig, model: torch.nn.Module) -> torch.optim.Optimizer:
    """Return AdamW or Adafactor, with one group for each parameter.

    T5's initialisation gives its weights very different sizes (embeddings 1, queries 0.01), so that no one
    learning rate suits all: like Adafactor, "adamw_scaled" steps in proportion to each parameter's own root
    mean square (nanoT5, Nawrot 2023). Weight decay is for matrices alone, not for norms, position biases
    and embeddings.
    """
    groups = [
        {
            "params": [value],
            "weight_decay": config.weight_decay
            if value.ndim == 2 and "shared" not in name and "bias" not in name
            else 0.0,
        }
        for name, value in model.named_parameters()
        if value.requires_grad
    ]
    if config.optimizer == "adafactor":
        return Adafactor(groups, lr=config.learning_rate, relative_step=False, scale_parameter=True)
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), fused=True)


def run_manifest(config: TrainingConfig, sources: list[PreparedPapers], processes: int) -> dict[str, object]:
    """Return what is needed to tell exactly what was run: configuration, data hashes, commit, versions."""
    git = ["git", "-C", str(Path(__file__).parents[2]), "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "configuration": dataclasses.asdict(config),
        "data": [source.facts for source in sources],
        "commit": commit or None,
        "torch": torch.__version__,
        "processes": processes,
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def main() -> int:
    """Run one stage; 1 and a sentence on stderr where it can't be."""
    parser = argparse.ArgumentParser(description="Train LongT5 as a configuration file says.")
    parser.add_argument("--config", type=Path, required=True, help="JSON file, see configs/")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    arguments = parser.parse_args()
    try:
        trainer = Trainer(TrainingConfig.load(arguments.config), resume=arguments.resume)
    except (ConfigurationError, DataError) as error:
        print(error, file=sys.stderr)
        return 1

    def ask_to_stop(*_: object) -> None:
        trainer.stop_asked = True

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    trainer.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
