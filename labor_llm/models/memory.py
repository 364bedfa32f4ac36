"""How much memory scoring and fine-tuning of Llama-2 take, from its sizes alone, before a GPU is hired.

All arithmetic is in bfloat16, two bytes a number. What a step of fine-tuning needs beside the frozen weights:

    full      16 bytes a weight: weight, gradient and AdamW's two moments in float32 (divided by the GPUs under
              FSDP), and the copies in bfloat16 that the step computes with (under FSDP two layers at a time);
              6 bytes with weights and gradients in bfloat16 and moments in 8 bits, of which 2 are the host's if they
              are paged; and the largest weight three times in four bytes (itself, its gradient, what rounds it) while
              it is updated
    LoRA      16 bytes for each weight of the adapter
    activations of a layer, bytes a token, with width h and inner width i:
              2 (10h + 4i) + 4h     what the backward pass needs; attention by blocks, so no square of the length; the
                                    norms compute in float32
              2 (5h + 3i) + 4h + 4 (6h + i)
                                    under LoRA, whose frozen layers keep no input of their own, while the adapter
                                    keeps each input in float32
              2h (4h with weights in float32)
                                    with activation checkpointing; those above are then in flight
    4i        in flight in the backward pass of a layer, + 8i + 4h under LoRA
    12V + 8h  logits over V tokens, their normalised values and the gradient, in float32; and the last norm there

The formulas are held against the measured peak of a scaled-down model of the same architecture (dense, gated, as many
heads of keys as of queries). Needs are bytes on each GPU, by what takes them; on top a GPU needs some 3 GiB for the
CUDA context, the kernels' own space and fragmentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from labor_llm.errors import InputError

GIB = 2**30
BESIDE = 3.0 * GIB  # what is needed on top
USABLE_GIB_OF_80_GB = 79.0 - BESIDE / GIB  # of what such a card shows
# bitsandbytes: int8 with a float32 scale a row; NF4 in blocks of 64 with 8-bit scales, themselves scaled by 256.
_QUANTIZED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 1 / 64 + 4 / (64 * 256)}
_BYTES = 2  # a number
_MOMENT_BYTES = {"adamw": 4.0, "adamw-8bit": 1 + 4 / 256, "adamw-8bit-paged": 0.0}
_WORKING = GIB  # of the pass over the titles, as `memory` of `all_title_log_probs`
_RECORD_TOKENS = 20  # of a career: one record every so many
_RANK = 16  # of the adapter
_MOST_GPUS = 64


@dataclass(frozen=True)
class Llama:
    """The sizes of a model of this architecture, without tied embeddings."""

    width: int  # of the stream, and of keys and values
    layers: int
    inner: int  # the inner width of a layer
    vocabulary: int = 32000  # tokens
    context: int = 4096  # the longest text that it reads, tokens

    @classmethod
    def of(cls, config: Any) -> Llama:
        """Return the sizes of a model by its configuration; of another architecture about its own."""
        width = config.hidden_size
        inner = getattr(config, "intermediate_size", None) or 4 * width
        return cls(width, config.num_hidden_layers, inner, config.vocab_size)

    @property
    def linear(self) -> int:
        """Weights of the linear layers, which quantisation concerns: four of attention, three of the inner part."""
        return self.layers * (4 * self.width**2 + 3 * self.width * self.inner)

    @property
    def layer(self) -> int:
        """Weights of one layer, its two norms included."""
        return self.linear // self.layers + 2 * self.width

    @property
    def weights(self) -> int:
        """All weights; outside of the layers are the embedding, the output layer and the last norm."""
        return self.layers * self.layer + (2 * self.vocabulary + 1) * self.width


LEAST = {"weights": "bfloat16", "optimizer": "adamw-8bit", "activation_checkpointing": "always"}
"""How all weights are trained within one GPU."""
LLAMA_2 = {"7b": Llama(4096, 32, 11008), "13b": Llama(5120, 40, 13824)}
"""The published sizes (Touvron et al. 2023)."""


def scoring_need(model: Llama, quantization: str = "none") -> dict[str, float]:
    """Return what scoring all titles of a career that fills the context takes.

    It is the pass over the career or, later, that over the titles; each record has logits over the whole vocabulary
    at the end of its prompt.
    """
    tokens = model.context
    # The states of each layer are kept in the pass over a career, and a layer's own numbers are in flight.
    career = tokens * _BYTES * ((model.layers + 1) * model.width + 2 * model.inner + 4 * model.width)
    # The logits, a copy of them in float32 and their logarithms of probabilities.
    logits = tokens // _RECORD_TOKENS * model.vocabulary * (_BYTES + 4 + 4)
    return {
        "weights": _frozen_weights(model, quantization),
        "activations": max(career, _WORKING - logits),
        "logits": logits,
        "keys_values": tokens * model.layers * 2 * model.width * _BYTES,
    }


def fine_tuning_need(
    model: Llama,
    tokens: int,
    quantization: str | None = None,
    gpus: int = 1,
    weights: str = "float32",
    optimizer: str = "adamw",
    activation_checkpointing: str = "never",
) -> dict[str, float]:
    """Return what a step of fine-tuning takes.

    Args:
        model: its sizes.
        tokens: run at once on one GPU.
        quantization: of the frozen weights under LoRA, 'none', '8bit' or '4bit'; None to train all weights.
        gpus: over which FSDP divides weights, gradients and moments, where all are trained.
        weights: 'float32' or 'bfloat16', where all are trained.
        optimizer: 'adamw', 'adamw-8bit' or 'adamw-8bit-paged', likewise.
        activation_checkpointing: 'always' or 'never'.
    """
    width, inner = model.width, model.inner
    kept, in_flight = _BYTES * (10 * width + 4 * inner) + 4 * width, 2 * _BYTES * inner
    if quantization is not None:
        kept = _BYTES * (5 * width + 3 * inner) + 4 * width + 4 * (6 * width + inner)
        in_flight += 8 * inner + 4 * width
    if activation_checkpointing == "always":  # What a layer keeps comes again in its backward pass.
        kept, in_flight = width * (_BYTES if weights == "bfloat16" else 4), in_flight + kept
    stored, logits = tokens * model.layers * kept, tokens * (12 * model.vocabulary + 8 * width)
    # The logits are gone when the backward pass reaches the layers: the larger of the two makes the peak.
    passing = {"activations": stored, "logits": logits}
    if logits <= tokens * in_flight:
        passing = {"activations": stored + tokens * in_flight, "logits": 0.0}
    if quantization is not None:
        # Inputs and outputs of the seven linear layers.
        trained = _RANK * model.layers * (11 * width + 3 * inner)
        # A quantised layer is expanded to be multiplied, one at a time.
        expanded = _BYTES * width * inner if quantization != "none" else 0
        frozen = _frozen_weights(model, quantization) + 4 * trained + expanded
        return {"weights": frozen, "gradients": 4 * trained, "optimizer": 8 * trained, **passing}
    moments = 2 * _MOMENT_BYTES[optimizer] * model.weights
    if weights == "bfloat16":
        # Activations and logits are gone when weights are updated: the larger of the two makes the peak.
        updated = max(0.0, 12 * model.vocabulary * width - sum(passing.values()))
        once = _BYTES * model.weights
        return {"weights": once, "gradients": once, "optimizer": moments + updated, **passing}
    # The copies to compute with; under FSDP of two layers, and of the gradient of one, at a time.
    outside = model.weights - model.layers * model.layer
    copies = (2 * model.layer + outside, model.layer + outside) if gpus > 1 else (model.weights, 0)
    shared = 4 * model.weights / gpus
    own, gradients = (shared + _BYTES * number for number in copies)
    return {"weights": own, "gradients": gradients, "optimizer": moments / gpus, **passing}


def fewest_gpus(model: Llama, tokens: int, at_least: int = 1) -> int:
    """Return how many GPUs of 80 GB fine-tuning all weights takes, a power of two; 64 also where that is too few.

    Args:
        model: its sizes.
        tokens: run at once on each GPU.
        at_least: so many.
    """
    gpus, usable = at_least, USABLE_GIB_OF_80_GB * GIB
    while sum(fine_tuning_need(model, tokens, gpus=gpus).values()) > usable and gpus < _MOST_GPUS:
        gpus *= 2
    return gpus


def recipe_table(size: str, tokens: int) -> pd.DataFrame:
    """Return the memory of the recipes for Llama-2 on GPUs of 80 GB, one row a recipe.

    Args:
        size: '7b' or '13b'.
        tokens: run at once on each GPU (`tokens_at_once` of the settings).

    Returns:
        `recipe`, `gpus` (for FSDP the fewest powers of two that suffice), `weights` (with the copies that the
        arithmetic is done with), `gradients`, `optimizer` (AdamW's moments), `activations`, `logits`, `keys_values`
        (that scoring keeps), their `total` (all GiB on each GPU) and `fits`.

    Raises:
        InputError: if the size is another.
    """
    if size not in LLAMA_2:
        raise InputError(f"size is {size!r}; choose one of {', '.join(LLAMA_2)}.")
    model = LLAMA_2[size]
    gpus = fewest_gpus(model, tokens, at_least=2)
    needs = {
        "score, bfloat16": scoring_need(model),
        "score, 8-bit": scoring_need(model, "8bit"),
        "score, 4-bit": scoring_need(model, "4bit"),
        "LoRA, bfloat16": fine_tuning_need(model, tokens, "none"),
        "LoRA, 8-bit": fine_tuning_need(model, tokens, "8bit"),
        "QLoRA, 4-bit": fine_tuning_need(model, tokens, "4bit"),
        "full, float32 weights": fine_tuning_need(model, tokens),
        "full, bfloat16 weights": fine_tuning_need(model, tokens, **LEAST),
        "full, FSDP": fine_tuning_need(model, tokens, gpus=gpus),
    }
    parts = ["weights", "gradients", "optimizer", "activations", "logits", "keys_values"]
    table = pd.DataFrame(list(needs.values()), columns=parts).fillna(0.0) / GIB
    table.insert(0, "recipe", list(needs))
    table.insert(1, "gpus", [gpus if name == "full, FSDP" else 1 for name in needs])
    total = [sum(need.values()) / GIB for need in needs.values()]
    return table.assign(total=total, fits=[value <= USABLE_GIB_OF_80_GB for value in total])


def _frozen_weights(model: Llama, quantization: str) -> float:
    if quantization == "none":
        return _BYTES * model.weights
    # Each of the linear layers' outputs has a scale in 8 bits.
    scales = 4 * model.layers * (5 * model.width + 2 * model.inner) if quantization == "8bit" else 0
    outside = _BYTES * (model.weights - model.linear)
    return _QUANTIZED_BYTES[quantization] * model.linear + scales + outside
