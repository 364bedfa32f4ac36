"""A model is loaded if config and weights describe the same tensors, and runs no code from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from labor_llm.errors import InputError, LaborLLMError, MismatchError
from labor_llm.models.loading import load_language_model


def configured(folder: Path, **changed: object) -> None:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | changed), encoding="utf-8")


def stored(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    weights = {name: weight.contiguous() for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    "changed",
    [
        {"num_hidden_layers": 1}, {"num_hidden_layers": -1}, {"num_hidden_layers": 3}, {"attention_bias": True},
        {"hidden_size": 32}, {"vocab_size": 400}, {"vocab_size": 430}, {"model_type": "gpt2"},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_describes_other_tensors_is_refused(copied: Path, changed: dict) -> None:
    configured(copied, **changed)
    with pytest.raises((MismatchError, InputError), match=str(copied)):
        load_language_model(copied)


@pytest.mark.parametrize("added", ["model.layers.0.self_attn.q_proj.bias", "score.weight"])
def test_weights_that_no_part_of_the_model_takes_are_refused(copied: Path, added: str) -> None:
    stored(copied, load_file(copied / "model.safetensors") | {added: torch.ones(128, 64)})
    message = rf"hold 1 weights that config\.json does not describe \({added}\)"
    with pytest.raises(MismatchError, match=message):
        load_language_model(copied)


def test_a_head_beside_tied_embeddings_must_be_theirs(copied: Path) -> None:
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
def test_other_ways_to_store_the_same_weights_are_read(copied: Path, change) -> None:
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
def test_code_from_a_hub_is_refused_by_the_rule(copied: Path, changed: dict) -> None:
    configured(copied, **changed)
    with pytest.raises(InputError, match=r"config\.json asks for \S+/\S+ from a hub \(\w+\)"):
        load_language_model(copied)


def test_own_attention_is_no_code_from_a_hub(copied: Path) -> None:
    configured(copied, attn_implementation="sdpa", _name_or_path="owner/name", kernel_size=3)
    load_language_model(copied)
