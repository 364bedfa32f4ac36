"""Language models by name: the packaged default, a local folder, a fine-tuned artefact, or a hub id.

Weights are read from safetensors only, no code that comes with a model is run, and a quantised copy
(8-bit as in the paper's inference, or 4-bit for QLoRA) is made by bitsandbytes on loading.
"""

from __future__ import annotations

import json
import logging
import re
import timeit
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.models.folders import (
    ADAPTER_FILE,
    ADAPTER_REMEDY,
    MODEL_REMEDY,
    NOT_LOADED,
    find_base,
    model_source,
    quiet_libraries,
    read_object,
    refusing,
)
from labor_llm.text.tokenization import check_vocabulary

if TYPE_CHECKING:
    from peft import PeftModel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
QUANTIZATIONS = ("none", "8bit", "4bit")
# Times the duration in float32; with units for bfloat16 it is below one.
_EMULATED = 4.0
# What old versions of transformers stored beside the weights, and computes now.
_OLD_CONSTANTS = re.compile(r"(^|\.)(inv_freq|position_ids|attn\.(masked_)?bias|attention\.(masked_)?bias)$")
_KERNEL = re.compile(r'"(\w*implementation)": (?:\{[^{}]*)?"([^"]*/[^"]*)"')
_log = logging.getLogger(__name__)
_ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        name: what it was asked for by.
        model: the transformer in evaluation mode, or in training mode while it is fine-tuned.
        tokenizer: its fast tokenizer.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int:
        """The longest text that the model can read, tokens."""
        return context_length(self.model.config.get_text_config())


def context_length(config: PreTrainedConfig) -> int:
    """Return the longest text that a model can read, tokens.

    Beyond a length `longrope` (Phi-3-mini-128k, Phi-4-mini) reads a whole text with other rotary positions, so that
    the prompts of one career would have nothing in common: texts end before.
    """
    rotary = getattr(config, "rope_parameters", None) or {}
    sets = [one for one in (rotary, *rotary.values()) if isinstance(one, dict)]
    lengths = [one["original_max_position_embeddings"] for one in sets if one.get("rope_type") == "longrope"]
    return int(min([getattr(config, "max_position_embeddings", 2**31), *lengths]))


def causal_model(model: torch.nn.Module) -> PreTrainedModel:
    """Return the transformers model with its head; an adapter that was not merged works inside its layers."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator,return-value]


def load_language_model(
    name: str | Path, dtype: str = "float32", quantization: str = "none"
) -> LanguageModel:
    """Return a language model, on the GPU where there is one.

    Args:
        name: a packaged model ('smollm2-135m-instruct'), a folder with a model or a fine-tuned adapter,
            or a hub id such as 'meta-llama/Llama-2-7b-hf' (which needs the network and its licence).
        dtype: 'float32', exact enough for published numbers, or 'bfloat16'.
        quantization: 'none', '8bit' or '4bit' (bitsandbytes).

    Raises:
        InputError: if there is no such model, its folder lacks the tokenizer, or the weights cannot be read.
        MismatchError: if the tokenizer or the weights do not fit the model, or the adapter was made for another base.
        NumericalError: if a weight is not a finite number.
        ArtefactError: if a stored model was changed since it was written.
    """
    for option, value, choices in (
        ("dtype", dtype, list(DTYPES)), ("quantization", quantization, QUANTIZATIONS),
    ):  # fmt: skip
        if value not in choices:
            raise InputError(f"{option} is {value!r}; choose one of {', '.join(choices)}.")
    quiet_libraries()
    say_if_bfloat16_is_emulated(dtype)
    source = model_source(name)
    if isinstance(source, Path) and (source / ADAPTER_FILE).is_file():
        return _load_adapted(str(name), source, dtype, quantization)
    model = _load_weights(source, DTYPES[dtype], quantization)
    tokenizer = load_tokenizer(name)
    check_vocabulary(tokenizer, model.get_input_embeddings().num_embeddings, str(source))
    return LanguageModel(str(name), model.eval(), tokenizer)


def say_if_bfloat16_is_emulated(dtype: str) -> None:
    """Say that arithmetic in bfloat16 takes longer than in float32 here, where it is asked for and is not in hardware.

    Processors without units for it emulate it, some at a fiftieth of the speed, so both are tried for a moment.
    """
    if dtype != "bfloat16" or torch.cuda.is_available():
        return
    matrices = (torch.ones(256, 256, dtype=tried) for tried in (torch.float32, torch.bfloat16))
    fine, coarse = (timeit.repeat(lambda m=m: m @ m, number=1, repeat=2)[1] for m in matrices)
    slower = coarse / fine
    if slower > _EMULATED:
        _log.warning(
            "bfloat16 has no units on this processor: it takes about %.0f times as long as float32. Choose float32 "
            "(precision of a fine-tuning, dtype of scoring) unless this is only tried.", slower,
        )  # fmt: skip


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model that is named as in `load_language_model`.

    Raises:
        InputError: if there is no such model or it has no tokenizer.
    """
    source = model_source(name)
    quiet_libraries()
    remedy = (
        "If its tokenizer.json was cut or changed, copy the tokenizer's files of the same model again; a hub id needs "
        "the network."
    )
    with refusing(f"{source}: no tokenizer could be loaded", remedy):
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)


def _load_weights(source: Path | str, dtype: torch.dtype, quantization: str) -> PreTrainedModel:
    kinds = {"8bit": {"load_in_8bit": True}, "4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}
    kinds["4bit"] |= {"bnb_4bit_use_double_quant": True, "bnb_4bit_compute_dtype": dtype}
    with refusing(f"{source}: {NOT_LOADED}", MODEL_REMEDY):
        config, _ = PreTrainedConfig.get_config_dict(source)
    if kernel := _KERNEL.search(json.dumps(config)):
        raise InputError(
            f"{source}: config.json asks for {kernel[2]} from a hub ({kernel[1]}), and no code that comes with a model "
            f"is run. Take {kernel[1]} out of config.json."
        )
    with refusing(f"{source}: {NOT_LOADED}", MODEL_REMEDY):
        model, found = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            quantization_config=kinds.get(quantization) and BitsAndBytesConfig(**kinds[quantization]),
        )
    # What the files lack, transformers fills in at random.
    lacking = [str(name) for kind in ("missing_keys", "mismatched_keys") for name in found[kind]]
    # What config.json does not describe, it leaves out; what config.json ties and the files hold apart, it unties.
    needless = [str(name) for name in found["unexpected_keys"] if not _OLD_CONSTANTS.search(str(name))]
    tied = model.get_expanded_tied_weights_keys(all_submodels=True)
    needless += set(tied) - set(model.all_tied_weights_keys)
    for what, names in (
        ("lack {:,} of the weights that config.json describes, or hold them in another shape", lacking),
        ("hold {:,} weights that config.json does not describe", needless),
    ):
        if names:
            raise MismatchError(
                f"{source}: the weight files {what.format(len(names))} ({min(names)}). They belong to different "
                "models, or a file was changed or is incomplete: copy the model again."
            )
    _check_finite(source, dict(model.named_parameters()))
    return model.to("cuda") if quantization == "none" and torch.cuda.is_available() else model


def _check_finite(source: Path | str, weights: Mapping[str, torch.Tensor]) -> None:
    for name, weight in weights.items():
        if weight.is_floating_point() and not bool(torch.isfinite(weight).all()):
            raise NumericalError(
                f"{source}: the weight {name} holds values that are not finite. The file was altered, or the model "
                "was damaged in training: copy it again, or take an earlier checkpoint."
            )


def _load_adapted(name: str, folder: Path, dtype: str, quantization: str) -> LanguageModel:
    """Load the base of a LoRA adapter and the adapter on it; merged where the base is not quantised."""
    # All that can be known of the adapter before half a minute goes into its base.
    made_on = find_base(folder)
    read_object(folder / ADAPTER_FILE, "peft_type")
    with refusing(f"{folder / _ADAPTER_WEIGHTS}: not readable", ADAPTER_REMEDY):
        weights = load_file(folder / _ADAPTER_WEIGHTS)
    _check_finite(folder / _ADAPTER_WEIGHTS, weights)
    base = load_language_model(made_on, dtype, quantization)
    adapted = _with_adapter(base.model, folder, weights)
    model = adapted.merge_and_unload() if quantization == "none" else adapted
    return LanguageModel(name, model.eval(), base.tokenizer)


def _with_adapter(model: PreTrainedModel, folder: Path, weights: Mapping[str, torch.Tensor]) -> PeftModel:
    """Return a model with an adapter on it; peft itself fills in at random what the file lacks, and goes on."""
    from peft import PeftModel, get_peft_model_state_dict

    with refusing(f"{folder}: the adapter could not be put on its base", ADAPTER_REMEDY):
        adapted = PeftModel.from_pretrained(model, folder)
    described = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    lacking = sorted(described - set(weights))
    # An adapter may bring embeddings of its own, which are weights of the base.
    needless = sorted(set(weights) - described - set(adapted.state_dict()))
    for what, names in (("lacks weights", lacking), ("holds weights beside those", needless)):
        if names:
            raise MismatchError(
                f"{folder / _ADAPTER_WEIGHTS}: {what} that {ADAPTER_FILE} describes for this base "
                f"({len(names):,}, such as {names[0]}). {ADAPTER_REMEDY}"
            )
    return adapted
