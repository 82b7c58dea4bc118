"""What people type to name a paper on the web."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents import DocumentError
from app.documents.addresses import checked_url, pdf_named_in, url_of

ARXIV = "https://arxiv.org/pdf/2112.07916"


@pytest.mark.parametrize(
    "typed",
    [
        "2112.07916",
        " arXiv:2112.07916 ",
        "arxiv: 2112.07916",
        "https://arxiv.org/abs/2112.07916",
        "http://www.arxiv.org/abs/2112.07916",
        "arxiv.org/abs/2112.07916",
        "https://arxiv.org/pdf/2112.07916.pdf",
        "10.48550/arXiv.2112.07916",
        "https://doi.org/10.48550/arXiv.2112.07916",
    ],
)
def test_every_way_to_name_a_paper_on_arxiv_leads_to_its_pdf(typed: str) -> None:
    assert str(url_of(typed)) == ARXIV


@pytest.mark.parametrize(
    "arxiv_id", ["2112.07916v2", "0704.0001", "hep-th/9901001", "math.GT/0309136", "cs/0112017v1"]
)
def test_versions_and_old_ids_are_kept(arxiv_id: str) -> None:
    assert str(url_of(arxiv_id)) == f"https://arxiv.org/pdf/{arxiv_id}"


@pytest.mark.parametrize(
    "typed", ["10.1000/182", "doi:10.1000/182", "DOI: 10.1000/182.", "doi.org/10.1000/182"]
)
def test_a_doi_is_asked_for_at_its_resolver(typed: str) -> None:
    assert str(url_of(typed)) == "https://doi.org/10.1000/182"


def test_a_doi_out_of_a_link_is_not_encoded_twice() -> None:
    url = url_of("https://doi.org/10.1002/(SICI)1097%3C1::AID%3Fx%3E3.0")
    assert url == url_of("10.1002/(SICI)1097<1::AID?x>3.0")
    assert url.path == "/10.1002/(SICI)1097<1::AID?x>3.0"


def test_signs_of_a_doi_are_kept_from_meaning_something_in_a_url() -> None:
    assert url_of("10.1002/(SICI)1097<1::AID?x#y>3.0").path == "/10.1002/(SICI)1097<1::AID?x#y>3.0"


@pytest.mark.parametrize(
    "typed",
    [
        "", "a paper about attention", "10.1000", "2112", "https://", "http:///x", "file:///etc/passwd",
        "ftp://host/x.pdf", "javascript:alert(1)", "data:text/plain,x", "gopher://host/", "//host/x.pdf",
        "http://user:secret@host/x.pdf", "http://user@host/x.pdf", "http://host:22/x", "http://host:99999/x",
        "http://[::1/x", "http://ho st/x", "http://host\\@other/x", "https://host/" + 3_000 * "x", "http://\x00/",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_web_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(DocumentError, match=r"^[^\n]+\.$"):
        url_of(typed)


@given(st.text(max_size=80))
def test_any_text_is_a_url_of_the_web_or_a_sentence(typed: str) -> None:
    try:
        url = url_of(typed)
    except DocumentError:
        return
    assert url.scheme in ("http", "https") and url.host and not url.userinfo
    assert checked_url(str(url)).host == url.host


def test_the_pdf_of_a_publisher_s_page_is_found() -> None:
    page = b'<html><head><meta content="/article/pdf/7?a=1&amp;b=2" name="citation_pdf_url"></head>'
    assert pdf_named_in(page) == "/article/pdf/7?a=1&b=2"
    assert pdf_named_in(b"<html><meta name='citation_title' content='x'>") is None
    assert pdf_named_in(b'<meta name=citation_pdf_url content="') is None
    assert pdf_named_in(bytes(range(256))) is None
