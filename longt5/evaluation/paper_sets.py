"""Sets of papers to measure on: a JSON-lines file, a folder of Parquet files, or a data set of the Hub by its name.

The field's sets are PubMed and arXiv (Cohan et al. 2018): `scientific_papers/pubmed`, `scientific_papers/arxiv`, or
the same as `ccdv/pubmed-summarization/section`, `ccdv/arxiv-summarization/section`. Their texts are split into
words and lower-cased, and are left so: ROUGE does not mind, and models have been trained on them as they are.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from longt5.text.papers import Paper, PapersError, read_papers

_HUB_NAME = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:/(?P<subset>\w[\w.-]*))?")
_WITHOUT_OWNER = {"scientific_papers": "armanc/scientific_papers"}  # from when data sets needed none
# Where the Hub keeps its conversion of data sets that are not Parquet, and may need a program to be read.
_CONVERTED = "refs/convert/parquet"
_SENTENCE_MARKS = re.compile(r"</?S>")  # some copies of the field's sets have them in the abstracts
_TEXT_COLUMNS = ("article", "text")


def choose_papers(data: str, split: str, count: int | None) -> list[Paper]:
    """The first `count` papers of a set in an order that depends on their ids alone; all if None.

    Args:
        data: path of a `.jsonl` or `.jsonl.zst` file or of a folder with Parquet files, or the name of a data set
            on the Hub, with a subset after another slash if it has several.
        split: which part of a data set, as "test"; a JSON-lines file has none.

    Raises:
        PapersError: there is no such set, it has no papers, or it can't be read.
    """
    papers = _papers(data, split)

    def key(paper: Paper) -> bytes:
        return hashlib.sha256(paper.id.encode()).digest()

    chosen = sorted(papers, key=key) if count is None else heapq.nsmallest(count, papers, key=key)
    if not chosen:
        raise PapersError(f"There are no papers in '{data}': at least one is needed.")
    return chosen


def _papers(data: str, split: str) -> Iterator[Paper]:
    path = Path(data).expanduser()
    if path.is_dir():
        return _read_parquet(_files(data, path, split, None), split)
    first, slash, rest = data.partition("/")
    name = _HUB_NAME.fullmatch(_WITHOUT_OWNER.get(first, first) + slash + rest)
    if path.exists() or name is None or data.endswith((".jsonl", ".zst")):
        return read_papers(path)
    return _read_parquet(_download(data, name["repository"], name["subset"], split), split)


def _download(data: str, repository: str, subset: str | None, split: str) -> list[Path]:
    """The Parquet files of a part of a data set, brought from the Hub if they are not in its cache."""
    pattern = f"{subset or ''}*{split}*.parquet"  # in this language a star stands for slashes too
    try:
        for revision in ("main", _CONVERTED):
            folder = Path(
                snapshot_download(repository, repo_type="dataset", revision=revision, allow_patterns=pattern)
            )
            if any(folder.rglob("*.parquet")):
                return _files(data, folder, split, subset)
    except RevisionNotFoundError:
        pass
    except GatedRepoError as error:
        raise PapersError(
            f"The data set '{data}' is gated: ask for access on its page, then log in (`hf auth login`)."
        ) from error
    except RepositoryNotFoundError as error:
        raise PapersError(
            f"There is no file or folder '{data}', and no data set of that name on the Hub that you may see."
        ) from error
    except LocalEntryNotFoundError as error:
        raise PapersError(
            f"There is no file or folder '{data}', and the Hub could not be reached for a data set of that name."
        ) from error
    except PapersError:
        raise
    except Exception as error:  # proxies, certificates, a full disk: each library has its own errors
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise PapersError(f"The download of '{data}' failed, try again later ({reason}).") from error
    raise PapersError(f"The data set '{data}' has no Parquet files for '{split}': check both on its page.")


def _files(data: str, folder: Path, split: str, subset: str | None) -> list[Path]:
    """The Parquet files of one part: `test-00000-of-00001.parquet` or `test/0000.parquet`, in a folder or not."""
    name = re.escape(split)
    layout = re.compile(rf"(?:(.*)/)?(?:{name}/[^/]+|{name}(?:-[^/]*)?|[^/]+-{name})\.parquet")
    subsets: dict[str, list[Path]] = {}
    for file in sorted(folder.rglob("*.parquet")):
        if match := layout.fullmatch(file.relative_to(folder).as_posix()):
            subsets.setdefault(match[1] or "", []).append(file)
    if subset is not None:
        subsets = {key: files for key, files in subsets.items() if key == subset}
    if not subsets:
        raise PapersError(
            f"The data set '{data}' has no Parquet files for '{split}': check both on its page."
        )
    if len(subsets) > 1:
        raise PapersError(
            f"The data set '{data}' has subsets ({', '.join(sorted(subsets))}): "
            f"add one, as in {data}/{max(subsets)}."
        )
    [files] = subsets.values()
    return files


def _read_parquet(files: list[Path], split: str) -> Iterator[Paper]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise PapersError(
            "Reading Parquet needs the package pyarrow: pip install -r requirements-dev.txt."
        ) from error

    number = 0
    for file in files:
        try:
            parquet = ParquetFile(file)
            text = next((name for name in _TEXT_COLUMNS if name in parquet.schema_arrow.names), None)
            if text is None or "abstract" not in parquet.schema_arrow.names:
                raise PapersError(
                    f"{file.name} holds no papers: it must have the columns article (or text) and abstract."
                )
            for batch in parquet.iter_batches(batch_size=64, columns=[text, "abstract"]):
                for row in batch.to_pylist():
                    number += 1
                    abstract = _SENTENCE_MARKS.sub(" ", row["abstract"] or "")
                    yield Paper(f"{split}-{number}", "", row[text] or "", abstract)
        except (ArrowException, OSError) as error:
            raise PapersError(f"{file.name} is damaged and can't be read: get it again ({error}).") from error
