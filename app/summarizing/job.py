"""A plan carried out with a model: windows are read, pieces are written, sentences get their evidence."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from transformers import GenerationConfig

from app.documents import Document
from app.documents.page_numbers import pages_of
from app.models import LoadedModel, ModelStore
from app.summarizing.drafts import (
    DraftSentence,
    decoded,
    draft_sentences,
    finished_sentences,
    nearest_count,
    without_repeats,
)
from app.summarizing.evidence import find_evidence, passage_ranges
from app.summarizing.forced import unforced
from app.summarizing.joints import Joints
from app.summarizing.merging import frame, sources_of
from app.summarizing.notes import reading_notes
from app.summarizing.plan import Piece, Plan, PlannedWindow, make_plan
from app.summarizing.presentable import presentable
from app.summarizing.progress import Progress, Step
from app.summarizing.quoting import Quotes
from app.summarizing.settings import SETTINGS, SummaryError, SummarySettings
from app.summarizing.summary import Doing, Event, Evidence, Part, Sentence, Summary, WindowTrace, Working
from app.summarizing.tldr import choose_tldr
from app.summarizing.windows import TokenizedText, Window, join
from app.work import check
from longt5.decoding import INTERVAL, finish, processors, with_length
from longt5.evaluation.faithfulness import ReadText
from longt5.generation import EncodedText, Tokens, write
from longt5.interruption import interruptible
from longt5.maps import TeacherForced
from longt5.quote_search import Quoted, Sampling, quote

# Words written for each that is to stay when citations and debris have been taken out.
CLEANED = 1.08
# How often a summary that has become too short, as sentences were taken out, is written on at most. A section's stays
# short: of a long paper there are dozens.
WRITTEN_ON = 5
# About a section; one that spans several windows has more of them.
MOST_SECTION_SENTENCES = 3

Report = Callable[[Event], None]
Found = list[tuple[DraftSentence, tuple[Evidence, ...]]]


class Job:
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
        self.stop = stop
        self.report = report
        quoting = settings.writing == "quotes"
        prefix = loaded.profile.quotes_prefix if quoting else loaded.profile.prefix
        self.prefix: list[int] = loaded.tokenizer(prefix, add_special_tokens=False)["input_ids"]
        self.plan: Plan = make_plan(document, settings, loaded.tokenizer, len(self.prefix), stop)
        self.progress = Progress(list(_steps(self.plan, settings.max_input_tokens)))
        self.step = 0
        self.traces: list[WindowTrace] = []
        self.written: list[tuple[Piece, list[Sentence]]] = []
        self.draft: _Draft | None = None
        self._bare: _Draft | None = None  # the last one, if nothing of it can be shown
        self.read = 0  # tokens of the plan's text, up to the last window that something was written about
        self.repeats_dropped = 0
        self.ends_early = False
        self._joints = Joints(document.text)
        self._read_text: ReadText | None = None

    def run(self, between_windows: Callable[[], None] = lambda: None) -> Summary:
        """Carries the plan out.

        Args:
            between_windows: called where nothing of the model is in use; it may exchange `loaded`.

        Raises:
            SummaryError: the model wrote nothing.
            Stopped: `stop` was set; `so_far` has what was written by then.
        """
        with interruptible(partial(check, self.stop)):
            for planned in self.plan.windows:
                if self.traces:
                    between_windows()
                self._read_and_write(planned)
            if self.plan.merged is not None:
                self._merge(self.plan.merged)
        if not self._anything:
            raise SummaryError(
                f"There is no whole sentence to quote in {self.document.name}; choose own words, or another paper."
                if self.settings.writing == "quotes"
                else "The model wrote nothing; choose another model or a longer summary."
            )
        return self._summary(complete=True)

    def so_far(self) -> Summary | None:
        """What was written when the work was stopped, the whole sentences of the piece in hand among it."""
        draft, self.draft = self.draft, None
        if (draft is None or not draft.token_ids) and not self._anything:
            draft = self._bare
        if draft is not None and draft.token_ids:
            if draft.quotes is not None:
                found = self._quoted(draft, draft.quotes.chosen(draft.token_ids))
            else:
                tokenizer = self.loaded.tokenizer
                shown = self._presentable(finished_sentences(tokenizer, draft.token_ids))
                if not shown and not self._anything:
                    # What little there is, be it of a part, rather than nothing.
                    shown = draft_sentences(tokenizer, draft.token_ids)
                found = self._supported(draft, shown)
            self._keep(draft.piece, found)
        return self._summary(complete=False) if self._anything else None

    @property
    def _anything(self) -> bool:
        """Whether a sentence has been written."""
        return any(sentences for _, sentences in self.written)

    # Reading

    def _read_and_write(self, planned: PlannedWindow) -> None:
        source = self._encode(self.plan.text, planned.window, planned.pieces[0].name)
        for piece in planned.pieces:
            self._write(_Draft(piece, source, Window(piece.start, piece.end)))

    def _merge(self, piece: Piece) -> None:
        """The second pass: reads the parts' summaries between the paper's introduction and its conclusion."""
        parts = [sentence for written, found in self.written if written.kind == "part" for sentence in found]
        room = self.settings.max_input_tokens - len(self.prefix) - 1
        before, after = frame(self.document, self.plan.text, room // 4)
        text = join([before, sources_of(parts, self.traces, self.plan.text), after])
        window = Window(0, min(len(text), room))
        self._write(_Draft(piece, self._encode(text, window, piece.name), window))

    def _encode(self, text: TokenizedText, window: Window, what: str) -> _Source:
        """A window through the encoder."""
        end_token = self.loaded.tokenizer.eos_token_id
        input_ids, offsets = _model_input(text, window, self.prefix, end_token)

        def on_progress(fraction: float) -> None:
            self.progress.reading(self.step, fraction)
            self._say("reading", what)

        on_progress(0.0)
        encoded = self.store.encoded(self.loaded, input_ids, on_progress)
        self.step += 1
        return _Source(text, window, input_ids, offsets, len(self.prefix), encoded)

    # Writing

    def _write(self, draft: _Draft) -> None:
        """Writes a piece, finds the evidence of its sentences and keeps them."""
        self.draft = draft
        self._on_writing(())
        found = self._quote(draft) if self.settings.writing == "quotes" else self._own_words(draft)
        self.draft = None
        self._bare = None if found else draft
        self.step += 1
        self._keep(draft.piece, found)

    def _own_words(self, draft: _Draft) -> Found:
        piece = draft.piece
        words = None if piece.words is None else round(piece.words * CLEANED)
        config = _generation_config(self.loaded, self.settings, piece.max_tokens)
        if words is not None:
            config = with_length(config, words)
        best = self._text(draft, config, words)
        dropped = best.dropped_beginnings
        for _ in range(WRITTEN_ON):
            if piece.kind != "summary" or piece.words is None or not best.lacks(piece.words):
                break
            config.begin_suppress_tokens = sorted(dropped)
            longer = self._text(draft, config, words, begun=best.kept_tokens)
            if longer.words > best.words:
                best = longer
            elif longer.dropped_beginnings <= dropped:
                break  # the same would be written again
            dropped |= longer.dropped_beginnings
        draft.token_ids = best.token_ids
        self._on_writing(draft.token_ids)
        # A model that writes nothing readable is shown as it is; a section is left without a summary instead.
        shown = best.kept or (best.drafts if piece.kind == "summary" else [])
        if piece.words is not None:
            shown = shown[: nearest_count(piece.words, (sentence.text for sentence in shown))]
        return self._supported(draft, shown)

    def _text(self, draft: _Draft, config: GenerationConfig, words: int | None, begun: Tokens = ()) -> _Text:
        """A text of a piece, and which of its sentences can be shown."""
        tokenizer = self.loaded.tokenizer
        token_ids = write(
            self.loaded.model,
            draft.shown,
            config,
            begun=begun,
            seed=self.settings.seed + len(self.traces) if self.settings.do_sample else None,
            logits_processor=processors(tokenizer, config, words),
            on_progress=self._on_writing,
        )
        if words is None:
            self.ends_early |= len(token_ids) >= draft.piece.max_tokens
        token_ids = draft.token_ids = finish(tokenizer, config, token_ids, words)
        self._on_writing(token_ids)
        self._say("looking up", draft.piece.name)
        drafts = meant = draft_sentences(tokenizer, token_ids)
        if drafts and not self.settings.do_sample:  # which may draw the unlikely
            meant = unforced(self.loaded.model, tokenizer, self._forced(draft), drafts)
        return _Text(token_ids, drafts, self._presentable(meant) or self._presentable(drafts))

    def _presentable(self, drafts: Sequence[DraftSentence]) -> list[DraftSentence]:
        return presentable(drafts, self._joints, (section.heading for section in self.document.sections))

    def _supported(self, draft: _Draft, drafts: Sequence[DraftSentence]) -> Found:
        """The sentences that say something new, each with its evidence."""
        drafts, repeats = without_repeats(drafts, self._said_before(draft.piece))
        trace = draft.trace(tuple(draft.token_ids))
        found = self._evidence(draft, trace, drafts) if drafts else []
        # Only now, as a stop in the midst of the evidence has all of it done again.
        self.repeats_dropped += repeats
        self._record(draft, trace)
        return list(zip(drafts, found, strict=True))

    def _evidence(
        self, draft: _Draft, trace: WindowTrace, drafts: Sequence[DraftSentence]
    ) -> list[tuple[Evidence, ...]]:
        """The passages that each of one or more sentences rests on."""
        source = draft.source
        passages = passage_ranges(source.text, source.window, first_token=source.prefix_tokens)
        start, end = trace.decoder_reads
        passages = passages[(passages[:, 0] >= start) & (passages[:, 1] <= end)]
        forced = self._forced(draft)
        return find_evidence(self.loaded.model, draft.shown, forced, trace, self.document, drafts, passages)

    def _forced(self, draft: _Draft) -> TeacherForced:
        """What is written, as the decoder reads it again: once, as sentences are judged and supported by the same."""
        if draft.forced is None or draft.forced.summary_ids != draft.token_ids:
            draft.forced = self.store.teacher_forced(
                self.loaded, draft.source.input_ids, draft.shown, draft.token_ids
            )
        return draft.forced

    def _quote(self, draft: _Draft) -> Found:
        """Quotes from a piece, in the paper's order."""
        settings, piece = self.settings, draft.piece
        quotes = draft.quotes = Quotes(self.document, draft.source.text, draft.stretch)
        if not any(len(sentence) < piece.max_tokens for sentence in quotes.sentences):
            self._record(draft, draft.trace(()))
            return []
        sampling = Sampling(settings.seed + len(self.traces), settings.temperature, settings.top_p)
        quoted = quote(
            self.loaded.model,
            draft.shown,
            quotes.sentences,
            max_new_tokens=piece.max_tokens,
            num_beams=settings.num_beams,
            sampling=sampling if settings.do_sample else None,
            on_progress=self._on_writing,
        )
        return self._quoted(draft, quoted if piece.words is None else quotes.nearest_to(piece.words, quoted))

    def _quoted(self, draft: _Draft, quoted: Quoted) -> Found:
        """The quotes that say something new, each with its own place as evidence."""
        assert draft.quotes is not None
        self._record(draft, draft.trace(quoted.token_ids))
        found = draft.quotes.read(quoted)
        fresh, repeats = without_repeats([sentence for sentence, _ in found], self._said_before(draft.piece))
        self.repeats_dropped += repeats
        return [(sentence, (evidence,)) for sentence, evidence in found if sentence in fresh]

    def _record(self, draft: _Draft, trace: WindowTrace) -> None:
        """Keeps what was read and written for a piece."""
        if draft.source.text is self.plan.text:  # the second pass reads nothing new of the paper
            self.read = draft.source.window.end
        self.traces.append(trace)

    def _said_before(self, piece: Piece) -> list[str]:
        """What pieces of the same kind and section have said: a section may say what the summary says."""
        return [
            sentence.text
            for written, sentences in self.written
            if (written.kind, written.position) == (piece.kind, piece.position)
            for sentence in sentences
        ]

    def _keep(self, piece: Piece, found: Found) -> None:
        window = len(self.traces) - 1
        own_words = self.settings.writing != "quotes"
        sentences = [
            Sentence(
                draft.text,
                window,
                draft.token_start,
                draft.token_end,
                evidence,
                self._unsupported(draft.text) if own_words else (),
            )
            for draft, evidence in found
        ]
        self.written.append((piece, sentences))

    def _unsupported(self, sentence: str) -> tuple[tuple[int, int], ...]:
        """What in a sentence stands nowhere in the paper."""
        if self._read_text is None:
            self._read_text = ReadText(f"{self.document.title}\n{self.document.text}")
        return unsupported_ranges(self._read_text, sentence)

    # Telling

    def _on_writing(self, token_ids: Tokens) -> None:
        assert self.draft is not None
        self.draft.token_ids = token_ids
        self.progress.writing(self.step, len(token_ids))
        self._say("writing", self.draft.piece.name)

    def _say(self, doing: Doing, what: str) -> None:
        self.report(
            Working(
                doing,
                what,
                min(self.step + 1, len(self.progress.steps)),
                len(self.progress.steps),
                self.progress.fraction,
                self.progress.seconds_left,
                self._parts(),
            )
        )

    def _parts(self) -> tuple[Part, ...]:
        """What has been written, in reading order, with what is being written."""
        written = list(self.written)
        if self.draft is not None and self.draft.token_ids:
            text = decoded(self.loaded.tokenizer, self.draft.token_ids).strip()
            unfinished = Sentence(text, len(self.traces), 0, len(self.draft.token_ids))
            written.append((self.draft.piece, [unfinished]))
        return assemble(written, self.document.title)

    def _summary(self, *, complete: bool) -> Summary:
        plan, document = self.plan, self.document
        pages_read = pages_of(document, plan.text.offsets[: self.read])
        notes = reading_notes(
            document,
            self.settings,
            plan,
            self.read,
            repeats_dropped=self.repeats_dropped,
            ends_early=self.ends_early,
            complete=complete,
        )
        return Summary(
            document=document,
            parts=assemble(self.written, document.title),
            settings=self.settings,
            tokens_read=self.read,
            tokens_left_out=len(plan.whole) - self.read + plan.surroundings,
            pages_read=pages_read,
            notes=(*document.notes, *notes),
            seconds=0.0,
            windows=tuple(self.traces),
            complete=complete,
        )


@dataclass(frozen=True, eq=False)
class _Source:
    """A window that the encoder has read."""

    text: TokenizedText
    window: Window
    input_ids: tuple[int, ...]
    offsets: tuple[tuple[int, int], ...]
    prefix_tokens: int
    encoded: EncodedText


@dataclass(frozen=True)
class _Text:
    """What was written, as sentences."""

    token_ids: Tokens
    drafts: list[DraftSentence]
    """All of them."""
    kept: list[DraftSentence]
    """Those that can be shown: of what no rule forced upon the model, else of all."""

    @property
    def words(self) -> int:
        """Of what can be shown."""
        return sum(len(sentence.text.split()) for sentence in self.kept)

    def lacks(self, target_words: int) -> bool:
        """Whether so much was taken out that what can be shown is too short."""
        return self.words < INTERVAL[0] * target_words and len(self.kept) < len(self.drafts)

    @property
    def kept_tokens(self) -> Tokens:
        """What can be shown, as the beginning of a text."""
        return tuple(token for tokens, kept in self._sentences() if kept for token in tokens)

    @property
    def dropped_beginnings(self) -> set[int]:
        """The first tokens of what was taken out: a text that goes on from the rest would begin it again."""
        return {tokens[0] for tokens, kept in self._sentences() if tokens and not kept}

    def _sentences(self) -> Iterator[tuple[Tokens, bool]]:
        """The tokens of each sentence, with a space of its own before it, and whether it can be shown."""
        kept = {sentence.token_end for sentence in self.kept}
        ends = [0, *(sentence.token_end for sentence in self.drafts)]
        for start, end in pairwise(ends):
            yield self.token_ids[start:end], end in kept


class _Draft:
    """A piece in the making, written from a stretch of what was read."""

    def __init__(self, piece: Piece, source: _Source, stretch: Window) -> None:
        self.piece = piece
        self.source = source
        self.stretch = stretch
        self.token_ids: Tokens = ()
        self.forced: TeacherForced | None = None
        self.quotes: Quotes | None = None
        """What may be quoted of it, once that is known, where it is written in quotes."""
        self.shown = source.encoded.showing(torch.from_numpy(self.trace(()).decoder_mask))
        """What the decoder sees of the text."""

    def trace(self, summary_ids: Tokens) -> WindowTrace:
        """What was read and written."""
        source = self.source
        first = source.prefix_tokens - source.window.start
        reads = self.stretch.start + first, self.stretch.end + first
        return WindowTrace(self.piece.name, source.input_ids, source.offsets, summary_ids, reads)


def assemble(written: Sequence[tuple[Piece, Sequence[Sentence]]], title: str) -> tuple[Part, ...]:
    """The parts of a summary in reading order: TL;DR, summary, sections.

    Of a paper that was read in parts, the parts stand in for the summary while there is none, and for sections where
    there are none.
    """
    by_kind = {
        kind: [(piece, tuple(sentences)) for piece, sentences in written if piece.kind == kind and sentences]
        for kind in ("summary", "part", "section")
    }
    summary = [sentence for _, sentences in by_kind["summary"] for sentence in sentences]
    if not summary and not by_kind["section"]:
        summary = [sentence for _, sentences in by_kind["part"] for sentence in sentences]
    parts = []
    if summary:
        chosen = choose_tldr([sentence.text for sentence in summary], title) if len(summary) > 2 else []
        if chosen:
            parts.append(Part("tldr", tuple(summary[i] for i in chosen)))
        parts.append(Part("summary", tuple(summary)))
    sections: dict[tuple[str, int], tuple[Sentence, ...]] = {}
    shown = by_kind["section"] or (by_kind["part"] if by_kind["summary"] else [])
    for piece, sentences in shown:
        key = (piece.heading or piece.name.capitalize(), piece.position)
        sections[key] = (*sections.get(key, ()), *sentences)
    parts += [Part("section", _best_supported(sentences), *key) for key, sentences in sections.items()]
    return tuple(parts)


def _best_supported(sentences: Sequence[Sentence]) -> tuple[Sentence, ...]:
    """At most `MOST_SECTION_SENTENCES`, in their order: those with the strongest evidence."""

    def strength(number: int) -> float:
        return max((passage.score for passage in sentences[number].evidence), default=0.0)

    best = sorted(range(len(sentences)), key=strength, reverse=True)[:MOST_SECTION_SENTENCES]
    return tuple(sentences[number] for number in sorted(best))


def unsupported_ranges(read: ReadText, sentence: str) -> tuple[tuple[int, int], ...]:
    """The ranges of a sentence that stand nowhere in what was read, in order, none of which overlap."""
    # Units come after all else, and some are names too.
    ranges: list[tuple[int, int]] = []
    for start, end in sorted((item.start, item.end) for item in read.check(sentence).unsupported):
        if ranges and start < ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(end, ranges[-1][1])
        else:
            ranges.append((start, end))
    return tuple(ranges)


def _steps(plan: Plan, max_input_tokens: int) -> list[Step]:
    """What each step reads or writes, in the order of the work."""
    steps = []
    for planned in plan.windows:
        steps.append(Step(read=len(planned.window)))
        steps += [Step(write=piece.max_tokens) for piece in planned.pieces]
    if plan.merged is not None:
        said = sum(planned.pieces[0].max_tokens for planned in plan.windows)
        steps.append(Step(read=min(max_input_tokens, said + max_input_tokens // 2)))
        steps.append(Step(write=plan.merged.max_tokens))
    return steps


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
    # A least length meant for a model's usual summaries must not outgrow a short one or a part's.
    config.min_length = min(config.min_length or 0, max_new_tokens * 2 // 3) or None
    config.min_new_tokens = min(config.min_new_tokens or 0, max_new_tokens * 2 // 3) or None
    config.max_length = None
    for name in SETTINGS:
        if hasattr(config, name):  # what `generate` has a parameter for is a parameter of it
            setattr(config, name, getattr(settings, name))
    config.max_new_tokens = max_new_tokens
    return config
