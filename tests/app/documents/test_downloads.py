"""Papers fetched from a server on this machine, and nothing fetched from where nobody may look.

Only these tests let the loopback address through, by what they hand to `download`; no setting does.
"""

from __future__ import annotations

import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import DocumentError, ReadingLimits
from app.documents.downloads import MOST_REDIRECTS, Downloading, download
from app.documents.public_addresses import is_public
from app.work import Stopped

PDF = b"%PDF-1.4\n" + bytes(200_000)
LIMITS = ReadingLimits(max_bytes=2**20, seconds=10)


class Web(http.server.ThreadingHTTPServer):
    """A server of answers by path: bytes, or a function that gives them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []

    def url(self, path: str, host: str = "paper.example") -> httpx.URL:
        return httpx.URL(f"http://{host}:{self.server_port}{path}")


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.headers['Host'].partition(':')[0]}{self.path}")
        self.server.answers[self.path](self)

    def log_message(self, *arguments: Any) -> None:
        pass

    def handle_error(self, *arguments: Any) -> None:
        pass


def says(
    body: bytes, status: int = 200, **headers: str
) -> Callable[[http.server.BaseHTTPRequestHandler], None]:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def web() -> Iterator[Web]:
    with Web() as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def fetch(url: httpx.URL, to: Path, **wanted: Any) -> str:
    """`download`, with every name standing for this machine, which is let through."""
    given = {
        "limits": LIMITS,
        "on_progress": lambda progress: None,
        "resolve": here,
        "allowed": lambda address: True,
    }
    return download(url, to, **(given | wanted))


def here(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def test_a_file_comes_whole_with_its_name_and_its_progress(web: Web, tmp_path: Path) -> None:
    web.answers["/papers/long%20t5.pdf"] = says(PDF)
    seen: list[Downloading] = []
    to = tmp_path / "kept"
    assert fetch(web.url("/papers/long t5.pdf"), to, on_progress=seen.append) == "long t5.pdf"
    assert to.read_bytes() == PDF
    assert seen[-1] == Downloading("paper.example", len(PDF), len(PDF))
    assert [progress.received for progress in seen] == sorted(progress.received for progress in seen)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('attachment; filename="a b.pdf"', "a b.pdf"),
        ("attachment; filename=a.pdf; size=3", "a.pdf"),
        ("attachment; filename=\"x.pdf\"; filename*=UTF-8''%C3%BC.pdf", "\u00fc.pdf"),
        ("inline", "7"),
    ],
)
def test_the_server_may_name_the_file(web: Web, tmp_path: Path, said: str, name: str) -> None:
    web.answers["/7"] = says(PDF, Content_Disposition=said)
    assert fetch(web.url("/7"), tmp_path / "kept") == name


def test_redirections_are_followed_five_times_and_no_more(web: Web, tmp_path: Path) -> None:
    for i in range(10):
        web.answers[f"/{i}"] = says(b"", 302, Location=f"/{i + 1}")
    web.answers[f"/{MOST_REDIRECTS}"] = says(PDF)
    fetch(web.url("/0"), tmp_path / "kept")
    web.answers[f"/{MOST_REDIRECTS}"] = says(b"", 302, Location="/0")
    web.asked.clear()
    with pytest.raises(DocumentError, match="without an end"):
        fetch(web.url("/0"), tmp_path / "kept")
    assert len(web.asked) == MOST_REDIRECTS + 1


def test_a_publisher_s_page_leads_to_its_pdf(web: Web, tmp_path: Path) -> None:
    page = b'<!doctype html><meta name="citation_pdf_url" content="/7.pdf">'
    web.answers["/article"] = says(page, Content_Type="text/html; charset=utf-8")
    web.answers["/7.pdf"] = says(PDF, Content_Type="text/html")  # a wrong type spoils nothing
    fetch(web.url("/article"), tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == PDF


# Private addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
        "255.255.255.255",
        "::", "::1", "fe80::1", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "100::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::ffff:0:127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a00:1::1",
        "2001:0:7f00:1::1", "4000::1",
    ],
)  # fmt: skip
def test_what_is_not_the_open_internet_is_known(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "151.101.1.42", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_the_open_internet_is_known(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_an_ipv6_one_is_what_it_is_by_itself(address: ipaddress.IPv4Address) -> None:
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        inside = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | int(address))
        assert is_public(inside) == is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_this_machine_is_not_asked_whatever_it_is_called(web: Web, tmp_path: Path, host: str) -> None:
    with pytest.raises(DocumentError, match=r"not on the open internet|There is no server"):
        download(web.url("/", host), tmp_path / "kept", limits=LIMITS, on_progress=lambda progress: None)
    assert not web.asked
    assert not (tmp_path / "kept").exists()


def test_one_private_address_among_public_ones_is_enough_to_refuse(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="not on the open internet"):
        fetch(
            web.url("/"),
            tmp_path / "kept",
            resolve=lambda host, port: ["1.1.1.1", "10.0.0.1"],
            allowed=is_public,
        )


def test_a_name_is_resolved_once_and_the_connection_goes_where_the_check_looked(
    web: Web, tmp_path: Path
) -> None:
    """A name that stands for another address a moment later."""
    web.answers["/"] = says(PDF)
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    checked: list[str] = []

    def allowed(address: Any) -> bool:
        checked.append(str(address))
        return True

    fetch(web.url("/"), tmp_path / "kept", resolve=lambda host, port: next(answers), allowed=allowed)
    assert checked == ["127.0.0.1"]
    assert next(answers) == ["127.0.0.2"]


def test_every_redirection_is_checked_again(web: Web, tmp_path: Path) -> None:
    web.answers["/"] = says(b"", 302, Location=f"http://inside.example:{web.server_port}/secret")
    found = {"paper.example": ["127.0.0.1"], "inside.example": ["127.0.0.2"]}
    with pytest.raises(DocumentError, match=r"inside\.example is not on the open internet"):
        fetch(
            web.url("/"),
            tmp_path / "kept",
            resolve=lambda host, port: found[host],
            allowed=lambda address: str(address) == "127.0.0.1",
        )
    assert web.asked == ["paper.example/"]


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://paper.example/x", "http://a:b@paper.example/", "http://["]
)
def test_a_redirection_out_of_the_web_is_refused(web: Web, tmp_path: Path, location: str) -> None:
    web.answers["/"] = says(b"", 302, Location=location)
    with pytest.raises(DocumentError):
        fetch(web.url("/"), tmp_path / "kept")


def test_a_page_that_names_a_private_pdf_is_refused(web: Web, tmp_path: Path) -> None:
    page = f'<meta name="citation_pdf_url" content="http://localhost:{web.server_port}/secret">'.encode()
    web.answers["/"] = says(page, Content_Type="text/html")
    only = lambda host, port: ["127.0.0.1"] if host == "paper.example" else ["::1"]  # noqa: E731
    with pytest.raises(DocumentError, match="localhost is not on the open internet"):
        fetch(web.url("/"), tmp_path / "kept", resolve=only, allowed=lambda address: address.version == 4)
    assert not (tmp_path / "kept").exists()


# Limits and failures


@pytest.mark.parametrize("status", [204, 304, 400, 401, 402, 403, 404, 410, 429, 500, 503])
def test_a_refusal_is_one_sentence_and_leaves_nothing(web: Web, tmp_path: Path, status: int) -> None:
    web.answers["/"] = says(b"" if status in (204, 304) else b"<b>no</b>", status)
    with pytest.raises(DocumentError, match=r"^paper\.example [^\n]+\.$"):
        fetch(web.url("/"), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_file_that_says_it_is_too_large_is_not_read(web: Web, tmp_path: Path) -> None:
    web.answers["/"] = says(b"%PDF-", Content_Length=str(2**30))
    with pytest.raises(DocumentError, match="more than 1 MB"):
        fetch(web.url("/"), tmp_path / "kept")


def _endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(2**16))


def _trickling(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    for _ in range(1000):
        handler.wfile.write(b"%")
        time.sleep(0.05)


def _silent(handler: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(5)


def test_a_file_without_an_end_is_cut_off(web: Web, tmp_path: Path) -> None:
    web.answers["/"] = _endless
    with pytest.raises(DocumentError, match="more than 1 MB"):
        fetch(web.url("/"), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("slow", [_trickling, _silent])
def test_a_slow_server_is_given_up(web: Web, tmp_path: Path, slow: Any) -> None:
    web.answers["/"] = slow
    began = time.monotonic()
    with pytest.raises(DocumentError, match="too long"):
        fetch(web.url("/"), tmp_path / "kept", limits=replace(LIMITS, seconds=0.5))
    assert time.monotonic() - began < 2
    assert not (tmp_path / "kept").exists()


def _lost_in_names(host: str, port: int) -> list[str]:
    time.sleep(5)
    return ["127.0.0.1"]


@pytest.mark.parametrize("wanted", [{}, {"resolve": _lost_in_names}], ids=["body", "names"])
def test_a_stop_is_noticed_at_once(web: Web, tmp_path: Path, wanted: dict[str, Any]) -> None:
    web.answers["/"] = _trickling
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        fetch(web.url("/"), tmp_path / "kept", stop=stop, **wanted)
    assert time.monotonic() - began < 1.3
    assert not (tmp_path / "kept").exists()


def _broken_off(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"%PDF-")


def _babbling(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"SSH-2.0-OpenSSH\r\n" * 10_000)


def _many_headers(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    for i in range(3_000):
        handler.send_header(f"X-{i}", 100 * "x")
    handler.end_headers()


@pytest.mark.parametrize("broken", [_broken_off, _babbling, _many_headers])
def test_a_connection_that_breaks_is_one_sentence(web: Web, tmp_path: Path, broken: Any) -> None:
    web.answers["/"] = broken
    with pytest.raises(DocumentError, match="broke off"):
        fetch(web.url("/"), tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_what_is_packed_is_refused(web: Web, tmp_path: Path) -> None:
    web.answers["/"] = says(b"\x1f\x8b", Content_Encoding="gzip")
    with pytest.raises(DocumentError, match="packed"):
        fetch(web.url("/"), tmp_path / "kept")


def test_nobody_at_home_is_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = httpx.URL(f"http://paper.example:{closed.getsockname()[1]}/")
        with pytest.raises(DocumentError, match="does not answer"):
            fetch(url, tmp_path / "kept")
    with pytest.raises(DocumentError, match="There is no server"):
        fetch(url, tmp_path / "kept", resolve=lambda host, port: [])


def test_a_certificate_that_nobody_vouches_for_is_refused(web: Web, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(tmp_path))
    web.socket = context.wrap_socket(web.socket, server_side=True)
    with pytest.raises(DocumentError, match="broke off"):
        fetch(web.url("/").copy_with(scheme="https"), tmp_path / "kept")
    assert not web.asked


def _certificate(folder: Path) -> Path:
    """A self-signed one for paper.example, with its key."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "paper.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("paper.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
