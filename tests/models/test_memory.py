"""The memory of a recipe: counts that are published, and the measured peak of scaled-down models."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.profiler import ProfilerActivity, profile
from transformers import LlamaConfig, LlamaForCausalLM

from labor_llm.errors import InputError
from labor_llm.models import memory
from labor_llm.models.loading import load_language_model
from labor_llm.models.memory import LLAMA_2, Llama, fine_tuning_need, recipe_table, scoring_need

TOLERANCE = 0.05


def scaled_down(vocabulary: int) -> tuple[Llama, LlamaForCausalLM]:
    """Sizes, and a model of them, from which on all draws are seeded."""
    torch.manual_seed(1)
    sizes = Llama(width=128, layers=4, inner=344, vocabulary=vocabulary, context=512)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=344, num_hidden_layers=4, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=512, tie_word_embeddings=False,
    )  # fmt: skip
    return sizes, LlamaForCausalLM(config).to(torch.bfloat16)


def peak(recorded: profile) -> int:
    now = most = 0
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


@pytest.mark.parametrize("vocabulary", [1024, 4096])
@pytest.mark.parametrize(("adapter", "again"), [(False, "never"), (True, "never"), (False, "always")])
def test_a_step_of_a_scaled_down_model_takes_what_the_formula_says(adapter, again, vocabulary):
    """Weights, gradients and moments are there; the peak is of what comes and goes."""
    sizes, model = scaled_down(vocabulary)
    ids = torch.randint(0, vocabulary, (2, 192))
    weights = sum(weight.numel() for weight in model.train().parameters())
    assert weights == sizes.weights
    coarse = {"weights": "bfloat16", "optimizer": "adamw-8bit"} if again == "always" else {}
    need = fine_tuning_need(
        sizes, ids.numel(), "none" if adapter else None, **coarse, activation_checkpointing=again
    )
    if again == "always":
        model.activation_checkpointing_enable({"use_reentrant": False})
    if adapter:
        model = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
        trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        assert need["gradients"] == 4 * trained * memory._RANK / 4
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight) if weight.requires_grad else None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    held = 2 * weights
    expected = pytest.approx(held + peak(recorded), rel=TOLERANCE)
    assert held + need["activations"] + need["logits"] == expected


def test_a_pass_over_a_career_takes_no_more_than_the_formula_says(monkeypatch):
    monkeypatch.setattr(memory, "_WORKING", 0)
    sizes, model = scaled_down(4096)
    ids = torch.randint(0, 4096, (1, sizes.context))
    rows = torch.arange(0, sizes.context - memory._RECORD_TOKENS, memory._RECORD_TOKENS)
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        output = model.eval()(input_ids=ids, use_cache=True, output_hidden_states=True, logits_to_keep=rows)
        output.logits[0].float().log_softmax(dim=-1)
    need = scoring_need(sizes)
    # Part of what is in flight is gone before the rest comes, so the formula is a bound.
    assert 0.5 < peak(recorded) / (sum(need.values()) - need["weights"]) <= 1 + TOLERANCE


@pytest.mark.parametrize("quantization", ["8bit", "4bit"])
def test_quantised_weights_take_what_bitsandbytes_stores(quantization, tiny_model_folder, tmp_path):
    sizes, model = scaled_down(1024)
    model.save_pretrained(tmp_path)
    for path in tiny_model_folder.glob("token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    model = load_language_model(tmp_path, "bfloat16", quantization).model
    stored = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    tables = 28 * 1300 if quantization == "4bit" else 28  # per layer: the code tables, whatever its size
    need = scoring_need(sizes, quantization)["weights"]
    assert need <= stored <= need + tables


def test_the_paper_on_one_card_is_near_what_an_h100_took():
    """42.4 GiB, for seven billion weights in bfloat16 and passes of 16,200 tokens; the logits are counted unchunked."""
    need = fine_tuning_need(LLAMA_2["7b"], 16_200, **memory.LEAST)
    assert sum(need.values()) - need["logits"] == pytest.approx(42.4 * memory.GIB, rel=0.1)


def test_fsdp_divides_what_is_stored_and_not_what_is_at_work():
    two, eight = (fine_tuning_need(LLAMA_2["7b"], 4096, gpus=gpus) for gpus in (2, 8))
    assert two["optimizer"] == 4 * eight["optimizer"] == 8 * 6_738_415_616 / 2
    assert two["activations"] == eight["activations"]
    assert two["weights"] > eight["weights"] > 4 * 6_738_415_616 / 8


@pytest.mark.parametrize(
    ("size", "published", "gpus"), [("7b", 6_738_415_616, 2), ("13b", 13_015_864_320, 4)]
)
def test_the_recipes_for_an_80_gb_gpu(size, published, gpus):
    assert LLAMA_2[size].weights == published
    table = recipe_table(size, 2048).set_index("recipe")
    assert table["weights"].iloc[0] == pytest.approx(2 * published / 1024**3)
    assert table.loc["full, FSDP", "gpus"] == gpus
    assert table.index[~table["fits"]].tolist() == ["full, float32 weights"]
    parts = table.drop(columns=["gpus", "total", "fits"]).sum(axis=1)
    assert parts.to_numpy() == pytest.approx(table["total"])
    with pytest.raises(InputError, match="choose one of 7b, 13b"):
        recipe_table("70b", 2048)
