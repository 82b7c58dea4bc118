"""The sub-word tokenizer of our own models, trained on papers: `python -m longt5.training.tokenizer`.

Byte-pair encoding in T5's conventions: `▁` marks a space, `<pad>` is 0, `</s>` is 1 and ends every
text, `<unk>` is 2. Cased; every digit stands alone, so that numbers are copied digit by digit;
punctuation never joins a word; what is not in the vocabulary is spelled in bytes, so that nothing is
unknown. White space of any kind and length, line ends included, is one space.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast

from longt5.text.papers import read_papers

SPECIAL_TOKENS = ("<pad>", "</s>", "<unk>", "<mask>")
BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))
# With the space before it: a word, one digit, or a run of anything else; or a lone space.
PIECES = r"▁?[\p{L}\p{M}]+|▁?\p{N}|▁?[^▁\p{L}\p{M}\p{N}]+|▁"


def untrained_tokenizer(model: models.BPE) -> Tokenizer:
    """Returns normalizer, pre-tokenizer and decoder around `model`, without the final `</s>`."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=False),
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1, right=0),
        ]
    )
    return tokenizer


def train_tokenizer(texts: Iterator[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Trains on `texts` and returns a fast tokenizer of at most `vocabulary_size` entries.

    Raises:
        ValueError: `vocabulary_size` leaves no room beside the special and the byte tokens.
    """
    fixed = len(SPECIAL_TOKENS) + len(BYTE_TOKENS)
    if vocabulary_size <= fixed:
        raise ValueError(
            f"A vocabulary needs more than {fixed} entries: the special and byte tokens take these."
        )
    draft = untrained_tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size - fixed, limit_alphabet=400, min_frequency=2, show_progress=False
    )
    draft.train_from_iterator(texts, trainer)
    # The trainer knows no byte tokens, and as special tokens they would be cut out of texts that spell them:
    # they are put into the vocabulary here, before the learned pieces.
    learned = json.loads(draft.to_str())["model"]
    pieces = sorted(learned["vocab"], key=learned["vocab"].__getitem__)
    vocabulary = {piece: index for index, piece in enumerate((*SPECIAL_TOKENS, *BYTE_TOKENS, *pieces))}
    merges = [
        tuple(merge) if isinstance(merge, list) else tuple(merge.split(" ")) for merge in learned["merges"]
    ]
    tokenizer = untrained_tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", SPECIAL_TOKENS.index("</s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        clean_up_tokenization_spaces=False,
    )


def sample_texts(corpus: Path, papers: int) -> Iterator[str]:
    """Yields paragraphs of up to `papers` papers of `corpus`'s `train-*` files, of all files alike."""
    files = sorted(corpus.glob("train-*.jsonl*"))
    rng = random.Random(0)
    # Reservoir sampling: every paper is as likely, and the files are read once (Vitter 1985).
    chosen: list[tuple[str, str]] = []
    for number, paper in enumerate(
        tqdm(itertools.chain.from_iterable(map(read_papers, files)), unit="paper")
    ):
        texts = paper.abstract, paper.text
        if number < papers:
            chosen.append(texts)
        elif (index := rng.randrange(number + 1)) < papers:
            chosen[index] = texts
    for abstract, text in chosen:
        yield abstract
        yield from text.split("\n")


def main() -> None:
    """Trains a tokenizer and saves it as a folder that `AutoTokenizer.from_pretrained` loads."""
    parser = argparse.ArgumentParser(description="Train the sub-word tokenizer on a folder of papers.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder with train-*.jsonl.zst")
    parser.add_argument("--out", type=Path, required=True, help="folder to save the tokenizer in")
    parser.add_argument("--vocab-size", type=int, default=8192, help="entries in all (default 8192)")
    parser.add_argument("--papers", type=int, default=6000, help="papers to train on (default 6000)")
    arguments = parser.parse_args()
    tokenizer = train_tokenizer(sample_texts(arguments.corpus, arguments.papers), arguments.vocab_size)
    tokenizer.save_pretrained(arguments.out)


if __name__ == "__main__":
    main()
