"""The program as people run it: in a process of its own, or `main` with its arguments where that is the same."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.__main__ import main
from app.summarizing.summary import Summary
from longt5.generation import EncodedText
from tests.app.factories import make_pdf, paragraphs, wrapped

ROOT = Path(__file__).parents[2]
SHORT = ["--max-new-tokens", "30", "--beams", "1"]


@pytest.fixture
def papers(tmp_path: Path) -> list[str]:
    pages = [wrapped(paragraphs(4, seed=page)) for page in range(2)]
    make_pdf(tmp_path / "one.pdf", [["A Paper on Papers", "", *pages[0]], pages[1]])
    (tmp_path / "two.txt").write_text("\n".join(paragraphs(3, seed=9)))
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 nothing else")
    return [str(tmp_path / name) for name in ("one.pdf", "broken.pdf", "two.txt")]


@pytest.fixture
def one_model(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LONGT5_MODELS", str(model_folder))


def _start(arguments: list[str], model_folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT,
        env={**os.environ, "LONGT5_MODELS": str(model_folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background of a shell are started with Ctrl-C ignored, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_several_files_as_json_although_one_cannot_be_read(papers: list[str], model_folder: Path) -> None:
    process = _start([*papers, "--json", *SHORT], model_folder)
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    first, second = json.loads(out)
    assert (first["file"], first["pages"], second["file"]) == ("one.pdf", 2, "two.txt")
    assert first["model"] == "tiny" and first["settings"]["num_beams"] == 1
    assert first["sentences"][0]["evidence"][0]["page"] in (1, 2)
    (complaint,) = (line for line in errors.replace("\r", "\n").splitlines() if line.startswith(papers[1]))
    assert complaint.endswith(".")
    assert "Traceback" not in errors
    assert "one.pdf: reading 1/" in errors and "%" in errors


def test_ctrl_c_stops_cleanly(tmp_path: Path, model_folder: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("\n".join(paragraphs(15)))
    process = _start([str(path), "--json", "--max-new-tokens", "2000"], model_folder)
    assert process.stderr is not None
    seen = ""
    while "writing" not in seen and (letter := process.stderr.read(1)):
        seen += letter
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 10  # the interpreter has to end too
    assert json.loads(out) == []
    assert errors.rstrip().endswith("Stopped.") and "Traceback" not in errors


def test_one_file_gives_its_summary_alone(
    one_model: None, papers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([papers[0], *SHORT]) == 0
    out, errors = capsys.readouterr()
    assert out.strip() and papers[0] not in out
    assert "tokens of the text were read" in errors
    assert main([papers[0], "--quiet", *SHORT]) == 0
    quiet, errors = capsys.readouterr()
    assert quiet == out
    assert errors == ""


def test_several_files_are_told_apart(
    one_model: None, papers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*papers, "--quiet", *SHORT]) == 1
    out, errors = capsys.readouterr()
    assert f"{papers[0]}:\n" in out and f"{papers[2]}:\n" in out
    assert errors.startswith(f"{papers[1]}: ") and errors.count("\n") == 1


def test_nothing_is_kept_of_papers_that_are_done(
    one_model: None, papers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = []

    def plain(summary: Summary) -> str:
        kept.append(sum(isinstance(thing, EncodedText) for thing in gc.get_objects()))
        return ""

    monkeypatch.setattr("app.export.plain", plain)
    for seed in range(3):
        (tmp_path / f"{seed}.txt").write_text("\n".join(paragraphs(3, seed=seed)))
    assert main([str(tmp_path / f"{seed}.txt") for seed in range(3)] + ["--quiet", *SHORT]) == 0
    assert len(kept) == 3 and kept[-1] <= kept[0]


def test_options_reach_the_summary(
    one_model: None, papers: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = [
        "--long-papers",
        "beginning-and-end",
        "--max-input-tokens",
        "100",
        "--include-references",
        "--length-penalty",
        "0.5",
    ]
    options += ["--length-penalty", "0.5"]
    sampling = ["--sample", "--seed", "4", "--temperature", "1.5", "--top-p", "0.9"]
    texts = []
    for _ in range(2):
        assert main([papers[2], "--json", "--quiet", *options, *sampling, *SHORT]) == 0
        (found,) = json.loads(capsys.readouterr().out)
        texts.append(found["summary"])
    assert texts[0] == texts[1]
    used = found["settings"]
    assert (used["max_input_tokens"], used["long_papers"], used["include_references"]) == (
        100,
        "beginning and end",
        True,
    )
    assert (used["do_sample"], used["seed"], used["temperature"], used["top_p"]) == (True, 4, 1.5, 0.9)
    assert used["length_penalty"] == 0.5 and found["tokens_left_out"] > 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--beams", "99"], '"Beams" (num_beams) must be'),
        (["--model", "/no/such/folder"], "no folder"),
    ],
)
def test_wrong_settings_are_a_sentence(
    one_model: None, papers: list[str], capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert main([papers[2], *options]) == 1
    out, errors = capsys.readouterr()
    assert out == "" and sentence in errors and errors.count("\n") == 1


def test_a_bad_variable_is_a_sentence(
    papers: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LONGT5_MAX_PAGES", "many")
    assert main([papers[2]]) == 1
    assert capsys.readouterr().err.startswith("LONGT5_MAX_PAGES is 'many'")


def test_wrong_usage_exits_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--beams", "many", "x.pdf"])
    assert exit_.value.code == 2


def test_a_model_by_folder_and_by_name(
    papers: list[str], model_folder: Path, one_model: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for model in (str(model_folder), "tiny"):
        assert main([papers[2], "--quiet", "--json", "--model", model, *SHORT]) == 0
        assert json.loads(capsys.readouterr().out)[0]["model"] == "tiny"
