"""The memory of a recipe: counts that are published, and the measured peak of scaled-down models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from labor_llm.errors import InputError
from labor_llm.models.memory import GIB, fine_tuning_need, llama_2, model_size, recipe_table, scoring_need

TOLERANCE = 0.05
RANK = 4


def scaled_down(vocabulary: int = 1024, key_heads: int = 4) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=344, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=key_heads, max_position_embeddings=1024, tie_word_embeddings=False,
    )  # fmt: skip


def measured_step(
    config: LlamaConfig, ids: torch.Tensor, method: str, dtype: str, checkpointing: bool
) -> int:
    """Bytes at the peak of a second step: weights, gradients and moments are there, the rest is recorded."""
    model = LlamaForCausalLM(config).to(getattr(torch, dtype)).train()
    if method == "lora":
        model = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    if checkpointing:
        model.activation_checkpointing_enable()
        model.enable_input_require_grads()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5)
    for weight in trained:
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    moments = [moment for state in optimizer.state.values() for moment in state.values()]
    held = [*model.parameters(), *(weight.grad for weight in trained), *moments]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    return sum(tensor.numel() * tensor.element_size() for tensor in held) + peak(recorded)


def peak(recorded: profile) -> int:
    now = most = 0
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize(("size", "number"), [("7b", 6_738_415_616), ("13b", 13_015_864_320)])
def test_llama_2_has_the_published_number_of_weights(size: str, number: int) -> None:
    counted = model_size(llama_2(size))
    assert counted.total == number
    config = llama_2(size)
    outside = 2 * 32000 * config.hidden_size + config.hidden_size  # embedding, head, last norm
    assert counted.layer * config.num_hidden_layers + outside == pytest.approx(number, abs=config.hidden_size)


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(InputError, match="choose one of 7b, 13b"):
        llama_2("70b")


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_step_of_a_scaled_down_model_takes_what_the_formula_says(
    method: str, dtype: str, checkpointing: bool
) -> None:
    ids = torch.randint(0, 1024, (2, 192))
    for config in (scaled_down(), scaled_down(vocabulary=4096, key_heads=2)):
        got = fine_tuning_need(
            config,
            ids.numel(),
            method,
            dtype=dtype,
            checkpointing=checkpointing,
            rank=RANK,
            master_weights=False,
        )
        measured = measured_step(config, ids, method, dtype, checkpointing)
        assert got.total == pytest.approx(measured, rel=TOLERANCE)


def test_a_pass_over_a_career_takes_no_more_than_the_formula_says() -> None:
    config, tokens, records = scaled_down(4096), 512, 64
    model = LlamaForCausalLM(config).eval()
    ids = torch.randint(0, 4096, (1, tokens))
    rows = torch.arange(0, tokens, tokens // records)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        output = model(input_ids=ids, use_cache=True, output_hidden_states=True, logits_to_keep=rows)
        output.logits[0].float().log_softmax(dim=-1)
    need = scoring_need(config, tokens, records, working=0)
    # Part of what is in flight is gone before the rest comes, so the formula is a bound.
    assert 0.5 < peak(recorded) / (need.total - need.weights) <= 1 + TOLERANCE


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_weights_take_what_bitsandbytes_stores(quantization: str, tmp_path: Path) -> None:
    config = scaled_down()
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    choice = {"load_in_8bit": True} if quantization == "8bit" else {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True,
    }  # fmt: skip
    model = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=BitsAndBytesConfig(**choice), dtype=torch.bfloat16
    )
    stored = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    tables = 28 * 1300 if quantization == "4bit" else 28  # per layer: the code tables, whatever its size
    need = scoring_need(config, 1, 1, 0, "bfloat16", quantization).weights
    assert need <= stored <= need + tables


def test_fsdp_divides_what_is_stored_and_not_what_is_at_work() -> None:
    config = llama_2("7b")
    two, eight = (fine_tuning_need(config, 4096, gpus=gpus) for gpus in (2, 8))
    assert two.optimizer == 4 * eight.optimizer == 8 * 6_738_415_616 / 2
    assert two.activations == eight.activations
    assert two.weights > eight.weights > 4 * 6_738_415_616 / 8


@pytest.mark.parametrize("method", ["full", "lora"])
def test_all_activations_are_kept_unless_said_otherwise(method: str) -> None:
    need, checkpointed = (
        fine_tuning_need(llama_2("7b"), 2048, method, **options) for options in ({}, {"checkpointing": True})
    )
    assert need == fine_tuning_need(llama_2("7b"), 2048, method, checkpointing=False)
    assert need.activations > 2 * checkpointed.activations


def test_the_recipes_for_an_80_gb_gpu() -> None:
    for size, gpus in (("7b", 2), ("13b", 4)):
        table = recipe_table(llama_2(size)).set_index("recipe")
        assert table.loc["full, FSDP", "gpus"] == gpus
        assert table.index[~table["fits"]].tolist() == ["full, one GPU"]
    assert 12.5 < recipe_table(llama_2("7b"))["weights"].iloc[0] < 12.6  # 6.74e9 x 2 bytes in GiB
    assert GIB == 1024**3


@pytest.mark.parametrize(
    "options", [{"method": "full", "quantization": "4bit"}, {"method": "dora"}, {"method": "lora", "gpus": 2}]
)
def test_a_recipe_that_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        fine_tuning_need(scaled_down(), 128, **options)  # type: ignore[arg-type]
