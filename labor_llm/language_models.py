"""Language models by name: the packaged default, a local folder, a fine-tuned artefact, or a hub id.

Weights are read from safetensors only, no code that comes with a model is run, and a quantised copy
(8-bit as in the paper's inference, or 4-bit for QLoRA) is made by bitsandbytes on loading.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from labor_llm.artefacts import MANIFEST, sha256, verify
from labor_llm.errors import InputError, MismatchError
from labor_llm.packaged_models import PACKAGED_MODELS, packaged_model_folder
from labor_llm.results import project_root
from labor_llm.tokenization import check_vocabulary

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
QUANTIZATIONS = ("none", "8bit", "4bit")
BASE_FILE = "base_model.json"
_ADAPTER_FILE = "adapter_config.json"


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        name: what it was asked for by.
        model: the transformer in evaluation mode, or in training mode while it is fine-tuned.
        tokenizer: its fast tokenizer.
        base: name of the base model that an adapter sits on; the model's own name otherwise.
    """

    name: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    base: str

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def context(self) -> int:
        """The longest text that the model can read, tokens."""
        return int(getattr(self.model.config, "max_position_embeddings", 2**31))


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
        InputError: if there is no such model, or its folder lacks the weights or the tokenizer.
        MismatchError: if the tokenizer does not fit the model, or the adapter was made for another base.
        ArtefactError: if a stored model was changed since it was written.
    """
    _check_choice("dtype", dtype, DTYPES)
    _check_choice("quantization", quantization, QUANTIZATIONS)
    source = model_source(name)
    if isinstance(source, Path) and (source / _ADAPTER_FILE).is_file():
        return _load_adapted(str(name), source, dtype, quantization)
    model = _load_weights(source, dtype, quantization)
    tokenizer = load_tokenizer(name)
    check_vocabulary(tokenizer, model.get_input_embeddings().num_embeddings, str(source))
    return LanguageModel(str(name), model.eval(), tokenizer, str(name))


def load_tokenizer(name: str | Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model that is named as in `load_language_model`.

    Raises:
        InputError: if there is no such model or it has no tokenizer.
    """
    source = model_source(name)
    try:
        return AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:
        raise InputError(f"{source}: no tokenizer could be loaded ({_first_line(error)}).") from error


def is_model_name(name: str) -> bool:
    """Tell whether a name can stand for a model (packaged, a folder, or of the form of a hub id)."""
    return name in PACKAGED_MODELS or _folder(name).is_dir() or _is_hub_id(name)


def model_source(name: str | Path) -> Path | str:
    """Return the folder that a name stands for, checked, or the hub id itself.

    Raises:
        InputError: if the name is neither packaged, nor a usable folder, nor of the form of a hub id.
        ArtefactError: if the folder is an artefact that was changed.
    """
    if str(name) in PACKAGED_MODELS:
        return packaged_model_folder(str(name))
    folder = _folder(name)
    if folder.is_dir():
        _check_folder(folder)
        return folder
    if _is_hub_id(str(name)):
        return str(name)
    raise InputError(
        f"{name}: no such model. Name a packaged one ({', '.join(PACKAGED_MODELS)}), "
        "an existing folder with a model, or a hub id (OWNER/NAME)."
    )


def _folder(name: str | Path) -> Path:
    return Path(name) if Path(name).is_dir() else project_root() / name


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "results/"))


def weights_checksum(name: str | Path) -> str:
    """Return what identifies a model: the sha256 of its weights, configuration and tokenizer, or the hub id.

    Raises:
        InputError: as `load_language_model`.
    """
    source = model_source(name)
    if isinstance(source, str):
        return source
    files = sorted([*source.glob("*.safetensors"), *source.glob("*.json")])
    return "-".join(sha256(path)[:16] for path in files if path.name != MANIFEST)


def _load_adapted(name: str, folder: Path, dtype: str, quantization: str) -> LanguageModel:
    """Load the base of a LoRA adapter and the adapter on it; merged where the base is not quantised."""
    from peft import PeftModel

    made_on = json.loads((folder / BASE_FILE).read_text(encoding="utf-8"))
    base = load_language_model(made_on["name"], dtype, quantization)
    found = weights_checksum(made_on["name"])
    if found != made_on["checksum"]:
        raise MismatchError(
            f"{folder}: the adapter was made on {made_on['name']} with weights {made_on['checksum']}, "
            f"the base found now has {found}. Give the same base model, or fine-tune again."
        )
    adapted = PeftModel.from_pretrained(base.model, folder)
    model = adapted.merge_and_unload() if quantization == "none" else adapted
    return LanguageModel(name, model.eval(), base.tokenizer, made_on["name"])


def _load_weights(source: Path | str, dtype: str, quantization: str) -> PreTrainedModel:
    options: dict[str, object] = {}
    if quantization != "none":
        options["quantization_config"] = _quantization_config(quantization, DTYPES[dtype])
    try:
        model = AutoModelForCausalLM.from_pretrained(
            source, dtype=DTYPES[dtype], use_safetensors=True, trust_remote_code=False, **options
        )
    except Exception as error:
        raise InputError(
            f"{source}: the model could not be loaded ({type(error).__name__}: {_first_line(error)}). "
            "A folder needs config.json, safetensors weights and the tokenizer; a hub id needs the network."
        ) from error
    if quantization == "none" and torch.cuda.is_available():
        model = model.to("cuda")
    return model


def _quantization_config(quantization: str, compute: torch.dtype) -> BitsAndBytesConfig:
    if quantization == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )


def _check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a part of a model, before anything is loaded."""
    if (folder / MANIFEST).is_file():
        verify(folder)
    adapter = (folder / _ADAPTER_FILE).is_file()
    if not adapter and not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is not the folder of a model.")
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no safetensors weights; other formats are not read. Convert the weights to safetensors."
        )
    if not adapter and not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{folder}: no tokenizer.json. Copy the tokenizer's files of the same model into the folder."
        )
    if adapter and not (folder / BASE_FILE).is_file():
        raise InputError(f"{folder}: no {BASE_FILE}, so the base model of the adapter is not known.")


def _check_choice(parameter: str, value: str, choices: object) -> None:
    if value not in choices:  # type: ignore[operator]
        raise InputError(f"{parameter} is {value!r}; choose one of {', '.join(choices)}.")  # type: ignore[call-overload]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else "no message"
