from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import app
from app.settings import VARIABLES, Settings, SettingsError, from_environment, table


def test_nothing_set_gives_the_defaults() -> None:
    assert from_environment({"LONGT5_MAX_PAGES": " ", "HOME": "/somewhere"}) == Settings()


def test_a_default_is_what_its_text_says() -> None:
    for variable, setting in VARIABLES.items():
        text = setting.metadata["text"]
        if setting.name == "models":
            assert setting.default == (str(Path(app.__file__).resolve().parents[1] / text),)
        else:
            assert from_environment({variable: text or ""}) == Settings()


def test_the_table_has_a_sentence_for_every_variable() -> None:
    _, _, *rows = table().splitlines()
    assert len(rows) == len(dataclasses.fields(Settings))
    for row, variable in zip(rows, VARIABLES):
        assert row.startswith(f"| `{variable}` | ") and row.endswith(". |")


def test_values_are_read() -> None:
    settings = from_environment(
        {
            "LONGT5_MODELS": "folder/one, someone/model ,folder/one",
            "LONGT5_DEVICE_MAP": '{"shared": 0, "encoder": "cpu", "decoder": "disk"}',
            "LONGT5_MAX_MEMORY": "0=10GiB, cpu = 3 GB",
            "LONGT5_DTYPE": "bfloat16",
            "LONGT5_MAX_UPLOAD_BYTES": "2 MiB",
            "LONGT5_READING_MEMORY_BYTES": "1000000",
            "LONGT5_PORT": "8080",
            "LONGT5_HOST": "0.0.0.0",
            "LONGT5_MCP": "Yes",
            "LONGT5_THREADS": "2",
        }
    )
    assert settings.models == ("folder/one", "someone/model")
    assert settings.device_map == {"shared": 0, "encoder": "cpu", "decoder": "disk"}
    assert settings.max_memory == {0: "10GiB", "cpu": "3GB"}
    assert settings.dtype == "bfloat16"
    assert settings.max_upload_bytes == 2 * 2**20
    assert settings.reading_memory_bytes == 1_000_000
    assert (settings.host, settings.port, settings.mcp, settings.threads) == ("0.0.0.0", 8080, True, 2)
    assert settings.reading_limits.max_bytes == 2 * 2**20
    assert settings.reading_limits.memory_bytes == 1_000_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODELS", " , "),
        ("DEVICE_MAP", "gpu"),
        ("DEVICE_MAP", "[1]"),
        ("DEVICE_MAP", "{}"),
        ("MAX_MEMORY", "10GiB"),
        ("MAX_MEMORY", "0=much"),
        ("DTYPE", "int4"),
        ("THREADS", "0"),
        ("THREADS", "-2"),
        ("MAX_PAGES", "1e3"),
        ("MAX_UPLOAD_BYTES", "0MiB"),
        ("MAX_UPLOAD_BYTES", "50 apples"),
        ("PORT", "65536"),
        ("MCP", "maybe"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_the_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as error:
        from_environment({f"LONGT5_{name}": value})
    sentence = str(error.value)
    assert sentence.startswith(f"LONGT5_{name} is ") and sentence.endswith(".") and "\n" not in sentence


def test_nothing_else_in_the_app_reads_the_environment() -> None:
    for path in Path(app.__file__).parent.rglob("*.py"):
        names = {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        # A cluster sets what Ray's own processes read.
        is_free = path.name in ("settings.py", "cluster.py")
        assert is_free or not names & {"environ", "getenv"}, path.name
