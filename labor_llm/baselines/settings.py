"""Which baselines there are by name, and what can be chosen about CAREER; without what it takes to fit them."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from labor_llm.settings import Seed, Settings

CAREER, ORACLE = "career", "oracle"
# Short name in profiles and folders, and the name that tables show.
BASELINES = {
    "no-change": "No change",
    "empirical-transitions": "Empirical transitions",
    "second-order-transitions": "Second-order transitions",
    "multinomial-logit": "Multinomial logit",
    "multinomial-logit-staying": "Multinomial logit, staying shared",
    "two-stage-logit": "Two-stage logit",
    "bag-of-jobs": "Bag of jobs",
    "boosted-trees": "Boosted trees",
    CAREER: "CAREER",
}
# Likewise of models that no profile asks for by name.
BESIDE_BASELINES = {ORACLE: "Oracle (true probabilities)", "embedding-logit": "Logit on embeddings"}
Covariate = Literal["education", "gender", "ethnicity", "region", "age"]


class CareerSettings(Settings):
    """Size and training of CAREER (Vafa et al. 2024), with the authors' choices where they are known.

    The sizes suit tens of thousands of workers and a GPU. For a few thousand workers, two layers of width 128
    (2 heads, inner width 512) with dropout and weight decay of 0.3, a learning rate of 1e-3 and 100 steps of warm-up
    had the lowest validation perplexity of what was tried on simulated careers.
    """

    layers: int = Field(12, ge=1)
    """Of the transformer (authors: 12)."""
    width: int = Field(192, ge=1)
    """Of its stream (authors: 192); even, and a multiple of `heads`."""
    heads: int = Field(3, ge=1)
    """Of its attention (authors: 3)."""
    inner_width: int = Field(768, ge=1)
    """Of its feed-forward layers (authors: 768)."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Of embeddings, attention and layers (authors: 0.1)."""
    logit_bound: float = Field(10.0, gt=0)
    """Logits are held within plus and minus this (authors: 10), a part of the model: no probability is changed after
    it."""
    covariates: list[Covariate] = Field(default_factory=lambda: list(get_args(Covariate)))
    """Which enter beside occupations and years. The authors' are all but age, which stands for the year of birth that a
    resume states."""
    epochs: int = Field(100, ge=1)
    """The most passes over the training workers."""
    patience: int = Field(5, ge=1)
    """Training stops when so many evaluations in a row bring no lower validation perplexity."""
    evaluations_per_epoch: int = Field(1, ge=1)
    """How often it is computed."""
    batch_size: int = Field(32, ge=1)
    """Careers a step (authors: 16,000 records)."""
    learning_rate: float = Field(5e-4, gt=0, lt=1)
    """Peak of AdamW (authors: 5e-4, and 1e-4 after pre-training)."""
    warmup_steps: int = Field(500, ge=1)
    """In which the learning rate rises; after them it falls with the square root of the step (authors: 4,000, and 500
    after pre-training)."""
    weight_decay: float = Field(0.01, ge=0)
    """Of AdamW (authors: 0.01)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic; 'bfloat16' is mixed."""
    seed: Seed = 1
    """Of the weights, the order of careers and dropout."""

    @model_validator(mode="after")
    def _heads_share_the_width(self) -> CareerSettings:
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"width is {self.width}; it must be even and a multiple of heads ({self.heads})")
        return self
