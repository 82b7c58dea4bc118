import pytest

from longt5.evaluation.metrics import Scores
from longt5.evaluation.tables import claims_table, faithfulness_table, rouge_table, summarize_scores


def scores(rouge: float, repeats_none: bool) -> Scores:
    return Scores(rouge, rouge, rouge, 10, 1.0, 0.9, 0.5, 0.0, repeats_none, repeats_none, 0.75, 0.25, 1.0)


def test_means_intervals_and_tables() -> None:
    row = summarize_scores("a model", [scores(0.2, True), scores(0.3, False), scores(0.4, True)])
    assert row.means["rouge1"] == pytest.approx(0.3)
    low, high = row.intervals["rouge1"]
    assert 0.2 <= low + 1e-9 < 0.3 < high - 1e-9 <= 0.4
    head, rule, line = rouge_table([row]).splitlines()
    assert line.startswith("| a model | 30.00 [") and line.endswith("] | 10 | 1.00 |")
    assert head.count("|") == rule.count("|") == line.count("|")
    *_, line = faithfulness_table([row]).splitlines()
    assert line == "| a model | 100.0 % | 90.0 % | 50.0 % | 0.0 % | 66.7 % |"
    *_, line = claims_table([row]).splitlines()
    assert line == "| a model | 66.7 % | 75.0 % | 25.0 % |"
