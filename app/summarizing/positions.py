"""A summary without a model, for papers in a language that it does not read: quotes chosen by where they stand."""

from __future__ import annotations

import re
from itertools import zip_longest

from app.documents import Document
from app.models import ModelProfile
from app.summarizing.notes import left_out_notes
from app.summarizing.plan import ranges_to_read
from app.summarizing.settings import LENGTHS, SummarySettings
from app.summarizing.summary import Evidence, Part, Sentence, Summary
from longt5.text.sentences import is_whole_sentence, split_sentences

LANGUAGE_NAMES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "no": "Norwegian",
    "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "tr": "Turkish",
    "uk": "Ukrainian", "vi": "Vietnamese", "zh": "Chinese",
}  # fmt: skip
# A word of scripts that put no spaces between words, in characters: about.
_DENSE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\u0e00-\u0e7f]")
DENSE_WORD = 2
LEAST_LETTERS = 12  # of a sentence in any script


def language_barrier(profile: ModelProfile, document: Document) -> str | None:
    """A sentence for whoever brings a paper in a language that the model does not read, with what is done instead."""
    language = document.language
    if language is None or not profile.languages or language in profile.languages:
        return None
    reads = " and ".join(LANGUAGE_NAMES.get(code, code) for code in profile.languages)
    spoken = LANGUAGE_NAMES.get(language, language)
    return (
        f"The model {profile.name} reads {reads}, and this paper seems to be in {spoken}: "
        "instead of a summary, the first sentences of its sections are quoted."
    )


def summarize_by_position(document: Document, settings: SummarySettings, barrier: str) -> Summary:
    """The first sentences of each section, as many as make the length asked for; no model has read them.

    Args:
        barrier: the sentence that says why, for the notes.
    """
    ranges = ranges_to_read(document, settings)
    sections = [
        (section.heading, section.start, sentences)
        for section in document.sections
        if (section.start, section.end) in ranges
        and (sentences := _sentences(document, section.start, section.end))
    ]
    chosen: list[Sentence] = []
    words = 0.0
    most = LENGTHS.get(settings.length, LENGTHS["medium"])
    # The first sentence of each section, then the second of each, and so on.
    for row in zip_longest(*(sentences for _, _, sentences in sections)):
        for sentence in filter(None, row):
            if words < most:
                chosen.append(sentence)
                words += length_in_words(sentence.text)
    chosen.sort(key=lambda sentence: sentence.evidence[0].start)
    parts = [Part("summary", tuple(chosen))] if chosen else []
    if settings.sections:
        parts += [
            Part("section", (sentences[0],), heading, start)
            for heading, start, sentences in sections
            if heading
        ]
    return Summary(
        document=document,
        parts=tuple(parts),
        settings=settings,
        tokens_read=0,
        tokens_left_out=0,
        pages_read=tuple(page.number for page in document.pages if page.start < page.end),
        notes=(*document.notes, barrier, *left_out_notes(document, settings)),
        seconds=0.0,
        windows=(),
    )


def _sentences(document: Document, start: int, end: int) -> list[Sentence]:
    """The whole sentences of a range as quotes; without such, as in a script that is not known, its longer pieces."""
    text = document.text[start:end]
    pieces = [(start + first, start + after) for first, after in split_sentences(text)]
    whole = [piece for piece in pieces if is_whole_sentence(document.text[slice(*piece)])]
    if not whole:
        whole = [
            piece for piece in pieces if sum(map(str.isalpha, document.text[slice(*piece)])) >= LEAST_LETTERS
        ]
    return [_quote(document, *piece) for piece in whole]


def _quote(document: Document, start: int, end: int) -> Sentence:
    quote = " ".join(document.text[start:end].split())
    return Sentence(quote, -1, 0, 0, (Evidence(start, end, document.page_of(start), quote, 1.0),))


def length_in_words(text: str) -> float:
    """How many words a text has, as they would be counted if its script had spaces between them; about."""
    dense = len(_DENSE.findall(text))
    return dense / DENSE_WORD if dense > len(text) / 2 else len(text.split())
