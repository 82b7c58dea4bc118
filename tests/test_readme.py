"""What README and docs/ tell people to do can be done: their commands, settings, code, links and front matter."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio_client
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from app import settings
from app.__main__ import _parser
from app.corpus.__main__ import _parser as corpus_parser
from tests.page_server import tiny_model

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "dev").glob("*.md"))
}
# What is told to do; the log and the list of changes tell what was done.
GUIDES = "\n".join(text for name, text in PAGES.items() if name not in ("CHANGELOG.md", "dev/LOG.md"))
# Programs of others: that a command is theirs is all that is checked.
FOREIGN = {"pip", "hf", "docker", "ray"}


def blocks(language: str, text: str = GUIDES) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands() -> list[str]:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]
    return list(
        dict.fromkeys([*lines, *re.findall(r"`((?:LONGT5_\w+=\S+ )*make [\w-]+(?: \w+=\S+)?)`", GUIDES)])
    )


def front_matter() -> dict:
    return yaml.safe_load(README.split("---\n")[1])


def requirements(name: str = "requirements.txt") -> Iterator[Requirement]:
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line and not line.startswith("-r"):
            yield Requirement(line)


def options(module: str) -> str:
    """The source that defines a module's command-line options: its own and that of private ones or a package's."""
    path = ROOT / module.replace(".", "/")
    files = path.glob("*.py") if path.is_dir() else [path.with_suffix(".py"), *path.parent.glob("_[a-z]*.py")]
    return "".join(file.read_text(encoding="utf-8") for file in files)


@pytest.mark.parametrize("command", commands())
def test_a_command_exists(command: str) -> None:
    words = shlex.split(command)
    while re.fullmatch(r"[A-Z0-9_]+=.*", words[0]):
        name, value = words.pop(0).split("=", 1)
        settings.from_environment({name: value})
        assert name in settings.VARIABLES
    match words:
        case ["make", target, *variables]:
            assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE)
            assert all(re.search(rf"^{word.split('=')[0]} \?=", MAKEFILE, re.MULTILINE) for word in variables)
        case ["python", "-m", "app", *arguments]:
            _parser().parse_args(arguments)
        case ["python", "-m", "app.corpus", *arguments]:
            corpus_parser().parse_args(arguments)
        case ["python", "-m", module, *arguments] | ["accelerate", "launch", "-m", module, *arguments]:
            for word in arguments:
                if word.startswith("--"):
                    assert f'"{word}"' in options(module)
                elif word.startswith(("configs/", "assets/example/")):
                    assert (ROOT / word).exists()
        case [program, *_]:
            assert program in FOREIGN


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_make_and_ci_are_what_is_said() -> None:
    assert {"make run", "make test", "make test-all", "make lint", "make bench"} <= set(commands())
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"^make .*", ci, flags=re.MULTILINE) == ["make lint", "make test", "make audit"]
    run = re.search(r"^run:.*\n\t(.*)", MAKEFILE, flags=re.MULTILINE)
    assert run is not None
    assert run[1].endswith("python app.py")
    assert (ROOT / "app.py").is_file()


def test_front_matter_is_a_spaces() -> None:
    matter = front_matter()
    gradio = next(r for r in requirements() if r.name == "gradio")
    assert str(gradio.specifier) == f"=={matter['sdk_version']}"
    assert matter["sdk"] == "gradio"
    assert (ROOT / matter["app_file"]).is_file()
    assert matter["license"] == "apache-2.0"
    assert len(matter["short_description"]) <= 60
    colors = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {matter["colorFrom"], matter["colorTo"]} <= colors
    # What is installed on the Space's Python is what is installed here.
    python = {"python_version": matter["python_version"]}
    names = [r.name for r in requirements() if r.marker is None or r.marker.evaluate(python)]
    assert len(names) == len(set(names))


def test_requirements_are_pinned_and_torch_is_a_range() -> None:
    for file in ("requirements.txt", "requirements-corpus.txt", "requirements-dev.txt"):
        for requirement in requirements(file):
            if requirement.name != "torch":
                assert re.fullmatch(r"==[\d.]+", str(requirement.specifier)), requirement
    (range_of_torch,) = [r.specifier for r in requirements() if r.name == "torch"]
    for version in ("2.9.0", "2.9.1", "2.10.0", "2.11.0", "2.13.0"):
        assert Version(version) in range_of_torch
    assert Version("2.13.1") not in range_of_torch
    for python in ("3.10", "3.11", "3.12"):
        chosen = [
            r.name
            for r in requirements()
            if r.marker is None or r.marker.evaluate({"python_version": python})
        ]
        assert len(chosen) == len(set(chosen))
        assert {"torch", "transformers", "numpy", "fonttools"} <= set(chosen)


def test_the_table_of_settings_is_the_source() -> None:
    assert settings.table() in PAGES["docs/settings.md"]


def test_no_other_variable_is_named() -> None:
    named = set(re.findall(r"\bLONGT5_[A-Z_]+\b", GUIDES))
    assert named == set(settings.VARIABLES)


def anchors(text: str) -> set[str]:
    """Those of a page's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)", text, flags=re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    prose = re.sub(r"```.*?```", "", PAGES[page], flags=re.DOTALL)
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", prose):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ("CHANGELOG.md", "dev/LOG.md")])
def test_files_that_are_named_exist(page: str) -> None:
    roots = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "run")
    named = re.findall(rf"`((?:{roots})/[\w./-]+)`", PAGES[page])
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_tree_is_the_repositorys() -> None:
    (tree,) = [block for block in blocks("", README) if "app.py" in block]
    folder = ROOT
    listed = []
    for line in tree.splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else ROOT
        listed.append(folder / name)
        assert listed[-1].exists(), line
        if not line.startswith(" ") and name.endswith("/"):
            folder = ROOT / name
    for package in ("app", "longt5"):
        rooms = {path.parent for path in (ROOT / package).glob("*/__init__.py")}
        assert rooms <= {path for path in listed if path.is_dir()}


def test_docs_are_listed_in_the_readme() -> None:
    assert {page for page in PAGES if page.startswith("docs/")} <= set(re.findall(r"\]\(([^)#]+)\)", README))


IN_JAX = re.compile(r"\bjax\b|flax")


def test_the_library_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """With a tiny random model in the place of the embedded one, and less of the text."""
    examples = [block for block in blocks("python") if "longt5" in block and "Client" not in block]
    examples = [block for block in examples if not IN_JAX.search(block)]
    assert len(examples) == 3
    model = tiny_model(tmp_path / "model")
    monkeypatch.chdir(ROOT)
    torch.manual_seed(0)
    source = "\n".join(examples).replace("assets/longt5-embedded", str(model)).replace("16_384", "512")
    exec(compile(source, "README.md and docs", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) >= 3


def test_the_jax_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """The same, and one step of the training that is defined there."""
    examples = [block for block in blocks("python") if IN_JAX.search(block)]
    assert len(examples) == 3
    import jax

    jax.config.update("jax_disable_most_optimizations", True)  # what takes time is compiling
    model = tiny_model(tmp_path / "model", 1, 1)
    monkeypatch.chdir(ROOT)
    source = "\n".join(examples).replace("assets/longt5-embedded", str(model))
    source = source.replace("max_length=4096", "max_length=96")
    names: dict[str, Any] = {}
    exec(compile(source, "docs/jax.md", "exec"), names)
    assert capsys.readouterr().out.strip()
    inputs = names["inputs"]
    batch = {**inputs, "labels": inputs["input_ids"][:, :6]}
    params = names["model"].params
    state = names["optimizer"].init(params)
    _, _, loss = names["step"](params, state, batch, names["jax"].random.key(0))
    assert 0 < float(loss) < 100


def test_the_client_example_names_what_exists() -> None:
    (example,) = [block for block in blocks("python") if "Client" in block]
    tree = ast.parse(example)
    assert all(
        hasattr(gradio_client, name.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    )
    source = (ROOT / "app" / "api.py").read_text(encoding="utf-8")
    endpoints = set(re.findall(r'api_name="(\w+)"', source))
    assert endpoints == set(re.findall(r"^\| `/(\w+)` \|", PAGES["docs/using.md"], flags=re.MULTILINE))
    assert {name.removeprefix("/") for name in re.findall(r'api_name="(/\w+)"', example)} <= endpoints
