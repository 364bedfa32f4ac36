"""What can be chosen about a fine-tuning, with the paper's choices where they are known."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict, StrictFloat, StrictInt, StrictStr

from labor_llm.errors import InputError
from labor_llm.models.loading import QUANTIZATIONS

METHODS = ("full", "lora")
PRECISIONS = ("float32", "bfloat16")
LOSSES = ("all tokens", "titles")
LAYOUTS = ("packed", "padded")


@dataclass(frozen=True)
class FineTuningSettings:
    """Settings of a fine-tuning.

    Attributes:
        method: 'full' (every weight; believed to be the paper's) or 'lora' (Hu et al. 2022).
        epochs: passes over the training careers; the schedule decays linearly to zero at their end
            (paper: runs of 3 and of 5; they are two runs, as the learning rate falls at another pace, and each
            keeps the checkpoint with the lowest validation loss).
        learning_rate: peak learning rate of AdamW (paper: 1e-5 for Llama-2-7B; small models take more).
        batch_size: careers a step (paper: 32).
        warmup_share: share of the steps in which the learning rate rises from zero.
        weight_decay: of AdamW.
        max_gradient_norm: gradients are scaled down to this norm.
        precision: 'bfloat16' computes in mixed precision with float32 master weights, 'float32' throughout.
        quantization: 'none', or '8bit' or '4bit' for frozen base weights under LoRA (QLoRA, Dettmers et al. 2023).
        lora_rank, lora_alpha, lora_dropout: of the adapter, on all linear layers.
        evaluations_per_epoch: how often the validation loss is computed and a checkpoint written.
        seed: of the order of careers, the adapter's start and dropout.
        loss: 'all tokens' of the resumes, or 'titles' (with their ends of line) alone; on validation workers too.
        layout: 'packed' (careers one after the other, attention within each, no padding) or 'padded' (careers of
            a pass padded to the longest; for models whose attention cannot be exchanged). The loss is the same.
        tokens_at_once: the most tokens in one pass; a step of more takes several, whose gradients are added. Less
            needs less memory.

    Raises:
        InputError: if a value is out of its range, or the combination cannot be.
    """

    # Where pydantic builds the settings from a profile, an unknown name is an error.
    __pydantic_config__ = ConfigDict(extra="forbid")

    method: StrictStr = "full"
    epochs: StrictInt = 3
    learning_rate: StrictFloat = 1e-5
    batch_size: StrictInt = 32
    warmup_share: StrictFloat = 0.03
    weight_decay: StrictFloat = 0.0
    max_gradient_norm: StrictFloat = 1.0
    precision: StrictStr = "bfloat16"
    quantization: StrictStr = "none"
    lora_rank: StrictInt = 16
    lora_alpha: StrictInt = 32
    lora_dropout: StrictFloat = 0.0
    evaluations_per_epoch: StrictInt = 1
    seed: StrictInt = 1
    loss: StrictStr = "all tokens"
    layout: StrictStr = "packed"
    tokens_at_once: StrictInt = 2048

    def __post_init__(self) -> None:
        for name, choices in (
            ("method", METHODS),
            ("precision", PRECISIONS),
            ("quantization", QUANTIZATIONS),
            ("loss", LOSSES),
            ("layout", LAYOUTS),
        ):
            if getattr(self, name) not in choices:
                raise InputError(f"{name} is {getattr(self, name)!r}; choose one of {', '.join(choices)}.")
        for name in (
            "epochs",
            "batch_size",
            "lora_rank",
            "lora_alpha",
            "evaluations_per_epoch",
            "tokens_at_once",
        ):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if not 0 < self.learning_rate < 1:
            raise InputError(f"learning_rate is {self.learning_rate}; it must lie between 0 and 1.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}; it must be at least 0 and below 2 to the 32nd.")
        if self.weight_decay < 0 or self.max_gradient_norm <= 0:
            raise InputError("weight_decay must be at least 0 and max_gradient_norm above 0.")
        if not 0 <= self.warmup_share < 1 or not 0 <= self.lora_dropout < 1:
            raise InputError("warmup_share and lora_dropout must be at least 0 and below 1.")
        if self.method == "full" and self.quantization != "none":
            raise InputError(
                "Quantised weights cannot be trained in full; use method lora, or quantization none."
            )
