from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
import torch

from app.models import ModelStore
from app.settings import Settings
from app.summarizing.settings import SummaryError
from app.work import Stopped
from longt5.loading.int8 import Int8Linear
from tests.app.factories import make_model


def _store(*folders: Path, **settings: object) -> ModelStore:
    return ModelStore(Settings(models=tuple(map(str, folders)), **settings))  # type: ignore[arg-type]


@pytest.fixture
def copy(model_folder: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model_folder, tmp_path / "copy")


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_folders_go_by_their_last_part_unless_two_share_it(tmp_path: Path) -> None:
    store = ModelStore(
        Settings(models=(str(tmp_path / "a" / "m"), "someone/model", str(tmp_path / "b" / "m")))
    )
    assert store.choices == ("m", "someone/model", str(tmp_path / "b" / "m"))


def test_defaults_without_any(store: ModelStore) -> None:
    profile = store.profile("tiny")
    assert profile.name == profile.defaults.model == "tiny"
    assert (profile.max_input_tokens, profile.prefix, profile.defaults.do_sample) == (16_384, "", False)


def test_defaults_from_the_generation_config(copy: Path) -> None:
    _change(
        copy / "generation_config.json",
        num_beams=4,
        max_length=1024,
        no_repeat_ngram_size=3,
        encoder_no_repeat_ngram_size=4,
        repetition_penalty=3.5,
        length_penalty=0.8,
    )
    _change(copy / "tokenizer_config.json", model_max_length=4096)
    profile = _store(copy).profile("copy")
    assert profile.max_input_tokens == profile.defaults.max_input_tokens == 4096
    defaults = profile.defaults
    assert (defaults.num_beams, defaults.max_new_tokens, defaults.length_penalty) == (4, 1023, 0.8)
    assert (defaults.no_repeat_ngram_size, defaults.encoder_no_repeat_ngram_size) == (3, 4)
    assert defaults.repetition_penalty == 3.5


def test_defaults_from_old_places(copy: Path) -> None:
    (copy / "generation_config.json").unlink()
    _change(
        copy / "config.json",
        num_beams=2,
        n_positions=2048,
        task_specific_params={"summarization": {"prefix": "summarize: ", "max_length": 201, "num_beams": 7}},
    )
    profile = _store(copy).profile("copy")
    assert profile.prefix == "summarize: "
    assert (profile.defaults.num_beams, profile.defaults.max_new_tokens) == (2, 200)
    assert profile.max_input_tokens == 2048


def test_input_length_leftovers_and_limits(copy: Path) -> None:
    _change(copy / "tokenizer_config.json", model_max_length=512)  # T5's, on many LongT5 checkpoints
    assert _store(copy).profile("copy").max_input_tokens == 16_384
    assert _store(copy, max_input_tokens=1000).profile("copy").defaults.max_input_tokens == 1000
    _change(copy / "generation_config.json", max_input_tokens=256)
    assert _store(copy).profile("copy").max_input_tokens == 256


def test_a_model_that_is_not_there_is_one_sentence(tmp_path: Path, store: ModelStore) -> None:
    with pytest.raises(SummaryError, match="no model named 'other' here; choose tiny"):
        store.profile("other")
    with pytest.raises(SummaryError, match="no model named 'other'"), store.use("other"):
        pass
    missing = _store(tmp_path / "missing")
    for _ in range(2):  # a failure is not remembered: the folder may be filled meanwhile
        with pytest.raises(SummaryError) as error:
            missing.profile("missing")
        assert str(error.value).endswith(".") and str(tmp_path) not in str(error.value)
        with pytest.raises(SummaryError), missing.use("missing"):
            pass


def test_a_failed_load_does_not_keep_the_next(copy: Path, model_folder: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"nonsense")
    store = _store(copy, model_folder)
    store.profile("copy")
    with pytest.raises(SummaryError) as error, store.use("copy"):
        pass
    assert str(error.value).endswith(".")
    with store.use("tiny") as loaded:
        assert loaded.profile.name == "tiny"
    assert store.loaded("tiny") and not store.loaded("copy")


def test_one_model_in_memory_loaded_once_and_shared(model_folder: Path, copy: Path) -> None:
    store = _store(model_folder, copy)
    models, together = [], threading.Barrier(4)

    def work() -> None:
        with store.use("tiny") as loaded:
            together.wait(30)  # all four at once
            models.append(loaded.model)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 4 and len({id(model) for model in models}) == 1
    assert not models[0].training
    with store.use("copy"):
        assert store.loaded("copy") and not store.loaded("tiny")


def test_a_model_is_loaded_before_anybody_asks(model_folder: Path, copy: Path) -> None:
    store = _store(model_folder, copy)
    store.load_ahead("tiny")
    deadline = time.monotonic() + 30
    while not store.loaded("tiny") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert store.loaded("tiny")
    store.load_ahead("copy")  # there is one already
    assert store.loaded("tiny")


def test_a_model_in_use_is_not_replaced(model_folder: Path, copy: Path) -> None:
    store = _store(model_folder, copy)
    done = threading.Event()

    def work() -> None:
        with store.use("copy"):
            done.set()

    with store.use("tiny"):
        thread = threading.Thread(target=work)
        thread.start()
        assert not done.wait(0.5)
        assert store.loaded("tiny")
    thread.join(30)
    assert done.is_set()


def test_an_offloaded_model_is_used_by_one_at_a_time(model_folder: Path, tmp_path: Path) -> None:
    store = _store(model_folder, device_map={"": "disk"}, offload_folder=str(tmp_path))
    with store.use("tiny") as loaded:
        assert not loaded.shareable
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(Stopped), store.use("tiny", stop):
            pass
    with store.use("tiny") as loaded:
        assert store.encoded(loaded, (5, 6, 7, 1)).last_hidden_state.shape == (1, 4, 32)


def test_int8_is_for_the_cpu_even_beside_a_gpu(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with _store(model_folder, dtype="int8").use("tiny") as loaded:
        assert loaded.model.device.type == "cpu"
        assert any(isinstance(module, Int8Linear) for module in loaded.model.modules())


def test_encodings_are_kept_as_long_as_they_fit(model_folder: Path) -> None:
    one = 3 * 100 * 32 * 4  # two layers' inputs and the last state of 100 tokens of 32 floats
    store = _store(model_folder, kept_encodings_bytes=2 * one)
    texts = [(*[10 + text] * 99, 1) for text in range(3)]
    progress: list[float] = []
    with store.use("tiny") as loaded:
        first = store.encoded(loaded, texts[0], progress.append)
        assert progress == [0.5, 1.0]
        assert store.encoded(loaded, texts[0], progress.append) is first and len(progress) == 2
        second, third = (store.encoded(loaded, text) for text in texts[1:])
        assert store.encoded(loaded, texts[2]) is third
        assert store.encoded(loaded, texts[1]) is second
        once_more = store.encoded(loaded, texts[0], progress.append)  # had to make room
        assert once_more is not first and len(progress) == 4
        torch.testing.assert_close(once_more.last_hidden_state, first.last_hidden_state)


def test_encodings_that_nobody_looks_into_are_forgotten(model_folder: Path) -> None:
    store = _store(model_folder)
    with store.use("tiny") as loaded:
        old = store.encoded(loaded, (*[10] * 99, 1))
        time.sleep(0.3)
        new = store.encoded(loaded, (*[11] * 99, 1))
        store.forget_unused(0.2)
        assert store.encoded(loaded, (*[11] * 99, 1)) is new
        assert store.encoded(loaded, (*[10] * 99, 1)) is not old


def test_what_the_decoder_made_of_a_summary_is_kept_too(model_folder: Path) -> None:
    store = _store(model_folder)
    read, written, other = (5, 6, 7, 1), (8, 9), (8, 10)
    with store.use("tiny") as loaded:
        encoded = store.encoded(loaded, read)
        forced = store.teacher_forced(loaded, read, encoded, written)
        assert forced.summary_ids == written
        assert store.teacher_forced(loaded, read, encoded, written) is forced
        assert store.teacher_forced(loaded, read, encoded, other).summary_ids == other
        assert store.teacher_forced(loaded, (6, 1), store.encoded(loaded, (6, 1)), written) is not forced
    small = _store(model_folder, kept_encodings_bytes=3 * 4 * 32 * 4)  # the text alone
    with small.use("tiny") as loaded:
        encoded = small.encoded(loaded, read)
        small.teacher_forced(loaded, read, encoded, written)
        assert small.encoded(loaded, read) is not encoded


def test_an_encoding_too_large_to_keep_is_made_again(model_folder: Path) -> None:
    store = _store(model_folder, kept_encodings_bytes=1)
    with store.use("tiny") as loaded:
        assert store.encoded(loaded, (5, 6, 1)) is not store.encoded(loaded, (5, 6, 1))


def test_the_number_of_threads_is_set(model_folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        _store(model_folder, threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_local_attention_models_load_too(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "local")
    _change(folder / "config.json", encoder_attention_type="local")
    with pytest.raises(SummaryError, match="encoder_attention_type"), _store(folder).use("local"):
        pass  # the weights are those of the other attention: said, not loaded at random


def test_a_model_too_large_for_the_memory_is_told_from_a_broken_one(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.models.load_model", lambda *_, **__: torch.empty(2**60))
    with pytest.raises(SummaryError, match="not enough memory"), _store(model_folder).use(model_folder.name):
        pass
