"""What can be chosen about a fine-tuning, with the paper's choices where they are known."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from labor_llm.settings import Seed, Settings


class FineTuningSettings(Settings):
    """Settings of a fine-tuning.

    Raises:
        SettingError: if a value is out of its range, or the combination cannot be.
    """

    method: Literal["full", "lora"] = "full"
    """Every weight ('full', believed to be the paper's), or a low-rank adapter ('lora', Hu et al. 2022)."""
    epochs: int = Field(3, ge=1)
    """Passes over the training careers; the learning rate decays linearly to zero at their end (paper: runs of 3 and
    of 5, which are two runs, each of which keeps the checkpoint with the lowest validation loss)."""
    steps: int = Field(0, ge=0)
    """Optimiser steps, in place of those of `epochs` (which then says how often there are `evaluations_per_epoch`); 0
    for as many as epochs make. Models of fewer, more or other careers that take as many steps of as many careers differ
    in what they were given, and not in how long they were trained."""
    learning_rate: float = Field(1e-5, gt=0, lt=1)
    """Peak learning rate of AdamW (paper: 1e-5 for Llama-2-7B; small models take more)."""
    batch_size: int = Field(32, ge=1)
    """Careers a step (paper: 32)."""
    warmup_share: float = Field(0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises from zero."""
    weight_decay: float = Field(0.0, ge=0)
    """Of AdamW."""
    max_gradient_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this norm."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """'bfloat16' computes in mixed precision with float32 master weights, 'float32' throughout."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    """Of the frozen base weights under LoRA (QLoRA, Dettmers et al. 2023)."""
    lora_rank: int = Field(16, ge=1)
    """Rank of the adapter, which is on all linear layers."""
    lora_alpha: int = Field(32, ge=1)
    """Scale of the adapter."""
    lora_dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout of the adapter."""
    evaluations_per_epoch: int = Field(1, ge=1)
    """How often the validation loss is computed and a checkpoint written."""
    seed: Seed = 1
    """Of the order of careers, the adapter's start and dropout."""
    loss: Literal["all tokens", "titles"] = "all tokens"
    """What counts, also on validation workers: all tokens of the resumes, or the titles (with their ends of line)."""
    layout: Literal["packed", "padded"] = "packed"
    """Careers one after the other, attention within each, no padding ('packed'), or those of a pass padded to the
    longest ('padded', for models whose attention cannot be exchanged). The loss is the same."""
    tokens_at_once: int = Field(2048, ge=1)
    """The most tokens in one pass; a step of more takes several, whose gradients are added. Less needs less memory."""

    @model_validator(mode="after")
    def _can_be(self) -> FineTuningSettings:
        if self.method == "full" and self.quantization != "none":
            raise ValueError(
                "Quantised weights cannot be trained in full; use method lora, or quantization none."
            )
        return self
