"""One training stage, as its configuration file says it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from longt5.training.objectives import OBJECTIVES


class ConfigurationError(Exception):
    """A configuration can't be used; the message is a sentence that says what to change."""


@dataclass(frozen=True)
class TrainingConfig:
    """All that decides a training stage. Paths are relative to the current folder.

    Exactly one of ``model`` and ``checkpoint`` is given.

    Attributes:
        data: folder written by ``python -m longt5.training.corpus``.
        tokenizer: folder or Hub id of the tokenizer the data was prepared with.
        output: folder for checkpoints, the log and, at the end, the model.
        sources: prepared folders to train on, each with the weight of one of its papers.
        validation: the prepared folder to validate on.
        model: arguments of ``LongT5Config`` for a fresh model.
        checkpoint: folder or Hub id to go on from.
        initialization: of a fresh model: "t5", or "extract" (``longt5.training.extractive_initialization``).
        objectives: weight of each of "principal", "oracle", "selection", "abstract".
        choice_weight: of the mean divergence of the choices ("selection"), beside the mean loss of the tokens.
        curriculum: (share of the training, longest input in tokens), the first share being 0.
        target_tokens: longest target in tokens.
        masked_share: share of principal sentences masked in the input.
        batch_tokens: tokens of a batch on one process, padding included.
        accumulation_steps: batches whose gradients are added up before a step.
        pool_examples: examples sorted by length together.
        optimizer: "adamw", "adamw_scaled" (steps in proportion to each weight's size) or "adafactor" (so
        too).
        schedule: "constant", "inverse_sqrt" or "linear", after ``warmup_steps``.
        cooldown: share of the training at its end in which the learning rate falls to zero.
        max_steps: steps after which training ends; with 0 a model is only initialised and saved.
        max_minutes: minutes after which it ends, whichever comes first; schedules are fitted to that.
        mixed_precision: "no", "bf16" or "fp16".
        validation_rouge: validation papers to quote from and measure ROUGE on, each time losses are measured.
        threads: CPU threads of torch; its own choice when None.
    """

    data: str
    tokenizer: str
    output: str
    sources: dict[str, float]
    validation: str = "validation"
    model: dict[str, Any] | None = None
    checkpoint: str | None = None
    initialization: str = "t5"
    objectives: dict[str, float] = field(default_factory=lambda: {"principal": 1.0})
    choice_weight: float = 3.0
    curriculum: tuple[tuple[float, int], ...] = ((0.0, 1024),)
    target_tokens: int = 128
    masked_share: float = 0.0
    batch_tokens: int = 8192
    accumulation_steps: int = 1
    pool_examples: int = 256
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    schedule: str = "constant"
    warmup_steps: int = 100
    cooldown: float = 0.2
    max_steps: int = 1000
    max_minutes: float | None = None
    mixed_precision: str = "no"
    gradient_checkpointing: bool = False
    threads: int | None = None
    seed: int = 0
    log_steps: int = 10
    validation_steps: int = 200
    validation_examples: int = 64
    validation_rouge: int = 0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            ConfigurationError: with what to change.
        """
        choices = {
            "initialization": ("t5", "extract"),
            "optimizer": ("adamw", "adamw_scaled", "adafactor"),
            "schedule": ("constant", "inverse_sqrt", "linear"),
            "mixed_precision": ("no", "bf16", "fp16"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ConfigurationError(f"{name} must be one of {', '.join(allowed)}.")
        if (self.model is None) == (self.checkpoint is None):
            raise ConfigurationError("Give either model (a fresh one) or checkpoint (one to go on from).")
        if not self.sources or not self.objectives or not set(self.objectives) <= set(OBJECTIVES):
            raise ConfigurationError(f"Give sources, and objectives among {', '.join(OBJECTIVES)}.")
        if not self.curriculum or self.curriculum[0][0] != 0:
            raise ConfigurationError("curriculum must begin with a share of 0.")

    @classmethod
    def load(cls, path: str | Path) -> TrainingConfig:
        """Read a JSON file.

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
        if "curriculum" in values:
            values["curriculum"] = tuple(
                (float(share), int(tokens)) for share, tokens in values["curriculum"]
            )
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigurationError(f"{path} lacks a setting: {error}.") from error

    def source_tokens_at(self, progress: float) -> int:
        """Longest input, in tokens, when ``progress`` (0..1) of the training is done."""
        return [tokens for share, tokens in self.curriculum if share <= progress][-1]

    def progress(self, step: int, minutes: float) -> float:
        """Share of the training that is done, 0..1, by steps or by time, whichever is further."""
        by_time = 0.0 if self.max_minutes is None else minutes / self.max_minutes
        by_steps = step / self.max_steps if self.max_steps else 1.0
        return min(1.0, max(by_steps, by_time))

    def learning_rate_at(self, step: int, progress: float) -> float:
        """Learning rate of step ``step`` (from 0)."""
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.schedule == "inverse_sqrt":
            shape = math.sqrt(max(1, self.warmup_steps) / max(step + 1, self.warmup_steps, 1))
        elif self.schedule == "linear":
            shape = 1.0 - progress
        else:
            shape = 1.0
        cooling = 1.0 if self.cooldown == 0 else min(1.0, (1.0 - progress) / self.cooldown)
        return self.learning_rate * warmup * shape * cooling
