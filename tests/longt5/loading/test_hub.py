"""Models by their name on the Hub, from a small Hub on 127.0.0.1, in a process with HF_ENDPOINT set to it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import longt5
from longt5.loading import load_model
from tests.hub_server import HubServer
from tests.longt5.factories import tiny_model
from tests.longt5.loading.test_load import OLD_CONFIG, logits, tokenizer_folder, weights, write, write_shards

__all__ = ["tokenizer_folder"]  # a fixture

# Runs the lines it is given, one JSON string each, and answers with what they left in `result`, or their error.
WORKER = """
import json, sys, torch
from longt5.loading import LoadingError, load_model, load_tokenizer
from tests.longt5.loading.test_load import logits
import longt5, transformers

for line in sys.stdin:
    space = dict(globals())
    try:
        exec(json.loads(line), space)
        answer = {"result": space.get("result")}
    except LoadingError as error:
        answer = {"error": str(error)}
    except Exception as error:
        answer = {"crash": repr(error)}
    print(json.dumps(answer), flush=True)
"""


class Client:
    """A Python process that knows the small Hub as the Hub, with a cache of its own."""

    def __init__(self, hub: HubServer, home: Path):
        self.hub = hub
        root = Path(longt5.__file__).parents[1]
        hf = {"HF_ENDPOINT": hub.url, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            cwd=root,
            env={
                **env,
                **hf,
                "PYTHONPATH": str(root),
                "OMP_NUM_THREADS": str(torch.get_num_threads()),
                "NO_PROXY": "*",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self, code: str) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def run(self, code: str) -> Any:
        """What the code left in `result`."""
        answer = self.answer(code)
        assert "result" in answer, answer
        return answer["result"]

    def refusal(self, name: str, arguments: str = "") -> str:
        """The sentence with which a model is refused."""
        answer = self.answer(f"load_model({name!r}, {arguments})")
        assert "error" in answer, answer
        assert "\n" not in answer["error"]
        return answer["error"]

    def logits(self, name: str, arguments: str = "") -> torch.Tensor:
        return torch.tensor(self.run(f"result = logits(load_model({name!r}, {arguments})).tolist()"))

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def client(tmp_path_factory) -> Iterator[Client]:
    with HubServer(tmp_path_factory.mktemp("hub")) as hub:
        client = Client(hub, tmp_path_factory.mktemp("home"))
        yield client
        client.close()


@pytest.fixture
def hub(client) -> Iterator[HubServer]:
    client.hub.requests.clear()
    yield client.hub
    client.hub.down, client.hub.cut = False, None


def downloads(hub: HubServer) -> list[str]:
    """The files that were sent."""
    return sorted(
        path.rpartition("/")[2]
        for method, path, status in hub.requests
        if method == "GET" and ("/resolve/" in path or path.startswith("/lfs/")) and status in (200, 206)
    )


def test_model_as_transformers_saves_it(client, hub):
    model = tiny_model()
    model.save_pretrained(hub.root / "someone/model")
    (hub.root / "someone/model/README.md").write_text("Not needed.")
    (hub.root / "someone/model/pytorch_model.bin").write_bytes(b"Not needed either.")
    assert torch.equal(client.logits("someone/model"), logits(model))
    assert downloads(hub) == ["config.json", "generation_config.json", "model.safetensors"]

    hub.requests.clear()
    assert torch.equal(client.logits("someone/model"), logits(model))
    assert not downloads(hub), "the second time everything comes from the cache"

    hub.requests.clear()
    expected = logits(tiny_model(seed=7))
    tiny_model(seed=7).save_pretrained(hub.root / "someone/model")
    assert torch.equal(client.logits("someone/model"), expected)
    assert downloads(hub) == ["model.safetensors"], "of a new commit only what changed"


def test_plain_from_pretrained(client, hub):
    model = tiny_model()
    model.save_pretrained(hub.root / "someone/plain")
    for library in ("longt5", "transformers"):
        code = f"{library}.LongT5ForConditionalGeneration.from_pretrained('someone/plain').eval()"
        answer = torch.tensor(client.run(f"result = logits({code}).tolist()"))
        torch.testing.assert_close(answer, logits(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_shards_and_bin(client, hub, file):
    model = tiny_model()
    stem, suffix = os.path.splitext(file)
    write_shards(hub.root / f"someone/shards{suffix}", model, file)
    assert torch.equal(client.logits(f"someone/shards{suffix}"), logits(model))
    assert {name for name in downloads(hub) if name.endswith(suffix)} == {
        f"{stem}-0000{number}-of-00002{suffix}" for number in (1, 2)
    }
    write(hub.root / f"someone/one{suffix}", weights(model), file=file)
    assert torch.equal(client.logits(f"someone/one{suffix}"), logits(model))


def test_on_disk_from_the_hub(client, hub):
    write(hub.root / "someone/large")
    assert torch.equal(client.logits("someone/large", "device_map={'': 'disk'}"), logits(tiny_model()))


def test_revisions(client, hub):
    write(hub.root / "someone/versions")
    commit = hub.commit("someone/versions")
    for revision in ("main", commit):
        assert torch.equal(client.logits("someone/versions", f"revision={revision!r}"), logits(tiny_model()))
    assert "no revision 'v2'" in client.refusal("someone/versions", "revision='v2'")


def test_a_subfolder_and_a_cache_of_ones_own(client, hub, tmp_path):
    """As the Flax classes take them."""
    tiny_model().save_pretrained(hub.root / "someone/nested/best")
    hub.requests.clear()
    code = "from longt5.flax import FlaxLongT5Model\n"
    code += "model = FlaxLongT5Model.from_pretrained('someone/nested', {}, subfolder='best')\n"
    code += "result = model.params['shared']['embedding'].shape[0]"
    in_cache = f"cache_dir={str(tmp_path)!r}, local_files_only={{}}"
    sentence = client.answer(code.format(in_cache.format(True)))["error"]
    assert "local_files_only" in sentence and not hub.requests
    assert client.run(code.format(in_cache.format(False))) == 83
    assert downloads(hub) == ["config.json", "generation_config.json", "model.safetensors"]
    hub.requests.clear()
    assert client.run(code.format(in_cache.format(True))) == 83
    assert not hub.requests
    assert "local_files_only" in client.answer(code.format("local_files_only=True"))["error"]


def test_private_and_gated(client, hub):
    write(hub.root / "someone/private")
    write(hub.root / "someone/gated")
    hub.private.add("someone/private")
    hub.gated.add("someone/gated")
    assert "no model of that name on the Hub that you may see" in client.refusal("someone/private")
    assert "is gated: ask for access" in client.refusal("someone/gated")
    assert "is gated" in client.refusal("someone/gated", "token='hf_wrong'")
    for name in ("someone/private", "someone/gated"):
        assert torch.equal(client.logits(name, f"token={hub.token!r}"), logits(tiny_model()))


@pytest.mark.parametrize("name", ["someone/nothing", "nobody/nothing", "nothing", "some_model.v1"])
def test_no_such_model(client, hub, name):
    assert f"There is no folder '{name}', and no model of that name" in client.refusal(name)


@pytest.mark.parametrize("name", ["someone/--x", "someone/x.git", "someone/" + "x" * 100])
def test_impossible_names(client, name):
    assert "possible name" in client.refusal(name)


def test_nothing_large_is_downloaded_for_another_model(client, hub):
    write(hub.root / "someone/t5", config={**OLD_CONFIG, "model_type": "t5"})
    assert "'t5'" in client.refusal("someone/t5")
    assert downloads(hub) == ["config.json"]
    folder = write(hub.root / "someone/empty")
    (folder / "model.safetensors").unlink()
    assert "holds no weights that can be read" in client.refusal("someone/empty")
    (folder / "config.json").unlink()
    (folder / "README.md").write_text("Only words.")
    assert "no config.json" in client.refusal("someone/empty")


def test_download_that_breaks_off(client, hub):
    write(hub.root / "someone/broken")
    hub.cut = 1000
    assert "download of 'someone/broken' failed, try again later" in client.refusal("someone/broken")
    hub.cut = None
    assert torch.equal(client.logits("someone/broken"), logits(tiny_model()))


def test_without_the_hub_the_cache_is_used(client, hub):
    write(hub.root / "someone/known")
    write_shards(hub.root / "someone/fetched", tiny_model(), "model.safetensors")
    client.run("longt5.LongT5ForConditionalGeneration.from_pretrained('someone/fetched'); result = 0")
    write(hub.root / "someone/unknown")
    assert torch.equal(client.logits("someone/known"), logits(tiny_model()))
    hub.down = True
    assert torch.equal(client.logits("someone/known"), logits(tiny_model()))
    assert torch.equal(client.logits("someone/fetched"), logits(tiny_model()))
    assert "could not be reached" in client.refusal("someone/unknown")


def test_offline_by_choice(client, hub):
    write(hub.root / "someone/offline")
    assert torch.equal(client.logits("someone/offline"), logits(tiny_model()))
    choice = "from huggingface_hub import constants; constants.HF_HUB_OFFLINE = {}; result = 0"
    client.run(choice.format(True))
    try:
        hub.requests.clear()
        assert torch.equal(client.logits("someone/offline"), logits(tiny_model()))
        assert "could not be reached" in client.refusal("someone/unseen")
        assert not hub.requests
    finally:
        client.run(choice.format(False))


def test_tokenizer_from_the_hub(client, hub, tokenizer_folder):
    folder = write(hub.root / "someone/tokenized")
    (folder / "tokenizer.json").write_bytes((tokenizer_folder / "tokenizer.json").read_bytes())
    code = "result = load_tokenizer('someone/tokenized')('A word.', return_offsets_mapping=True)['offset_mapping']"
    assert client.run(code) == [[0, 1], [2, 6], [6, 7], [0, 0]]
    assert downloads(hub) == ["config.json", "tokenizer.json"]
    answer = client.answer("load_tokenizer('someone/nothing')")
    assert "no model of that name" in answer["error"]


def test_a_folder_comes_before_the_hub(tmp_path, monkeypatch):
    write(tmp_path / "someone/model")
    monkeypatch.chdir(tmp_path)
    assert torch.equal(logits(load_model("someone/model")), logits(tiny_model()))
