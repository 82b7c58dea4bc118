"""Rules for text in own words: it repeats no run of words, loops in no formula, ends with a sentence, keeps a length.

They are one logits processor, for greedy and beam search and for sampling. What a rule has to know of a text is kept
for each prefix, and goes on from there with the next token: a step costs the same however long the text has become.

A generation configuration asks for the rules with plain fields: `no_repeat_word_ngram_size` (a number of words),
`no_symbol_loops`, `no_addresses` and `whole_sentences` (true or false). One that has none of them is decoded as it
says.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, PreTrainedTokenizerBase

from longt5.text.sentences import may_end_text

# Share of the words asked for. A text ends within INTERVAL where a sentence ends there; it ends nowhere before, and the
# first sentence that ends after LATE is the last one.
INTERVAL = (0.86, 1.1)
_LATE = 0.9
_USUAL_SENTENCE = 22  # words; where the next sentence would end outside the interval, the text ends before it
_BOOST = 6.0  # in nats, what a full stop gains from LATE, where it gains nothing, to the interval's end
_OVERLONG = 20.0  # in nats, what a beam loses that has passed the interval: it is taken if no other is left
_HOPELESS = 1.6  # share of the words at which a text ends even within a sentence
_TOKENS_PER_WORD = 3.0  # at most, in a text full of formulas

_LONGEST_PERIOD = 16  # pieces of a span that is seen to repeat
_TIMES = 3  # a span with a symbol, or of whole words, is not written so many times in a row
_TIMES_WITHIN_WORD = 7  # letters or digits within a word or number: "1000000"
_DEEPEST = 2  # brackets within each other
_LONGEST_RUN = 72  # pieces of formulas and numbers without an ordinary word between them
_LEAST_WORDS = 4  # of a sentence; "2." ends none

_OPENING, _CLOSING = "([{“", ")]}”"
_ORDINARY_WORD = re.compile(r"[^\w\s]?[^\W\d_]{3,}(?:[-’'][^\W\d_]+)*[.,;:)\]]*")
_ADDRESS = re.compile(r"http|ttps|://|www")
# "Code is available at": what would follow is an address.
ANNOUNCEMENTS = ("available", "accessible", "released")
_BEFORE_ADDRESS = ("at", "via", "here", ":")
# "github.": a letter right after it would be one of an address, not of "e.g." or "U.S.".
_STOPPED_WORD = re.compile(r".*[^\W\d_]{3}\.")
_LIST_MARKER = re.compile(r"(?:\d{1,2}|[a-z]|[ivx]{1,4})")


def processors(
    tokenizer: PreTrainedTokenizerBase, generation_config: GenerationConfig, target_words: int | None = None
) -> list[LogitsProcessor]:
    """What a generation configuration and a person ask for, for the `logits_processor` of `generate`.

    Args:
        target_words: how long the text is to be; None leaves its length to the model. See `with_length` and `finish`.
    """
    words = getattr(generation_config, "no_repeat_word_ngram_size", None) or 0
    loops = bool(getattr(generation_config, "no_symbol_loops", False))
    addresses = bool(getattr(generation_config, "no_addresses", False))
    sentences = bool(getattr(generation_config, "whole_sentences", False))
    if not (words or loops or addresses or sentences or target_words):
        return []
    end = generation_config.eos_token_id
    return [WritingRules(tokenizer, end, words, loops, addresses, sentences, target_words)]


def with_length(generation_config: GenerationConfig, target_words: int) -> GenerationConfig:
    """A copy whose limits in tokens leave the length to `target_words`."""
    config = copy.deepcopy(generation_config)
    config.min_length = config.min_new_tokens = config.max_length = None
    config.max_new_tokens = math.ceil(_TOKENS_PER_WORD * INTERVAL[1] * target_words)
    return config


def finish(
    tokenizer: PreTrainedTokenizerBase,
    generation_config: GenerationConfig,
    token_ids: Sequence[int],
    target_words: int | None = None,
) -> tuple[int, ...]:
    """The tokens of a text up to the end of a sentence, where whole sentences or a length were asked for.

    That is its last whole one; with `target_words` the last that ends within the interval, else the one that ends
    nearest to it. A text of no whole sentence stays as it is.

    Args:
        token_ids: without start and end token.
    """
    if target_words is None and not getattr(generation_config, "whole_sentences", False):
        return tuple(token_ids)
    written = _Written(_pieces(tokenizer), 0)
    ends: list[tuple[int, int]] = []  # (tokens, words) up to the end of each sentence
    for count, token in enumerate(token_ids, start=1):
        before = written
        written = written.after(token)
        if written.starts_sentence:
            ends.append((count - 1, before.words))
    if written.ends_sentence:
        ends.append((len(token_ids), written.words))
    if not ends:
        return tuple(token_ids)
    tokens, _ = ends[-1]
    if target_words is not None:
        least, most = (share * target_words for share in INTERVAL)
        inside = [end for end in ends if least <= end[1] <= most]
        tokens, _ = inside[-1] if inside else min(ends, key=lambda end: abs(end[1] - target_words))
    return tuple(token_ids[:tokens])


class WritingRules(LogitsProcessor):
    """Bars the tokens that the rules of this module forbid after each text."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        end: int | list[int] | None,
        no_repeat_words: int = 0,
        no_symbol_loops: bool = False,
        no_addresses: bool = False,
        whole_sentences: bool = False,
        target_words: int | None = None,
    ) -> None:
        """
        Args:
            end: the tokens that end a text.
            no_repeat_words: the length in words of the runs that are written once; 0 allows all.
            no_symbol_loops: bars loops and nesting of symbols.
            no_addresses: bars web addresses, which a small model makes up, and what leads up to one.
            whole_sentences: a text ends after a sentence alone, its brackets closed.
            target_words: the length asked for; it implies `whole_sentences`.
        """
        self._pieces = _pieces(tokenizer)
        self._ends = _tokens([end] if isinstance(end, int) else end or ())
        self._size = no_repeat_words
        self._loops = no_symbol_loops
        self._addresses = no_addresses
        self._sentences = whole_sentences or target_words is not None
        self._target = target_words
        self._known: dict[bytes, _Written] = {}

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Returns scores `(rows, vocabulary)` with barred tokens at minus infinity."""
        written = self._written(input_ids)
        barred = [self._barred(text) for text in written]
        rows = np.repeat(np.arange(len(barred)), [len(tokens) for tokens in barred])
        if len(rows):
            scores = scores.clone()
            scores[_index(rows, scores), _index(np.concatenate(barred), scores)] = -torch.inf
        return scores if self._target is None else self._keep_length(written, scores)

    def _written(self, input_ids: Tensor) -> list[_Written]:
        """What is known of each row; a row that goes on from one of the last call costs one token."""
        ids = input_ids.cpu().numpy()
        known: dict[bytes, _Written] = {}
        rows = []
        for row in ids:
            key = row.tobytes()
            written = known.get(key)
            if written is None:
                written = self._known.get(key[: -row.itemsize])
                if written is None:
                    written = _Written(self._pieces, self._size)
                    for token in row.tolist():
                        written = written.after(token)
                else:
                    written = written.after(int(row[-1]))
                known[key] = written
            rows.append(written)
        self._known = known
        return rows

    def _barred(self, written: _Written) -> np.ndarray:
        """The tokens that may not follow."""
        pieces = self._pieces
        # A character that is spelled in bytes is spelled to its end, and no other byte may go on with it.
        barred = [pieces.all_but_continuations if written.bytes_missing else pieces.continuations]
        if self._size:
            barred.append(written.repeating_words())
        if self._loops:
            barred.append(written.looping())
            if written.depth >= _DEEPEST:
                barred.append(pieces.opening)
            if written.run >= _LONGEST_RUN:
                barred.append(pieces.no_words)
        if self._addresses:
            barred.append(pieces.of_addresses)
            if written.announces:
                barred.append(pieces.before_addresses)
            if written.stops:
                barred.append(pieces.inner_letters)
        if self._sentences:
            if written.depth == 0 and not written.may_close_list_marker():
                barred.append(pieces.closing)
            if (written.depth or written.quoted) and written.ends_sentence:
                barred.append(pieces.capitals)
            if not self._may_end(written):
                barred.append(self._ends)
        return np.concatenate(barred)

    def _may_end(self, written: _Written) -> bool:
        share = written.words / self._target if self._target else 1.0
        if self._target and share >= _HOPELESS:
            return True
        return share >= INTERVAL[0] and written.ends_sentence and not written.depth and not written.quoted

    def _must_end(self, written: _Written) -> bool:
        assert self._target is not None
        if written.bytes_missing:
            return False
        next_end = written.words + _USUAL_SENTENCE
        late = written.words >= _LATE * self._target or next_end > INTERVAL[1] * self._target
        late = late and not written.in_number  # "3." may become "3.5": there the model itself ends the text
        return (late and self._may_end(written)) or written.words >= _HOPELESS * self._target

    def _keep_length(self, written: Sequence[_Written], scores: Tensor) -> Tensor:
        """Ends texts of the length asked for, and makes a full stop likelier in a sentence that would pass it."""
        assert self._target is not None
        late, most = (share * self._target for share in (_LATE, INTERVAL[1]))
        words = np.array([text.words for text in written])
        ended = np.array([self._must_end(text) for text in written])
        begun = np.array([text.starts_chunk for text in written])
        in_sentence = (
            ~ended & (words >= late) & np.array([not text.depth and not text.in_number for text in written])
        )
        passed = begun & (words > most) & (words <= most + 1)
        if not (ended | in_sentence | passed).any():
            return scores
        scores = scores.clone()
        for row in np.flatnonzero(ended):
            ends = scores[row, self._ends].clone()
            scores[row] = -torch.inf
            scores[row, self._ends] = ends
        rows = np.flatnonzero(in_sentence)
        if len(rows):
            boost = _BOOST * ((words[rows] - late) / (most - late)).clip(0, 1)
            index = _index(rows, scores)
            scores[index[:, None], _index(self._pieces.full_stops, scores)] += _index(boost, scores)[:, None]
            scores[index] -= scores[index].logsumexp(-1, keepdim=True)
        scores[_index(np.flatnonzero(passed), scores)] -= _OVERLONG
        return scores


def _index(values: np.ndarray, scores: Tensor) -> Tensor:
    """The values on the scores' device, whole numbers as they are and others in the scores' type."""
    tensor = torch.from_numpy(values).to(scores.device)
    return tensor.to(scores.dtype) if tensor.is_floating_point() else tensor


class _Pieces:
    """What the rules have to know of each token of a vocabulary."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        special = set(tokenizer.all_special_tokens)
        self.texts = [
            "" if piece in special else "\ufffd" if re.fullmatch(r"<0x[0-9A-F]{2}>", piece) else piece
            for piece in tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        ]
        # How many bytes each byte token leaves to come (RFC 3629, section 3), and those that come then.
        byte_tokens = {
            token: int(match[1], 16)
            for token, piece in enumerate(tokenizer.convert_ids_to_tokens(list(range(len(tokenizer)))))
            if (match := re.fullmatch(r"<0x([0-9A-F]{2})>", piece))
        }
        self.bytes_to_come = {
            token: sum(byte >= least for least in (0xC2, 0xE0, 0xF0)) for token, byte in byte_tokens.items()
        }
        self.continuations = _tokens(token for token, byte in byte_tokens.items() if 0x80 <= byte < 0xC2)
        self.all_but_continuations = np.setdiff1d(
            np.arange(len(self.texts)), [token for token, byte in byte_tokens.items() if 0x80 <= byte < 0xC0]
        )
        self.plain = [text.replace("▁", "") for text in self.texts]
        self.starts = [text.startswith("▁") for text in self.texts]
        self.lower = [text.lower() for text in self.plain]
        # Tokens of the same text, case and the space before them aside. Bytes are parts of different characters.
        families: dict[str, list[int]] = {}
        for token, text in enumerate(self.lower):
            families.setdefault(f"\ufffd{token}" if text == "\ufffd" else text, []).append(token)
        self.family = [0] * len(self.texts)
        self.members = list(families.values())
        for number, tokens in enumerate(self.members):
            for token in tokens:
                self.family[token] = number
        self.marks = [
            "".join(character for character in text if character in _OPENING + _CLOSING + '"')
            for text in self.plain
        ]
        # What makes a repeated span a loop rather than a part of a word: a symbol, or the beginning of a word.
        self.separate = [
            starts or not text.isalnum() for starts, text in zip(self.starts, self.plain, strict=True)
        ]
        self.dots = {self.family[token] for token, text in enumerate(self.plain) if text == "."}
        every = range(len(self.texts))
        self.opening = _tokens(token for token in every if _depth(self.marks[token], 0) > 0)
        self.closing = _tokens(token for token in every if self.marks[token][:1] in tuple(_CLOSING))
        self.of_addresses = _tokens(token for token in every if _ADDRESS.search(self.lower[token]))
        self.before_addresses = _tokens(token for token in every if self.lower[token] in _BEFORE_ADDRESS)
        self.inner_letters = _tokens(
            token for token in every if not self.starts[token] and self.plain[token][:1].isalpha()
        )
        self.capitals = _tokens(
            token for token in every if self.starts[token] and self.plain[token][:1].isupper()
        )
        self.full_stops = _tokens(token for token in every if re.fullmatch(r"[)\]%]*\.", self.texts[token]))
        self.no_words = _tokens(
            token
            for token in every
            if self.plain[token]
            and self.marks[token][:1] not in tuple(_CLOSING)
            and not re.fullmatch(r"[.,;]", self.plain[token])
            and not (self.starts[token] and len(self.plain[token]) > 1 and self.plain[token].isalpha())
        )


def _tokens(tokens: Iterable[int]) -> np.ndarray:
    return np.array(list(tokens), dtype=np.int64)


@lru_cache(maxsize=4)
def _pieces(tokenizer: PreTrainedTokenizerBase) -> _Pieces:
    return _Pieces(tokenizer)


def _depth(marks: str, depth: int) -> int:
    """How many brackets are open after `marks`; one that was never opened closes nothing."""
    for mark in marks:
        if mark in _OPENING:
            depth += 1
        elif mark in _CLOSING and depth:
            depth -= 1
    return depth


class _Written:
    """What the rules have to know of a text. Never changed: `after` gives that of the text with a token more."""

    def __init__(self, pieces: _Pieces, size: int) -> None:
        """An empty text, of which runs of `size` words are remembered."""
        self._pieces = pieces
        self._size = size
        self._words: tuple[str, ...] = ()  # the last ones, at most size - 1 that may have a next one
        self._inside = False  # a word that may go on
        self._grams: dict[tuple[str, ...], tuple[int, ...]] = {}  # words -> families of tokens that went on
        self._families: tuple[int, ...] = ()  # of the last tokens, the newest first
        self._separate: tuple[bool, ...] = ()
        self._same = (0,) * _LONGEST_PERIOD  # how many last tokens equal the one 1, 2, ... before them
        self._chunk = self._before = ""  # what stands after the last space, and before it
        self._sentence_words = 0
        self._list_markers: frozenset[str] = frozenset()
        self.words = 0
        self.bytes_missing = 0  # of a character that is spelled in bytes
        self.depth = 0  # brackets that are open
        self.quoted = False
        self.run = 0  # tokens since the last ordinary word
        self.starts_chunk = False  # whether a space stands before the last token
        self.starts_sentence = False  # whether the last token begins one, not the first
        self.ends_sentence = False

    def after(self, token: int) -> _Written:
        """What is known of this text with one token more."""
        pieces = self._pieces
        new = _Written.__new__(_Written)
        new.__dict__.update(self.__dict__)
        new.starts_sentence = new.starts_chunk = False
        if token >= len(pieces.texts) or not pieces.texts[token]:  # special ones, the start token among them
            return new
        new.bytes_missing = max(new.bytes_missing - 1, 0) or pieces.bytes_to_come.get(token, 0)
        new._add_to_chunk(pieces.plain[token], pieces.starts[token])
        new._add_to_words(token)
        new._add_to_spans(token)
        if marks := pieces.marks[token]:
            new.depth = _depth(marks, new.depth)
            new.quoted = new.quoted ^ bool(marks.count('"') % 2)
        return new

    def _add_to_chunk(self, text: str, starts: bool) -> None:
        self.run += 1
        if starts or not self.words:
            if _ORDINARY_WORD.fullmatch(self._chunk):
                self.run = 0
            if self.ends_sentence and not text[:1].islower():
                self.starts_sentence = True
                self._sentence_words = 0
                self.depth, self.quoted = 0, False
            if self._chunk:
                self._before = self._chunk
            self._chunk = ""
        if text and not self._chunk:
            self.starts_chunk = True
            self.words += 1
            self._sentence_words += 1
        self._chunk += text
        if text.startswith(")") and _LIST_MARKER.fullmatch(self._chunk[: -len(text)]):
            self._list_markers |= {self._chunk[: -len(text)]}
        self.ends_sentence = (
            self._chunk[-1:] in tuple(".!?\"'”’)]")
            and self._sentence_words >= _LEAST_WORDS
            and may_end_text(f"{self._before} {self._chunk}")
        )

    def _add_to_words(self, token: int) -> None:
        text = self._pieces.lower[token]
        if not text or not text[0].isalnum():
            self._inside = False
        elif self._inside and not self._pieces.starts[token]:
            self._words = (*self._words[:-1], self._words[-1] + text)
        else:
            if self._size and len(self._words) >= self._size - 1:
                context = self._words[len(self._words) - self._size + 1 :]
                family = self._pieces.family[token]
                self._grams = {**self._grams, context: (*self._grams.get(context, ()), family)}
            self._words = (*self._words[-max(self._size, 1) :], text)
            self._inside = True
        if text and not text[-1].isalnum():
            self._inside = False

    def _add_to_spans(self, token: int) -> None:
        family = self._pieces.family[token]
        self._same = tuple(
            same + 1 if family == before else 0
            for same, before in zip(self._same, (*self._families, *[-1] * _LONGEST_PERIOD))
        )
        self._families = (family, *self._families[: _LONGEST_PERIOD - 1])
        self._separate = (self._pieces.separate[token], *self._separate[: _LONGEST_PERIOD - 1])

    @property
    def in_number(self) -> bool:
        """Whether the last word ends in a digit, maybe with a point after it."""
        return self._chunk.removesuffix(".")[-1:].isdigit()

    @property
    def announces(self) -> bool:
        """Whether the last word says that something is to be had, of which one may say where."""
        return self._chunk.lower() in ANNOUNCEMENTS

    @property
    def stops(self) -> bool:
        """Whether a full stop stands right after a word of three letters or more."""
        return bool(_STOPPED_WORD.fullmatch(self._chunk))

    def repeating_words(self) -> np.ndarray:
        """The first tokens of words that would complete a run of words written before."""
        families = self._grams.get(self._words[len(self._words) - self._size + 1 :], ())
        tokens = (token for family in families for token in self._pieces.members[family])
        # A token that would go on with the last word begins no word.
        return _tokens(token for token in tokens if not self._inside or self._pieces.starts[token])

    def looping(self) -> np.ndarray:
        """The tokens that would complete one span of tokens too many in a row."""
        barred: list[int] = []
        for period, same in enumerate(self._same[: len(self._families)], start=1):
            if same >= (_TIMES - 1) * period - 1:
                ellipsis = period == 1 and self._families[0] in self._pieces.dots
                separate = any(self._separate[:period]) and not ellipsis
                if separate or same >= (_TIMES_WITHIN_WORD - 1) * period - 1:
                    barred += self._pieces.members[self._families[period - 1]]
        return _tokens(barred)

    def may_close_list_marker(self) -> bool:
        """Whether a bracket may close that was not opened: after "1", and after "2" if there was "1)"."""
        marker = self._chunk
        if not _LIST_MARKER.fullmatch(marker):
            return False
        if marker.isdecimal():
            return marker == "1" or str(int(marker) - 1) in self._list_markers
        return marker in ("a", "i") or bool(self._list_markers)
