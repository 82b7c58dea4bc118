"""One training run, as its configuration file says it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from longt5.training.objectives import OBJECTIVES

# The least of each whole number in a configuration.
COUNTS = {
    "target_tokens": 2,
    "batch_tokens": 1,
    "accumulation_steps": 1,
    "warmup_steps": 0,
    "max_steps": 1,
    "workers": 0,
    "threads": 1,
    "seed": 0,
    "log_steps": 1,
    "validation_steps": 1,
    "validation_batches": 1,
}


class ConfigurationError(Exception):
    """A configuration can't be used; the message is a sentence that says what to change."""


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_weights(values: object) -> bool:
    """Whether it is a dictionary of numbers above 0, and not empty."""
    return isinstance(values, dict) and bool(values) and all(_is_number(v) and v > 0 for v in values.values())


@dataclass(frozen=True)
class Stage:
    """A part of a run with inputs of one length and a mix of objectives of its own."""

    share: float
    """Of the run's steps or minutes; those of all stages add up to 1."""
    source_tokens: int
    """Longest input in tokens, `</s>` included."""
    objectives: dict[str, float]
    """Weight of each objective, see `longt5.training.objectives`."""
    dropout: float = 0.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what can't be meant."""
        if not _are_weights(self.objectives) or not set(self.objectives) <= set(OBJECTIVES):
            raise ConfigurationError(
                f"A stage needs objectives among {', '.join(OBJECTIVES)}, with weights above 0."
            )
        if not _is_number(self.share) or self.share <= 0:
            raise ConfigurationError("A stage needs a share above 0.")
        if not _is_count(self.source_tokens, 16):
            raise ConfigurationError("A stage needs source_tokens, a whole number of at least 16.")
        if not _is_number(self.dropout) or not 0 <= self.dropout < 1:
            raise ConfigurationError("The dropout of a stage must be from 0 to below 1.")


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a training run. Paths are relative to the current folder.

    Exactly one of `model` and `checkpoint` is given.
    """

    data: str
    """Folder written by `python -m longt5.training.corpus`."""
    tokenizer: str
    """Folder or Hub id of the tokenizer the data was prepared with."""
    output: str
    """Folder for checkpoints, the log and, at the end, the model."""
    sources: dict[str, float]
    """Prepared folders to train on, each with the weight of one of its papers."""
    stages: tuple[Stage, ...]
    """In their order."""
    validation: str = "validation"
    """The prepared folder to validate on."""
    model: dict[str, Any] | None = None
    """Arguments of `LongT5Config` for a fresh model."""
    checkpoint: str | None = None
    """Folder or Hub id to go on from."""
    initialization: str = "t5"
    """Of a fresh model: "t5", or "copying" (`longt5.training.initialization`)."""
    target_tokens: int = 128
    """Longest target in tokens, `</s>` included."""
    batch_tokens: int = 8192
    """Tokens of a batch on one process: inputs and longest targets, padding included."""
    accumulation_steps: int = 1
    """Batches whose gradients are added up before a step."""
    optimizer: str = "muon"
    """"muon" (`longt5.training.optimizer`) or "adafactor", as T5 is fine-tuned."""
    learning_rate: float = 0.008
    """Of a step, as a share of each parameter's root mean square, with either optimizer."""
    clip_norm: float = 1.0
    warmup_steps: int = 100
    cooldown: float = 0.5
    """Share of the run, at its end, in which the learning rate falls linearly to zero."""
    max_steps: int = 1000
    max_minutes: float | None = None
    """The run ends with these or with `max_steps`, whichever comes first; stages and rate are fitted to that."""
    mixed_precision: str = "no"
    """"no", "bf16" or "fp16"."""
    gradient_checkpointing: bool = False
    cuda_graphs: bool = False
    """Launch forward and backward as one CUDA graph (`longt5.training.graphs`), in one process on a GPU."""
    workers: int = 1
    """Processes that make examples ahead of time, for each training process; 0 makes them between the steps."""
    threads: int | None = None
    """CPU threads of torch; its own choice when None."""
    seed: int = 0
    log_steps: int = 10
    validation_steps: int = 200
    validation_batches: int = 8
    """For each objective of the last stage."""
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        """Raises ConfigurationError for what can't be meant, with what to change."""
        choices = {
            "initialization": ("t5", "copying"),
            "optimizer": ("muon", "adafactor"),
            "mixed_precision": ("no", "bf16", "fp16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}.")
        for name in ("data", "tokenizer", "output", "validation"):
            if not isinstance(getattr(self, name), str):
                raise ConfigurationError(f"{name} must be text.")
        for name, least in COUNTS.items():
            value = getattr(self, name)
            if not _is_count(value, least) and not (name == "threads" and value is None):
                raise ConfigurationError(f"{name} must be a whole number from {least} on.")
        for name in ("max_minutes", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if not (_is_number(value) and value > 0) and not (name == "max_minutes" and value is None):
                raise ConfigurationError(f"{name} must be above 0.")
        if not _is_number(self.checkpoint_minutes) or self.checkpoint_minutes < 0:
            raise ConfigurationError("checkpoint_minutes must be 0 or more.")
        if not _is_number(self.cooldown) or not 0 <= self.cooldown <= 1:
            raise ConfigurationError("cooldown must be from 0 to 1.")
        if (self.model is None) == (self.checkpoint is None):
            raise ConfigurationError("Give either model (a fresh one) or checkpoint (one to go on from).")
        if self.cuda_graphs and self.mixed_precision == "fp16":
            raise ConfigurationError(
                "cuda_graphs do not go with fp16, whose scale changes from step to step: use bf16."
            )
        if not _are_weights(self.sources):
            raise ConfigurationError("Give sources: prepared folders, each with a weight above 0.")
        if not self.stages or abs(sum(stage.share for stage in self.stages) - 1) > 1e-6:
            raise ConfigurationError("Give stages whose shares add up to 1.")

    @classmethod
    def load(cls, path: str | Path) -> TrainingConfig:
        """Reads a JSON file.

        Raises:
            ConfigurationError: it is no JSON object, or a setting is unknown, missing or out of range.
        """
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} can't be read as a JSON file: {error}.") from error
        if not isinstance(values, dict):
            raise ConfigurationError(f"{path} must hold one JSON object.")
        unknown = set(values) - {entry.name for entry in fields(cls)}
        if unknown:
            raise ConfigurationError(f"{path} has settings that do not exist: {', '.join(sorted(unknown))}.")
        try:
            stages = tuple(Stage(**stage) for stage in values.pop("stages", ()))
            return cls(**values, stages=stages)
        except TypeError as error:
            raise ConfigurationError(f"{path} lacks a setting or has a wrong one: {error}.") from error

    def progress(self, step: int, minutes: float) -> float:
        """Share of the run that is done, 0 to 1, by steps or by time, whichever is further."""
        by_time = 0.0 if self.max_minutes is None else minutes / self.max_minutes
        return min(1.0, max(step / self.max_steps, by_time))

    def stage_at(self, progress: float) -> int:
        """Index of the stage when `progress` (0 to 1) of the run is done."""
        end = 0.0
        for index, stage in enumerate(self.stages):
            end += stage.share
            if progress < end - 1e-9:
                return index
        return len(self.stages) - 1

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Learning rate of step `step` (from 0): warm-up, constant, then linear to zero."""
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        cooling = 1.0 if self.cooldown == 0 else min(1.0, (1.0 - progress) / self.cooldown)
        return self.learning_rate * warmup * cooling
