"""What can be chosen about a fine-tuning, with the paper's choices where they are known."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from labor_llm.errors import ResourceError
from labor_llm.models.memory import GIB, Llama, fine_tuning_need
from labor_llm.settings import Seed, SettingError, Settings

CHOSEN = ("weights", "optimizer", "activation_checkpointing")
"""Fields that are chosen by the memory if they are 'auto'."""
_IN_TURN = (
    ("float32", "adamw", "never"),
    ("float32", "adamw", "always"),
    ("float32", "adamw-8bit", "always"),
    ("bfloat16", "adamw-8bit", "always"),
    ("bfloat16", "adamw-8bit-paged", "always"),
)


class FineTuningSettings(Settings):
    """Settings of a fine-tuning.

    Raises:
        SettingError: if a value is out of its range, or the combination cannot be.
    """

    method: Literal["full", "lora"] = "full"
    """Every weight ('full', believed to be the paper's), or a low-rank adapter ('lora', Hu et al. 2022)."""
    epochs: int = Field(3, ge=1)
    """Passes over the training careers; the learning rate decays linearly to zero at their end."""
    other_epochs: list[Annotated[int, Field(ge=1)]] = Field(default_factory=list)
    """Further numbers of passes, each a run of its own, as the learning rate falls at another pace; of all runs the
    checkpoint with the lowest validation loss is kept (paper: of 3 and of 5)."""
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
    weights: Literal["auto", "float32", "bfloat16"] = "auto"
    """What trained weights are stored in: 'bfloat16' takes a third of the memory with moments in 8 bits, each update
    rounded at random so that small ones add up (with `precision` float32 they lie in float32, to try it on a processor
    without units for bfloat16). 'auto' is the first of what the GPU's memory allows, here and in the next two: float32
    weights with AdamW; these with activation checkpointing; moments in 8 bits; weights in bfloat16; paged moments. On a
    CPU and under FSDP it is the first one."""
    optimizer: Literal["auto", "adamw", "adamw-8bit", "adamw-8bit-paged"] = "auto"
    """AdamW with moments in float32, or in 8 bits (Dettmers et al. 2022), which may move to the host's memory where the
    GPU's is short ('paged')."""
    activation_checkpointing: Literal["auto", "always", "never"] = "auto"
    """Whether only what enters a layer is kept of a forward pass, and the rest is computed again for the backward pass:
    a third more work, and little memory (Chen et al. 2016)."""
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
        if len({self.epochs, *self.other_epochs}) <= len(self.other_epochs):
            raise SettingError("other_epochs", f"{self.other_epochs} has one twice, or that of epochs")
        if self.method == "full" and self.quantization != "none":
            raise ValueError(
                "Quantised weights cannot be trained in full; use method lora, or quantization none."
            )
        if self.method == "lora" and self.weights == "bfloat16":
            raise ValueError(
                "weights are those that are trained, of an adapter in float32; set quantization for the base"
            )
        return self

    @property
    def schedules(self) -> dict[int, FineTuningSettings]:
        """The settings of each run by its number of passes."""
        alone: dict[str, list[int]] = {"other_epochs": []}
        numbers = (self.epochs, *self.other_epochs)
        return {number: self.model_copy(update={"epochs": number, **alone}) for number in numbers}

    @property
    def by_bitsandbytes(self) -> bool:
        """Whether bitsandbytes has the optimizer: of moments in 8 bits, or of weights in bfloat16."""
        return self.weights == "bfloat16" or "8bit" in self.optimizer

    def memory(self, model: Llama, longest: int = 0) -> float:
        """Return how many bytes of a GPU a step takes, with 'auto' as its first choice.

        Args:
            model: its sizes.
            longest: tokens of the longest career, which has a pass of its own if it has more than `tokens_at_once`.
        """
        tokens, choice = max(self.tokens_at_once, longest), self._choice(_IN_TURN[0])
        if self.method == "lora":
            again = {"activation_checkpointing": choice["activation_checkpointing"]}
            return sum(fine_tuning_need(model, tokens, self.quantization, **again).values())
        return sum(fine_tuning_need(model, tokens, **choice).values())

    def within_memory(
        self, model: Llama, available: float | None = None, longest: int = 0
    ) -> FineTuningSettings:
        """Return these settings with what is 'auto' chosen: the first of its choices that the memory allows.

        Args:
            model: the sizes of the model.
            available: bytes of a GPU; None to take the first choice.
            longest: as for `memory`.

        Raises:
            ResourceError: if none fits; says what would take least, and what fits instead.
        """
        choices = [self.model_copy(update=self._choice(choice)) for choice in _IN_TURN]
        needs = [choice.memory(model, longest) for choice in choices]
        if available is None or self.method == "lora":
            available = available or needs[0]
            choices, needs = choices[:1], needs[:1]
        for choice, need in zip(choices, needs, strict=True):
            if need <= available:
                return choice
        raise ResourceError(
            f"Fine-tuning takes {min(needs) / GIB:.1f} GiB of the GPU or more, of whose memory {available / GIB:.1f} "
            f"GiB can be used. Set tokens_at_once below {self.tokens_at_once:,}, leave weights, optimizer and "
            "activation_checkpointing at auto, train an adapter (method lora, quantization 4bit), or divide the model "
            "over several GPUs (fsdp.yaml)."
        )

    def _choice(self, choice: tuple[str, ...]) -> dict[str, str]:
        """Return what a choice makes of the fields that are left to it, with those that are not."""
        said = {name: getattr(self, name) for name in CHOSEN}
        return {
            name: chosen if said[name] == "auto" else said[name]
            for name, chosen in zip(CHOSEN, choice, strict=True)
        }
