"""The models on offer: one in memory at a time, loaded once, shared by everyone."""

from __future__ import annotations

import gc
import logging
import reprlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch

from app.allocator import settle, share_arenas
from app.settings import Settings
from app.summarizing.settings import SETTINGS, SummaryError, SummarySettings
from app.turns import POLL_SECONDS, TurnQueue
from app.work import check
from longt5 import LongT5Config
from longt5.generating.stepping import compile_ahead
from longt5.generation import EncodedText, Tokens, encode
from longt5.loading import LoadingError, check_vocabulary, load_model, load_tokenizer
from longt5.loading.files import (
    ADAPTER_FILE,
    CONFIG_FILE,
    GENERATION_CONFIG_FILE,
    find_folder,
    read_json,
    refuse_adapter,
)
from longt5.maps import TeacherForced, teacher_force
from longt5.memory import ran_out_of_memory

logger = logging.getLogger(__name__)

T = TypeVar("T", EncodedText, TeacherForced)
R = TypeVar("R")

DEFAULT_INPUT_TOKENS = 16_384  # what LongT5 was fine-tuned on (paper, section 4.1)
# The number type on a device that is named, and can't be asked what it computes in.
ON_GIVEN_DEVICE = "bfloat16"
# Whoever has had the model for so long lets others go first when he comes to the next part of his paper.
LONG_TURN_SECONDS = 15.0
LEFTOVER_INPUT_TOKENS = 512  # T5's own length, which many LongT5 tokenizers still carry


@dataclass(frozen=True)
class ModelProfile:
    """What is known of a model without loading its weights."""

    name: str
    """One of `ModelStore.choices`."""
    defaults: SummarySettings
    """From its generation config."""
    max_input_tokens: int
    """Most tokens it was made to read at once."""
    prefix: str
    """Text put before every input; most LongT5 checkpoints want none."""
    quotes_prefix: str
    """The same where quotes are to be chosen: a model may have learned to tell by it what it is asked for."""
    languages: tuple[str, ...]
    """ISO 639-1 codes of the languages that it reads; empty where its files don't say."""
    config: LongT5Config
    """Its sizes: layers, heads, local radius, global block."""


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory, lent out by `ModelStore.use`; don't keep it."""

    profile: ModelProfile
    model: Any
    """`longt5.LongT5ForConditionalGeneration` in eval mode."""
    tokenizer: Any
    """Fast tokenizer, with offsets."""
    shareable: bool
    """False where accelerate moves weights while the model runs: then one thread at a time may use it."""


class Calls(Protocol):
    """Work done in processes of its own: `app.gpu_calls.GpuCalls`."""

    def call(
        self,
        work: Callable[..., R],
        *arguments: Any,
        seconds: int,
        report: Callable[[Any], None] = ...,
        stop: threading.Event | None = None,
    ) -> R:
        """What `work(store, report, stop, *arguments)` returns there."""


@dataclass(eq=False)
class _Load:
    """A load in progress."""

    name: str
    error: Exception | None = None


class ModelStore:
    """The models on offer. All methods may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.readers = TurnQueue(
            settings.queue_size, turns_at_once=settings.readers, share=settings.queue_share, of="files"
        )
        """The queue for reading files, each in a process of its own that may take a processor and much memory."""
        self.turns = TurnQueue(
            settings.queue_size,
            share=settings.queue_share,
            given_up_after=LONG_TURN_SECONDS,
            in_rush=lambda: len(self.readers) > 0,
        )
        """The queue for long work, summaries above all; short questions go straight to `use`."""
        self._paths = _named(settings.models)
        self._profiles: dict[str, ModelProfile] = {}
        self._changed = threading.Condition()  # guards what follows
        self._current: LoadedModel | None = None
        self._users = 0
        self._load: _Load | None = None
        self._load_failed = False  # the last one
        self._kept = _KeptStates(settings.kept_encodings_bytes)
        self.gpu: Calls | None = None
        """Where work with the models is done in processes of its own: then it has to go there, and `use` is theirs."""
        self._resident: dict[str, LoadedModel] = {}  # loaded for such processes, all of them for good
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)

    @classmethod
    def for_many_papers(cls, settings: Settings) -> ModelStore:
        """For papers one after the other, each read once, whose attention nobody asks for: nothing is kept of any.

        To be called before the threads that summarize are there.
        """
        share_arenas()
        settle()
        return cls(replace(settings, kept_encodings_bytes=0))

    @property
    def choices(self) -> tuple[str, ...]:
        """Names to choose from, the default first: a Hub id, or the last part of a folder's path."""
        return tuple(self._paths)

    def profile(self, name: str) -> ModelProfile:
        """Defaults and limits of a model, without its weights and without waiting for anybody.

        Raises:
            SummaryError: no such choice, or its files can't be read.
        """
        path = self._path(name)
        if name not in self._profiles:
            try:
                self._profiles[name] = _profile(name, path, self.settings.max_input_tokens)
            except Exception as error:  # somebody's files, and five libraries that read them
                raise SummaryError(_loading_failed(name, path, error)) from error
        return self._profiles[name]

    def loaded(self, name: str) -> bool:
        """Whether `use(name)` would find the model in memory."""
        with self._changed:
            current = self._current
            return name in self._resident or (current is not None and current.profile.name == name)

    @property
    def readiness(self) -> Literal["ready", "loading", "failed"]:
        """Whether a summary could begin; a model that could not be loaded is tried again by whoever asks next."""
        with self._changed:
            if self._current is not None:
                return "ready"
            return "failed" if self._load is None and self._load_failed else "loading"

    def load_ahead(self, name: str) -> None:
        """Starts to load a model unless one is there or on its way; a failure is in the log, and `use` tries again.

        What writes on a CPU is compiled after that, ten seconds the first time on a machine, so that no summary waits.
        """
        with self._changed:
            if self._current is None and self._load is None:
                self._start_load(name, then=_compile_kernels)

    def load_all(self, device: str) -> None:
        """Loads every model in this thread and puts it on a device, for good, for processes that are forked from this.

        Raises:
            SummaryError: one can't be loaded.
        """
        for name in self.choices:
            try:
                self._resident[name] = self._loaded_model(name, device)
            except Exception as error:  # somebody's files, and five libraries that read them
                raise SummaryError(_loading_failed(name, self._path(name), error)) from error
        self._current = self._resident[self.choices[0]]

    def forked(self) -> ModelStore:
        """The same models for a process that was forked: without the locks, which a thread may have held that is gone.

        It has the settings of this one, no states and nobody who waits.
        """
        store = ModelStore(self.settings)
        store._resident, store._profiles = self._resident, dict(self._profiles)
        return store

    @contextmanager
    def use(self, name: str, stop: threading.Event | None = None) -> Iterator[LoadedModel]:
        """Lends out a model, loading it first if need be; waits until nobody uses the one it replaces.

        Raises:
            SummaryError: no such choice, or it can't be loaded.
            Stopped: `stop` was set while waiting; a load in progress goes on for whoever asks next.
        """
        if name in self._resident:
            yield self._resident[name]
            return
        loaded = self._borrow(name, stop)
        try:
            yield loaded
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    def encoded(
        self, loaded: LoadedModel, input_ids: Tokens, on_progress: Callable[[float], None] | None = None
    ) -> EncodedText:
        """The encoder states of `input_ids`: kept ones at once, others after encoding, with progress."""
        name, model = loaded.profile.name, loaded.model
        # A model whole on one device has no hooks that would bring it there; one on disk has, and is itself on "meta".
        device = None if model.device.type == "meta" else model.device
        ids = torch.tensor([input_ids], dtype=torch.long, device=device)
        return self._kept.get((name, input_ids), lambda: encode(model, ids, on_progress=on_progress))

    def teacher_forced(
        self, loaded: LoadedModel, input_ids: Tokens, encoded: EncodedText, summary_ids: Tokens
    ) -> TeacherForced:
        """What the decoder made of a summary of `input_ids`, kept like the encoder states."""
        seen = encoded.attention_mask.bool().cpu().numpy().tobytes()
        key = (loaded.profile.name, input_ids, seen, summary_ids)
        return self._kept.get(key, lambda: teacher_force(loaded.model, encoded, summary_ids))

    def forget_unused(self, seconds: float) -> None:
        """Frees the memory of encoder states that nobody has used for so long; they are made again when asked for."""
        self._kept.forget_unused(seconds)

    def _path(self, name: str) -> str:
        if not isinstance(name, str) or name not in self._paths:
            raise SummaryError(
                f"There is no model named {reprlib.repr(name)} here; choose {_alternatives(self.choices)}."
            )
        return self._paths[name]

    def _borrow(self, name: str, stop: threading.Event | None) -> LoadedModel:
        self._path(name)
        watched: _Load | None = None  # a load of this model that was seen, whose failure is ours too
        with self._changed:
            while True:
                check(stop)
                if watched is not None and watched.error is not None:
                    raise SummaryError(
                        _loading_failed(name, self._path(name), watched.error)
                    ) from watched.error
                current = self._current
                if current is not None and current.profile.name == name:
                    if self._users == 0 or current.shareable:
                        self._users += 1
                        return current
                elif self._load is None and self._users == 0:
                    self._start_load(name)
                if self._load is not None and self._load.name == name:
                    watched = self._load
                self._changed.wait(POLL_SECONDS)

    def _start_load(self, name: str, then: Callable[[LoadedModel], None] | None = None) -> None:
        """In a thread of its own, so that whoever waits for it can be stopped; `_changed` is held."""
        self._current = None
        self._load = _Load(name)
        threading.Thread(target=self._run_load, args=(self._load, then), daemon=True).start()

    def _run_load(self, load: _Load, then: Callable[[LoadedModel], None] | None) -> None:
        started = time.monotonic()
        loaded = None
        try:
            gc.collect()  # the model that goes must be gone before the next one comes
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            loaded = self._loaded_model(load.name)
            logger.info("Model %s ready after %.1f s", load.name, time.monotonic() - started)
        except Exception as error:
            logger.exception("Model %s could not be loaded", load.name)
            load.error = error
        except BaseException as error:  # a library in Rust gave up: nobody may wait for this load for ever
            logger.error("Model %s could not be loaded: %s", load.name, type(error).__name__)
            load.error = RuntimeError(type(error).__name__)
        with self._changed:
            self._current = loaded
            self._load = None
            self._load_failed = loaded is None
            self._changed.notify_all()
        if loaded is not None and then is not None:
            then(loaded)

    def _loaded_model(self, name: str, device: str | None = None) -> LoadedModel:
        path, settings = self._path(name), self.settings
        if device is not None:
            model = load_model(path, dtype=settings.dtype or ON_GIVEN_DEVICE).to(device)
        else:
            wants_gpu = torch.cuda.is_available() and settings.dtype != "int8"  # which is for CPUs
            model = load_model(
                path,
                device_map=settings.device_map or ("auto" if wants_gpu else None),
                max_memory=settings.max_memory,
                offload_folder=settings.offload_folder,
                dtype=settings.dtype,
            )
        tokenizer = load_tokenizer(path)
        check_vocabulary(model, tokenizer)
        devices = set((getattr(model, "hf_device_map", None) or {}).values())
        return LoadedModel(
            profile=self.profile(name),
            model=model,
            tokenizer=tokenizer,
            shareable=len(devices) < 2 and "disk" not in devices,
        )


def _compile_kernels(loaded: LoadedModel) -> None:
    started = time.monotonic()
    if compile_ahead(loaded.model):
        logger.info("Ready to write after another %.1f s", time.monotonic() - started)


class _KeptStates:
    """What encoder and decoder made of the texts used last, as much as fits. Thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._states: OrderedDict[tuple[Hashable, ...], Any] = OrderedDict()  # those used last at the end
        self._used: dict[tuple[Hashable, ...], float] = {}

    def get(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """What is kept under a key, or what `make` makes of it now."""
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
                self._used[key] = time.monotonic()
                return self._states[key]
        made = make()
        with self._lock:
            self._states[key] = made
            self._used[key] = time.monotonic()
            while self._states and sum(map(_bytes, self._states.values())) > self._max_bytes:
                self._drop_oldest()
        return made

    def forget_unused(self, seconds: float) -> None:
        """Drops what nobody has used for so long."""
        oldest = time.monotonic() - seconds
        with self._lock:
            while self._states and self._used[next(iter(self._states))] < oldest:
                self._drop_oldest()

    def _drop_oldest(self) -> None:
        key, _ = self._states.popitem(last=False)
        del self._used[key]


def _bytes(states: EncodedText | TeacherForced) -> int:
    tensors = {tensor.data_ptr(): tensor for tensor in states.hidden_states}
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _named(models: Sequence[str]) -> dict[str, str]:
    """Names for people -> folders or Hub ids. Folders go by their last part, unless two share it."""
    paths: dict[str, str] = {}
    for path in models:
        is_folder = Path(path).is_absolute() or Path(path).is_dir()
        name = Path(path).name if is_folder else path
        paths[path if name in paths else name] = path
    return paths


def _alternatives(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _loading_failed(name: str, path: str, error: Exception) -> str:
    if isinstance(error, LoadingError):
        return str(error).replace(path, name)  # visitors need not know where it lies
    if ran_out_of_memory(error):
        return f"There is not enough memory for the model {name}; choose a smaller one."
    return f"The model {name} could not be loaded ({type(error).__name__}); choose another one."


def _profile(name: str, path: str, most_input_tokens: int) -> ModelProfile:
    folder, _ = find_folder(path, [CONFIG_FILE, GENERATION_CONFIG_FILE, ADAPTER_FILE], None, None)
    refuse_adapter(path, folder)
    config = read_json(path, folder / CONFIG_FILE)
    generation_file = folder / GENERATION_CONFIG_FILE
    generation = read_json(path, generation_file) if generation_file.is_file() else {}
    # Generation defaults of older checkpoints stand in config.json, at its top or by task.
    task = (config.get("task_specific_params") or {}).get("summarization") or {}

    def first(field: str) -> Any:
        return next((said[field] for said in (generation, config, task) if said.get(field) is not None), None)

    max_input_tokens = min(_max_input_tokens(config, generation, load_tokenizer(path)), most_input_tokens)
    given = {field: first(field) for field in SETTINGS} | {"max_input_tokens": max_input_tokens}
    if given["max_new_tokens"] is None and first("max_length") is not None:
        given["max_new_tokens"] = first("max_length") - 1  # the start token
    defaults = {field: SETTINGS[field].nearest(said) for field, said in given.items() if said is not None}
    return ModelProfile(
        name=name,
        defaults=SummarySettings(model=name, **defaults),
        max_input_tokens=max_input_tokens,
        prefix=first("prefix") or "",
        quotes_prefix=first("quotes_prefix") or first("prefix") or "",
        languages=tuple(first("languages") or ()),
        config=LongT5Config.from_dict(config),
    )


def _max_input_tokens(config: dict[str, Any], generation: dict[str, Any], tokenizer: Any) -> int:
    """What a checkpoint says about its input length, by the first field that says something credible."""
    for length in (generation.get("max_input_tokens"), config.get("max_input_tokens")):
        if isinstance(length, int) and length >= SETTINGS["max_input_tokens"].least:
            return length
    for length in (tokenizer.model_max_length, config.get("n_positions")):
        if isinstance(length, int) and LEFTOVER_INPUT_TOKENS < length < 2**24:
            return length
    return DEFAULT_INPUT_TOKENS
