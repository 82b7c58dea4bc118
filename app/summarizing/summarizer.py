"""Document -> stream of progress events -> Summary: the one way in for the page, the terminal and the API."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from app import documents
from app.documents import Document, DocumentError
from app.models import ModelStore
from app.summarizing.job import Job, Report
from app.summarizing.positions import language_barrier, summarize_by_position
from app.summarizing.settings import SETTINGS, SummaryError, SummarySettings
from app.summarizing.summary import Done, Event, LoadingModel, Queued, Read, Summary
from app.work import Stopped, follow

logger = logging.getLogger(__name__)


def read(
    path: str | Path,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Reads a file and yields Reading* and, last, Read; otherwise as `summarize`."""
    stop = stop or threading.Event()
    yield from _plainly(lambda report: report(Read(_read(path, store, name, password, stop, report))), stop)


def summarize(
    source: str | Path | Document,
    settings: SummarySettings,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    stop: threading.Event | None = None,
    keep: Callable[[Summary], None] | None = None,
) -> Generator[Event, None, None]:
    """Reads `source` (a file or a Document), summarizes it and yields events; the last one is Done.

    Events come in this order: Reading*, Read, Queued*, LoadingModel?, Working*, Done; of a paper in a language that the
    model does not read (`language_barrier`) Reading*, Read, Done. A Document given as source
    starts at Read. Requests of several threads take turns. The work is done in a thread of its own. Setting `stop` from
    another thread, or closing the generator, which sets it too, ends the work and frees what it held.

    Args:
        name: the file's name as the person knows it (an upload is stored under another one).
        password: for an encrypted PDF.
        keep: called, in the thread of the work, with what was written when the work is stopped, however that happens:
            a Summary that is not `complete`. It is not called where nothing was written.

    Raises:
        DocumentError: the file can't be read (PasswordNeeded: it wants a password, or another one).
        SummaryError: the settings, the model or the queue don't allow it. `str()` of both is one sentence.
        app.work.Stopped: `stop` was set.
    """
    stop = stop or threading.Event()
    yield from _plainly(partial(_summarize, source, settings, store, name, password, stop, keep), stop)


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
    stop: threading.Event,
    keep: Callable[[Summary], None] | None,
    report: Report,
) -> None:
    settings = checked(settings, store)
    started = time.monotonic()
    document = source if isinstance(source, Document) else _read(source, store, name, password, stop, report)
    report(Read(document))
    barrier = language_barrier(store.profile(settings.model), document)
    if barrier is not None:
        summary = summarize_by_position(document, settings, barrier)
        if not summary.sentences:
            raise SummaryError(f"There is no text to summarize in {document.name}.")
        report(Done(replace(summary, seconds=time.monotonic() - started)))
        return
    with store.turns.join() as ticket:
        joined = time.monotonic()
        for ahead in ticket.positions(stop):
            report(Queued(ahead))
        started += time.monotonic() - joined
        if not store.loaded(settings.model):
            report(LoadingModel(settings.model))
        with store.use(settings.model, stop) as loaded:
            job = Job(document, settings, store, loaded, stop, report)
            try:
                summary = job.run()
            except Stopped:
                if keep is not None and (so_far := job.so_far()) is not None:
                    keep(replace(so_far, seconds=time.monotonic() - started))
                raise
    report(Done(replace(summary, seconds=time.monotonic() - started)))


def _read(
    path: str | Path,
    store: ModelStore,
    name: str | None,
    password: str | None,
    stop: threading.Event,
    report: Report,
) -> Document:
    limits = store.settings.reading_limits
    return documents.read(path, name=name, password=password, limits=limits, on_page=report, stop=stop)


def _failure(error: Exception) -> str:
    """One sentence for an error that nobody foresaw."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in str(error):
        return "The computer ran out of memory; lower the input limit or the number of beams."
    return (
        f"The summary failed because of an error in the program ({type(error).__name__}); please report it."
    )
