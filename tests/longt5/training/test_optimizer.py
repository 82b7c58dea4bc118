"""Muon and Adam beside it: sizes of steps, singular values, state that survives, a problem that is solved."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from longt5 import LongT5ForConditionalGeneration
from longt5.training.optimizer import ADAM_SHARE, Muon, muon, orthogonalized
from tests.longt5.factories import tiny_config


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 20), st.integers(2, 20), st.floats(1e-4, 1e4), st.integers(0, 99))
def test_singular_values_come_near_one(rows: int, columns: int, scale: float, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    smaller = min(rows, columns)
    u, v = (torch.linalg.qr(torch.randn(n, smaller, generator=rng))[0] for n in (rows, columns))
    values = torch.linspace(0.3, 1.0, smaller)
    result = orthogonalized((scale * u * values @ v.T)[None])[0]
    assert ((torch.linalg.svdvals(result) > 0.6) & (torch.linalg.svdvals(result) < 1.3)).all()
    # The directions stay: the result is U S' V^T with the same U and V.
    middle = u.T @ result @ v
    assert (middle - middle.diagonal().diag()).abs().max() < 1e-3


@pytest.mark.parametrize("orthogonal, share", [(True, 1.0), (False, ADAM_SHARE)])
def test_a_step_is_a_share_of_the_parameters_size(orthogonal: bool, share: float) -> None:
    for size in (1e-2, 1.0, 50.0):
        parameter = torch.nn.Parameter(size * torch.randn(12, 8))
        before = parameter.detach().clone()
        parameter.grad = torch.randn(12, 8)
        Muon([{"params": [parameter], "orthogonal": orthogonal}], lr=1e-3).step()
        moved = (parameter.detach() - before).square().mean().sqrt() / before.square().mean().sqrt()
        assert moved == pytest.approx(share * 1e-3, rel=0.02)


def test_matrices_of_one_shape_do_not_mix() -> None:
    parameters = [torch.nn.Parameter(torch.randn(6, 4)) for _ in range(3)]
    alone = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    for a, b in zip(parameters, alone):
        a.grad = torch.randn(6, 4)
        b.grad = a.grad.clone()
        Muon([{"params": [b], "orthogonal": True}], lr=0.1).step()
    Muon([{"params": parameters, "orthogonal": True}], lr=0.1).step()
    for a, b in zip(parameters, alone):
        torch.testing.assert_close(a, b)


def test_projections_are_orthogonalized_and_tables_are_not() -> None:
    model = LongT5ForConditionalGeneration(tiny_config())
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    orthogonal, others = ([names[id(p)] for p in group["params"]] for group in muon(model, 0.1).param_groups)
    assert sorted(orthogonal + others) == sorted(names.values())
    assert all(name.split(".")[-2] in ("q", "k", "v", "o", "wi", "wi_0", "wi_1", "wo") for name in orthogonal)
    kinds = {name.split(".")[-2] for name in others}
    assert "shared" in kinds and not kinds & {"q", "k", "v", "o", "wi", "wo"}


def test_a_head_of_its_own_is_a_table() -> None:
    model = LongT5ForConditionalGeneration(tiny_config())
    model.lm_head.weight = torch.nn.Parameter(model.shared.weight.detach().clone())
    orthogonal, others = (group["params"] for group in muon(model, 0.1).param_groups)
    assert any(parameter is model.lm_head.weight for parameter in others)
    assert not any(parameter is model.lm_head.weight for parameter in orthogonal)


def test_state_survives_saving() -> None:
    def steps(optimizer, parameters, seed):
        rng = torch.Generator().manual_seed(seed)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn(parameter.shape, generator=rng)
            optimizer.step()

    def build(parameters):
        matrix, vector = parameters
        groups = [{"params": [matrix], "orthogonal": True}, {"params": [vector], "orthogonal": False}]
        return Muon(groups, lr=0.1)

    parameters = [torch.nn.Parameter(torch.randn(5, 3)), torch.nn.Parameter(torch.randn(7))]
    first = build(parameters)
    steps(first, parameters, 0)
    copied = copy.deepcopy(parameters)
    second = build(copied)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(first, parameters, 1)
    steps(second, copied, 1)
    assert all(torch.equal(a, b) for a, b in zip(parameters, copied))


def test_a_small_problem_is_solved() -> None:
    rng = torch.Generator().manual_seed(0)
    x, wanted = torch.randn(200, 8, generator=rng), torch.randn(8, 5, generator=rng)
    weight, scale = torch.nn.Parameter(torch.randn(8, 5, generator=rng)), torch.nn.Parameter(torch.ones(5))
    optimizer = Muon(
        [{"params": [weight], "orthogonal": True}, {"params": [scale], "orthogonal": False}], lr=0.02
    )
    losses = []
    for _ in range(300):
        loss = ((x @ weight * scale - x @ wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < 0.01 * losses[0]
