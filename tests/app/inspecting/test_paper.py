"""Figures without the page: from Python, and from the terminal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader

from app.__main__ import main
from app.inspecting.paper import InspectedPaper
from app.inspecting.views import VIEWS
from app.models import ModelStore
from app.summarizing.settings import SummaryError
from tests.app.factories import paragraphs

WORDS = "The model reads the long paper in linear time. A global token ignores its own block."


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("papers") / "paper one.txt"
    path.write_text("\n".join(paragraphs(3)))
    return path


@pytest.fixture(scope="module")
def paper(file: Path, store: ModelStore) -> InspectedPaper:
    return InspectedPaper.read(file, WORDS, store=store)


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_can_be_asked_for_and_saved(paper: InspectedPaper, view: str, tmp_path: Path) -> None:
    figure = paper.ask(view, count=60)
    for suffix in ("svg", "pdf", "html", "npz"):
        figure.save(tmp_path / f"figure.{suffix}")
    assert (tmp_path / "figure.svg").read_text().startswith("<svg")
    assert len(PdfReader(tmp_path / "figure.pdf").pages) == 1
    with np.load(tmp_path / "figure.npz") as saved:
        question = json.loads(str(saved["question"]))
        assert (question["view"], question["count"]) == (view, 60)
        assert str(saved["model"]) == "tiny"
    assert figure.says.endswith(".") and figure._repr_svg_().startswith("<svg")


def test_words_that_are_given_are_what_the_decoder_wrote(paper: InspectedPaper) -> None:
    assert [sentence.text for sentence in paper.summary.sentences] == WORDS.replace(". A", ".\nA").split("\n")
    rows = paper.ask("cross", sentence=1).arrays["row_texts"]
    assert "".join(rows.tolist()).replace(" ", "").replace("\u2581", "") == WORDS.split(". ")[1].replace(
        " ", ""
    )


def test_what_there_is_not_is_one_sentence(paper: InspectedPaper, file: Path, store: ModelStore) -> None:
    silent = InspectedPaper.read(file, store=store)
    for asked in (
        lambda: paper.ask("square"),
        lambda: paper.ask("band", layer=9),
        lambda: paper.ask("band", colour="red"),
        lambda: paper.ask("band", scale="cubic"),
        lambda: paper.ask("cross", sentence=7),
        lambda: silent.ask("cross"),
        lambda: paper.ask("band").save("figure.bmp"),
    ):
        with pytest.raises(SummaryError) as error:
            asked()
        assert str(error.value).endswith(".") and "\n" not in str(error.value)


def test_the_terminal_writes_the_figure_that_was_asked_for(
    file: Path, model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figure.svg"
    told = [str(file), "--view", "globals", "--layer", "1", "--head", "1", "--out", str(out)]
    assert main(["inspect", *told, "--model", str(model_folder)]) == 0
    assert "encoder layer 1, head 1" in out.read_text()
    assert capsys.readouterr().out.startswith("Layer 1, head 1 ")
    wrong = [*told[:4], "99", *told[5:]]
    assert main(["inspect", *wrong, "--model", str(model_folder)]) == 1
    assert "no such layer" in capsys.readouterr().err
    assert main(["inspect", "missing.pdf", *told[1:], "--model", str(model_folder)]) == 1


@pytest.mark.parametrize(
    "out", ["missing/figure.svg", "paper.txt/figure.svg", "figure.bmp", "figure", "folder.svg"]
)
def test_where_nothing_can_be_written_is_told_before_the_paper_is_read(
    tmp_path: Path,
    model_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    out: str,
) -> None:
    monkeypatch.setattr(InspectedPaper, "read", lambda *_, **__: pytest.fail("the paper was read"))
    (tmp_path / "paper.txt").write_text("A paper.")
    (tmp_path / "folder.svg").mkdir()
    asked = ["inspect", str(tmp_path / "paper.txt"), "--view", "band", "--out", str(tmp_path / out)]
    assert main([*asked, "--model", str(model_folder)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.endswith(".")


def test_a_disk_that_is_full_is_one_sentence(
    file: Path,
    model_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write_bytes(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    asked = ["inspect", str(file), "--view", "band", "--count", "40", "--out", str(tmp_path / "figure.svg")]
    assert main([*asked, "--model", str(model_folder)]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "No space left on device" in said and said.endswith(".")
