"""Long texts in pieces and in shared buffers: the same numbers, and no memory given away while somebody has it."""

import threading

import pytest
import torch

from longt5 import memory
from longt5.memory import _Buffers, add, empty, in_pieces, shared_buffers
from tests.longt5.factories import ATTENTION_TYPES, assert_close, padded_mask, random_ids, tiny_model

LIKE = torch.zeros(0)


@pytest.mark.parametrize("attention", ATTENTION_TYPES)
@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_the_size_of_pieces_does_not_matter(attention, feed_forward, monkeypatch):
    model = tiny_model("LongT5EncoderModel", encoder_attention_type=attention, feed_forward_proj=feed_forward)
    ids, mask = random_ids(2, 90), padded_mask(90, 90, 50)

    def states() -> torch.Tensor:
        output = model(ids, attention_mask=mask, output_hidden_states=True)
        return torch.stack([*output.hidden_states, output.last_hidden_state])[:, mask.bool()]

    whole = states().detach()  # with gradients, nothing is cut
    for size in (1, 7, 64, 180):
        monkeypatch.setattr(memory, "TOKENS_AT_ONCE", size)
        with torch.no_grad():
            assert_close(states(), whole)
        with torch.inference_mode():
            assert_close(states(), whole)


def test_what_hooks_keep_is_not_written_over(monkeypatch):
    model = tiny_model("LongT5EncoderModel")
    kept, copies = [], []

    def keep(_module, _inputs, output):
        output = output if isinstance(output, torch.Tensor) else output[0]
        kept.append(output)
        copies.append(output.clone())

    for module in model.modules():
        module.register_forward_hook(keep)
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 16)
    with torch.no_grad():
        model(random_ids(2, 90))
    assert len(kept) > 20
    assert all(map(torch.equal, kept, copies))


def test_memory_is_given_again_once_no_view_is_left():
    with shared_buffers():
        first = empty((4, 6), LIKE)
        address, view = first.data_ptr(), first[2:, 3].t()
        del first
        second = empty((4, 6), LIKE)
        assert second.data_ptr() != address
        del view
        assert empty((4, 7), LIKE).data_ptr() != address  # of another size
        third = empty((6, 2), LIKE, torch.float64)
        assert third.data_ptr() == address
        assert third.shape == (6, 2)
        assert third.dtype == torch.float64
        assert empty((3,), LIKE.to(torch.bfloat16)).dtype == torch.bfloat16


def test_buffers_are_those_of_one_pass_of_one_thread():
    def address() -> int:
        return empty((1000,), LIKE).data_ptr()

    with shared_buffers():
        ours = address()
        addresses = []
        thread = threading.Thread(target=lambda: addresses.append(address()))
        thread.start()
        thread.join()
        with shared_buffers():
            addresses.append(address())
        assert address() == ours
        assert ours not in addresses


def test_closed_buffers_hold_nothing():
    buffers = _Buffers()
    freed, kept = (buffers.empty(torch.Size([9]), torch.float32) for _ in range(2))
    del freed
    assert sum(map(len, buffers._free.values())) == 1
    buffers.close()
    del kept
    assert not buffers._free


def test_other_devices_keep_their_own_memory():
    with shared_buffers():
        assert empty((3, 2), LIKE.to("meta")).device.type == "meta"


def test_tokens_are_cut_into_pieces_without_gradients_alone(monkeypatch):
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 4)
    seen = []

    def twice(states):
        seen.append(states.numel() // 3)
        return torch.cat([states, states], -1).double()

    states = torch.randn(2, 5, 3)
    expected = torch.cat([states, states], -1).double()
    with torch.no_grad():
        assert torch.equal(in_pieces(twice, states, 6, torch.float64), expected)
        assert torch.equal(add(states, states), states * 2)
    assert torch.equal(in_pieces(twice, states, 6, torch.float64), expected)
    assert seen == [4, 4, 2, 10]


def test_a_sum_has_gradients(monkeypatch):
    monkeypatch.setattr(memory, "TOKENS_AT_ONCE", 1)
    a = torch.ones(2, 3, requires_grad=True)
    add(a, a).sum().backward()
    assert torch.equal(a.grad, torch.full((2, 3), 2.0))
