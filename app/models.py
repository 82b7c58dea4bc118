"""The models on offer: one in memory at a time, loaded once, shared by everyone, taken in turns."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.settings import Settings
from app.summary import SummarySettings

if TYPE_CHECKING:
    from longt5.generation import EncodedText, EncodingProgress


@dataclass(frozen=True)
class ModelProfile:
    """What is known of a model without loading its weights."""

    name: str
    """One of `ModelStore.choices`."""
    defaults: SummarySettings
    """From its generation config."""
    max_input_tokens: int
    """Most tokens it reads at once."""
    prefix: str
    """Text put before every input; most LongT5 checkpoints want none."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, lent out by `ModelStore.use`; don't keep it."""

    profile: ModelProfile
    model: Any
    """`longt5.LongT5ForConditionalGeneration` in eval mode."""
    tokenizer: Any
    """Fast tokenizer, with offsets."""


class ModelStore:
    """The models on offer. All methods may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def choices(self) -> tuple[str, ...]:
        """Names to choose from, the default first: a Hub id, or the last part of a folder's path."""
        raise NotImplementedError

    def profile(self, name: str) -> ModelProfile:
        """Defaults and limits of a model, without its weights and without waiting for anybody.

        Raises:
            SummaryError: no such choice, or its files can't be read.
        """
        raise NotImplementedError

    def turn(self, stop: threading.Event | None = None) -> Iterator[int]:
        """The queue for long work: yields the place in it whenever that changes (1 is next), then 0: it's your turn.

        The turn lasts until the generator is closed. Raises SummaryError when the queue is full, Stopped on `stop`.
        """
        raise NotImplementedError

    def loaded(self, name: str) -> bool:
        """Whether `use(name)` would find the model in memory."""
        raise NotImplementedError

    @contextmanager
    def use(self, name: str, stop: threading.Event | None = None) -> Iterator[LoadedModel]:
        """Lends out a model, loading it first if need be; waits until nobody uses the one it replaces.

        Raises:
            SummaryError: no such choice, or it can't be loaded.
            Stopped: `stop` was set while waiting; a load in progress goes on for whoever asks next.
        """
        raise NotImplementedError

    def encoded(
        self, loaded: LoadedModel, input_ids: Sequence[int], stop: threading.Event | None = None
    ) -> Iterator[EncodingProgress | EncodedText]:
        """The encoder states of `input_ids`, the last item; kept ones at once, others after encoding."""
        raise NotImplementedError
