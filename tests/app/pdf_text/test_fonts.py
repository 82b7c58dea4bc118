"""What codes show: the dictionary's encoding, names of glyphs, bitmap fonts, fonts of East Asia."""

from __future__ import annotations

import io

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.t2CharStringPen import T2CharStringPen

from app.pdf_text.cmaps import parse_cmap
from app.pdf_text.collections import letters_of_collection
from app.pdf_text.glyph_names import are_codes, letters_of
from tests.app.pdf_files import stream
from tests.app.pdf_text.drawn import texts


def cff_with_swapped_encoding() -> bytes:
    """A CFF program that says of itself that code 97 is b and 98 is a."""
    builder = FontBuilder(1000, isTTF=False)
    builder.setupGlyphOrder([".notdef", "a", "b"])
    builder.setupCharacterMap({97: "a", 98: "b"})
    glyph = T2CharStringPen(500, None).getCharString()
    builder.setupCFF("Swapped", {}, dict.fromkeys((".notdef", "a", "b"), glyph), {})
    builder.setupHorizontalMetrics(dict.fromkeys((".notdef", "a", "b"), (500, 0)))
    builder.setupHorizontalHeader()
    font = builder.font["CFF "].cff.topDictIndex[0]
    font.Encoding = [".notdef"] * 97 + ["b", "a"] + [".notdef"] * 157
    out = io.BytesIO()
    builder.font["CFF "].cff.compile(out, builder.font)
    return out.getvalue()


@pytest.mark.parametrize(("encoding", "expected"), [(b"/Encoding /MacRomanEncoding", "ab"), (b"", "ba")])
def test_the_declared_encoding_wins_over_the_programs(encoding: bytes, expected: str) -> None:
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /AAAAAA+S /FontDescriptor 20 0 R %s >>" % encoding
    objects = {
        20: b"<< /Type /FontDescriptor /FontName /AAAAAA+S /Flags 4 /FontFile3 21 0 R >>",
        21: stream(cff_with_swapped_encoding(), b"/Subtype /Type1C"),
    }
    assert texts(b"BT /F1 10 Tf 72 700 Td (ab) Tj ET", font, objects) == [expected]


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("two.oldstyle", "2"),
        ("A.sc", "A"),
        ("f_f_i", "ffi"),
        ("uni0041", "A"),
        ("uni00410042", "AB"),
        ("u1F600", "\U0001f600"),
        ("uni0041.alt", "A"),
        ("ffi", "ffi"),
        ("adieresis", "ä"),
        ("oneoldstyle", "1"),
        ("dollaroldstyle", "$"),
        ("Asmall", "A"),
        ("Aacutesmall", "Á"),
        ("Acutesmall", "´"),
        ("asuperior", "a"),
        ("commainferior", ","),
        ("onefitted", "1"),
        ("copyrightsans", "©"),
        ("registerserif", "®"),
        ("onesuperior", "¹"),
        ("apple", "\uf8ff"),
        ("2", "2"),
        ("(", "("),
        ("g123", None),
        ("u99999999", None),
        (".notdef", None),
    ],
)
def test_names_of_glyphs(name: str, letters: str | None) -> None:
    found = letters_of(name)
    assert found == letters or (letters == "ffi" and found == "\ufb03")


def test_digits_in_old_style_are_digits() -> None:
    font = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /AAAAAA+Expert /Encoding << /Type /Encoding"
        b" /Differences [49 /oneoldstyle 57 /nineoldstyle] >> >>"
    )
    assert texts(b"BT /F1 10 Tf 72 700 Td (1999) Tj ET", font) == ["1999"]


def test_names_that_are_codes_in_writing() -> None:
    assert are_codes({65: "a65", 66: "a66", 67: "a67"})
    assert are_codes({65: "G41", 66: "G42"})
    assert not are_codes({65: "g1", 66: "g2"})
    assert not are_codes({})


def type3(differences: bytes) -> bytes:
    return (
        b"<< /Type /Font /Subtype /Type3 /FontBBox [0 0 500 600] /FontMatrix [.001 0 0 .001 0 0] /CharProcs << >>"
        b" /Encoding << /Differences [%s] >> /FirstChar 0 /LastChar 255 /Widths [%s] >>"
        % (differences, b"500 " * 256)
    )


@pytest.mark.parametrize(
    "differences", [b"50 /2 49 /1", b"49 /a49 /a50", b"49 /G31 /G32", b"49 /one.x /two.y"]
)
def test_bitmap_fonts_have_names_of_their_own(differences: bytes) -> None:
    assert texts(b"BT /F1 10 Tf 72 700 Td (212) Tj ET", type3(differences)) == ["212"]


def east_asian(encoding: bytes, ordering: bytes) -> bytes:
    return (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /%s /DescendantFonts [<< /Type /Font"
        b" /Subtype /CIDFontType0 /BaseFont /X /CIDSystemInfo << /Registry (Adobe) /Ordering (%s) /Supplement 2 >>"
        b" >>] >>" % (encoding, ordering)
    )


@pytest.mark.parametrize(
    ("encoding", "ordering", "codes", "expected"),
    [
        (b"Identity-H", b"Japan1", "034b0370", "あで"),
        (b"90ms-RKSJ-H", b"Japan1", "あで".encode("cp932").hex(), "あで"),
        (b"H", b"Japan1", "24222447", "あで"),
        (b"V", b"Japan1", "3021", "亜"),
        (b"GBK-EUC-H", b"GB1", "潮汐".encode("gbk").hex(), "潮汐"),
        (b"UniGB-UCS2-H", b"GB1", "潮汐".encode("utf-16-be").hex(), "潮汐"),
        (b"KSCms-UHC-H", b"Korea1", "조석".encode("cp949").hex(), "조석"),
        (b"ETen-B5-H", b"CNS1", "潮汐".encode("cp950").hex(), "潮汐"),
    ],
)
def test_east_asian_fonts_that_are_not_embedded(
    encoding: bytes, ordering: bytes, codes: str, expected: str
) -> None:
    content = b"BT /F1 10 Tf 72 700 Td <%s> Tj ET" % codes.encode()
    assert texts(content, east_asian(encoding, ordering)) == [expected]


def test_glyphs_of_an_unknown_collection_are_no_letters() -> None:
    assert texts(b"BT /F1 10 Tf 72 700 Td <03700371> Tj ET", east_asian(b"Identity-H", b"Private")) == [
        "\ufffd\ufffd"
    ]


def test_codes_of_an_unknown_predefined_map_are_no_glyphs() -> None:
    font = east_asian(b"CNS-EUC-H", b"CNS1")
    assert texts(b"BT /F1 10 Tf 72 700 Td <24212422> Tj ET", font) == ["\ufffd\ufffd"]


def test_collections_are_adobes() -> None:
    assert letters_of_collection("Japan1")[1125] == "亜"
    assert all(
        len(letters_of_collection(name)) > 18_000 for name in ("Japan1", "GB1", "CNS1", "Korea1", "KR")
    )


def test_maps_to_unicode() -> None:
    found = parse_cmap(
        b"2 beginbfchar <01> <0041> <02> <00660069> endbfchar 1 beginbfrange <10> <12> <0061> endbfrange"
        b" 1 beginbfrange <20> <21> [<0078> <0079>] endbfrange begincodespacerange <00> <ff> endcodespacerange"
    )
    assert found.letters == {1: "A", 2: "fi", 0x10: "a", 0x11: "b", 0x12: "c", 0x20: "x", 0x21: "y"}
    assert found.code_lengths == {1: [(0, 255)]}


def test_a_map_that_asks_for_billions_is_cut_short() -> None:
    assert len(parse_cmap(b"1 beginbfrange <00000000> <ffffffff> <0041> endbfrange").letters) <= 100_001
