"""Rounding at random and moments in 8 bits: right on average, as AdamW otherwise, and the same after a stop."""

import pytest
import torch

from labor_llm.finetuning.optimizers import RoundedAdamW, rounded_at_random

RATE, STEPS = 1e-3, 40


def optimizer(
    weight: torch.nn.Parameter, bits: int = 8, rounded: bool = False, rate: float = RATE
) -> RoundedAdamW:
    return RoundedAdamW([weight], rate, 0.01, bits=bits, paged=False, rounded=rounded, seed=3)


def stepped(weight: torch.nn.Parameter, by: torch.optim.Optimizer, steps: range) -> torch.Tensor:
    """Take steps with gradients of their own, whose sign is mostly the same."""
    for step in steps:
        gradient = torch.randn(weight.shape, generator=torch.Generator().manual_seed(step)) + 1.0
        weight.grad = gradient.to(weight.dtype)
        by.step()
    return weight.detach().float()


def start(dtype: torch.dtype = torch.float32) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.randn(64, 96, generator=torch.Generator().manual_seed(0)).to(dtype))


def test_rounding_goes_to_one_of_the_two_beside_and_is_right_on_average() -> None:
    number, below, above = 1.0 + 1 / 512, 1.0, 1.0 + 1 / 128  # a quarter of the way
    got = rounded_at_random(torch.full((40_000,), number), torch.Generator().manual_seed(0))
    assert set(got.tolist()) == {below, above}
    # Four standard errors of a mean of draws that are one with probability 1/4.
    assert ((got - below) * 128).mean().item() == pytest.approx(0.25, abs=4 * (3 / 16 / 40_000) ** 0.5)
    exact = torch.tensor([0.0, -1.5, 3e38, 1e-30]).bfloat16().float()
    assert torch.equal(rounded_at_random(exact.clone(), torch.Generator()), exact)


@pytest.mark.parametrize(("bits", "furthest"), [(32, 1e-6), (8, 0.1 * STEPS * RATE)])
def test_it_is_adamw(bits, furthest) -> None:
    own, peer = start(), start()
    got = stepped(own, optimizer(own, bits), range(STEPS))
    expected = stepped(peer, torch.optim.AdamW([peer], lr=RATE, weight_decay=0.01), range(STEPS))
    assert (got - expected).abs().max() < furthest
    assert (expected - start()).abs().mean() > 0.5 * STEPS * RATE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_updates_below_the_last_digit_add_up(dtype) -> None:
    """Weights of one, where numbers of bfloat16 are 2^-8 apart below: a hundred steps of 1e-5 are a quarter of that."""
    weight, plain = (torch.nn.Parameter(torch.ones(64, 96, dtype=kind)) for kind in (dtype, torch.bfloat16))
    moved = stepped(weight, optimizer(weight, rounded=True, rate=1e-5), range(100)) - 1.0
    exact = torch.nn.Parameter(torch.ones(64, 96))
    expected = stepped(exact, optimizer(exact, bits=32, rate=1e-5), range(100)).mean() - 1.0
    assert moved.mean().item() == pytest.approx(expected.item(), rel=0.1)
    assert torch.equal(moved + 1.0, (moved + 1.0).bfloat16().float())
    assert torch.equal(stepped(plain, torch.optim.AdamW([plain], lr=1e-5), range(100)), torch.ones(64, 96))


@pytest.mark.parametrize("bits", [8, 32])
def test_a_run_that_goes_on_from_its_state_ends_with_the_same_bits(bits) -> None:
    whole = start(torch.bfloat16)
    expected = stepped(whole, optimizer(whole, bits, rounded=True), range(10))
    half = start(torch.bfloat16)
    first = optimizer(half, bits, rounded=True)
    stepped(half, first, range(5))
    state = first.state_dict()
    assert all(isinstance(value, torch.Tensor) for value in state["state"][0].values())
    again = torch.nn.Parameter(half.detach().clone())
    second = optimizer(again, bits, rounded=True)
    second.load_state_dict(state)
    assert torch.equal(stepped(again, second, range(5, 10)), expected)
