"""Fetches a paper from the open web, guarded: public addresses only, within limits of size and time."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import httpcore
import httpx

from app.documents.addresses import ELSEWHERE, checked_url, pdf_named_in
from app.documents.document import DocumentError, MiB, ReadingLimits
from app.documents.public_addresses import Allowed, PublicNetwork, Resolve, is_public, resolve

MOST_REDIRECTS = 5
PAGE_BYTES = 2**19  # how much of a publisher's page is searched for the address of its PDF
_HEADERS = [
    ("User-Agent", "longt5-papers"),
    ("Accept", "application/pdf, text/plain;q=0.9, text/html;q=0.5, */*;q=0.1"),
    ("Accept-Encoding", "identity"),  # what comes is what is counted
]
_FILE_NAME = re.compile(r"filename\s*=\s*(?:\"([^\"]+)\"|([^\s;]+))", re.IGNORECASE)
_FILE_NAME_UTF8 = re.compile(r"filename\*\s*=\s*utf-8''([^\s;]+)", re.IGNORECASE)
_REFUSALS = {
    401: "{host} gives this paper to those who log in only",
    402: "{host} gives this paper to those who pay only",
    403: "{host} does not give this paper to programs, or to those who log in only",
    404: "{host} has no paper at this address",
    410: "{host} has no paper at this address any more",
    429: "{host} is asked too often at the moment",
}


@dataclass(frozen=True)
class Downloading:
    """So many bytes have come."""

    host: str
    received: int
    total: int | None
    """None while the server does not say."""


@dataclass(frozen=True)
class _Answer:
    """What a server said to one request."""

    url: httpx.URL
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: Iterator[bytes]


def download(
    url: httpx.URL,
    to: Path,
    *,
    limits: ReadingLimits,
    on_progress: Callable[[Downloading], None],
    stop: threading.Event | None = None,
    resolve: Resolve = resolve,
    allowed: Allowed = is_public,
) -> str:
    """Fetches a file and returns its name; of a publisher's page, the PDF that the page names.

    Args:
        url: as `addresses.url_of` gives it.
        to: where the file goes; nothing is left there when it can't be fetched.
        limits: `max_bytes` is that of the file, `seconds` that of the whole download.
        resolve: what finds the addresses of a host.
        allowed: which of them may be connected to.

    Raises:
        DocumentError: it can't be fetched; one sentence.
        app.work.Stopped: `stop` was set, noticed well within a second.
    """
    network = PublicNetwork(limits.seconds, stop, resolve=resolve, allowed=allowed)
    for _ in range(MOST_REDIRECTS + 1):
        with _asked(network, url) as answer:
            leads_to = _redirection(answer) or _save(answer, to, limits, on_progress)
        if leads_to is None:
            return _name(answer)
        url = _joined(url, leads_to)
    raise DocumentError(f"This address leads on and on without an end; {ELSEWHERE}.")


@contextmanager
def _asked(network: PublicNetwork, url: httpx.URL) -> Iterator[_Answer]:
    """The answer to one request; what the network says in its own words becomes a sentence."""
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    try:
        with (
            httpcore.ConnectionPool(network_backend=network) as pool,
            pool.stream("GET", target, headers=_HEADERS) as response,
        ):
            headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
            }
            yield _Answer(url, response.status, headers, response.iter_stream())
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        raise DocumentError(f"The connection to {url.host} broke off; try again, or {ELSEWHERE}.") from None


def _redirection(answer: _Answer) -> str | None:
    """Where the answer sends to; None if it is one.

    Raises:
        DocumentError: it is a refusal.
    """
    if answer.status in (301, 302, 303, 307, 308) and "location" in answer.headers:
        return answer.headers["location"]
    if answer.status == 200:
        return None
    said = _REFUSALS.get(answer.status, f"{{host}} answers with the error {answer.status}")
    raise DocumentError(f"{said.format(host=answer.url.host)}; {ELSEWHERE}.")


def _joined(url: httpx.URL, leads_to: str) -> httpx.URL:
    try:
        return checked_url(str(url.join(leads_to)))
    except httpx.InvalidURL:
        raise DocumentError(f"{url.host} leads to an address that is none; {ELSEWHERE}.") from None


def _save(
    answer: _Answer, to: Path, limits: ReadingLimits, on_progress: Callable[[Downloading], None]
) -> str | None:
    """Writes the body into the file; of a page that names its PDF, returns the address of that instead."""
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise DocumentError(f"{answer.url.host} sends this paper packed; {ELSEWHERE}.")
    length = answer.headers.get("content-length", "")
    total = int(length) if re.fullmatch(r"[0-9]{1,18}", length) else None
    _check_size(total or 0, limits)
    received = 0
    page = b"" if answer.headers.get("content-type", "").lower().startswith("text/html") else None
    try:
        with to.open("wb") as file:
            for piece in answer.body:
                received += len(piece)
                _check_size(received, limits)
                file.write(piece)
                if page is not None and len(page) < PAGE_BYTES:
                    page += piece
                on_progress(Downloading(answer.url.host, received, total))
    except OSError as error:
        to.unlink(missing_ok=True)
        raise DocumentError(
            f"There is no room to keep the paper ({error.strerror}); try again later."
        ) from None
    except BaseException:
        to.unlink(missing_ok=True)
        raise
    leads_to = pdf_named_in(page) if page else None
    if leads_to is not None:
        to.unlink()
    return leads_to


def _check_size(size: int, limits: ReadingLimits) -> None:
    if size > limits.max_bytes:
        raise DocumentError(
            f"This paper has more than {limits.max_bytes / MiB:.0f} MB, the most that is read here; "
            "choose a smaller one."
        )


def _name(answer: _Answer) -> str:
    """What the server calls the file, else the end of its address. `documents.read` makes it safe to show."""
    said = answer.headers.get("content-disposition", "")
    if found := _FILE_NAME_UTF8.search(said):
        return unquote(found[1])
    if found := _FILE_NAME.search(said):
        return str(found[1] or found[2])
    return answer.url.path.rstrip("/").rpartition("/")[2] or answer.url.host
