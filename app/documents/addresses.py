"""What a person types to name a paper on the web: an arXiv id, a DOI or an address, made into a URL."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import quote, unquote

import httpx

from app.documents.document import DocumentError

ADDRESS_CHARACTERS = 2_000
_ARXIV_ID = r"(?:\d{4}\.\d{4,5}|[a-z]+(?:-[a-z]+)*(?:\.[A-Z]{2})?/\d{7})(?:v\d{1,3})?"
_ARXIV = re.compile(rf"(?:arxiv\s*:\s*)?({_ARXIV_ID})", re.IGNORECASE)
_ARXIV_PAGE = re.compile(rf"/(?:abs|html|pdf)/({_ARXIV_ID})(?:\.pdf)?/?", re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"10\.48550/arxiv\.({_ARXIV_ID})", re.IGNORECASE)
_DOI = re.compile(r"(?:doi\s*:\s*|(?:https?://)?(?:dx\.)?doi\.org/)?(10\.\d{4,9}/\S+)", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:(?!\d)", re.IGNORECASE)
_HOST_FIRST = re.compile(r"[\w-]+(\.[\w-]+)+(:\d+)?/\S*")

UNKNOWN = (
    "This is neither an arXiv id such as 2112.07916, nor a DOI such as 10.1000/182, nor the web address of a PDF; "
    "check it for typing errors."
)
ELSEWHERE = "download the file in a browser and choose it here"
ONLY_WEB = f"Only addresses that begin with https:// or http:// are fetched; {ELSEWHERE}."


def url_of(typed: str) -> httpx.URL:
    """The URL at which the paper that somebody named should be found.

    Raises:
        DocumentError: it names none.
    """
    typed = typed.strip().strip("<>").strip()
    if not typed or len(typed) > ADDRESS_CHARACTERS:
        raise DocumentError(UNKNOWN)
    if found := _ARXIV.fullmatch(typed):
        return _arxiv(found[1])
    if found := _DOI.fullmatch(typed):
        doi = unquote(found[1].rstrip(".,;"))  # in a link it has been encoded before
        arxiv = _ARXIV_DOI.fullmatch(doi)
        return _arxiv(arxiv[1]) if arxiv else checked_url(f"https://doi.org/{quote(doi, safe='/:;()')}")
    if not _SCHEME.match(typed) and _HOST_FIRST.fullmatch(typed):
        typed = f"https://{typed}"
    return checked_url(typed)


def checked_url(url: str) -> httpx.URL:
    """A URL that may be asked for; one of an arXiv page becomes that of its PDF.

    Raises:
        DocumentError: it is no address of the web, or holds a password.
    """
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        raise DocumentError(UNKNOWN) from None
    if parts.scheme and parts.scheme not in ("http", "https"):
        raise DocumentError(ONLY_WEB)
    if not parts.scheme or not parts.host or re.search(r"[\s\\]", url) or (parts.port or 0) > 65535:
        raise DocumentError(UNKNOWN)
    if parts.userinfo:
        raise DocumentError(f"Addresses with a password in them are not fetched; {ELSEWHERE}.")
    if parts.port is not None and parts.port < 1024 and parts.port not in (80, 443):
        raise DocumentError(f"Papers are not fetched from port {parts.port}; {ELSEWHERE}.")
    if parts.host in ("arxiv.org", "www.arxiv.org") and (found := _ARXIV_PAGE.fullmatch(parts.path)):
        return _arxiv(found[1])
    return parts


def pdf_named_in(page: bytes) -> str | None:
    """The address of the PDF that a publisher's page names for search engines, as it stands there; None without one.

    Args:
        page: the beginning of the page, as HTML.
    """
    reader = _PdfFinder()
    reader.feed(page.decode("utf-8", errors="replace"))
    return reader.found


class _PdfFinder(HTMLParser):
    """Looks for `<meta name="citation_pdf_url" content="...">`."""

    found: str | None = None

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "meta" and (given.get("name") or "").lower() == "citation_pdf_url" and not self.found:
            self.found = (given.get("content") or "").strip() or None


def _arxiv(arxiv_id: str) -> httpx.URL:
    return httpx.URL(f"https://arxiv.org/pdf/{arxiv_id}")
