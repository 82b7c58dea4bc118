"""A small random LongT5 with a tokenizer in a folder, papers of known text, and PDFs of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from transformers import GenerationConfig

from app.documents import Document, Page, undivided
from longt5 import LongT5Config, LongT5ForConditionalGeneration
from longt5.training.tokenizer import train_tokenizer

SUBJECTS = (
    "The model;Our method;A global token;The local window;Every layer;The decoder;This experiment;A reader"
)
VERBS = "reads;summarizes;attends to;ignores;compares;measures;explains;replaces"
OBJECTS = (
    "the long paper;sixteen thousand tokens;its own block;a list of references;the second table;"
    "the position bias;two public data sets;the abstract of every article"
)
ENDINGS = (
    "in linear time;without any loss;as the figure shows;for the first time;on a small computer;by 4.2 points"
)


def sentence(chance: random.Random) -> str:
    """A grammatical sentence of 8 to 16 words."""
    parts = (chance.choice(phrases.split(";")) for phrases in (SUBJECTS, VERBS, OBJECTS, ENDINGS))
    return " ".join(parts) + "."


def paragraphs(count: int, sentences: int = 6, seed: int = 0) -> list[str]:
    """Paragraphs of so many sentences."""
    chance = random.Random(seed)
    return [" ".join(sentence(chance) for _ in range(sentences)) for _ in range(count)]


def _texts() -> Iterator[str]:
    yield from paragraphs(200, seed=1)


def make_model(
    folder: Path,
    *,
    d_model: int = 32,
    num_layers: int = 2,
    num_decoder_layers: int = 2,
    global_block_size: int = 4,
    seed: int = 0,
    generation: dict | None = None,
    **config: object,
) -> Path:
    """Saves a random LongT5 with its tokenizer. Its weights are large enough for its texts to differ."""
    tokenizer = train_tokenizer(_texts(), 400)
    torch.manual_seed(seed)
    model = LongT5ForConditionalGeneration(
        LongT5Config(
            vocab_size=len(tokenizer),
            d_model=d_model,
            d_kv=8,
            d_ff=2 * d_model,
            num_layers=num_layers,
            num_decoder_layers=num_decoder_layers,
            num_heads=4,
            local_radius=15,
            global_block_size=global_block_size,
            encoder_attention_type="transient-global",
            feed_forward_proj="gated-gelu",
            decoder_start_token_id=0,
            pad_token_id=0,
            eos_token_id=1,
            **config,
        )
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith((".q.weight", ".k.weight")):
                parameter.mul_(4)
            elif name == "shared.weight":
                # It should write words rather than bytes and special tokens.
                parameter[:260].mul_(0.01)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, **(generation or {})
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_pdf(path: Path, pages: Sequence[Sequence[str]]) -> Path:
    """A PDF of one text line per string on each page, in Helvetica."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    kids = []
    for lines in pages:
        shown = "".join(
            "({}) Tj T*\n".format(line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)"))
            for line in lines
        )
        stream = f"BT /F1 11 Tf 14 TL 60 740 Td\n{shown}ET".encode("cp1252")
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % len(objects)
        )
        kids.append(len(objects))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (
        b" ".join(b"%d 0 R" % kid for kid in kids),
        len(kids),
    )
    data, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(data)
    data += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    data += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    data += b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    path.write_bytes(data)
    return path


def wrapped(texts: Sequence[str], width: int = 90) -> list[str]:
    """Text as the lines of a page."""
    import textwrap

    return [line for text in texts for line in textwrap.wrap(text, width)]


def plain_document(text: str, references: tuple[int, int] | None = None, pages: int = 4) -> Document:
    """Pages of equal length, no headings, and a note."""
    bounds = [len(text) * page // pages for page in range(pages + 1)]
    ranges = tuple(Page(i + 1, bounds[i], bounds[i + 1]) for i in range(pages))
    return Document(
        "paper.txt", "A Paper", text, ranges, undivided(text, references), ("A note of the reader.",)
    )
