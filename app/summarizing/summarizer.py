"""Document -> stream of progress events -> Summary: the one way in for the page, the terminal and the API."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from functools import partial
from pathlib import Path

from app import documents
from app.documents import Document, DocumentError, Reading
from app.gpu_calls import seconds_for
from app.logs import without_words
from app.models import ModelStore
from app.summarizing.job import Job, Report
from app.summarizing.plan import estimated_cost
from app.summarizing.positions import language_barrier, summarize_by_position
from app.summarizing.settings import SETTINGS, SummaryError, SummarySettings
from app.summarizing.summary import Done, Event, Read, Summary
from app.summarizing.turn import Turn, joined
from app.turns import Caller
from app.work import Stopped, follow
from longt5.memory import ran_out_of_memory

logger = logging.getLogger(__name__)


def read(
    path: str | Path,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    caller: Caller | None = None,
    stop: threading.Event | None = None,
) -> Generator[Event, None, None]:
    """Reads a file and yields Queued*, Reading* and, last, Read; otherwise as `summarize`."""
    stop = stop or threading.Event()
    read_now = partial(_read, path, store, name, password, caller, stop)
    yield from _plainly(lambda report: report(Read(read_now(report)[0])), stop)


def summarize(
    source: str | Path | Document,
    settings: SummarySettings,
    store: ModelStore,
    *,
    name: str | None = None,
    password: str | None = None,
    caller: Caller | None = None,
    stop: threading.Event | None = None,
    keep: Callable[[Summary], None] | None = None,
) -> Generator[Event, None, None]:
    """Reads `source` (a file or a Document), summarizes it and yields events; the last one is Done.

    Events come in this order: Queued*, Reading*, Read, Queued*, LoadingModel?, Working*, with Queued* again where
    others go first, Done; of a paper in a language that the model does not read (`language_barrier`) Queued*, Reading*,
    Read, Done. A Document given as source starts at Read. Requests of several threads take turns. The work is done in a
    thread of its own. Setting `stop` from another thread, or closing the generator, which sets it too, ends the work
    and frees what it held.

    Args:
        name: the file's name as the person knows it (an upload is stored under another one).
        password: for an encrypted PDF.
        caller: who asks; turns go round by caller.
        keep: called, in the thread of the work, with what was written when the work is stopped, however that happens:
            a Summary that is not `complete`. It is not called where nothing was written.

    Raises:
        DocumentError: the file can't be read (PasswordNeeded: it wants a password, or another one).
        SummaryError: the settings, the model or the queue don't allow it. `str()` of both is one sentence.
        app.work.Stopped: `stop` was set.
    """
    stop = stop or threading.Event()
    yield from _plainly(
        partial(_summarize, source, settings, store, name, password, caller, stop, keep), stop
    )


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
        # As text, without what the error quotes, and raised outside: neither a log record nor the new error may hold on
        # to the frames of the work, and with them to its tensors.
        logger.error("A summary failed\n%s", without_words(error))
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
    caller: Caller | None,
    stop: threading.Event,
    keep: Callable[[Summary], None] | None,
    report: Report,
) -> None:
    settings = checked(settings, store)
    if isinstance(source, Document):
        document, seconds = source, 0.0
    else:
        document, seconds = _read(source, store, name, password, caller, stop, report)
    report(Read(document))
    barrier = language_barrier(store.profile(settings.model), document)
    if barrier is not None:
        summary = summarize_by_position(document, settings, barrier)
        if not summary.sentences:
            raise SummaryError(f"There is no text to summarize in {document.name}.")
        report(Done(replace(summary, seconds=seconds)))
        return
    work = estimated_cost(document, settings)
    with (
        joined(store.turns, caller, stop, report, work=work) as ticket,
        Turn(ticket, store, stop, report) as turn,
    ):
        if store.gpu is None:
            job = Job(document, settings, store, turn.take_model(settings.model), stop, turn.watched)
            summary = _carried_out(job, keep is not None, partial(turn.give_way, job))
        else:
            # The GPU is lent once, for all parts of a paper: nobody can be let go first in between.
            summary = store.gpu.call(
                _on_gpu,
                document,
                settings,
                keep is not None,
                seconds=_gpu_seconds(store, document, settings),
                report=turn.watched,
                stop=stop,
            )
        summary = replace(summary, document=document, seconds=seconds + turn.seconds)
        if not summary.complete:
            assert keep is not None
            keep(summary)
            raise Stopped
    report(Done(summary))


def _carried_out(job: Job, keeps_so_far: bool, between_windows: Callable[[], None] = lambda: None) -> Summary:
    """What a job comes to; when it is stopped what was written by then, if anything was and it is kept."""
    try:
        return job.run(between_windows)
    except Stopped:
        so_far = job.so_far() if keeps_so_far else None  # which takes a moment, for its evidence
        if so_far is None:
            raise
        return so_far


def _on_gpu(
    store: ModelStore,
    report: Report,
    stop: threading.Event,
    document: Document,
    settings: SummarySettings,
    keeps_so_far: bool,
) -> Summary:
    """The same in a process that was lent a GPU."""
    with store.use(settings.model) as loaded:
        return _carried_out(Job(document, settings, store, loaded, stop, report), keeps_so_far)


def _gpu_seconds(store: ModelStore, document: Document, settings: SummarySettings) -> int:
    """How long a GPU is asked for, by what is to be read and written."""
    with store.use(settings.model) as loaded:
        steps = Job(document, settings, store, loaded, threading.Event(), lambda event: None).progress.steps
    return seconds_for(sum(step.read for step in steps), sum(step.write for step in steps))


def _read(
    path: str | Path,
    store: ModelStore,
    name: str | None,
    password: str | None,
    caller: Caller | None,
    stop: threading.Event,
    report: Report,
) -> tuple[Document, float]:
    """The document, and how many seconds it took to read it once it was its turn."""
    limits = store.settings.reading_limits
    with joined(store.readers, caller, stop, report, to_be_read=True):
        started = time.monotonic()
        # The first page may take seconds, of which somebody should know what they are for.
        report(Reading(0, None))
        document = documents.read(
            path, name=name, password=password, limits=limits, on_page=report, stop=stop
        )
        return document, time.monotonic() - started


def _failure(error: Exception) -> str:
    """One sentence for an error that nobody foresaw."""
    if ran_out_of_memory(error):
        return "The computer ran out of memory; lower the input limit or the number of beams."
    return (
        f"The summary failed because of an error in the program ({type(error).__name__}); please report it."
    )
