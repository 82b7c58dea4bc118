"""Papers as memory-mapped token arrays, ready for training: `python -m longt5.training.corpus`.

For every source file `train-x.jsonl.zst` a folder `x` is written with flat arrays: the tokens of all sentences of all
papers one after the other (`uint16`), the tokens in each sentence, the sentences in each paper, the same for the
abstracts, and in how many papers each word stands. A sentence is tokenized by itself without `</s>`; as every sentence
begins with a space mark, any run of sentences is tokenized as the text itself would be.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer
from tqdm.auto import tqdm
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from longt5.text.papers import read_papers
from longt5.text.sentences import split_sentences
from longt5.training.objectives import TokenizedPaper, Vocabulary


class DataError(Exception):
    """Prepared data can't be used; the message is a sentence that says what to do."""


@dataclass(frozen=True)
class PreparedPapers:
    """The papers of one prepared folder; their tokens stay on disk until looked at."""

    folder: Path

    @cached_property
    def tokens(self) -> np.ndarray:
        """`(tokens,)` of all bodies."""
        return np.load(self.folder / "tokens.npy", mmap_mode="r")

    @cached_property
    def abstracts(self) -> np.ndarray:
        """`(tokens,)` of all abstracts."""
        return np.load(self.folder / "abstracts.npy", mmap_mode="r")

    @cached_property
    def sentence_starts(self) -> np.ndarray:
        """`(sentences + 1,)` positions in `tokens`, the last being its end."""
        return _starts(np.load(self.folder / "sentence_lengths.npy"))

    @cached_property
    def paper_starts(self) -> np.ndarray:
        """`(papers + 1,)` positions in `sentence_starts`."""
        return _starts(np.load(self.folder / "paper_sentences.npy"))

    @cached_property
    def abstract_starts(self) -> np.ndarray:
        """`(papers + 1,)` positions in `abstracts`."""
        return _starts(np.load(self.folder / "abstract_lengths.npy"))

    @cached_property
    def papers_with_unit(self) -> np.ndarray:
        """`(units + 1,)`: in how many papers each unit of the vocabulary stands and, last, all papers."""
        return np.load(self.folder / "papers_with_unit.npy")

    @cached_property
    def facts(self) -> dict[str, str | int]:
        """What `facts.json` says: source file and its hash, papers, tokens."""
        try:
            return json.loads((self.folder / "facts.json").read_text())
        except (OSError, ValueError) as error:  # none, or one that is no JSON
            raise DataError(
                f"{self.folder} holds no prepared papers: run python -m longt5.training.corpus first."
            ) from error

    def __reduce__(self) -> tuple[type[PreparedPapers], tuple[Path]]:
        """Worker processes open the folder anew instead of receiving what is in memory."""
        return PreparedPapers, (self.folder,)

    def __len__(self) -> int:
        return int(self.facts["papers"])

    def lengths(self) -> np.ndarray:
        """`(papers,)` tokens of each body."""
        return np.diff(self.sentence_starts[self.paper_starts])

    def __getitem__(self, index: int) -> TokenizedPaper:
        """Paper `index`, in memory."""
        starts = self.sentence_starts[self.paper_starts[index] : self.paper_starts[index + 1] + 1]
        tokens = np.asarray(self.tokens[starts[0] : starts[-1]], dtype=np.int64)
        abstract = self.abstracts[self.abstract_starts[index] : self.abstract_starts[index + 1]]
        return TokenizedPaper(tokens, starts - starts[0], np.asarray(abstract, dtype=np.int64))


_tokenizer: Tokenizer | None = None  # one in each worker process, set by _start_worker


def _start_worker(tokenizer_file: str) -> None:
    global _tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the parallelism
    _tokenizer = Tokenizer.from_file(tokenizer_file)
    # A tokenizer.json keeps those that it was last used with, and every sentence would be cut or filled up.
    _tokenizer.no_truncation()
    _tokenizer.no_padding()


def _tokenize(texts: tuple[str, str]) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Returns the tokens of each sentence of the body, and of the abstract; None where either is empty."""
    assert _tokenizer is not None
    body, abstract = texts
    sentences = [body[start:end] for start, end in split_sentences(body)]
    if not sentences or not abstract:
        return None
    encoded = _tokenizer.encode_batch_fast([*sentences, abstract], add_special_tokens=False)
    arrays = [np.array(encoding.ids, dtype=np.uint16) for encoding in encoded]
    return arrays[:-1], arrays[-1]


def prepare_file(papers_file: Path, tokenizer: Path, folder: Path, processes: int) -> None:
    """Tokenize one file of papers into `folder`; `facts.json` is written last and marks it finished."""
    vocabulary = Vocabulary.of(PreTrainedTokenizerFast(tokenizer_file=str(tokenizer)))
    papers_with_unit = np.zeros(len(vocabulary.rarity) + 1, dtype=np.int64)
    sentences: list[np.ndarray] = []
    abstracts: list[np.ndarray] = []
    paper_sentences: list[int] = []
    texts: Iterable[tuple[str, str]] = ((paper.text, paper.abstract) for paper in read_papers(papers_file))
    with multiprocessing.get_context("spawn").Pool(processes, _start_worker, (str(tokenizer),)) as pool:
        for result in tqdm(pool.imap(_tokenize, texts, chunksize=16), unit="paper", desc=papers_file.name):
            if result is None:
                continue
            sentences.extend(result[0])
            paper_sentences.append(len(result[0]))
            abstracts.append(result[1])
            units = np.unique(vocabulary.units[np.concatenate(result[0])])
            papers_with_unit[units[units >= 0]] += 1
            papers_with_unit[-1] += 1
    if not paper_sentences:
        raise DataError(f"{papers_file.name} holds no papers: there is nothing to prepare.")
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        "tokens": np.concatenate(sentences),
        "sentence_lengths": np.array([*map(len, sentences)], dtype=np.uint32),
        "paper_sentences": np.array(paper_sentences, dtype=np.uint32),
        "abstracts": np.concatenate(abstracts),
        "abstract_lengths": np.array([*map(len, abstracts)], dtype=np.uint32),
        "papers_with_unit": papers_with_unit,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    facts = {
        "file": papers_file.name,
        "sha256": _sha256(papers_file),
        "tokenizer_sha256": _sha256(tokenizer),
        "papers": len(paper_sentences),
        "sentences": len(sentences),
        "tokens": len(arrays["tokens"]),
        "abstract_tokens": len(arrays["abstracts"]),
    }
    (folder / "facts.json").write_text(json.dumps(facts, indent=1))


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.append(0, np.cumsum(lengths, dtype=np.int64))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tokenizer_file(name: str, out: Path) -> Path:
    """Returns the `tokenizer.json` of a folder or, brought from the Hub, of `out/tokenizer`.

    Raises:
        DataError: there is no such tokenizer.
    """
    if (Path(name) / "tokenizer.json").is_file():
        return Path(name) / "tokenizer.json"
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except Exception as error:  # each library in between has its own
        reason = " ".join(str(error).split())
        raise DataError(f"The tokenizer {name} can't be loaded: {reason}") from error
    tokenizer.save_pretrained(out / "tokenizer")
    return out / "tokenizer" / "tokenizer.json"


def check_tokenizer(folders: Iterable[PreparedPapers], tokenizer: str) -> None:
    """Holds prepared folders against the folder or Hub id of the tokenizer they are used with.

    Raises:
        DataError: one was prepared with another tokenizer, or holds no prepared papers.
    """
    with tempfile.TemporaryDirectory() as temporary:
        expected = _sha256(tokenizer_file(tokenizer, Path(temporary)))
    for papers in folders:
        if papers.facts.get("tokenizer_sha256") != expected:
            raise DataError(
                f"{papers.folder} was prepared with another tokenizer than {tokenizer}: name that one, or run "
                "python -m longt5.training.corpus again."
            )


def unfinished_files(corpus: Path, out: Path, tokenizer: Path) -> Iterator[tuple[Path, Path]]:
    """Yields (file, folder) of what is not prepared yet with this very tokenizer, small files first."""
    files = [*corpus.glob("train-*.jsonl*"), *corpus.glob("validation.jsonl*")]
    tokenizer_hash = _sha256(tokenizer)
    for file in sorted(files, key=lambda path: path.stat().st_size):
        folder = out / file.name.split(".")[0].removeprefix("train-")
        facts = folder / "facts.json"
        if not facts.exists() or json.loads(facts.read_text())["tokenizer_sha256"] != tokenizer_hash:
            yield file, folder


def main() -> int:
    """Prepares every train and validation file of a folder; files already prepared are left as they are.

    Returns:
        0, or 1 with a sentence on stderr where one can't be prepared.
    """
    parser = argparse.ArgumentParser(description="Tokenize a folder of papers for training.")
    parser.add_argument(
        "--corpus", type=Path, required=True, help="folder with train-*.jsonl.zst and validation"
    )
    parser.add_argument("--tokenizer", required=True, help="folder or Hub id")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the arrays to")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: one per core")
    arguments = parser.parse_args()
    try:
        tokenizer = tokenizer_file(arguments.tokenizer, arguments.out)
        for file, folder in list(unfinished_files(arguments.corpus, arguments.out, tokenizer)):
            prepare_file(file, tokenizer, folder, arguments.processes)
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
