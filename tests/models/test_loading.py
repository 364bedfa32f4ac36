"""A model is loaded as it was stored, without a word of other libraries, or its damage is named with the remedy."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.models.loading import load_language_model
from labor_llm.store.artefacts import writing


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        ("tokenizer.json", r"no tokenizer\.json"),
        ("config.json", r"no config\.json"),
        ("model.safetensors", "no safetensors weights"),
    ],
)
def test_a_folder_that_lacks_a_part_is_refused(copied: Path, removed: str, message: str) -> None:
    (copied / removed).unlink()
    with pytest.raises(InputError, match=message):
        load_language_model(copied)


def test_a_truncated_weight_file_is_refused(copied: Path) -> None:
    weights = copied / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="could not be loaded"):
        load_language_model(copied)


@pytest.mark.parametrize("larger", ["one more token", "gaps in the ids"])
def test_a_tokenizer_of_a_larger_model_is_refused(copied: Path, larger: str) -> None:
    tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    if larger == "one more token":
        vocabulary["\u0120beyond"] = len(vocabulary)
    else:
        vocabulary[max(vocabulary, key=vocabulary.get)] += 5
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(MismatchError, match="belong to different models"):
        load_language_model(copied)


def test_an_altered_weight_file_of_a_stored_model_is_named(tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "stored"
    with writing(folder) as aside:
        for path in tiny_model_folder.iterdir():
            shutil.copy(path, aside / path.name)
    load_language_model(folder)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").write_bytes(bytes(weights))
    with pytest.raises(ArtefactError, match=r"model\.safetensors: its sha256 differs"):
        load_language_model(folder)


Change = Callable[[dict[str, torch.Tensor], str], object]


def changed(path: Path, change: Change) -> str:
    """Change the weights of a file in place; return the name of the one that is meant."""
    weights = load_file(path)
    name = sorted(weights)[3]
    change(weights, name)
    save_file(weights, path, {"format": "pt"})
    return name


def lacking(weights: dict[str, torch.Tensor], name: str) -> None:
    del weights[name]


def not_finite(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name].view(-1)[3] = float("nan")


def needless(weights: dict[str, torch.Tensor], name: str) -> None:
    weights["base_model.model.model.layers.9.mlp.up_proj.lora_A.weight"] = torch.ones(2, 2)


def of_another_shape(weights: dict[str, torch.Tensor], name: str) -> None:
    weights[name] = torch.ones(3, 3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lacking, MismatchError, "lack 1 of the weights .*{name}"),
        (not_finite, NumericalError, "the weight {name} holds values that are not finite"),
    ],
)
def test_weights_that_lack_or_are_no_numbers_are_refused(
    copied: Path, change: Change, error: type[Exception], message: str
) -> None:
    name = changed(copied / "model.safetensors", change)
    with pytest.raises(error, match=message.format(name=name)):
        load_language_model(copied)


def test_a_whole_adapter_is_loaded(whole_adapter: Path, tiny_model_folder: Path) -> None:
    adapted, base = (load_language_model(folder).model for folder in (whole_adapter, tiny_model_folder))
    name = "model.layers.1.mlp.up_proj.weight"
    weights, alpha, rank = load_file(whole_adapter / "adapter_model.safetensors"), 8, 2
    a, b = (
        weights[f"base_model.model.{name.removesuffix('.weight')}.lora_{side}.weight"] for side in ("A", "B")
    )
    expected = base.state_dict()[name].cpu() + alpha / rank * b @ a
    assert torch.allclose(adapted.state_dict()[name].cpu(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lacking, MismatchError, r"adapter_model\.safetensors: lacks weights .*\(1, such as {name}"),
        (needless, MismatchError, r"holds weights beside those .*layers\.9"),
        (of_another_shape, InputError, "the adapter could not be put on its base .*fine-tune again"),
        (not_finite, NumericalError, r"adapter_model\.safetensors: the weight {name} holds values"),
    ],
)
def test_weights_of_an_adapter_that_do_not_fit_are_named(
    adapter: Path, change: Change, error: type[Exception], message: str
) -> None:
    name = changed(adapter / "adapter_model.safetensors", change)
    with pytest.raises(error, match=message.format(name=name)):
        load_language_model(adapter)


CUT = [
    (file, kept)
    for file in ("adapter_model.safetensors", "adapter_config.json", "base_model.json")
    for kept in (0, 5, -20)
]
NO_ADAPTER = [
    (file, content)
    for file in ("adapter_config.json", "base_model.json")
    for content in ("{}", "[]", '"text"', '{"name": 1, "checksum": 2, "peft_type": 3}', "\xff")
]


@pytest.mark.parametrize(("file", "content"), [*CUT, *NO_ADAPTER])
def test_a_file_that_does_not_describe_an_adapter_is_named(
    adapter: Path, file: str, content: int | str
) -> None:
    """Cut after or before so many bytes, or JSON of something else."""
    path = adapter / file
    path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content.encode("latin-1"))
    with pytest.raises(InputError, match=rf"{file}: not readable .*copy the adapter again"):
        load_language_model(adapter)


@pytest.mark.slow  # a process that imports everything
def test_other_libraries_say_nothing_when_models_are_loaded(adapter: Path, tiny_model_folder: Path) -> None:
    """Of kernels, deprecations and advice, and no bars; the first model has four bits, the second an adapter."""
    code = (
        "import sys; from labor_llm.models.loading import load_language_model as load\n"
        "load(sys.argv[1], quantization='4bit'); load(sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model_folder), str(adapter)], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout + done.stderr == ""


@pytest.mark.parametrize("content", ["{}", "", "[1]"])
def test_a_damaged_tokenizer_is_refused_with_the_remedy(copied: Path, content: str) -> None:
    (copied / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"no tokenizer could be loaded \(\w+: .*copy the tokenizer's files"):
        load_language_model(copied)


def test_code_that_comes_with_a_model_is_not_run(copied: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copied / "evil.py").write_text(f"open({str(canary)!r}, 'w')", encoding="utf-8")
    load_language_model(copied)
    assert not canary.exists()


@pytest.mark.parametrize(("option", "value"), [("dtype", "float64"), ("quantization", "2bit")])
def test_a_wrong_option_is_refused(tiny_model_folder: Path, option: str, value: str) -> None:
    with pytest.raises(InputError, match=f"{option} is '{value}'"):
        load_language_model(tiny_model_folder, **{option: value})


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_weights_give_nearly_the_same_answer(tiny_model_folder: Path, quantization: str) -> None:
    ids = torch.arange(3, 60)[None]
    exact = load_language_model(tiny_model_folder).model
    quantised = load_language_model(tiny_model_folder, quantization=quantization).model
    with torch.inference_mode():
        expected, got = (model(input_ids=ids).logits.float().log_softmax(-1) for model in (exact, quantised))
    assert quantised.is_quantized
    assert 0 < (got - expected).abs().mean() < {"8bit": 0.2, "4bit": 2.0}[quantization]


@pytest.mark.slow
def test_the_packaged_model_splits_numbers_into_digits_and_knows_some_geography() -> None:
    language_model = load_language_model("smollm2-135m-instruct")
    tokenizer = language_model.tokenizer
    assert tokenizer.tokenize("\n\n1999") == ["\u010a\u010a", "1", "9", "9", "9"]
    prompt = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        log_probs = language_model.model(input_ids=prompt).logits[0, -1].log_softmax(-1)
    paris, banana = (tokenizer(f" {word}").input_ids[0] for word in ("Paris", "banana"))
    assert log_probs[paris] > -1
    assert log_probs[banana] < -10
