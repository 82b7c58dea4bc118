"""Whole runs with real workers, some of which are killed."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.app.corpus.runs import finish, finished, rows_of, start, wait_for, write_papers
from tests.app.corpus.workers import POISON, workers
from tests.app.factories import make_pdf, paragraphs, wrapped

PDFS = Path(__file__).parents[4] / "shared" / "pdfs"

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed here")


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """Of a server with one paper."""
    folder = write_papers(tmp_path / "served", 1)
    make_pdf(folder / "paper-0.pdf", [wrapped(paragraphs(3, seed=55))]).rename(folder / "remote.pdf")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/remote.pdf"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_workers_are_killed_and_every_file_ends_in_one_row(
    tmp_path: Path, model_folder: Path, address: str
) -> None:
    papers = write_papers(tmp_path / "papers", 4)
    shutil.copy(papers / "paper-0.pdf", papers / "same.pdf")
    make_pdf(papers / "poison.pdf", [wrapped([POISON, *paragraphs(3, seed=99)])])
    (papers / "damaged.pdf").write_bytes(b"%PDF-1.7 and nothing more")
    listed = tmp_path / "list.txt"
    listed.write_text(f"{address}\n{tmp_path / 'gone.pdf'}\n")
    out = tmp_path / "out"
    run = start([papers, listed], out, model_folder, "--pages", "md", "html")
    wait_for(lambda: finished(out) >= 2, run)
    workers(run.pid, "Mortal")[0].kill()
    code, said = finish(run)

    assert code == 0, said
    rows = rows_of(out)
    twins = {"paper-0.pdf", "same.pdf"}
    [first] = twins & rows.keys()
    failed = {"poison.pdf": "Twice", "damaged.pdf": "damaged", "gone.pdf": "could not be opened"}
    assert rows.keys() == {*(f"paper-{i}.pdf" for i in range(1, 4)), first, "remote.pdf", *failed}
    assert {Path(name).name for name in rows[first]["other_files"]} == twins - {first}
    assert all(reason in rows[name]["error"] for name, reason in failed.items())
    for name in rows.keys() - failed.keys():
        row = rows[name]
        assert row["error"] is None and row["summary"]
        for kind in ("md", "html"):
            assert (out / kind / row["sha256"][:2] / f"{row['sha256']}.{kind}").stat().st_size
    assert "papers a minute" in said and (out / "index.html").exists()


@pytest.mark.slow
def test_a_killed_command_goes_on_where_it_stood(tmp_path: Path, model_folder: Path) -> None:
    papers, out = write_papers(tmp_path / "papers", 8), tmp_path / "out"
    run = start([papers], out, model_folder)
    wait_for(lambda: finished(out) >= 3, run)
    run.kill()
    finish(run)
    kept = (out / "journal.jsonl").read_bytes().split(b"\n")[:3]
    code, said = finish(start([papers], out, model_folder))
    assert code == 1 and "--resume" in said
    code, said = finish(start([papers], out, model_folder, "--resume", "--length", "short"))
    assert code == 1 and "settings" in said
    code, said = finish(start([papers], out, model_folder, "--resume"))
    assert code == 0, said
    rows = rows_of(out)
    assert len(rows) == 8 and not any(row["error"] for row in rows.values())
    # What was finished was not done again: its seconds are those of the first time.
    for line in kept:
        assert any(f'"seconds": {row["seconds"]:.3f}'.rstrip("0").encode() in line for row in rows.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "send"),
    [
        (signal.SIGINT, os.killpg),  # as a terminal does
        (signal.SIGTERM, os.kill),
        (signal.SIGTERM, os.killpg),  # as a service manager does: the workers end of it
    ],
)
def test_a_stop_leaves_a_run_to_go_on_with(
    tmp_path: Path, model_folder: Path, number: int, send: Callable[[int, int], None]
) -> None:
    papers, out = write_papers(tmp_path / "papers", 10), tmp_path / "out"
    run = start([papers], out, model_folder)
    wait_for(lambda: finished(out) >= 2, run)
    send(run.pid, number)
    code, said = finish(run)
    assert code == 130 and "--resume" in said and "Traceback" not in said, said
    before = rows_of(out)
    assert 2 <= len(before) < 10
    code, said = finish(start([papers], out, model_folder, "--resume"))
    assert code == 0, said
    rows = rows_of(out)
    assert len(rows) == 10 and not any(row["error"] for row in rows.values())
    assert {name: rows[name]["seconds"] for name in before} == {
        name: row["seconds"] for name, row in before.items()
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names are always text elsewhere")
def test_what_has_changed_is_read_again_and_pages_of_a_run_are_no_papers(
    tmp_path: Path, model_folder: Path
) -> None:
    papers = write_papers(tmp_path / "papers", 4)
    (papers / "paper-3.pdf").rename(os.fsdecode(bytes(papers / "odd") + b"\xff.pdf"))
    out = papers / "library"
    command = partial(start, [papers / "**" / "*"], out, model_folder, "--pages", "md", module="app.corpus")
    code, said = finish(command())
    assert code == 0, said
    before = rows_of(out)
    assert before.keys() == {"paper-0.pdf", "paper-1.pdf", "paper-2.pdf", "odd%FF.pdf"}
    assert not any(row["error"] for row in before.values())

    os.utime(papers / "paper-0.pdf", (1, 1))
    make_pdf(papers / "paper-1.pdf", [wrapped(paragraphs(3, seed=77))])
    for summaries, known in ((1, 3), (0, 4)):
        code, said = finish(command("--resume"))
        assert code == 0, said
        assert re.search(rf"summaries +{summaries} ", said) and re.search(rf"earlier runs +{known}\n", said)
        assert re.search(r"other names of the same papers +0\n", said)
    after = rows_of(out)
    assert after.keys() == before.keys()
    assert after["paper-1.pdf"]["sha256"] != before["paper-1.pdf"]["sha256"]
    assert after["paper-0.pdf"].pop("versions") != before["paper-0.pdf"].pop("versions")
    for name in before.keys() - {"paper-1.pdf"}:
        assert after[name] == before[name]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A head and a second node, two processes on this machine with a processor each."""
    monkeypatch.setenv("RAY_worker_niceness", "0")  # beside other work nothing would come of the default
    from ray.cluster_utils import Cluster

    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    started.add_node(num_cpus=1)
    yield started
    started.shutdown()


@pytest.mark.slow
def test_two_nodes_give_what_one_gives_though_one_is_killed(
    tmp_path: Path, model_folder: Path, cluster: Any
) -> None:
    papers, out = write_papers(tmp_path / "papers", 8), tmp_path / "out"
    run = start([papers], out, model_folder, "--address", cluster.address)
    wait_for(lambda: finished(out) >= 2, run)
    [second] = cluster.worker_nodes
    cluster.remove_node(second, allow_graceful=False)
    code, said = finish(run)
    assert code == 0, said
    code, said = finish(start([papers], tmp_path / "alone", model_folder, module="app.corpus"))
    assert code == 0, said
    ours, alone = rows_of(out), rows_of(tmp_path / "alone")
    assert len(ours) == 8 and not any(row["error"] for row in ours.values())
    for row in (*ours.values(), *alone.values()):
        del row["seconds"]
    assert ours == alone


@pytest.mark.slow
@pytest.mark.skipif(not PDFS.is_dir(), reason="the collection of real and hostile PDFs is not here")
def test_real_and_hostile_files_through_every_kind_of_end(tmp_path: Path, model_folder: Path) -> None:
    out = tmp_path / "out"
    files = sorted(PDFS.glob("*.pdf"))
    options = ("--no-sections", "--max-input-tokens", "1024", "--long-papers", "truncate")

    run = start([PDFS], out, model_folder, *options)
    wait_for(lambda: finished(out) >= 8, run)
    workers(run.pid, "Mortal")[0].kill()
    wait_for(lambda: finished(out) >= 16, run)
    workers(run.pid, "Reader")[0].kill()
    wait_for(lambda: finished(out) >= 24, run)
    run.kill()
    finish(run)
    run = start([PDFS], out, model_folder, *options, "--resume")
    wait_for(lambda: finished(out) >= 36, run)
    os.killpg(run.pid, signal.SIGINT)
    code, said = finish(run)
    assert code == 130, said
    code, said = finish(start([PDFS], out, model_folder, *options, "--resume"))
    assert code == 0, said

    rows = rows_of(out)
    names = {Path(name).name for row in rows.values() for name in (row["file"], *row["other_files"])}
    assert names == {path.name for path in files if path.suffix == ".pdf"} | {"README.md"}
    for row in rows.values():
        assert bool(row["summary"]) is (row["error"] is None)
        assert row["error"] is None or row["error"].endswith(".")
        assert "error in the program" not in (row["error"] or "")


@pytest.mark.slow
def test_a_model_that_cannot_be_loaded_is_one_sentence(tmp_path: Path, model_folder: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(model_folder, broken)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    code, said = finish(start([write_papers(tmp_path / "papers", 3)], tmp_path / "out", broken, "--quiet"))
    assert code == 1 and "broken" in said and "Traceback" not in said
