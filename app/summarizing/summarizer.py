"""Document -> stream of progress events -> Summary: the one way in for the page, the terminal and the API."""

from __future__ import annotations

import copy
import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from transformers import GenerationConfig

from app import documents
from app.documents import Document, DocumentError
from app.documents.page_numbers import pages_of
from app.models import LoadedModel, ModelStore
from app.summarizing.drafts import DraftSentence, decoded, draft_sentences, without_repeats
from app.summarizing.evidence import find_evidence, passage_ranges
from app.summarizing.notes import reading_notes
from app.summarizing.quoting import Quotes
from app.summarizing.settings import LENGTHS, SETTINGS, SummaryError, SummarySettings
from app.summarizing.summary import (
    Done,
    Encoding,
    Event,
    Evidence,
    FindingEvidence,
    LoadingModel,
    Queued,
    Read,
    Sentence,
    Summary,
    WindowTrace,
    Writing,
)
from app.summarizing.time_left import TimeLeft
from app.summarizing.windows import TokenizedText, Window, overlapping_windows, shorten, tokenize, truncate
from app.turns import TurnQueue, Visitor
from app.work import Stopped, check, follow
from longt5.decoding import finish, processors, with_length
from longt5.generation import EncodedText, Tokens, write
from longt5.interruption import interruptible
from longt5.quote_search import Sampling, quote

logger = logging.getLogger(__name__)

# A window's share of a short summary may be a few tokens; nothing can be said in those.
LEAST_WINDOW_TOKENS = 32
LEAST_WINDOW_WORDS = 25

Report = Callable[[Event], None]


def read(
    path: str | Path,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    visitor: Visitor | None = None,
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Reads a file and yields Queued*, Reading* and, last, Read; otherwise as `summarize`."""
    stop = stop or threading.Event()
    read_now = partial(_read, path, store, name, password, visitor, stop)
    yield from _plainly(lambda report: report(Read(read_now(report)[0])), stop)


def summarize(
    source: str | Path | Document,
    settings: SummarySettings,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    visitor: Visitor | None = None,
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Reads `source` (a file or a Document), summarizes it and yields events; the last one is Done.

    Events come in this order: Queued*, Reading*, Read, Queued*, LoadingModel?, then for each window Encoding*,
    Writing*, FindingEvidence, then Done. A Document given as source starts at Read. Requests of several
    threads take turns. The work is done in a thread of its own. Setting `stop` from another thread, or closing the
    generator, which sets it too, ends the work and frees what it held.

    Args:
        name: the file's name as the person knows it (an upload is stored under another one).
        password: for an encrypted PDF.
        visitor: who asks; turns go round by visitor.

    Raises:
        DocumentError: the file can't be read (PasswordNeeded: it wants a password, or another one).
        SummaryError: the settings, the model or the queue don't allow it. `str()` of both is one sentence.
        app.work.Stopped: `stop` was set.
    """
    stop = stop or threading.Event()
    yield from _plainly(partial(_summarize, source, settings, store, name, password, visitor, stop), stop)


def _plainly(work: Callable[[Report], None], stop: threading.Event) -> Generator[Event, None, None]:
    """Follows the work; an error that nobody foresaw becomes a SummaryError."""
    try:
        yield from follow(work, stop)
        return
    except (DocumentError, SummaryError):
        raise
    except Stopped:
        failure: Exception = Stopped()
    except Exception as error:
        # As text, and raised outside: neither a log record nor the new error may hold on to the frames of the
        # work, and with them to its tensors.
        logger.error("A summary failed\n%s", traceback.format_exc())
        failure = SummaryError(_failure(error))
    raise failure


def checked(settings: SummarySettings, store: ModelStore) -> SummarySettings:
    """The settings with whole numbers as int and one beam for sampling.

    Raises:
        SummaryError: a setting is out of its range, or there is no such model.
    """
    store.profile(settings.model)
    limit = replace(SETTINGS["max_input_tokens"], most=store.settings.max_input_tokens)
    values = {
        name: setting.checked(getattr(settings, name))
        for name, setting in {**SETTINGS, limit.name: limit}.items()
    }
    if values["do_sample"]:
        values["num_beams"] = 1
    return replace(settings, **values)


def _summarize(
    source: str | Path | Document,
    settings: SummarySettings,
    store: ModelStore,
    name: str | None,
    password: str | None,
    visitor: Visitor | None,
    stop: threading.Event,
    report: Report,
) -> None:
    settings = checked(settings, store)
    if isinstance(source, Document):
        document, seconds = source, 0.0
    else:
        document, seconds = _read(source, store, name, password, visitor, stop, report)
    report(Read(document))
    with _turn(store.turns, visitor, stop, report):
        started = time.monotonic()
        if not store.loaded(settings.model):
            report(LoadingModel(settings.model))
        with store.use(settings.model, stop) as loaded, interruptible(partial(check, stop)):
            summary = _Job(document, settings, store, loaded, stop, report).run()
    report(Done(replace(summary, seconds=seconds + time.monotonic() - started)))


def _read(
    path: str | Path,
    store: ModelStore,
    name: str | None,
    password: str | None,
    visitor: Visitor | None,
    stop: threading.Event,
    report: Report,
) -> tuple[Document, float]:
    """The document, and how many seconds it took to read it once it was its turn."""
    limits = store.settings.reading_limits
    with _turn(store.readers, visitor, stop, report, to_be_read=True):
        started = time.monotonic()
        document = documents.read(
            path, name=name, password=password, limits=limits, on_page=report, stop=stop
        )
        return document, time.monotonic() - started


@contextmanager
def _turn(
    queue: TurnQueue,
    visitor: Visitor | None,
    stop: threading.Event,
    report: Report,
    *,
    to_be_read: bool = False,
) -> Iterator[None]:
    """Waits for a turn, saying the place in the queue, and gives it up at the end."""
    with queue.join(visitor) as ticket:
        for ahead in ticket.positions(stop):
            report(Queued(ahead, queue.seconds_until(ahead), to_be_read))
        yield


class _Job:
    """The part of the work that needs the model, from the document's text to the summary."""

    def __init__(
        self,
        document: Document,
        settings: SummarySettings,
        store: ModelStore,
        loaded: LoadedModel,
        stop: threading.Event,
        report: Report,
    ) -> None:
        self.document = document
        self.settings = settings
        self.store = store
        self.loaded = loaded
        self.report = report
        left_out = () if settings.include_references else document.references or ()
        tokenizer = loaded.tokenizer
        body = document.body_ranges if left_out else ((0, len(document.text)),)
        self.whole = tokenize(tokenizer, document, body, stop)
        if not len(self.whole):
            raise SummaryError(f"There is no text to summarize in {document.name}.")
        self.references = tokenize(tokenizer, document, (left_out,) if left_out else (), stop)
        quoting = settings.writing == "quotes"
        prefix = loaded.profile.quotes_prefix if quoting else loaded.profile.prefix
        self.prefix: list[int] = tokenizer(prefix, add_special_tokens=False)["input_ids"]
        room = settings.max_input_tokens - len(self.prefix) - 1
        self.text = shorten(self.whole, room) if settings.long_papers == "beginning and end" else self.whole
        divide = overlapping_windows if settings.long_papers == "windows" else truncate
        self.windows = divide(self.text, room)
        words_read = sum(len(document.text[start:end].split()) for start, end in body)
        most = _most_tokens(settings, self.whole, words_read)
        self.lengths = _shares(self.windows, most, LEAST_WINDOW_TOKENS)
        self.words: list[int] | None = None
        if settings.length != "usual" and not quoting:
            self.words = _shares(self.windows, LENGTHS[settings.length], LEAST_WINDOW_WORDS)
        self.time_left = TimeLeft([len(window) for window in self.windows], self.lengths)
        self.sentences: list[Sentence] = []
        self.traces: list[WindowTrace] = []
        self.repeats_dropped = 0

    def run(self) -> Summary:
        for index, window in enumerate(self.windows):
            input_ids, offsets = _model_input(
                self.text, window, self.prefix, self.loaded.tokenizer.eos_token_id
            )
            encoded = self.store.encoded(self.loaded, input_ids, partial(self._report_encoding, index))
            if self.settings.writing == "quotes":
                self.traces.append(WindowTrace(input_ids, offsets, self._quote(index, encoded)))
                continue
            self.traces.append(WindowTrace(input_ids, offsets, self._write(index, encoded)))
            self.report(FindingEvidence())
            self._add_own_words(index, encoded, self.traces[-1])
        if not self.sentences:
            raise SummaryError("The model wrote nothing; choose another model or a longer summary.")
        return self._summary()

    def _report_encoding(self, index: int, fraction: float) -> None:
        left = self.time_left.reading(index, fraction)
        self.report(Encoding(index + 1, len(self.windows), fraction, left))

    def _write(self, index: int, encoded: EncodedText) -> Tokens:
        config = _generation_config(self.loaded, self.settings, self.lengths[index])
        words = None if self.words is None else self.words[index]
        if words is not None:
            config = with_length(config, words)
        summary_ids = write(
            self.loaded.model,
            encoded,
            config,
            seed=self.settings.seed + index if self.settings.do_sample else None,
            logits_processor=processors(self.loaded.tokenizer, config, words),
            on_progress=partial(self._report_writing, index),
        )
        summary_ids = finish(self.loaded.tokenizer, config, summary_ids, words)
        self._report_writing(index, summary_ids)
        return summary_ids

    def _quote(self, index: int, encoded: EncodedText) -> Tokens:
        """Adds the quotes from a window and returns all their tokens."""
        settings = self.settings
        quotes = Quotes(self.document, self.text, self.windows[index])
        if not any(len(sentence) < self.lengths[index] for sentence in quotes.sentences):
            return ()
        sampling = Sampling(settings.seed + index, settings.temperature, settings.top_p)
        quoted = quote(
            self.loaded.model,
            encoded,
            quotes.sentences,
            max_new_tokens=self.lengths[index],
            num_beams=settings.num_beams,
            sampling=sampling if settings.do_sample else None,
            on_progress=partial(self._report_writing, index),
        )
        self.report(FindingEvidence())
        self._add_quotes(index, quotes.read(quoted))
        return quoted.token_ids

    def _report_writing(self, index: int, token_ids: Tokens) -> None:
        before = " ".join(sentence.text for sentence in self.sentences)
        text = f"{before} {decoded(self.loaded.tokenizer, token_ids)}".strip()
        left = self.time_left.writing(index, len(token_ids))
        self.report(Writing(text, index + 1, len(self.windows), left))

    def _add_own_words(self, index: int, encoded: EncodedText, trace: WindowTrace) -> None:
        drafts, repeats = without_repeats(
            draft_sentences(self.loaded.tokenizer, trace.summary_ids),
            [sentence.text for sentence in self.sentences],
        )
        self.repeats_dropped += repeats
        if not drafts:
            return
        passages = passage_ranges(self.text, self.windows[index], first_token=len(self.prefix))
        forced = self.store.teacher_forced(self.loaded, trace.input_ids, encoded, trace.summary_ids)
        found = find_evidence(self.loaded.model, encoded, forced, trace, self.document, drafts, passages)
        self._add(index, zip(drafts, found, strict=True))

    def _add_quotes(self, index: int, read: list[tuple[DraftSentence, Evidence]]) -> None:
        drafts, repeats = without_repeats(
            [draft for draft, _ in read], [sentence.text for sentence in self.sentences]
        )
        self.repeats_dropped += repeats
        self._add(index, ((draft, (evidence,)) for draft, evidence in read if draft in drafts))

    def _add(self, index: int, found: Iterable[tuple[DraftSentence, tuple[Evidence, ...]]]) -> None:
        for draft, evidence in found:
            start = self.sentences[-1].end + 1 if self.sentences else 0
            end = start + len(draft.text)
            self.sentences.append(
                Sentence(draft.text, start, end, index, draft.token_start, draft.token_end, evidence)
            )

    def _summary(self) -> Summary:
        document, references = self.document, self.references
        tokens_read = self.windows[-1].end
        tokens_cut = len(self.whole) - tokens_read
        pages_read = pages_of(document, self.text.offsets[:tokens_read])
        written = zip(self.traces, self.lengths, strict=True)
        notes = reading_notes(
            windows=len(self.windows),
            max_input_tokens=self.settings.max_input_tokens,
            tokens_read=tokens_read,
            tokens_cut=tokens_cut,
            pages_cut=[page for page in pages_of(document, self.whole.offsets) if page not in pages_read],
            end_read=len(self.text) < len(self.whole),
            reference_tokens=len(references),
            reference_pages=pages_of(document, references.offsets),
            repeats_dropped=self.repeats_dropped,
            ends_early=self.words is None
            and any(len(trace.summary_ids) >= length for trace, length in written),
        )
        return Summary(
            document=document,
            text=" ".join(sentence.text for sentence in self.sentences),
            sentences=tuple(self.sentences),
            settings=self.settings,
            tokens_read=tokens_read,
            tokens_left_out=tokens_cut + len(references),
            pages_read=pages_read,
            notes=(*document.notes, *notes),
            seconds=0.0,
            windows=tuple(self.traces),
        )


def _most_tokens(settings: SummarySettings, text: TokenizedText, words: int) -> int:
    """Tokens of a summary of a text of so many words: about those of the length chosen, or most at the usual one."""
    if settings.length == "usual":
        return settings.max_new_tokens
    tokens = LENGTHS[settings.length] * len(text) / max(1, words)
    if settings.writing == "quotes":  # which fall short of what they may fill by half a sentence on average
        return round(tokens + len(text) / len(text.sentence_starts) / 2)
    return round(tokens)


def _shares(windows: Sequence[Window], whole: int, least: int) -> list[int]:
    """What is to be written from each window: its share of the whole, though never too little for a sentence."""
    total = sum(len(window) for window in windows)
    return [max(min(least, whole), round(whole * len(window) / total)) for window in windows]


def _model_input(
    text: TokenizedText, window: Window, prefix: list[int], end_token: int
) -> tuple[tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Token ids of a window with prefix and end token, and the characters of each."""
    offsets = text.offsets[window.start : window.end].tolist()
    start, end = offsets[0][0], offsets[-1][1]
    return (
        (*prefix, *text.ids[window.start : window.end].tolist(), end_token),
        (*[(start, start)] * len(prefix), *map(tuple, offsets), (end, end)),
    )


def _generation_config(
    loaded: LoadedModel, settings: SummarySettings, max_new_tokens: int
) -> GenerationConfig:
    """The model's own generation config with the person's settings."""
    config: GenerationConfig = copy.deepcopy(loaded.model.generation_config)
    # A least length meant for a model's usual summaries must not outgrow a short one or a window's share.
    config.min_length = min(config.min_length or 0, max_new_tokens * 2 // 3) or None
    config.min_new_tokens = min(config.min_new_tokens or 0, max_new_tokens * 2 // 3) or None
    config.max_length = None
    for name in SETTINGS:
        if hasattr(config, name):  # what `generate` has a parameter for is a parameter of it
            setattr(config, name, getattr(settings, name))
    config.max_new_tokens = max_new_tokens
    return config


def _failure(error: Exception) -> str:
    """One sentence for an error that nobody foresaw."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return "The computer ran out of memory; lower the input limit or the number of beams."
    return (
        f"The summary failed because of an error in the program ({type(error).__name__}); please report it."
    )
