"""The example paper: the script reproduces it, it can be read, and what it says by numbers is right."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pypdf import PdfReader

from longt5.attention.reference import relative_position_bucket

EXAMPLE = Path(__file__).resolve().parent.parent / "assets" / "example"
PAPER = EXAMPLE / "longt5-explained.pdf"
TEXT = (EXAMPLE / "longt5_explained.md").read_text(encoding="utf-8")


def pages(path: Path) -> list[str]:
    return [page.extract_text() for page in PdfReader(path).pages]


@pytest.fixture(scope="module")
def written_anew(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("example") / "again.pdf"
    subprocess.run([sys.executable, str(EXAMPLE / "make_example_paper.py"), str(path)], check=True)
    return path


def test_the_script_reproduces_the_paper(written_anew: Path) -> None:
    assert pages(written_anew) == pages(PAPER)


def test_the_same_text_gives_the_same_bytes(written_anew: Path, tmp_path: Path) -> None:
    again = tmp_path / "once more.pdf"
    subprocess.run([sys.executable, str(EXAMPLE / "make_example_paper.py"), str(again)], check=True)
    assert again.read_bytes() == written_anew.read_bytes()


def test_it_is_a_paper() -> None:
    text = pages(PAPER)
    assert 8 <= len(text) <= 10
    assert sum(len(page.split()) for page in text) > 4_500
    assert "Abstract" in text[0]
    assert "References" in text[-1]
    assert all("Reading Long Papers with LongT5" in page for page in text)
    assert not re.search(r"[\ufffd\u25a0]", "".join(text)), "a character that the fonts lack"


def test_citations_and_references_are_the_same_set() -> None:
    """By first author and year, as in "Guo et al. (2022)", "Kudo and Richardson, 2018" and "Shazeer (2020)"."""
    body, references = TEXT.split("## References")
    name = r"[A-Z]\w+"
    cited = set(re.findall(rf"({name})(?: et al\.| and {name})?,? \(?((?:19|20)\d\d)\b", body))
    listed = set()
    for line in references.strip().splitlines():
        authors, year = re.match(r"\[\] (.+?)\. ((?:19|20)\d\d)\. ", line).groups()
        listed.add((re.split(r", | and ", authors)[0].split()[-1], year))
    assert cited == listed


def test_the_bucket_table_is_the_models() -> None:
    distances = torch.arange(0, 200)
    before = relative_position_bucket(-distances, bidirectional=True, num_buckets=32, max_distance=128)
    rows = re.findall(r"\b(\d+) \| (\d+) … (\d+)\b", TEXT)
    assert len(rows) == 8  # the exact distances in one row, seven wide buckets
    for bucket, first, last in rows[1:]:
        inside = distances[before == int(bucket)].tolist()
        assert (inside[0], inside[-1]) == (int(first), int(last))
    assert distances[before == 15][0] == 91
    after = relative_position_bucket(distances, bidirectional=True, num_buckets=32, max_distance=128)
    assert 16 not in after.tolist()
    assert (before[20], after[20], before[100]) == (10, 26, 15)


def test_the_step_by_hand() -> None:
    x = np.array([(1, 0), (0, 1), (1, 1), (1, -1), (2, 0), (0, 1), (1, 1)], dtype=float)
    sums = np.stack([x[0:2].sum(0), x[2:4].sum(0), x[4:7].sum(0)])
    globals_ = sums / np.sqrt((sums**2).mean(1, keepdims=True))
    keys = np.concatenate([x[1:4], globals_])
    scores = keys @ x[2]
    exponentials = np.exp(scores)
    weights = exponentials / exponentials.sum()
    names = ["token 1", "token 2", "token 3", "global 0", "global 1", "global 2"]
    for name, score, exponential, weight in zip(names, scores, exponentials, weights, strict=True):
        assert f"| {name} | {score:.3f} | {exponential:.3f} | {weight:.3f}\n" in TEXT
    assert f"whose sum is {exponentials.sum():.3f}" in TEXT
    assert f"The globals receive {weights[3:].sum():.3f} of it" in TEXT
    output = weights @ keys
    assert f"({output[0]:.3f}, {output[1]:.3f}), the output of this head" in TEXT

    band, rest = exponentials[:3], exponentials[3:]
    assert f"add up to {band.sum():.3f} and those of the globals to {rest.sum():.3f}" in TEXT
    assert f"= {math.log(band.sum()):.3f} and *m*_{{2}} = {math.log(rest.sum()):.3f}" in TEXT
    first, second = band @ keys[:3] / band.sum(), rest @ keys[3:] / rest.sum()
    assert f"({first[0]:.3f}, {first[1]:.3f}), the globals alone ({second[0]:.3f}, {second[1]:.3f})" in TEXT


def test_the_counts() -> None:
    for length in (1_024, 4_096, 16_384, 65_536):
        saving = length**2 / (length * 255 + length**2 / 16)
        assert re.search(rf"\| {length:,} \|.*\| {saving:.1f}\n", TEXT)
    length, width, inner = 16_384, 768, 2_048
    operations = {
        "Projections": [8 * length * width**2] * 2,
        "Scores and sums": [4 * width * length**2, 4 * width * length * 1_279],
        "Feed-forward": [6 * length * width * inner] * 2,
    }
    for part, (full, sparse) in operations.items():
        assert re.search(rf"\| {part} \|[^\n]*\| {full / 1e9:.0f} \| {sparse / 1e9:.0f}\n", TEXT)
    for heads, layers, inner_dim, column in ((12, 12, 768, 1), (16, 24, 1_024, 2), (32, 24, 2_048, 3)):
        scores = length * 1_408 * heads * 4
        rows = {row[0]: row for row in (line.split(" | ") for line in TEXT.splitlines() if line[:1] == "|")}
        assert rows["| Scores of a layer"][column] == f"{scores / 1e9:.2f} GB"
        assert rows["| All attentions"][column] == f"{layers * scores / 1e9:.0f} GB"
        cross = layers * 2 * length * inner_dim * 4
        assert rows["| Cross-attention"][column] == f"{cross / 1e9:.1f} GB"
