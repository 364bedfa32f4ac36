"""A model is loaded as it was stored, without a word of other libraries, or its damage is named with the remedy."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.models.loading import load_language_model

DAMAGED = r"no tokenizer could be loaded \(\w+: .*copy the tokenizer's files"


def damage(path: Path, content: int | str) -> None:
    """Cut a file after or before so many bytes, or write something else into it."""
    path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content.encode("latin-1"))


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


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("model.safetensors", -100, r"the model could not be loaded \(\w+: .*A folder needs config\.json"),
        *[("tokenizer.json", content, DAMAGED) for content in ("{}", "", "[1]")],
    ],
)
def test_a_damaged_file_is_refused_with_the_remedy(
    copied: Path, file: str, content: int | str, message: str
) -> None:
    damage(copied / file, content)
    with pytest.raises(InputError, match=message):
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


@pytest.mark.parametrize(
    ("folder", "change", "error", "message"),
    [
        ("copied", "lacking", MismatchError, "lack 1 of the weights .*{name}"),
        ("copied", "not finite", NumericalError, "the weight {name} holds values that are not finite"),
        (
            "adapter",
            "lacking",
            MismatchError,
            r"adapter_model\.safetensors: lacks weights .*\(1, such as {name}",
        ),
        ("adapter", "needless", MismatchError, r"holds weights beside those .*layers\.9"),
        ("adapter", "of another shape", InputError, "could not be put on its base .*fine-tune again"),
        (
            "adapter",
            "not finite",
            NumericalError,
            r"adapter_model\.safetensors: the weight {name} holds values",
        ),
    ],
)
def test_weights_that_do_not_fit_or_are_no_numbers_are_named(
    request: pytest.FixtureRequest, folder: str, change: str, error: type[Exception], message: str
) -> None:
    damaged = request.getfixturevalue(folder)
    (path,) = damaged.glob("*.safetensors")
    weights = load_file(path)
    name = sorted(weights)[3]
    if change == "lacking":
        del weights[name]
    elif change == "not finite":
        weights[name].view(-1)[3] = float("nan")
    elif change == "needless":
        weights["base_model.model.model.layers.9.mlp.up_proj.lora_A.weight"] = torch.ones(2, 2)
    else:
        weights[name] = torch.ones(3, 3)
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(error, match=message.format(name=name)):
        load_language_model(damaged)


def test_a_whole_adapter_is_loaded(whole_adapter: Path, tiny_model_folder: Path) -> None:
    adapted, base = (load_language_model(folder).model for folder in (whole_adapter, tiny_model_folder))
    name = "model.layers.1.mlp.up_proj.weight"
    weights, alpha, rank = load_file(whole_adapter / "adapter_model.safetensors"), 8, 2
    a, b = (
        weights[f"base_model.model.{name.removesuffix('.weight')}.lora_{side}.weight"] for side in ("A", "B")
    )
    expected = base.state_dict()[name].cpu() + alpha / rank * b @ a
    assert torch.allclose(adapted.state_dict()[name].cpu(), expected, atol=1e-5)


def test_an_adapter_refuses_another_base_model(adapter: Path) -> None:
    made_on = json.loads((adapter / "base_model.json").read_text())
    (adapter / "base_model.json").write_text(json.dumps(made_on | {"checksum": "another"}))
    with pytest.raises(
        MismatchError, match=r"the adapter was made on .* with weights another, the base found now has"
    ):
        load_language_model(adapter)


CUT = (0, 5, -20)
NO_OBJECT = ("{}", "[]", '"text"', '{"name": 1, "checksum": 2, "peft_type": 3}', "\xff")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("adapter_model.safetensors", kept) for kept in CUT),
        *itertools.product(("adapter_config.json", "base_model.json"), (*CUT, *NO_OBJECT)),
    ],
)
def test_a_file_that_does_not_describe_an_adapter_is_named(
    adapter: Path, file: str, content: int | str
) -> None:
    damage(adapter / file, content)
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
