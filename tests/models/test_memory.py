"""The memory of a recipe: counts that are published, and the measured peak of scaled-down models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from labor_llm.errors import InputError
from labor_llm.models import memory
from labor_llm.models.memory import (
    GIB,
    LLAMA_2,
    Llama,
    fine_tuning_need,
    recipe_table,
    scoring_need,
    step_need,
)

TOLERANCE = 0.05


def scaled_down(vocabulary: int) -> tuple[Llama, LlamaConfig]:
    """Sizes, and the same for transformers."""
    sizes = Llama(width=128, layers=4, inner=344, vocabulary=vocabulary, context=512)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=344, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=False,
    )  # fmt: skip
    return sizes, config


def peak(recorded: profile) -> int:
    now = most = 0
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize(("size", "number"), [("7b", 6_738_415_616), ("13b", 13_015_864_320)])
def test_llama_2_has_the_published_number_of_weights(size: str, number: int) -> None:
    assert LLAMA_2[size].weights == number


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError, match="choose one of 7b, 13b"):
        recipe_table("70b", 2048)


@pytest.mark.parametrize("vocabulary", [1024, 4096])
@pytest.mark.parametrize("adapter", [False, True])
def test_a_step_of_a_scaled_down_model_takes_what_the_formula_says(adapter: bool, vocabulary: int) -> None:
    """Weights, gradients and moments are there; the peak is of what comes and goes."""
    sizes, config = scaled_down(vocabulary)
    ids = torch.randint(0, vocabulary, (2, 192))
    model = LlamaForCausalLM(config).to(torch.bfloat16).train()
    weights = sum(weight.numel() for weight in model.parameters())
    assert weights == sizes.weights
    if adapter:
        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        assert fine_tuning_need(sizes, 1, "none").gradients == 4 * trained * memory._RANK / 4
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    held = 2 * weights
    assert held + sum(step_need(sizes, ids.numel(), adapter)) == pytest.approx(
        held + peak(recorded), rel=TOLERANCE
    )


def test_a_pass_over_a_career_takes_no_more_than_the_formula_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_WORKING", 0)
    sizes, config = scaled_down(4096)
    model = LlamaForCausalLM(config).to(torch.bfloat16).eval()
    ids = torch.randint(0, 4096, (1, sizes.context))
    rows = torch.arange(0, sizes.context - memory._RECORD_TOKENS, memory._RECORD_TOKENS)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        output = model(input_ids=ids, use_cache=True, output_hidden_states=True, logits_to_keep=rows)
        output.logits[0].float().log_softmax(dim=-1)
    need = scoring_need(sizes)
    # Part of what is in flight is gone before the rest comes, so the formula is a bound.
    assert 0.5 < peak(recorded) / (need.total - need.weights) <= 1 + TOLERANCE


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_weights_take_what_bitsandbytes_stores(quantization: str, tmp_path: Path) -> None:
    sizes, config = scaled_down(1024)
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    choice = {"load_in_8bit": True} if quantization == "8bit" else {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=BitsAndBytesConfig(**choice), dtype=torch.bfloat16
    )
    stored = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    tables = 28 * 1300 if quantization == "4bit" else 28  # per layer: the code tables, whatever its size
    need = scoring_need(sizes, quantization).weights
    assert need <= stored <= need + tables


def test_fsdp_divides_what_is_stored_and_not_what_is_at_work() -> None:
    two, eight = (fine_tuning_need(LLAMA_2["7b"], 4096, gpus=gpus) for gpus in (2, 8))
    assert two.optimizer == 4 * eight.optimizer == 8 * 6_738_415_616 / 2
    assert two.activations == eight.activations
    assert two.weights > eight.weights > 4 * 6_738_415_616 / 8


def test_the_recipes_for_an_80_gb_gpu() -> None:
    for size, gpus in (("7b", 2), ("13b", 4)):
        table = recipe_table(size, 2048).set_index("recipe")
        assert table.loc["full, FSDP", "gpus"] == gpus
        assert table.index[~table["fits"]].tolist() == ["full, one GPU"]
        assert table.drop(columns=["gpus", "total", "fits"]).sum(axis=1).to_numpy() == pytest.approx(
            table["total"]
        )
    assert 12.5 < recipe_table("7b", 2048)["weights"].iloc[0] < 12.6  # 6.74e9 x 2 bytes in GiB
    assert GIB == 1024**3
