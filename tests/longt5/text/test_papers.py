from pathlib import Path

import pytest

from longt5.text.papers import PapersError, mend, read_papers, without_labels


def test_unreadable_papers_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(PapersError, match="no file of papers"):
        list(read_papers(tmp_path / "none.jsonl"))
    (tmp_path / "bad.jsonl").write_text('{"text": "no abstract"}\n')
    with pytest.raises(PapersError, match="Line 1 of bad"):
        list(read_papers(tmp_path / "bad.jsonl"))


@pytest.mark.parametrize(
    ("broken", "whole"),
    [
        ("di ff erently", "differently"),
        ("speci fi c", "specific"),
        ("the fi rst e ffi cient", "the first efficient"),
        ("of ﬁnite aﬀairs", "of finite affairs"),
        ("fi nding", "finding"),
    ],
)
def test_ligatures_are_mended(broken: str, whole: str) -> None:
    assert mend(broken) == whole


def test_labels_of_abstracts_are_dropped() -> None:
    text = "Background: Cells grow. Methods: We looked. Results and discussion: They did. Results were clear."
    assert without_labels(text) == "Cells grow. We looked. They did. Results were clear."


def lines_of(folder: Path, *lines: bytes) -> Path:
    path = folder / "papers.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


GOOD = b'{"id": "a", "text": "One.", "abstract": "Two."}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": null, "abstract": "Two."}', "Line 2 of papers.jsonl has null as its text"),
        (b'{"text": ["One."], "abstract": "Two."}', "Line 2 of papers.jsonl has a list as its text"),
        (b'{"text": "One.", "abstract": {}}', "Line 2 of papers.jsonl has an object as its abstract"),
        (b'{"text": "One.", "abstract": 7}', "Line 2 of papers.jsonl has a number as its abstract"),
        (b'["One.", "Two."]', "Line 2 of papers.jsonl is no paper"),
        (b"{", "Line 2 of papers.jsonl is no paper"),
        ('{"text": "Größe", "abstract": "Two."}'.encode("latin-1"), "Line 2 of papers.jsonl is not UTF-8"),
        (GOOD, "Line 2 of papers.jsonl has the id 'a' of an earlier line"),
    ],
)
def test_untidy_lines_are_named(line: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(PapersError, match=said):
        list(read_papers(lines_of(tmp_path, GOOD, line)))


def test_a_byte_order_mark_and_empty_lines_are_no_obstacle(tmp_path: Path) -> None:
    other = b'{"text": "One.", "abstract": "Two.", "title": null}'
    papers = list(read_papers(lines_of(tmp_path, b"\xef\xbb\xbf" + GOOD, b"", other)))
    assert [(paper.id, paper.title) for paper in papers] == [("a", ""), ("3", "")]
