"""What can be chosen about CAREER: its size and how it is trained, with the authors' choices where they are known."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import ConfigDict, StrictFloat, StrictInt, StrictStr

from labor_llm.errors import InputError

COVARIATES = ("education", "gender", "ethnicity", "region", "age")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class CareerSettings:
    """Settings of CAREER (Vafa et al. 2024).

    The sizes suit tens of thousands of workers and a GPU. For a few thousand workers, two layers of width 128
    (2 heads, inner width 512) with dropout and weight decay of 0.3, a learning rate of 1e-3 and 100 steps of warm-up
    had the lowest validation perplexity of what was tried on simulated careers.

    Attributes:
        layers: of the transformer (authors: 12).
        width: of its stream (authors: 192).
        heads: of its attention (authors: 3).
        inner_width: of its feed-forward layers (authors: 768).
        dropout: of embeddings, attention and layers (authors: 0.1).
        logit_bound: logits are held within plus and minus this (authors: 10), a part of the model: no probability
            is changed after it.
        covariates: which enter beside occupations and years: any of `COVARIATES`. The authors' are all but age,
            which stands for the year of birth that a resume states.
        epochs: the most passes over the training workers.
        patience: training stops when so many evaluations in a row bring no lower validation perplexity.
        evaluations_per_epoch: how often it is computed.
        batch_size: careers a step (authors: 16,000 records).
        learning_rate: peak of AdamW (authors: 5e-4, and 1e-4 after pre-training).
        warmup_steps: in which the learning rate rises; after them it falls with the square root of the step
            (authors: 4,000, and 500 after pre-training).
        weight_decay: of AdamW (authors: 0.01).
        precision: 'float32' or 'bfloat16' (mixed).
        seed: of the weights, the order of careers and dropout.

    Raises:
        InputError: if a value is out of its range.
    """

    # Where pydantic builds the settings from a profile, an unknown name is an error.
    __pydantic_config__ = ConfigDict(extra="forbid")

    layers: StrictInt = 12
    width: StrictInt = 192
    heads: StrictInt = 3
    inner_width: StrictInt = 768
    dropout: StrictFloat = 0.1
    logit_bound: StrictFloat = 10.0
    covariates: tuple[StrictStr, ...] = COVARIATES
    epochs: StrictInt = 100
    patience: StrictInt = 5
    evaluations_per_epoch: StrictInt = 1
    batch_size: StrictInt = 32
    learning_rate: StrictFloat = 5e-4
    warmup_steps: StrictInt = 500
    weight_decay: StrictFloat = 0.01
    precision: StrictStr = "float32"
    seed: StrictInt = 1

    def __post_init__(self) -> None:
        counts = ("layers", "width", "heads", "inner_width", "epochs", "patience", "evaluations_per_epoch",
                  "batch_size", "warmup_steps")  # fmt: skip
        for name in counts:
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.width % self.heads or self.width % 2:
            raise InputError(
                f"width is {self.width}; it must be even and a multiple of heads ({self.heads})."
            )
        if not 0 <= self.dropout < 1 or self.weight_decay < 0:
            raise InputError("dropout must be at least 0 and below 1, and weight_decay at least 0.")
        if not 0 < self.learning_rate < 1 or self.logit_bound <= 0:
            raise InputError("learning_rate must lie between 0 and 1, and logit_bound above 0.")
        if unknown := sorted(set(self.covariates) - set(COVARIATES)):
            raise InputError(f"covariates: {unknown[0]!r} is none of {', '.join(COVARIATES)}.")
        if self.precision not in PRECISIONS:
            raise InputError(f"precision is {self.precision!r}; choose one of {', '.join(PRECISIONS)}.")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed is {self.seed}; it must be at least 0 and below 2 to the 32nd.")
