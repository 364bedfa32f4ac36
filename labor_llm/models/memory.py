"""How much memory scoring and fine-tuning of Llama-2 take, from its sizes alone, before a GPU is hired.

All arithmetic is in bfloat16, two bytes a number. What a step of fine-tuning needs beside the frozen weights:

    full      16 bytes a weight: weight, gradient and AdamW's two moments in float32 (divided by the GPUs under
              FSDP), and the copies in bfloat16 that the step computes with (under FSDP two layers at a time)
    LoRA      16 bytes for each weight of the adapter
    activations of a layer, bytes a token, with width h and inner width i:
              2 (10h + 4i) + 4h     what the backward pass needs; attention by blocks, so no square of the length; the
                                    norms compute in float32
              2 (5h + 3i) + 4h + 4 (6h + i)
                                    under LoRA, whose frozen layers keep no input of their own, while the adapter
                                    keeps each input in float32
    4i        in flight in the backward pass of a layer, + 8i + 4h under LoRA
    12V + 8h  logits over V tokens, their normalised values and the gradient, in float32; and the last norm there

The formulas are held against the measured peak of a scaled-down model of the same architecture (dense, gated, as many
heads of keys as of queries). On top a GPU needs some 3 GiB for the CUDA context, the kernels' own space and
fragmentation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd

from labor_llm.errors import InputError

GIB = 2**30
# What a card sold as 80 GB shows, less the CUDA context, the kernels' own space and fragmentation.
USABLE_GIB_OF_80_GB = 79.0 - 3.0
_BYTES = 2
# bitsandbytes: int8 with a float32 scale a row; NF4 in blocks of 64 with 8-bit scales, themselves scaled by 256.
_QUANTIZED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 1 / 64 + 4 / (64 * 256)}
_WORKING = GIB  # of the pass over the titles, as `memory` of `all_title_log_probs`
_RECORD_TOKENS = 20  # of a career: one record every so many
_RANK = 16  # of the adapter
_MOST_GPUS = 64


@dataclass(frozen=True)
class Llama:
    """The sizes of a model of this architecture, without tied embeddings.

    Attributes:
        width: of the stream, and of keys and values.
        layers: their number.
        inner: the inner width of a layer.
        vocabulary: number of tokens.
        context: the longest text that it reads, tokens.
    """

    width: int
    layers: int
    inner: int
    vocabulary: int = 32000
    context: int = 4096

    @property
    def linear(self) -> int:
        """Weights of the linear layers, which quantisation concerns: four of attention, three of the inner part."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.inner)

    @property
    def outside(self) -> int:
        """Weights of the embedding, the output layer and the last norm."""
        return (2 * self.vocabulary + 1) * self.width

    @property
    def layer(self) -> int:
        """Weights of one layer, its two norms included."""
        return self.linear // self.layers + 2 * self.width

    @property
    def weights(self) -> int:
        """All weights."""
        return self.layers * self.layer + self.outside


LLAMA_2 = {"7b": Llama(4096, 32, 11008), "13b": Llama(5120, 40, 13824)}
"""The published sizes (Touvron et al. 2023)."""


@dataclass(frozen=True)
class MemoryNeed:
    """Memory on each GPU, bytes.

    Attributes:
        weights: weights, with the copies that the arithmetic is done with.
        gradients: gradients of what is trained.
        optimizer: AdamW's moments.
        activations: what the backward pass needs; in scoring the states of a pass.
        logits: logits and their gradient.
        keys_values: keys and values that scoring keeps.
    """

    weights: float
    gradients: float = 0.0
    optimizer: float = 0.0
    activations: float = 0.0
    logits: float = 0.0
    keys_values: float = 0.0

    @property
    def total(self) -> float:
        """All together, bytes."""
        return sum(dataclasses.asdict(self).values())


def scoring_need(model: Llama, quantization: str = "none") -> MemoryNeed:
    """Return what scoring all titles of a career that fills the context takes.

    It is the pass over the career or, later, that over the titles; each record has logits over the whole vocabulary
    at the end of its prompt.
    """
    tokens = model.context
    # The states of each layer are kept in the pass over a career, and a layer's own numbers are in flight.
    career = tokens * _BYTES * ((model.layers + 1) * model.width + 2 * model.inner + 4 * model.width)
    # The logits, a copy of them in float32 and their logarithms of probabilities.
    logits = tokens // _RECORD_TOKENS * model.vocabulary * (_BYTES + 4 + 4)
    return MemoryNeed(
        weights=_frozen_weights(model, quantization),
        activations=max(career, _WORKING - logits),
        logits=logits,
        keys_values=tokens * model.layers * 2 * model.width * _BYTES,
    )


def fine_tuning_need(model: Llama, tokens: int, quantization: str | None = None, gpus: int = 1) -> MemoryNeed:
    """Return what a step of fine-tuning takes on each GPU.

    Args:
        model: its sizes.
        tokens: run at once on one GPU.
        quantization: of the frozen weights under LoRA, 'none', '8bit' or '4bit'; None to train all weights.
        gpus: over which FSDP divides weights, gradients and moments, where all are trained.
    """
    activations, logits = step_need(model, tokens, adapter=quantization is not None)
    if quantization is not None:
        # Inputs and outputs of the seven linear layers.
        trained = _RANK * model.layers * (11 * model.width + 3 * model.inner)
        # A quantised layer is expanded to be multiplied, one at a time.
        expanded = _BYTES * model.width * model.inner if quantization != "none" else 0
        weights = _frozen_weights(model, quantization) + 4 * trained + expanded
        return MemoryNeed(weights, 4 * trained, 8 * trained, activations, logits)
    shared = 4 * model.weights / gpus
    # The copies to compute with; under FSDP of two layers, and of the gradient of one, at a time.
    copies = (
        (2 * model.layer + model.outside, model.layer + model.outside) if gpus > 1 else (model.weights, 0)
    )
    weights, gradients = (shared + _BYTES * number for number in copies)
    return MemoryNeed(weights, gradients, 2 * shared, activations, logits)


def step_need(model: Llama, tokens: int, adapter: bool) -> tuple[float, float]:
    """Return the bytes of activations and of logits at the peak of a step."""
    width, inner = model.width, model.inner
    kept, in_flight = _BYTES * (10 * width + 4 * inner) + 4 * width, 2 * _BYTES * inner
    if adapter:
        kept = _BYTES * (5 * width + 3 * inner) + 4 * width + 4 * (6 * width + inner)
        in_flight += 8 * inner + 4 * width
    logits = tokens * (12 * model.vocabulary + 8 * width)
    stored = tokens * model.layers * kept
    # The logits are gone when the backward pass reaches the layers: the larger of the two makes the peak.
    return (stored, logits) if logits > tokens * in_flight else (stored + tokens * in_flight, 0.0)


def recipe_table(size: str, tokens: int) -> pd.DataFrame:
    """Return the memory of the recipes for Llama-2 on GPUs of 80 GB, one row a recipe.

    Args:
        size: '7b' or '13b'.
        tokens: run at once on each GPU (`tokens_at_once` of the settings).

    Returns:
        `recipe`, `gpus` (for FSDP the fewest powers of two that suffice), the parts of `MemoryNeed` and `total`
        (GiB on each GPU) and `fits`.

    Raises:
        InputError: if the size is another.
    """
    if size not in LLAMA_2:
        raise InputError(f"size is {size!r}; choose one of {', '.join(LLAMA_2)}.")
    model = LLAMA_2[size]
    gpus = 2
    while fine_tuning_need(model, tokens, gpus=gpus).total > USABLE_GIB_OF_80_GB * GIB and gpus < _MOST_GPUS:
        gpus *= 2
    needs = {
        "score, bfloat16": scoring_need(model),
        "score, 8-bit": scoring_need(model, "8bit"),
        "score, 4-bit": scoring_need(model, "4bit"),
        "LoRA, bfloat16": fine_tuning_need(model, tokens, "none"),
        "LoRA, 8-bit": fine_tuning_need(model, tokens, "8bit"),
        "QLoRA, 4-bit": fine_tuning_need(model, tokens, "4bit"),
        "full, one GPU": fine_tuning_need(model, tokens),
        "full, FSDP": fine_tuning_need(model, tokens, gpus=gpus),
    }
    table = pd.DataFrame([{**dataclasses.asdict(need), "total": need.total} for need in needs.values()]) / GIB
    table.insert(0, "recipe", list(needs))
    table.insert(1, "gpus", [gpus if name == "full, FSDP" else 1 for name in needs])
    return table.assign(fits=table["total"] <= USABLE_GIB_OF_80_GB)


def _frozen_weights(model: Llama, quantization: str) -> float:
    if quantization == "none":
        return _BYTES * model.weights
    # Each of the linear layers' outputs has a scale in 8 bits.
    scales = 4 * model.layers * (5 * model.width + 2 * model.inner) if quantization == "8bit" else 0
    outside = _BYTES * (model.weights - model.linear)
    return _QUANTIZED_BYTES[quantization] * model.linear + scales + outside
