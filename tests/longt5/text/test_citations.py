from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longt5.text.citations import points_elsewhere, without_citations


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("It was shown [4] that it holds [1, 3–5].", "It was shown that it holds."),
        ("It holds (Guo et al., 2022).", "It holds."),
        ("It holds (Guo and Ni 2022a,b; see Schlacht et al., 2014).", "It holds."),
        ("It is lost (Figure 3) and found (see Table 2A).", "It is lost and found."),
        ("Results (Fig. 2, Additional file 1) were clear.", "Results were clear."),
        ("It is old (5 Mya; Figure 1) and (Guo et al., 2022; in part) known.",
         "It is old (5 Mya) and (in part) known."),
        ("It is read, as shown in Figure 1(a), and written.", "It is read, and written."),
        ("It is read as listed in Table 2.", "It is read."),
        ("It is read, as shown in Section 4.2, and written.", "It is read, and written."),
        ("It is read, as described in Figs. 2, 3a and § 4, and written.", "It is read, and written."),
        ("It is, as shown in Table 1, 95, 90 and 85%.", "It is, 95, 90 and 85%."),
        ("In all, as is seen in §4.1, 5 mice died.", "In all, 5 mice died."),
        ("It is read (§4), kept (see § 4.2 and Appendix B) and sent (Sec. 4; cf. Sect. 3.1).",
         "It is read, kept and sent."),
        ("It is read (Secs. 3 and 4; 5 Mya) and kept (S1 Fig, S2 Table; Supp. Fig. 3) by law (Thm. 2).",
         "It is read (5 Mya) and kept by law."),
        ("It is known (Minot et al., 2012, Figure 3B; Guo and Ni 2022, § 4.1).", "It is known."),
        ("It takes time (second 4), tablets (4 mg) and boxes (of food), see the law (§ 230).",
         "It takes time (second 4), tablets (4 mg) and boxes (of food), see the law (§ 230)."),
        ("Guo et al. (2022) train it.", "Guo et al. train it."),
        ("As in machine learning [9, 25, 38], data compression [12, 39] and theory [8,26].",
         "As in machine learning, data compression and theory."),
        ("It is a candidate (1, 2, 3], as said (7-9].", "It is a candidate, as said."),
        ("It takes values (0, 1] or [0, 1).", "It takes values (0, 1] or [0, 1)."),
        ("We follow the approach of (Nair & Hinton, 2009) by learning.",
         "We follow the approach of (Nair & Hinton, 2009) by learning."),
        ("As was shown by [4], it holds.", "As was shown by [4], it holds."),
        ("All x in [0, 1] are kept.", "All x in [0, 1] are kept."),
        ("The vector v = [1, 2] is kept.", "The vector v = [1, 2] is kept."),
        ("It holds [1], [2], as in all [3]–[5].", "It holds, as in all."),
        ("It holds [1],[2] and [4] - [6]; it is [1][2] so [3], and [5].", "It holds; it is so."),
        ("As was shown by [4], [5], it holds.", "As was shown by [4], [5], it holds."),
        ("It was shown by Guo et al. [12]. ", "It was shown by Guo et al."),
        ("It was shown by Guo et al. [1]–[3] and Ni et al. [4], too.",
         "It was shown by Guo et al. and Ni et al., too."),
        ("It is known, see e.g., [3], from models such as [4] and [5].",
         "It is known, see e.g., [3], from models such as [4] and [5]."),
        ("It was shown by Guo et al. (2022).", "It was shown by Guo et al."),
        ("It is read, heard, etc. (Guo et al., 2022).", "It is read, heard, etc."),
        ("It is old (5 Mya; Figure 1).", "It is old (5 Mya)."),
        ("Mice (n = 12) were used (p < 0.05).", "Mice (n = 12) were used (p < 0.05)."),
        ("In summer (June 1998) it rained.", "In summer (June 1998) it rained."),
        ("A method (LSTM) works (as expected).", "A method (LSTM) works (as expected)."),
    ],
)  # fmt: skip
def test_citations_and_pointers_go_and_all_else_stays(sentence: str, expected: str) -> None:
    assert without_citations(sentence) == expected


@given(st.text(alphabet="ab1 2[](),.;—FigTable Guo et al 2022", max_size=80))
def test_only_brackets_are_taken_out(sentence: str) -> None:
    kept = without_citations(sentence)
    letters = iter(sentence)
    assert all(letter in letters for letter in kept)  # a subsequence


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("§4 describes it.", True),
        ("In § 4.2 we show it.", True),
        ("It is in Sec. 4.", True),
        ("Sect. 4.1 says so.", True),
        ("Figs. 2 and 3 show it.", True),
        ("Fig. 2A shows it.", True),
        ("Table S2 lists it.", True),
        ("Table IV lists it.", True),
        ("S1 Fig shows it.", True),
        ("Movie S1 shows it.", True),
        ("Eqn. (3) is solved.", True),
        ("Equation (2a) holds.", True),
        ("Corollary 2 follows.", True),
        ("It is proved in App. B.", True),
        ("This section shows it.", True),
        ("By § 230 of the law it holds.", False),
        ("Under § 7 of the Clayton Act mergers are reviewed.", False),
        ("HMG box A binds DNA, and box C/D does not.", False),
        ("By definition X is compact, and algorithm A is optimal.", False),
        ("S1 and S2 data improve maps.", False),
        ("It took app. 20 minutes in a box 40 cm wide.", False),
        ("It took 5 sec and 3 tablets.", False),
        ("At the table a figure of 12 is read.", False),
        ("Sections of 3 mm were cut.", False),
        ("Cells of section after section die.", False),
    ],
)
def test_what_leads_to_a_numbered_part(sentence: str, expected: bool) -> None:
    assert points_elsewhere(sentence) is expected


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "sentence",
    [
        "It is read as shown in " + " and ".join(["Table S1"] * 60) + " here",
        "It is read as shown in Table " + "-".join("I" * 60) + " here",
        "It is read as shown in Table " + ", ".join("1" * 60) + " and here",
        "It is read (Guo et al., 2020" + " ," * 100 + " !)",
        "It is read (see " + "Fig. 2, " * 30 + "!)",
    ],
)
def test_what_a_model_loops_in_takes_no_time(sentence: str) -> None:
    """Where a pattern fits in two ways each, all of them are tried: of sixty that would take for ever."""
    assert without_citations(sentence).startswith("It is read")
    assert points_elsewhere(sentence) is ("Table" in sentence or "Fig." in sentence)
