"""The page's API against a real server: what programs can call, and what they can't."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from app.inspecting.views import VIEWS
from app.programs import MAPS
from app.summarizing.settings import SETTINGS
from tests.page_server import PASSWORD, paper_pdf, serve, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    paper_pdf(folder / "sparse.pdf")
    paper_pdf(folder / "locked.pdf", password=PASSWORD)
    (folder / "notes.md").write_text("# Notes\n\n" + "Sparse attention reads long papers. " * 40)
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "large.txt").write_text("word " * 250_000)
    (folder / "uploads").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    model = tiny_model(folder / "tiny-longt5")
    with serve(model, folder / "uploads", LONGT5_MCP="1", LONGT5_MAX_UPLOAD_BYTES="1MiB") as address:
        yield address


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def result(client: Client, folder: Path) -> dict[str, Any]:
    return client.predict(file=handle_file(str(folder / "sparse.pdf")), api_name="/summarize")


def test_only_the_named_endpoints_are_offered_and_documented(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert list(api["named_endpoints"]) == ["/summarize", "/models", "/attention_overview", "/attention_map"]
    assert not api["unnamed_endpoints"]
    names = [item["parameter_name"] for item in api["named_endpoints"]["/summarize"]["parameters"]]
    assert names == ["file", "model", "settings", "password"]
    assert all(endpoint["description"] for endpoint in api["named_endpoints"].values())


def test_models_come_with_their_defaults(client: Client) -> None:
    (model,) = client.predict(api_name="/models")
    assert model["name"] == "tiny-longt5"
    assert model["defaults"]["max_new_tokens"] == 96
    assert model["defaults"]["num_beams"] == 2


def test_a_summary_has_sentences_with_evidence(result: dict[str, Any]) -> None:
    assert result["title"] == "Sparse attention"
    assert result["pages"] == 3
    assert result["summary"]
    for sentence in result["sentences"]:
        assert result["summary"][sentence["start"] : sentence["end"]] == sentence["text"]
        for evidence in sentence["evidence"]:
            assert 1 <= evidence["page"] <= 3
            assert 0 <= evidence["score"] <= 1


def test_progress_arrives_before_the_result(client: Client, folder: Path) -> None:
    job = client.submit(file=handle_file(str(folder / "sparse.pdf")), api_name="/summarize")
    assert "summary" in job.result(timeout=120)
    lines = [output["status"] for output in job.outputs()[:-1]]
    assert lines[0] == "Reading the file"  # before the first page has been read
    assert any(line.startswith("Reading the file page") for line in lines)
    assert any(line.startswith("Writing") for line in lines)


def test_settings_are_used(client: Client, folder: Path) -> None:
    settings = {"max_new_tokens": 20, "num_beams": 1, "max_input_tokens": 1000, "long_papers": "truncate"}
    short = client.predict(
        file=handle_file(str(folder / "notes.md")), settings=settings, api_name="/summarize"
    )
    assert short["settings"] | settings == short["settings"]
    assert short["tokens_read"] <= 1000


def test_a_locked_file_opens_with_its_password(client: Client, folder: Path) -> None:
    locked = handle_file(str(folder / "locked.pdf"))
    with pytest.raises(AppError, match="password"):
        client.predict(file=locked, api_name="/summarize")
    assert client.predict(file=locked, password=PASSWORD, api_name="/summarize")["pages"] == 3


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("picture.png", {}),
        ("sparse.pdf", {"settings": {"nonsense": 1}}),
        ("sparse.pdf", {"settings": {"num_beams": "many"}}),
        ("sparse.pdf", {"settings": {"num_beams": -3}}),
        ("sparse.pdf", {"settings": {"length": "endless"}}),
        ("sparse.pdf", {"model": "no/such-model"}),
        ("sparse.pdf", {"model": "../../etc"}),
    ],
)
def test_a_refusal_is_one_sentence(client: Client, folder: Path, file: str, wanted: dict[str, Any]) -> None:
    with pytest.raises(AppError) as refusal:
        client.predict(file=handle_file(str(folder / file)), **wanted, api_name="/summarize")
    assert "\n" not in str(refusal.value)
    assert "Traceback" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


def test_a_file_over_the_limit_is_refused(client: Client, folder: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)large|size|413|max"):
        client.predict(file=handle_file(str(folder / "large.txt")), api_name="/summarize")


def test_no_upload_is_left_behind(client: Client, folder: Path, result: dict[str, Any]) -> None:
    left = [path for path in (folder / "uploads").rglob("*") if path.is_file() and path.stat().st_size]
    assert not [path for path in left if path.suffix in {".pdf", ".md", ".png"}]


@pytest.mark.parametrize("path", ["/etc/hostname", "app.py", "requirements.txt"])
def test_files_of_the_server_can_not_be_named(address: str, path: str) -> None:
    body = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "", {}, ""]}
    event = _post(f"{address}gradio_api/call/summarize", body)["event_id"]
    with urllib.request.urlopen(f"{address}gradio_api/call/summarize/{event}", timeout=30) as answer:
        text = answer.read().decode()
    assert "event: error" in text
    assert "summary" not in text
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{address}gradio_api/file={path}", timeout=30)


def test_the_page_s_own_events_can_not_be_called(address: str, client: Client) -> None:
    for event in client.config["dependencies"]:
        if event["api_visibility"] == "private":
            with pytest.raises((ValueError, AppError)):
                client.predict(fn_index=event["id"])


def test_overview_and_maps_answer_for_a_summary(client: Client, folder: Path) -> None:
    result = client.predict(file=handle_file(str(folder / "notes.md")), api_name="/summarize")
    asked = {"summary_id": result["summary_id"], "api_name": "/attention_map"}
    overview = client.predict(summary_id=result["summary_id"], api_name="/attention_overview")
    assert np.array(overview["global_share"]).shape == (overview["layers"], overview["heads"])
    assert {view["name"]: view["layers"] for view in overview["views"]} == {
        name: overview["layers" if VIEWS[name].stack == "encoder" else "decoder_layers"] for name in MAPS
    }
    parts = {}
    for view in ("band", "globals"):
        found = client.predict(view=view, layer=1, head=2, start=100, count=50, **asked)
        parts[view] = np.array(found["weights"])
        assert found["pooling"] == "none"
        assert parts[view].shape == (50, len(found["column_texts"]))
        assert found["row_spans"][0] == [100, 101]
    np.testing.assert_allclose(parts["band"].sum(1) + parts["globals"].sum(1), 1, atol=2e-3)
    cross = client.predict(view="cross", sentence=len(result["sentences"]) - 1, **asked)
    assert np.array(cross["weights"]).shape == (len(cross["row_texts"]), len(cross["column_texts"]))
    assert cross["column_spans"][-1][1] == overview["tokens"]


def test_a_long_map_is_pooled(client: Client, result: dict[str, Any]) -> None:
    found = client.predict(summary_id=result["summary_id"], api_name="/attention_map")
    assert found["pooling"] == "mean"
    assert 256 < len(found["weights"]) <= 512
    assert any("<" in text for text in found["row_texts"])  # nothing is escaped twice or taken out


@pytest.mark.parametrize(
    "wrong",
    [
        {"summary_id": "guess"},
        {"layer": 99},
        {"head": 99},
        {"start": 10**9},
        {"window": 99},
        {"view": "cross", "sentence": 99},
        {"view": "square"},
    ],
)
def test_a_map_that_does_not_exist_is_refused(
    client: Client, result: dict[str, Any], wrong: dict[str, Any]
) -> None:
    with pytest.raises(AppError) as refusal:
        client.predict(**{"summary_id": result["summary_id"], **wrong}, api_name="/attention_map")
    assert "our side" not in str(refusal.value)


def test_mcp_offers_the_same_functions(address: str) -> None:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamablehttp_client

    async def ask() -> tuple[dict[str, Any], str]:
        async with (
            streamablehttp_client(f"{address}gradio_api/mcp/") as (read, write, _),
            ClientSession(read, write) as session,
        ):
            await session.initialize()
            tools = {tool.name: tool for tool in (await session.list_tools()).tools}
            answer = await session.call_tool(next(name for name in tools if name.endswith("models")), {})
            return tools, answer.content[0].text

    with ThreadPoolExecutor(1) as thread:  # the browser tests may have left a running loop in this one
        tools, answer = thread.submit(asyncio.run, ask()).result()
    assert {name.split("longt5_")[-1] for name in tools} >= {
        "summarize",
        "models",
        "attention_overview",
        "attention_map",
    }
    assert all(tool.description for tool in tools.values())
    assert "tiny-longt5" in json.dumps(answer)
    schemas = {name.split("longt5_")[-1]: tool.inputSchema["properties"] for name, tool in tools.items()}
    settings = schemas["summarize"]["settings"]["properties"]
    assert list(settings) == list(SETTINGS)
    assert settings["length"]["enum"] == ["usual", "short", "medium", "long"]
    assert (settings["num_beams"]["minimum"], settings["num_beams"]["maximum"]) == (1, 16)
    assert schemas["attention_map"]["view"]["enum"] == list(MAPS)


def _post(address: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        address, data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
