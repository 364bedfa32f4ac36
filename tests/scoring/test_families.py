"""Families of models, tiny and random: each is scored as by plain passes, or refused by name.

The list says which, so that a family that is refused after a change, or no longer, is seen.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from labor_llm.errors import MismatchError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.last_records import last_log_probs
from labor_llm.scoring.passes import realised_log_probs
from labor_llm.scoring.reference import plain_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.tokenization import EncodedResume

VOCABULARY, END = 60, 7
TOLERANCE = 1e-4  # nats, float32
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.3,
    "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
HEAD, WINDOW = {"head_dim": 8}, {"sliding_window": 12}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
LATENT = {
    "kv_lora_rank": 8, "q_lora_rank": 8, "qk_nope_head_dim": 4, "qk_rope_head_dim": 4, "v_head_dim": 8, "n_group": 2,
    "topk_group": 1, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    "first_k_dense_replace": 1, "num_key_value_heads": 4,
}  # fmt: skip
RIGHT: dict[str, dict] = {
    "llama": {}, "mistral": {"sliding_window": 10}, "qwen2": {}, "qwen3": HEAD, "gemma": HEAD,
    "gemma2": HEAD | {"query_pre_attn_scalar": 8, "sliding_window": 64}, "gemma3_text": HEAD | WINDOW, "phi": {},
    "phi3": {}, "gpt2": {}, "gpt_neox": {}, "gptj": {"rotary_dim": 8}, "olmo": {},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32}, "falcon": {"alibi": False}, "stablelm": {}, "starcoder2": {},
    "olmo2": {}, "olmo3": WINDOW, "cohere": {}, "granite": {},
    "glm": HEAD, "glm4": HEAD, "nemotron": {}, "persimmon": {}, "mixtral": EXPERTS,
    "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 16}, "qwen3_moe": EXPERTS | HEAD, "olmoe": EXPERTS,
    "phimoe": EXPERTS, "granitemoe": EXPERTS, "deepseek_v2": LATENT, "deepseek_v3": LATENT, "smollm3": {},
    "ministral": HEAD | WINDOW, "helium": HEAD,
    "exaone4": WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    "xglm": {"d_model": 32, "ffn_dim": 64, "attention_heads": 4, "num_layers": 2}, "codegen": {"rotary_dim": 8},
    "biogpt": {}, "ctrl": {"dff": 64}, "gpt_bigcode": {}, "seed_oss": HEAD, "hunyuan_v1_dense": HEAD, "ernie4_5": HEAD,
    "arcee": {}, "apertus": {}, "diffllama": {}, "vaultgemma": HEAD,
}  # fmt: skip
NAMED: dict[str, dict] = {
    # Biases by distance, windows that are not stated, sinks, or windows beside a scaled head.
    "bloom": {}, "mpt": {}, "falcon": {"alibi": True}, "gpt_oss": EXPERTS | HEAD | WINDOW, "cohere2": WINDOW,
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 8, "num_layers": 2, "num_heads": 4},
    "llama4_text": HEAD | {"intermediate_size_mlp": 64, "attention_chunk_size": 12, "num_local_experts": 2},
    # States, or convolutions, in place of keys and values.
    "mamba": {"state_size": 4}, "falcon_mamba": {"state_size": 4}, "rwkv": {"attention_hidden_size": 32},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 2, "chunk_size": 16},
    "lfm2": {"layer_types": ["conv", "full_attention"]},
    "recurrent_gemma": HEAD
    | {"lru_width": 32, "attention_window_size": 24, "block_types": ["recurrent", "attention"]},
    "qwen3_next": EXPERTS
    | HEAD
    | {
        "layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 8, "linear_value_head_dim": 8,
        "linear_num_key_heads": 2, "linear_num_value_heads": 4, "shared_expert_intermediate_size": 16,
    },
    "bamba": {
        "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8, "attn_layer_indices": [1],
        "mamba_chunk_size": 16,
    },
    "jamba": EXPERTS
    | {
        "mamba_d_state": 4, "mamba_dt_rank": 2, "attn_layer_offset": 1, "attn_layer_period": 2,
        "use_mamba_kernels": False,
    },
}  # fmt: skip
FAST = {"llama", "gemma2", "deepseek_v3", "bloom", "mamba", "lfm2"}
TITLES = [(1, 2, END), (1, 2, 3, END), (1, 2, 3, 4, END), (1, 3, END), (2, 2, 2, 2, 2, END), (3, END), (END,)]
REALISED = (1, 6, 4)


def cases(families: dict[str, dict]) -> list:
    return [
        pytest.param(name, changed, marks=[] if name in FAST else pytest.mark.slow, id=name)
        for name, changed in families.items()
    ]


def model_of(name: str, changed: dict) -> LanguageModel:
    torch.manual_seed(1)
    config = AutoConfig.for_model(name, **(SIZES | changed))
    return LanguageModel(name, AutoModelForCausalLM.from_config(config).eval(), None)


@pytest.fixture(scope="module")
def career() -> EncodedResume:
    """Three records, whose prompts have 15, 23 and 28 tokens."""
    generator, spans = np.random.default_rng(1), []
    ids = generator.integers(8, VOCABULARY, 15).tolist()
    for number in REALISED:
        spans.append((len(ids), len(ids) + len(TITLES[number])))
        ids += [*TITLES[number], *generator.integers(8, VOCABULARY, 4).tolist()]
    return EncodedResume("invented", np.array(ids), tuple(spans))


def plain(model: LanguageModel, career: EncodedResume) -> np.ndarray:
    """One pass for every prompt and title [records, titles]."""
    return np.array(
        [
            [plain_log_prob(model, np.array([*career.ids[:start], *title]), start) for title in TITLES]
            for start, _ in career.spans
        ]
    )


def difference(model: LanguageModel, career: EncodedResume, expected: np.ndarray) -> float:
    """The largest difference of all fast scorers from plain passes."""
    trie = build_title_trie(TITLES)
    realised = expected[range(len(REALISED)), REALISED]
    beginnings = [
        EncodedResume("invented", career.ids[: career.spans[number][1]], career.spans[: number + 1])
        for number in range(len(career.spans))
    ]
    found = [
        np.abs(realised_log_probs(model, career) - realised),
        np.abs(all_title_log_probs(model, career, trie) - expected),
        np.abs(bounded_title_log_probs(model, career, trie, 0.0).lower - expected),
        np.abs(bounded_title_log_probs(model, career, trie, 0.0).upper - expected),
        np.abs(last_log_probs(model, beginnings) - realised),
    ]
    return max(float(one.max()) for one in found)


@pytest.mark.parametrize(("name", "changed"), cases(RIGHT))
def test_a_family_is_scored_as_by_plain_passes(name: str, changed: dict, career: EncodedResume) -> None:
    model = model_of(name, changed)
    expected = plain(model, career)
    # Random weights of this size tell titles and prompts apart, so that a mistake cannot hide.
    assert expected.std(axis=0).max() > 0.1 and expected.std(axis=1).max() > 0.1
    assert difference(model, career, expected) < TOLERANCE


@pytest.mark.parametrize(("name", "changed"), cases(NAMED))
def test_a_family_whose_prompts_cannot_be_shared_is_named_and_its_realised_titles_are_scored(
    name: str, changed: dict, career: EncodedResume
) -> None:
    model, trie = model_of(name, changed), build_title_trie(TITLES)
    for score in (all_title_log_probs, lambda *given: bounded_title_log_probs(*given, 0.5)):
        with pytest.raises(MismatchError, match=rf"^{name}: prompts cannot be shared .*titles 'realised'"):
            score(model, career, trie)
    realised = plain(model, career)[range(len(REALISED)), REALISED]
    assert np.abs(realised_log_probs(model, career) - realised).max() < TOLERANCE


def longrope(switch: int) -> LanguageModel:
    factors = {"short_factor": [1.0, 1.0, 1.1, 1.2], "long_factor": [1.5, 3.0, 6.0, 8.0]}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    return model_of("phi3", {"original_max_position_embeddings": switch, "rope_parameters": rope})


@pytest.mark.parametrize("switch", [10, 16, 18, 23, 24, 26, 29, 33, 34, 100])
def test_positions_that_depend_on_the_length_are_those_of_each_text(
    switch: int, career: EncodedResume
) -> None:
    """The switch lies before, between, at, within and after the texts of the records."""
    model = longrope(switch)
    expected = plain(model, career)
    assert difference(model, career, expected) < TOLERANCE
    # The model is left as it was.
    assert (plain(model, career) == expected).all()


def test_positions_that_are_others_for_every_length_are_refused_beyond_what_is_alike(
    career: EncodedResume,
) -> None:
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    within, beyond = (
        model_of("llama", {"rope_parameters": rope, "max_position_embeddings": n}) for n in (34, 33)
    )
    assert difference(within, career, plain(within, career)) < TOLERANCE
    for score in (realised_log_probs, lambda *given: all_title_log_probs(*given, build_title_trie(TITLES))):
        with pytest.raises(MismatchError, match=r"beyond 33 tokens .*'dynamic'"):
            score(beyond, career)
