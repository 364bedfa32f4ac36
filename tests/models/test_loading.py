"""A model is loaded as it was stored, without a word of other libraries, or its damage is named with the remedy.

It is loaded if configuration and weights describe the same tensors, and runs no code from elsewhere.
"""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from labor_llm.errors import InputError, LaborLLMError, MismatchError, NumericalError
from labor_llm.models.loading import load_language_model

DAMAGED = r"no tokenizer could be loaded \(\w+: .*copy the tokenizer's files"


def configured(folder: Path, **changed: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")


def stored(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    weights = {name: weight.contiguous() for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def damage(path: Path, content: int | str) -> None:
    """Cut a file after or before so many bytes, or write something else into it."""
    path.write_bytes(path.read_bytes()[:content] if isinstance(content, int) else content.encode("latin-1"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "tokenizer.json",
            None,
            r"no tokenizer\.json\. Copy the tokenizer's files of the same model into the folder",
        ),
        ("config.json", None, r"no config\.json, so this is not the folder of a model"),
        ("model.safetensors", None, "no safetensors weights; other formats are not read"),
        ("model.safetensors", -100, r"the model could not be loaded \(\w+: .*A folder needs config\.json"),
        *[("tokenizer.json", content, DAMAGED) for content in ("{}", "", "[1]")],
    ],
)
def test_a_damaged_or_missing_file_is_refused_with_the_remedy(copied, file, content, message):
    if content is None:
        (copied / file).unlink()
    else:
        damage(copied / file, content)
    with pytest.raises(InputError, match=message):
        load_language_model(copied)


@pytest.mark.parametrize("larger", ["one more token", "gaps in the ids"])
def test_a_tokenizer_of_a_larger_model_is_refused(copied, larger):
    tokenizer = json.loads((copied / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    if larger == "one more token":
        vocabulary["\u0120beyond"] = len(vocabulary)
    else:
        vocabulary[max(vocabulary, key=vocabulary.get)] += 5
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    with pytest.raises(MismatchError, match="belong to different models"):
        load_language_model(copied)


CHANGES = {
    "lacking": lambda weights, name: weights.pop(name),
    "not finite": lambda weights, name: weights[name].view(-1)[3].fill_(float("nan")),
    "of another shape": lambda weights, name: weights.update({name: torch.ones(3, 3)}),
}
NINTH = "base_model.model.model.layers.9.mlp.up_proj.lora_A.weight"
BIAS = "model.layers.0.self_attn.q_proj.bias"


@pytest.mark.parametrize(
    ("folder", "change", "error", "message"),
    [
        ("copied", "lacking", MismatchError, "lack 1 of the weights .*{name}"),
        ("copied", "not finite", NumericalError, "the weight {name} holds values that are not finite"),
        *(("copied", name, MismatchError, rf"hold 1 weights that config\.json does not describe \({name}\)")
          for name in (BIAS, "score.weight")),
        ("adapter", "lacking", MismatchError, r"adapter_model\.safetensors: lacks weights .*\(1, such as {name}"),
        ("adapter", "not finite", NumericalError, r"adapter_model\.safetensors: the weight {name} holds values"),
        ("adapter", "of another shape", InputError, "could not be put on its base .*fine-tune again"),
        ("adapter", NINTH, MismatchError, r"holds weights beside those .*layers\.9"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_or_are_no_numbers_are_named(request, folder, change, error, message):
    damaged = request.getfixturevalue(folder)
    (path,) = damaged.glob("*.safetensors")
    weights = load_file(path)
    name = sorted(weights)[3]
    CHANGES.get(change, lambda *_: weights.update({change: torch.ones(128, 64)}))(weights, name)
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(error, match=message.format(name=name)):
        load_language_model(damaged)


def test_a_whole_adapter_is_loaded(whole_adapter, tiny_model_folder):
    adapted, base = (load_language_model(folder).model for folder in (whole_adapter, tiny_model_folder))
    layer, alpha, rank = "model.layers.1.mlp.up_proj", 8, 2
    weights = load_file(whole_adapter / "adapter_model.safetensors")
    a, b = (weights[f"base_model.model.{layer}.lora_{side}.weight"] for side in ("A", "B"))
    expected = base.get_submodule(layer).weight.cpu() + alpha / rank * b @ a
    assert torch.allclose(adapted.get_submodule(layer).weight.cpu(), expected, atol=1e-5)


CUT = (0, 5, -20)
NO_OBJECT = ("{}", "[]", '"text"', '{"name": 1, "checksum": 2, "peft_type": 3}', "\xff")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *(("adapter_model.safetensors", kept) for kept in CUT),
        *itertools.product(("adapter_config.json", "base_model.json"), (*CUT, *NO_OBJECT)),
    ],
)
def test_a_file_that_does_not_describe_an_adapter_is_named(adapter, file, content):
    damage(adapter / file, content)
    with pytest.raises(InputError, match=rf"{file}: not readable .*copy the adapter again"):
        load_language_model(adapter)


@pytest.mark.slow  # a process that imports everything
def test_other_libraries_say_nothing_when_models_are_loaded(adapter, tiny_model_folder):
    """Of kernels, deprecations and advice, and no bars; the first model has four bits, the second an adapter."""
    code = (
        "import sys; from labor_llm.models.loading import load_language_model as load\n"
        "load(sys.argv[1], quantization='4bit'); load(sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_model_folder), str(adapter)], capture_output=True, text=True, check=True
    )  # fmt: skip
    assert done.stdout + done.stderr == ""


def test_code_that_comes_with_a_model_is_not_run(copied, tmp_path):
    canary = tmp_path / "canary"
    configured(copied, auto_map={"AutoModelForCausalLM": "evil.Model", "AutoConfig": "evil.Config"})
    (copied / "evil.py").write_text(f"open({str(canary)!r}, 'w')", encoding="utf-8")
    load_language_model(copied)
    assert not canary.exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"num_hidden_layers": 1}, {"num_hidden_layers": -1}, {"num_hidden_layers": 3}, {"attention_bias": True},
        {"hidden_size": 32}, {"vocab_size": 400}, {"vocab_size": 430}, {"model_type": "gpt2"},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_describes_other_tensors_is_refused(copied, changed):
    configured(copied, **changed)
    with pytest.raises((MismatchError, InputError), match=str(copied)):
        load_language_model(copied)


def test_a_head_beside_tied_embeddings_must_be_theirs(copied):
    whole = load_language_model(copied).model.state_dict()
    weights = load_file(copied / "model.safetensors")
    embeddings = weights["model.embed_tokens.weight"]
    stored(copied, weights | {"lm_head.weight": embeddings.clone()})
    again = load_language_model(copied).model.state_dict()
    assert all(torch.equal(weight, again[name]) for name, weight in whole.items())
    stored(copied, weights | {"lm_head.weight": embeddings + 1})
    with pytest.raises(LaborLLMError, match="lm_head"):
        load_language_model(copied)


def with_other_names(folder: Path) -> None:
    """Without the prefix, and with what old versions of transformers stored."""
    weights = load_file(folder / "model.safetensors") | {
        "layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)
    }
    stored(folder, {name.removeprefix("model."): weight for name, weight in weights.items()})


def sharded(folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="50KB")


@pytest.mark.parametrize("change", [with_other_names, sharded])
def test_other_ways_to_store_the_same_weights_are_read(copied, change):
    expected = load_language_model(copied).model.state_dict()
    change(copied)
    found = load_language_model(copied).model.state_dict()
    assert all(torch.equal(weight, found[name]) for name, weight in expected.items())


@pytest.mark.parametrize(
    "changed",
    [
        {"attn_implementation": "kernels-community/flash-attn2"},
        {"_attn_implementation": "somebody/attention@v1:function"},
        {"text_config": {"attn_implementation": "somebody/attention"}},
        {"experts_implementation": "somebody/experts"},
        {"attn_implementation": {"": "sdpa", "text_config": "somebody/attention"}},
    ],
    ids=str,
)
def test_code_from_a_hub_is_refused_by_the_rule(copied, changed):
    """Own attention is no such code."""
    configured(copied, attn_implementation="sdpa", _name_or_path="owner/name", kernel_size=3)
    load_language_model(copied)
    configured(copied, **changed)
    with pytest.raises(InputError, match=r"config\.json asks for \S+/\S+ from a hub \(\w+\)"):
        load_language_model(copied)


@pytest.mark.parametrize(("option", "value"), [("dtype", "float64"), ("quantization", "2bit")])
def test_a_wrong_option_is_refused(tiny_model_folder, option, value):
    with pytest.raises(InputError, match=f"{option} is '{value}'"):
        load_language_model(tiny_model_folder, **{option: value})


@pytest.mark.slow
def test_the_packaged_model_splits_numbers_into_digits_and_knows_some_geography():
    language_model = load_language_model("smollm2-135m-instruct")
    tokenizer = language_model.tokenizer
    assert tokenizer.tokenize("\n\n1999") == ["\u010a\u010a", "1", "9", "9", "9"]
    prompt = tokenizer("The capital of France is", return_tensors="pt").input_ids
    with torch.inference_mode():
        log_probs = language_model.model(input_ids=prompt).logits[0, -1].log_softmax(-1)
    paris, banana = (tokenizer(f" {word}").input_ids[0] for word in ("Paris", "banana"))
    assert log_probs[paris] > -1
    assert log_probs[banana] < -10
