from pathlib import Path

from longt5.evaluation.json_lines import JsonLines


def test_records_of_several_processes_are_gathered(tmp_path: Path) -> None:
    path = tmp_path / "run" / "model-1.jsonl"
    first, second, third = (JsonLines(path, index) for index in range(3))
    assert first.read() == []
    first.gather()
    assert not path.exists()
    second.append({"id": "b", "text": "é\u2028\n"})
    assert first.read() == []
    first.append({"id": "a"})
    third.append({"id": "c"})
    other = JsonLines(tmp_path / "run" / "model-1.5.jsonl", 1)  # no part of this file
    other.append({"id": "x"})
    first.gather()
    assert third.read() == [{"id": "a"}, {"id": "b", "text": "é\u2028\n"}, {"id": "c"}]
    assert sorted(file.name for file in path.parent.iterdir()) == ["model-1.5.jsonl.part1", "model-1.jsonl"]
    second.append({"id": "d"})
    first.gather()
    assert [record["id"] for record in first.read()] == ["a", "b", "c", "d"]


def test_a_line_cut_short_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    lines = JsonLines(path)
    lines.append({"id": "a"})
    with path.open("a") as file:
        file.write('{"id": "b", "te')
    assert lines.read() == [{"id": "a"}]
    lines.gather()
    lines.append({"id": "c"})
    assert lines.read() == [{"id": "a"}, {"id": "c"}]
