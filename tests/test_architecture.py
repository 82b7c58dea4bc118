"""The house keeps its shape: which module may import which, read from the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("longt5", "app")
PRODUCT = ("app", "gradio", "reportlab", "pypdf", "pypdfium2")
ROOMS = ("documents", "summarizing", "inspecting", "export", "corpus")
# What uses the model, and is used by no part of it.
USERS_OF_THE_MODEL = ("longt5.training", "longt5.evaluation", "longt5.flax")


@cache
def modules() -> dict[str, Path]:
    """Every module of the packages, by its name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(module: str) -> dict[str, int]:
    """What a module imports, anywhere in it, with the first line that does; of this project the modules themselves."""
    found: dict[str, int] = {}
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{where(module, node.lineno)} imports relatively"
            inside = [f"{node.module}.{name.name}" for name in node.names]
            names = [name if name in modules() else str(node.module) for name in inside]
        for name in names:
            found.setdefault(name, node.lineno)  # type: ignore[attr-defined]
    return found


def where(module: str, line: int) -> str:
    return f"{modules()[module].relative_to(ROOT)}:{line}"


def is_in(module: str, *packages: str) -> bool:
    """Whether a module is one of the packages or in one of them."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def arrows(sources: tuple[str, ...], targets: tuple[str, ...], but: tuple[str, ...] = ()) -> list[str]:
    """Imports from sources to targets, a readable line each; modules in `but` may."""
    return [
        f"{where(module, line)} imports {imported}"
        for module in modules()
        if is_in(module, *sources) and not is_in(module, *but)
        for imported, line in imports(module).items()
        if is_in(imported, *targets)
    ]


def test_the_model_knows_nothing_of_the_product() -> None:
    assert not arrows(("longt5",), PRODUCT)


def test_no_part_of_the_model_uses_training_evaluation_or_flax() -> None:
    assert not arrows(("longt5",), USERS_OF_THE_MODEL, but=USERS_OF_THE_MODEL)


def test_jax_stays_in_its_room_and_torch_out_of_it() -> None:
    assert not arrows(PACKAGES, ("jax", "flax", "optax"), but=("longt5.flax",))
    assert not arrows(("longt5.flax",), ("torch", "accelerate"))


def test_no_room_uses_the_page_or_what_serves_it() -> None:
    assert not arrows(tuple(f"app.{room}" for room in ROOMS), ("app.page", "app.service"))


def test_documents_are_read_without_the_model() -> None:
    assert not arrows(("app.documents",), ("longt5", "torch", "transformers", "gradio"))
    other_rooms = ("app.summarizing", "app.inspecting", "app.page")
    assert not arrows(("app.documents",), other_rooms)


def test_only_a_run_over_a_library_uses_ray() -> None:
    assert not arrows(
        PACKAGES, ("ray", "fsspec", "pyarrow"), but=("app.corpus", "longt5.evaluation", "longt5.training")
    )
    assert not arrows(PACKAGES, ("app.corpus",), but=("app.corpus",))


def test_the_process_that_reads_for_a_library_loads_no_model() -> None:
    assert not arrows(
        ("app.corpus.reading", "app.corpus.between", "app.corpus.rows"), ("torch", "app.models", "longt5")
    )


def test_the_child_that_reads_pdfs_imports_pypdf_and_the_standard_library() -> None:
    child = ["app.documents.pdf_reader", *(module for module in modules() if is_in(module, "app.pdf_text"))]
    for module in child:
        foreign = {name for name in imports(module) if name.partition(".")[0] not in sys.stdlib_module_names}
        allowed = ("pypdf", "fontTools", "app.pdf_text")
        assert all(is_in(name, *allowed) for name in foreign), f"{module}: {foreign}"


def test_only_the_child_touches_pypdf() -> None:
    assert not arrows(("app",), ("pypdf",), but=("app.documents.pdf_reader", "app.pdf_text"))
    assert not arrows(("app",), ("app.pdf_text",), but=("app.documents.pdf_reader", "app.pdf_text"))


def test_the_child_that_draws_pages_imports_pdfium_and_pillow() -> None:
    names = {name.partition(".")[0] for name in imports("app.documents.page_renderer")}
    # pillow is what pdfium's bitmap turns itself into.
    assert names - sys.stdlib_module_names == {"pypdfium2", "pdf_reader"}
    assert not arrows(PACKAGES, ("pypdfium2",), but=("app.documents.page_renderer",))


def test_the_child_that_recognizes_pages_imports_nothing_but_that() -> None:
    names = {name.partition(".")[0] for name in imports("app.documents.page_recognizer")}
    assert names - sys.stdlib_module_names == {"page_renderer", "pdf_reader"}


def circles() -> Iterator[list[str]]:
    """Modules that import each other in a ring, each ring once."""
    finished: set[str] = set()

    def visit(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
            return
        if module in finished:
            return
        for imported in imports(module):
            if imported in modules():
                yield from visit(imported, [*path, module])
        finished.add(module)

    for module in modules():
        yield from visit(module, [])


def test_imports_run_in_no_circle() -> None:
    rings = [
        " -> ".join(f"{where(a, imports(a)[b])}" for a, b in pairwise(ring)) + f" -> {ring[-1]}"
        for ring in circles()
    ]
    assert not rings, "\n".join(rings)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_room_says_its_job_first(package: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for module, path in modules().items()
        if is_in(module, package) and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent
