"""Sets of papers from files, folders and a small Hub on 127.0.0.1."""

import functools
import json
import sys
from pathlib import Path

import huggingface_hub
import pyarrow
import pytest
from pyarrow import parquet

from longt5.evaluation import paper_sets
from longt5.evaluation.paper_sets import choose_papers
from longt5.text.papers import PapersError
from tests.hub_server import HubServer

ARTICLE = "we look at whales . they dive .\nwhy do they sing ?"


def write(path: Path, articles: list[str], abstract: str = "whales .", column: str = "article") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        column: articles,
        "abstract": [abstract] * len(articles),
        "section_names": [""] * len(articles),
    }
    parquet.write_table(pyarrow.table(columns), path)


def texts(data: Path | str) -> list[str]:
    return sorted(paper.text for paper in choose_papers(str(data), "test", None))


def test_papers_are_chosen_by_id_alone(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(index), "text": "A text.", "abstract": "A."}) for index in range(6)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "b.jsonl").write_text("\n".join(reversed(lines)))
    every = [paper.id for paper in choose_papers(str(tmp_path / "a.jsonl"), "test", None)]
    assert sorted(every) == [str(index) for index in range(6)] != every
    for name in ("a.jsonl", "b.jsonl"):
        assert [paper.id for paper in choose_papers(str(tmp_path / name), "test", 3)] == every[:3]


@pytest.mark.parametrize(
    "names",
    [
        ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"],
        ["data/test-00000-of-00002.parquet", "data/test-00001-of-00002.parquet"],
        ["pubmed/test/0000.parquet", "pubmed/test/0001.parquet"],
        ["pubmed/scientific_papers-test.parquet", "pubmed/test.parquet"],
    ],
)
def test_files_of_a_split(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        write(tmp_path / name, [name])
        write(tmp_path / name.replace("test", "train"), ["of another split"])
        write(tmp_path / name.replace("test", "contest"), ["of no split"])
    assert texts(tmp_path) == sorted(names)


def test_papers_of_a_folder_are_left_as_they_are(tmp_path: Path) -> None:
    write(tmp_path / "test-0.parquet", [ARTICLE, ""], "<S> whales sing . </S>\n<S> why ? </S>")
    papers = {paper.id: paper for paper in choose_papers(str(tmp_path), "test", None)}
    assert set(papers) == {"test-1", "test-2"}
    assert papers["test-1"].text == ARTICLE and papers["test-2"].text == ""
    assert papers["test-1"].abstract.split() == "whales sing . why ?".split()
    write(tmp_path / "validation-0.parquet", ["more"], column="text")
    assert [paper.text for paper in choose_papers(str(tmp_path), "validation", 5)] == ["more"]


def test_what_is_wrong_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(PapersError, match="no file of papers"):
        texts(tmp_path / "none.jsonl")
    with pytest.raises(PapersError, match="no file of papers"):
        texts("corpus/none.jsonl.zst")
    with pytest.raises(PapersError, match="no Parquet files for 'test'"):
        texts(tmp_path)
    write(tmp_path / "a" / "test-0.parquet", [])
    with pytest.raises(PapersError, match="There are no papers"):
        texts(tmp_path / "a")
    write(tmp_path / "b" / "test-0.parquet", ["x"], column="body")
    with pytest.raises(PapersError, match="holds no papers"):
        texts(tmp_path / "b")
    with pytest.raises(PapersError, match=r"has subsets \(a, b\): add one, as in .*/b\."):
        texts(tmp_path)
    (tmp_path / "b" / "test-0.parquet").write_bytes(b"PAR1, but no more than that")
    with pytest.raises(PapersError, match="is damaged"):
        texts(tmp_path / "b")


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "test-0.parquet", ["x"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PapersError, match="needs the package pyarrow"):
        texts(tmp_path)


def test_data_sets_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "hub"
    sets = root / "datasets"
    write(sets / "ccdv/pubmed-summarization/document/test-00000-of-00001.parquet", ["document"])
    write(sets / "ccdv/pubmed-summarization/section/test-00000-of-00001.parquet", ["section"])
    write(sets / "ccdv/pubmed-summarization/section/train-00000-of-00001.parquet", ["unasked"])
    (sets / "armanc/scientific_papers").mkdir(parents=True)
    (sets / "armanc/scientific_papers/scientific_papers.py").write_text("raise SystemExit")
    for subset in ("arxiv", "pubmed"):
        write(sets / f"armanc/scientific_papers@converted/{subset}/test/0000.parquet", [f"{subset} 0"])
        write(sets / f"armanc/scientific_papers@converted/{subset}/test/0001.parquet", [f"{subset} 1"])
    (sets / "someone/empty").mkdir(parents=True)
    (sets / "someone/empty/README.md").write_text("Nothing yet.")
    names = [
        "ccdv/pubmed-summarization/section",
        "ccdv/pubmed-summarization",
        "scientific_papers/pubmed",
        "armanc/scientific_papers/arxiv",
        "someone/empty",
        "someone/unknown",
    ]

    def ask(name: str) -> list[str] | str:
        try:
            return texts(name)
        except PapersError as error:
            return str(error)

    monkeypatch.setenv("NO_PROXY", "*")
    with HubServer(root) as hub:
        bound = functools.partial(
            huggingface_hub.snapshot_download, endpoint=hub.url, cache_dir=tmp_path / "cache"
        )
        monkeypatch.setattr(paper_sets, "snapshot_download", bound)
        section, subsets, pubmed, arxiv, empty, unknown = map(ask, names)
        assert not any("train" in path for method, path, _ in hub.requests if "/resolve/" in path)
        hub.down = True
        again, other = ask(names[0]), ask("someone/other")
    assert section == ["section"]
    assert "has subsets (document, section): add one" in subsets
    assert pubmed == ["pubmed 0", "pubmed 1"]
    assert arxiv == ["arxiv 0", "arxiv 1"]
    assert empty == "The data set 'someone/empty' has no Parquet files for 'test': check both on its page."
    assert "no data set of that name" in unknown
    # What was brought once needs the Hub no more, and what was not says so.
    assert again == ["section"]
    assert "the Hub could not be reached" in other
