"""AdamW of bitsandbytes with moments in 8 bits, and of weights that are themselves in bfloat16.

At a learning rate of 1e-5 the update of a weight is mostly smaller than the last digit that bfloat16 has for it:
rounded to the nearest number, the weight stays where it is. Here each weight is updated in float32 and rounded up or
down at random, with the probabilities that make the rounded one right on average (stochastic rounding; Gupta et al.
2015), so that small updates add up. Only one weight matrix at a time is there in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from bitsandbytes.optim import AdamW
from torch.optim import Optimizer

from labor_llm.finetuning.settings import FineTuningSettings

_DIGITS = 16  # binary ones of float32 that bfloat16 has not
_STEPS, _WEIGHTS = 10**9, 10**5  # of one run, at most; each has random numbers of its own


def bitsandbytes_optimizer(weights: Iterable[torch.nn.Parameter], settings: FineTuningSettings) -> Optimizer:
    """Return the optimizer that settings ask for, where it is not PyTorch's own."""
    return RoundedAdamW(
        weights,
        settings.learning_rate,
        settings.weight_decay,
        bits=8 if "8bit" in settings.optimizer else 32,
        paged=settings.optimizer.endswith("paged"),
        rounded=settings.weights == "bfloat16",
        seed=settings.seed,
    )


class RoundedAdamW(AdamW):  # type: ignore[misc]
    """AdamW whose state is stored as plain tensors, and whose weights can be numbers of bfloat16.

    Args:
        weights: to be trained.
        learning_rate: the peak; a schedule changes it.
        weight_decay: as in `torch.optim.AdamW`.
        bits: of a moment, 8 (in blocks of 256 with a scale each) or 32.
        paged: whether moments are in memory that the GPU shares with the host.
        rounded: whether weights are rounded to bfloat16 after each update; they may lie in float32 all the same.
        seed: of the rounding, which depends on it, the step and the weight alone.
    """

    def __init__(
        self,
        weights: Iterable[torch.nn.Parameter],
        learning_rate: float,
        weight_decay: float,
        bits: int,
        paged: bool,
        rounded: bool,
        seed: int,
    ) -> None:
        super().__init__(weights, learning_rate, weight_decay=weight_decay, optim_bits=bits, is_paged=paged)
        self._rounded, self._seed = rounded, seed
        if rounded:
            for weight in self.param_groups[0]["params"]:
                weight.data.copy_(weight.data.bfloat16())

    @torch.no_grad()
    def update_step(self, group: dict[str, Any], p: torch.nn.Parameter, gindex: int, pindex: int) -> None:
        """Update one weight, in float32."""
        # Another tensor stands in for it: with another type the weight would lose the hooks that add up gradients of
        # several processes.
        aside = torch.nn.Parameter(p.detach().float())
        aside.grad, self.state[aside] = p.grad.float(), self.state[p]
        try:
            super().update_step(group, aside, gindex, pindex)
        finally:
            del self.state[aside]
        updated = aside.detach()
        if self._rounded:
            number = (self._seed * _STEPS + int(self.state[p]["step"])) * _WEIGHTS + pindex
            generator = torch.Generator(updated.device).manual_seed(number % 2**63)
            updated = rounded_at_random(updated, generator)
        p.copy_(updated)
        p.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state; the tables of the 8-bit code are the same for every weight and left out."""
        described = Optimizer.state_dict(self)
        described["state"] = {
            number: {name: torch.as_tensor(value) for name, value in values.items() if "qmap" not in name}
            for number, values in described["state"].items()
        }
        return described

    def load_state_dict(self, state_dict: dict[str, Any], move_to_device: bool = True) -> None:
        """Take over a state into tensors made here, on this device and paged as they are here."""
        (group,), (stored,) = self.param_groups, state_dict["param_groups"]
        group |= {name: value for name, value in stored.items() if name != "params"}
        for number, weight in enumerate(group["params"]):
            self.init_state(group, weight, 0, number)
            for name, value in state_dict["state"].get(number, {}).items():
                if name == "step":
                    self.state[weight][name] = int(value)
                else:
                    self.state[weight][name].copy_(value)


def rounded_at_random(numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return float32 numbers, in place, rounded to one of the two of bfloat16 beside each, right on average."""
    bits = numbers.contiguous().view(torch.int32)
    # What is cut off carries over into the last digit kept as often as it is large.
    bits += torch.randint(
        1 << _DIGITS, bits.shape, generator=generator, device=bits.device, dtype=torch.int32
    )
    bits &= -(1 << _DIGITS)
    return bits.view(torch.float32)
