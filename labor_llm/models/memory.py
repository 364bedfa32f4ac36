"""How much memory scoring and fine-tuning take, from a model's configuration alone, before a GPU is hired.

Weights are counted on a meta device: the model is built, nothing is allocated. What a step needs beside them:

    full      16 bytes a weight: weight, gradient and AdamW's two moments in float32 (divided by the GPUs under
              FSDP), and the copies in bfloat16 that the step computes with (under FSDP two layers at a time)
    LoRA      the frozen weights in bfloat16, 8 or 4 bits, and 16 bytes for each weight of the adapter
    activations of a layer, bytes a token, with e bytes a number, width h, inner width i and key width k:
              e (8h + 2k + 4i)      what the backward pass needs; attention by blocks, so no square of the length
              + 4h                  in bfloat16, as the norms compute in float32
    under LoRA, whose frozen layers keep no input of their own, e (6h + 2k + 4i), or in bfloat16
              2 (3h + 2k + 3i) + 4h + 4 (6h + i), as the adapter keeps each input in float32
    with gradient checkpointing a layer keeps e h, and one layer at a time is computed again
    e 2i      in flight in the backward pass of a layer, + 8 i + 4 h under LoRA in bfloat16
    12 V      logits over V tokens, their normalised values and the gradient, in float32; and 3 e h (+ 2 h in
              bfloat16) for the last norm there

The formula is held against the measured peak of a scaled-down model of the same architecture (Llama: dense, gated,
attention by blocks). On top a GPU needs some 3 GiB for the CUDA context, the kernels' own space and fragmentation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pandas as pd
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, PretrainedConfig

from labor_llm.errors import InputError

GIB = 2**30
# What a card sold as 80 GB shows, less the CUDA context, the kernels' own space and fragmentation.
USABLE_GIB_OF_80_GB = 79.0 - 3.0
_LLAMA_2 = {"7b": (4096, 32, 32, 11008), "13b": (5120, 40, 40, 13824)}
_BYTES = {"float32": 4, "bfloat16": 2}
# bitsandbytes: int8 with a float32 scale a row; NF4 in blocks of 64 with 8-bit scales, themselves scaled by 256.
_QUANTIZED_BYTES = {"8bit": 1.0, "4bit": 0.5 + 1 / 64 + 4 / (64 * 256)}
_ADAM_BYTES = 8


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


@dataclass(frozen=True)
class ModelSize:
    """Number of weights of a model.

    Attributes:
        total: all weights.
        linear: those of the linear layers inside the blocks, which quantisation and LoRA concern.
        linear_sides: sum of inputs and outputs over those layers: weights of an adapter of rank one.
        rows: sum of their outputs: the scales of an 8-bit copy.
        layer: weights of one block.
        largest: weights of the largest linear layer.
    """

    total: int
    linear: int
    linear_sides: int
    rows: int
    layer: int
    largest: int


def llama_2(size: str) -> LlamaConfig:
    """Return the published configuration of Llama-2, '7b' or '13b' (Touvron et al. 2023).

    Raises:
        InputError: if the size is another.
    """
    if size not in _LLAMA_2:
        raise InputError(f"size is {size!r}; choose one of {', '.join(_LLAMA_2)}.")
    hidden, layers, heads, intermediate = _LLAMA_2[size]
    return LlamaConfig(
        vocab_size=32000, hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=heads, intermediate_size=intermediate, max_position_embeddings=4096,
        rms_norm_eps=1e-5, tie_word_embeddings=False,
    )  # fmt: skip


def model_size(config: PretrainedConfig) -> ModelSize:
    """Return the number of weights of the model that a configuration describes, without allocating any."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    linear = [module for module in model.base_model.modules() if isinstance(module, torch.nn.Linear)]
    total = sum(weight.numel() for weight in model.parameters())
    outside = model.get_input_embeddings().weight.numel()
    if not config.tie_word_embeddings:
        outside += model.get_output_embeddings().weight.numel()
    return ModelSize(
        total=total,
        linear=sum(module.weight.numel() for module in linear),
        linear_sides=sum(module.in_features + module.out_features for module in linear),
        rows=sum(module.out_features for module in linear),
        layer=(total - outside) // config.num_hidden_layers,
        largest=max(module.weight.numel() for module in linear),
    )


def scoring_need(
    config: PretrainedConfig,
    tokens: int,
    records: int,
    working: int = GIB,
    dtype: str = "float32",
    quantization: str = "none",
) -> MemoryNeed:
    """Return what scoring all titles of a career takes: the pass over the career or, later, that over the titles.

    Args:
        config: the model's configuration.
        tokens: of the career, whose keys and values are kept.
        records: of the career; each has logits over the whole vocabulary at the end of its prompt.
        working: bytes that the pass over the titles may take (`memory` of `all_title_log_probs`).
        dtype: as in `load_language_model`.
        quantization: as in `load_language_model`.
    """
    size, e = model_size(config), _BYTES[dtype]
    hidden, keys, inner = _widths(config)
    # The states of each layer are kept in the pass over a career, and a layer's own numbers are in flight.
    career = tokens * e * ((config.num_hidden_layers + 1) * hidden + 2 * inner + 4 * hidden)
    # The logits, a copy of them in float32 and their logarithms of probabilities.
    logits = records * config.vocab_size * ((0 if e == 4 else e) + 4 + 4)
    return MemoryNeed(
        weights=_frozen_weights(size, e, quantization),
        activations=max(career, working - logits),
        logits=logits,
        keys_values=tokens * config.num_hidden_layers * 2 * keys * e,
    )


def fine_tuning_need(
    config: PretrainedConfig,
    tokens: int,
    method: str = "full",
    quantization: str = "none",
    dtype: str = "bfloat16",
    checkpointing: bool = False,
    gpus: int = 1,
    rank: int = 16,
    master_weights: bool = True,
) -> MemoryNeed:
    """Return what a step of fine-tuning takes on each GPU.

    Args:
        config: the model's configuration.
        tokens: in the batch that one GPU runs at once, padding included.
        method: 'full' or 'lora'.
        quantization: of the frozen weights under LoRA.
        dtype: of the arithmetic.
        checkpointing: whether activations are computed again in the backward pass.
        gpus: over which FSDP divides weights, gradients and moments of a full fine-tuning.
        rank: of the adapter.
        master_weights: whether a full fine-tuning in bfloat16 keeps weights and gradients in float32.

    Raises:
        InputError: if the method is not known, or a combination cannot be.
    """
    if method not in ("full", "lora") or (method == "full" and quantization != "none"):
        raise InputError(f"There is no fine-tuning by method {method!r} with quantization {quantization!r}.")
    if method == "lora" and gpus > 1:
        raise InputError("The memory of LoRA is given for one GPU; each of several holds the same.")
    size, e = model_size(config), _BYTES[dtype]
    activations, logits = _step(config, tokens, e, method, checkpointing)
    if method == "lora":
        trained = rank * size.linear_sides
        weights = _frozen_weights(size, e, quantization) + 4 * trained
        # A quantised layer is expanded to be multiplied, one at a time.
        weights += e * size.largest if quantization != "none" else 0
        return MemoryNeed(weights, 4 * trained, _ADAM_BYTES * trained, activations, logits)
    stored = 4 if master_weights else e
    weights, gradients = stored * size.total / gpus, stored * size.total / gpus
    if gpus > 1:
        # Two layers and what lies outside the layers are together on each GPU while they are at work.
        outside = size.total - size.layer * config.num_hidden_layers
        weights += e * (2 * size.layer + outside)
        gradients += e * (size.layer + outside)
    elif stored != e:
        weights += e * size.total  # the copies of autocast
    moments = 2 * stored * size.total / gpus
    return MemoryNeed(weights, gradients, moments, activations, logits)


def recipe_table(
    config: PretrainedConfig, tokens: int = 2048, usable_gib: float = USABLE_GIB_OF_80_GB
) -> pd.DataFrame:
    """Return the memory of the recipes for one kind of GPU, one row a recipe.

    Scored is a career that fills the model's
    context, one record every twenty tokens.

    Args:
        config: the model's configuration.
        tokens: run at once on each GPU (`tokens_at_once` of the settings).
        usable_gib: memory of a GPU that the numbers may take, GiB.

    Returns:
        `recipe`, `gpus` (for FSDP the fewest powers of two that suffice), the parts of `MemoryNeed` and `total`
        (GiB on each GPU) and `fits`.
    """
    career = config.max_position_embeddings
    rows = {
        "score, bfloat16": (1, scoring_need(config, career, career // 20, GIB, "bfloat16")),
        "score, 8-bit": (1, scoring_need(config, career, career // 20, GIB, "bfloat16", "8bit")),
        "score, 4-bit": (1, scoring_need(config, career, career // 20, GIB, "bfloat16", "4bit")),
        "LoRA, bfloat16": (1, fine_tuning_need(config, tokens, "lora")),
        "LoRA, 8-bit": (1, fine_tuning_need(config, tokens, "lora", "8bit")),
        "QLoRA, 4-bit": (1, fine_tuning_need(config, tokens, "lora", "4bit")),
        "full, one GPU": (1, fine_tuning_need(config, tokens)),
        "full, FSDP": _smallest_fsdp(config, tokens, usable_gib),
    }
    table = pd.DataFrame(
        {
            "recipe": name, "gpus": gpus,
            **{part: number / GIB for part, number in dataclasses.asdict(need).items()}, "total": need.total / GIB,
        }
        for name, (gpus, need) in rows.items()
    )  # fmt: skip
    table["fits"] = table["total"] <= usable_gib
    return table


def _smallest_fsdp(config: PretrainedConfig, tokens: int, usable_gib: float) -> tuple[int, MemoryNeed]:
    gpus = 2
    while True:
        need = fine_tuning_need(config, tokens, gpus=gpus)
        if need.total <= usable_gib * GIB or gpus >= 64:
            return gpus, need
        gpus *= 2


def _frozen_weights(size: ModelSize, e: int, quantization: str) -> float:
    if quantization == "none":
        return e * size.total
    scales = 4 * size.rows if quantization == "8bit" else 0
    return _QUANTIZED_BYTES[quantization] * size.linear + scales + e * (size.total - size.linear)


def _step(
    config: PretrainedConfig, tokens: int, e: int, method: str, checkpointing: bool
) -> tuple[float, float]:
    """Return the bytes of activations and of logits at the peak of a step."""
    hidden, keys, inner = _widths(config)
    in_flight = 2 * e * inner
    if method == "full":
        layer = e * (8 * hidden + 2 * keys + 4 * inner) + (4 * hidden if e == 2 else 0)
    elif e == 4:
        layer = e * (6 * hidden + 2 * keys + 4 * inner)
    else:
        layer = e * (3 * hidden + 2 * keys + 3 * inner) + 4 * hidden + 4 * (6 * hidden + inner)
        in_flight += 8 * inner + 4 * hidden
    kept, at_work = (e * hidden, layer + in_flight) if checkpointing else (layer, in_flight)
    last_norm = 3 * e * hidden + (2 * hidden if e == 2 else 0)
    logits = 12 * config.vocab_size * tokens + tokens * last_norm
    stored = tokens * config.num_hidden_layers * kept
    # The logits are gone when the backward pass reaches the layers: the larger of the two makes the peak.
    return (stored, logits) if logits > tokens * at_work else (stored + tokens * at_work, 0.0)


def _widths(config: PretrainedConfig) -> tuple[int, int, int]:
    """Return the widths of the stream, of keys (or values) and of the inner layer."""
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return config.hidden_size, head * config.num_key_value_heads, config.intermediate_size
