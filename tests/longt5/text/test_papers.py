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
