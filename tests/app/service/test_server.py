"""The real server, and what strangers try on it; each known fault is done again."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from tests.page_server import page_event, paper_pdf, serve, tiny_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("service")
    paper_pdf(folder / "sparse.pdf")
    (folder / "uploads").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    limits = {"LONGT5_MAX_UPLOAD_BYTES": "2MiB", "LONGT5_MAX_UPLOADS_BYTES": "12MiB", "LONGT5_METRICS": "1"}
    with serve(tiny_model(folder / "tiny"), folder / "uploads", **limits) as address:
        yield address


def files(folder: Path) -> list[str]:
    """What lies in the folder for uploads, but for the lock and the folders that libraries keep."""
    (uploads,) = (folder / "uploads").glob("*/uploads")
    return [
        name
        for _, folders, names in os.walk(uploads)
        for name in (*folders, *names)
        if name != "vibe_edit_history"
    ]


def connect(address: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)


def form(*contents: bytes, name: str = "paper.txt") -> tuple[bytes, dict[str, str]]:
    """A form of files, with its headers."""
    body = b"".join(
        b'--XX\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for content in contents
    )
    return body + b"--XX--\r\n", {"Content-Type": "multipart/form-data; boundary=XX"}


def upload(address: str, *contents: bytes, name: str = "paper.txt") -> tuple[int, str]:
    connection = connect(address)
    body, headers = form(*contents, name=name)
    connection.request("POST", "/gradio_api/upload", body, headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def get(address: str, path: str, **headers: str) -> tuple[int, str]:
    connection = connect(address)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def summarize(address: str, path: str, **settings: Any) -> str:
    """What /summarize streams about a file that was uploaded."""
    sent = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [sent, "", {"max_new_tokens": 8, "num_beams": 1, **settings}, ""]})
    connection = connect(address)
    connection.request(
        "POST", "/gradio_api/call/summarize", body, headers={"Content-Type": "application/json"}
    )
    event = json.loads(connection.getresponse().read())["event_id"]
    return get(address, f"/gradio_api/call/summarize/{event}")[1]


def wait_until_empty(folder: Path) -> None:
    deadline = time.monotonic() + 5
    while files(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not files(folder)


def test_it_is_ready_and_says_so(address: str) -> None:
    deadline = time.monotonic() + 60
    status = 503
    while status == 503 and time.monotonic() < deadline:
        status, text = get(address, "/healthz")
        time.sleep(0.2)
    found = json.loads(text)
    assert status == 200
    assert found["status"] == "ready"
    assert found["waiting_for_the_model"] == found["waiting_to_be_read"] == 0
    assert found["memory_bytes"] > 10**8


def test_counters_are_prometheus(address: str) -> None:
    get(address, "/", Host="evil.example")
    _, text = get(address, "/metrics")
    assert 'longt5_refusals_total{reason="host"}' in text
    for line in text.splitlines():
        name, value = ("", "0") if line.startswith("#") else line.rsplit(" ", 1)
        assert line.startswith("#") or name.startswith("longt5_")
        float(value)


def test_two_people_with_the_same_file(address: str, folder: Path) -> None:
    content = b"We show that sparse attention reads long papers. " * 20
    (status, first), (_, second) = (upload(address, content) for _ in range(2))
    assert status == 200
    paths = [json.loads(answer)[0] for answer in (first, second)]
    assert paths[0] != paths[1]
    for path in paths:
        assert '"file": "paper.txt"' in summarize(address, path)
        assert "has been read already" in summarize(address, path)
    wait_until_empty(folder)


def test_a_broken_off_upload_leaves_nothing(address: str, folder: Path) -> None:
    body, _ = form(b"a" * 1_500_000)
    sock = socket.create_connection(("127.0.0.1", urlsplit(address).port))
    head = (
        "POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1600000\r\n"
        "Content-Type: multipart/form-data; boundary=XX\r\n\r\n"
    )
    sock.sendall(head.encode() + body[:1_200_000])
    time.sleep(0.3)
    sock.close()
    wait_until_empty(folder)


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/gradio_api/call/summarize"])
def test_too_large_a_body_is_refused_before_it_is_read(address: str, path: str) -> None:
    sock = socket.create_connection(("127.0.0.1", urlsplit(address).port), timeout=10)
    sock.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000000\r\n\r\n".encode())
    answer = sock.recv(4096)
    assert b" 413 " in answer.split(b"\r\n")[0]
    sock.close()


def test_files_together_have_the_limit_of_one(address: str, folder: Path) -> None:
    status, text = upload(address, *[b"b" * 900_000] * 3)
    assert status == 413
    assert "At most 2 MB are taken at once" in text
    assert upload(address, *[b"x"] * 21)[0] == 400
    wait_until_empty(folder)


def test_the_disk_for_uploads_has_an_end(address: str, folder: Path) -> None:
    kept, status = [], 200
    for _ in range(20):
        status, text = upload(address, b"c" * 1_900_000)
        if status != 200:
            break
        kept.append(Path(json.loads(text)[0]))
    assert status == 507
    assert text == "There is no room for files on the server just now; please try again later."
    assert 4 <= len(kept) <= 7
    for path in kept:
        path.unlink()
        path.parent.rmdir()
    assert upload(address, b"c")[0] == 200
    for path in list((folder / "uploads").rglob("paper.txt")):
        path.unlink()
        path.parent.rmdir()


def test_names_do_no_harm(address: str, folder: Path) -> None:
    for name in ("../../etc/passwd", "..", "<script>.pdf", "a" * 400 + ".pdf", ".bashrc"):
        status, text = upload(address, b"We show things. " * 50, name=name)
        assert status == 200
        path = Path(json.loads(text)[0])
        assert path.is_relative_to(folder / "uploads")
        assert path.parent.parent.parent.parent == folder / "uploads"
        path.unlink()
        path.parent.rmdir()


def test_closed_doors_take_nothing(address: str, folder: Path) -> None:
    connection = connect(address)
    body, headers = form(b"v" * 100_000, name="x.mp4")
    connection.request("POST", "/gradio_api/process_recording", body, headers)
    assert connection.getresponse().status == 404
    wait_until_empty(folder)


def test_a_page_of_another_site_uploads_nothing_and_reads_nothing(address: str, folder: Path) -> None:
    body, headers = form(b"x" * 1000)
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        connection = connect(address)
        connection.request("POST", "/gradio_api/upload", body, {**headers, "Origin": origin})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 403
        assert answer.getheader("access-control-allow-origin") is None
        connection.request(
            "OPTIONS", "/config", headers={"Origin": origin, "Access-Control-Request-Method": "GET"}
        )
        answer = connection.getresponse()
        answer.read()
        assert answer.getheader("access-control-allow-origin") is None
    wait_until_empty(folder)


def test_an_api_call_leaves_no_file(address: str, folder: Path) -> None:
    client = Client(address, verbose=False)
    settings = {"max_new_tokens": 8, "num_beams": 1}
    client.predict(handle_file(str(folder / "sparse.pdf")), settings=settings, api_name="/summarize")
    wait_until_empty(folder)


def test_nothing_is_served_by_path(address: str) -> None:
    _, text = upload(address, b"secret words of a paper " * 20)
    path = Path(json.loads(text)[0])
    for kind in ("file=", "file/"):
        assert get(address, f"/gradio_api/{kind}{path}")[0] == 404
    path.unlink()
    path.parent.rmdir()


def test_an_address_in_the_place_of_a_file_is_not_followed(address: str, folder: Path) -> None:
    client = Client(address, verbose=False)
    sent = {"path": "https://example.org/paper.pdf", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(AppError, match="Send the file itself"):
        client.predict(sent, "", {}, "", api_name="/summarize")


def test_no_run_is_kept_in_the_browser(address: str) -> None:
    _, page = get(address, "/")
    assert get(address, "/gradio_api/runs")[0] == 404
    assert '"run_history":false' in page.replace(" ", "").replace("False", "false")


def file_event(address: str, *paths: str, session: str) -> str:
    """What the page is told when its file box is said to have got these files, to the end."""
    files_sent = [{"path": path, "meta": {"_type": "gradio.FileData"}} for path in paths]
    with httpx.Client(base_url=address, timeout=60) as browser:
        return page_event(browser, "upload", "file", session, said={"file": files_sent})


def test_a_folder_in_the_place_of_a_file_is_not_taken(address: str, folder: Path) -> None:
    """All that was sent lies in one folder, whose path every answer to an upload tells."""
    somebody_elses = Path(json.loads(upload(address, b"We show things. " * 50)[1])[0])
    mine = Path(json.loads(upload(address, b"We show more. " * 50)[1])[0])
    for path in (
        mine.parent.parent,
        mine.parent,
        somebody_elses.parent,
        mine.parent / "..",
        mine.parent / ".",
    ):
        told = file_event(address, str(path), session=f"folder-{path}")
        assert "no longer here" in told or "could not be understood" in told
        assert somebody_elses.exists() and mine.exists()
    assert upload(address, b"c")[0] == 200
    assert "no longer here" not in file_event(address, str(mine), session="mine")
    assert not mine.parent.exists() and somebody_elses.exists()
    for path in list((folder / "uploads").rglob("paper.txt")):
        path.unlink()
        path.parent.rmdir()


def test_nobody_goes_past_the_queue(address: str) -> None:
    for function in ("summarize", "attention_map", "attention_overview"):
        for door in ("run", "api"):
            answer = httpx.post(f"{address}gradio_api/{door}/{function}", json={"data": ["x"]})
            assert answer.status_code == 404, answer.text


@pytest.mark.parametrize(
    "file", ["x", 5, [], {"path": "/etc/passwd"}, {"path": "/etc/passwd", "meta": 5}, {"meta": {}}, None]
)
def test_a_file_that_is_none_is_a_sentence(address: str, file: Any) -> None:
    for sent in (file, {"path": file, "meta": {"_type": "gradio.FileData"}}):
        data = [sent, "", {}, ""]
        event = httpx.post(f"{address}gradio_api/call/summarize", json={"data": data}).json()["event_id"]
        told = httpx.get(f"{address}gradio_api/call/summarize/{event}", timeout=60).text
        assert "event: error" in told
        error = json.loads(told.rpartition("data: ")[2])["error"]
        assert error.startswith(("Send ", "What was sent "))


def test_a_page_of_a_paper_that_there_is_not_is_a_sentence(address: str) -> None:
    told = file_event(
        address, json.loads(upload(address, b"We show things. " * 50)[1])[0], session="pages-of-it"
    )
    with httpx.Client(base_url=address, timeout=60) as browser:
        config = browser.get("/config").json()
        part = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "paper")

        def ask(function: str, **asked: Any) -> httpx.Response:
            body = {"component_id": part, "fn_name": function, "data": asked, "session_hash": "pages-of-it"}
            return browser.post("/gradio_api/component_server/", content=json.dumps(body))

        words = set(re.findall(r'"([\w-]{32})"', told))
        key = next(word for word in words if "pages" in ask("paper_layout", key=word).json())
        assert ask("paper_page", key=key, page=1, scale=1).status_code == 200
        wrong: list[dict[str, Any]] = [{"page": page} for page in (None, 0, 999, 1.5, "1", 10**400)]
        wrong += [{"page": 1, "scale": scale} for scale in (None, "x", float("nan"), 10**400)]
        for asked in wrong:
            answer = ask("paper_page", key=key, **asked)
            assert answer.status_code == 400 and answer.json()["detail"]
        for ranges in (None, 5, [5], [[1]], [[1, "x"]], [[None, None]]):
            assert ask("paper_places", key=key, ranges=ranges).status_code == 400
