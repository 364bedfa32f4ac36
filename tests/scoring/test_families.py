"""Families of models, tiny and random: each is scored as by plain passes, or refused by name.

The list says which, so that a family that is refused after a change, or no longer, is seen.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from labor_llm.errors import MismatchError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import all_titles
from labor_llm.scoring.all_titles import all_title_log_probs, run_tree_attention
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.last_records import last_log_probs
from labor_llm.scoring.passes import batch_log_probs, read_career, realised_log_probs
from labor_llm.scoring.reference import plain_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.scoring.tree_attention import DoesNotFitError, run_tree
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
PLAIN = (
    "llama qwen2 phi phi3 gpt2 gpt_neox olmo stablelm starcoder2 olmo2 cohere granite nemotron persimmon smollm3 "
    "biogpt gpt_bigcode arcee apertus diffllama"
)
HEADED = "qwen3 gemma glm glm4 helium seed_oss hunyuan_v1_dense ernie4_5 vaultgemma"
MIXED = "mixtral olmoe phimoe granitemoe"
RIGHT: dict[str, dict] = {
    **{name: changed for names, changed in ((PLAIN, {}), (HEADED, HEAD), (MIXED, EXPERTS)) for name in names.split()},
    "mistral": {"sliding_window": 10}, "gemma2": HEAD | {"query_pre_attn_scalar": 8, "sliding_window": 64},
    "gemma3_text": HEAD | WINDOW, "gptj": {"rotary_dim": 8}, "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "falcon": {"alibi": False}, "olmo3": WINDOW, "qwen2_moe": EXPERTS | {"shared_expert_intermediate_size": 16},
    "qwen3_moe": EXPERTS | HEAD, "deepseek_v2": LATENT, "deepseek_v3": LATENT, "ministral": HEAD | WINDOW,
    "exaone4": WINDOW | {"layer_types": ["sliding_attention", "full_attention"]},
    "xglm": {"d_model": 32, "ffn_dim": 64, "attention_heads": 4, "num_layers": 2}, "codegen": {"rotary_dim": 8},
    "ctrl": {"dff": 64},
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
FAST = {"llama", "gemma2", "mistral", "deepseek_v3", "bloom", "mamba", "lfm2"}
TITLES = [(1, 2, END), (1, 2, 3, END), (1, 2, 3, 4, END), (1, 3, END), (2, 2, 2, 2, 2, END), (3, END), (END,)]
REALISED = (1, 6, 4)


@pytest.fixture(scope="module")
def career() -> EncodedResume:
    """Three records, whose prompts have 15, 23 and 28 tokens."""
    generator, spans = np.random.default_rng(1), []
    ids = generator.integers(8, VOCABULARY, 15).tolist()
    for number in REALISED:
        spans.append((len(ids), len(ids) + len(TITLES[number])))
        ids += [*TITLES[number], *generator.integers(8, VOCABULARY, 4).tolist()]
    return EncodedResume("invented", np.array(ids), tuple(spans))


def random_model(name: str, changed: dict) -> LanguageModel:
    torch.manual_seed(1)
    config = AutoConfig.for_model(name, **(SIZES | changed))
    return LanguageModel(name, AutoModelForCausalLM.from_config(config).eval(), None)


def by_plain_passes(model: LanguageModel, career: EncodedResume) -> np.ndarray:
    """The log-probability of every title after every prompt, by a pass for each."""
    starts = [start for start, _ in career.spans]
    titles = [
        [plain_log_prob(model, np.array([*career.ids[:start], *title]), start) for title in TITLES]
        for start in starts
    ]
    return np.array(titles)


@pytest.mark.parametrize(
    ("name", "changed", "shared"),
    [
        pytest.param(
            name, changed, families is RIGHT, id=name, marks=[] if name in FAST else pytest.mark.slow
        )
        for families in (RIGHT, NAMED)
        for name, changed in families.items()
    ],
)
def test_a_family_is_scored_as_by_plain_passes_or_realised_titles_alone_are(name, changed, shared, career):
    model = random_model(name, changed)
    expected = by_plain_passes(model, career)
    # Random weights of this size tell titles and prompts apart, so that a mistake cannot hide.
    assert expected.std(axis=0).max() > 0.1 and expected.std(axis=1).max() > 0.1
    realised, trie = expected[range(len(REALISED)), REALISED], build_title_trie(TITLES)
    assert np.abs(realised_log_probs(model, career) - realised).max() < TOLERANCE
    short = replace(career, spans=career.spans[:1])
    together = batch_log_probs(model, [short, career, short])
    assert np.abs(together - [realised[0], *realised, realised[0]]).max() < TOLERANCE
    if shared:
        bounds = bounded_title_log_probs(model, career, trie, 0.0)
        for found in (all_title_log_probs(model, career, trie), bounds.lower, bounds.upper):
            assert np.abs(found - expected).max() < TOLERANCE
        texts = [replace(career, spans=(span,)) for span in career.spans]
        assert np.abs(last_log_probs(model, texts) - realised).max() < TOLERANCE
        return
    for score in (all_title_log_probs, lambda *given: bounded_title_log_probs(*given, 0.5)):
        with pytest.raises(MismatchError, match=rf"^{name}: prompts cannot be shared .*titles 'realised'"):
            score(model, career, trie)


WAYS = (run_tree_attention, all_titles._run_dense_mask)
CAPPED = HEAD | {"attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0}


@pytest.mark.parametrize(
    ("name", "changed", "right"),
    [
        *((name, {}, (True, True)) for name in ("llama", "qwen2", "gpt2")),
        # A dense mask hides nothing of the prompt from a layer with a window.
        ("gemma3_text", HEAD | WINDOW, (True, False)), ("mistral", WINDOW, (True, False)),
        ("gemma2", CAPPED, (False, True)),
    ],
)  # fmt: skip
def test_the_first_way_that_is_right_is_taken(name, changed, right, career):
    model, trie = random_model(name, changed), build_title_trie(TITLES)
    expected, found = by_plain_passes(model, career), []
    for run in WAYS:
        try:
            with torch.inference_mode():
                edges = all_titles.edge_log_probs(
                    read_career(model, career, trie), trie, all_titles.MEMORY, run
                )
            found.append(np.abs(all_titles.title_log_probs(edges, trie) - expected).max())
        except DoesNotFitError:
            found.append(np.inf)
    assert [off < TOLERANCE for off in found] == list(right)
    assert all(off < TOLERANCE or off > 1e-2 for off in found)
    assert all_titles.way_to_run(model, career, trie) is WAYS[right.index(True)]


def test_the_model_is_left_as_it_was_after_an_error_and_refused_in_training():
    def fails(*arguments: object) -> torch.Tensor:
        raise ArithmeticError

    model = random_model("llama", {}).model
    for implementation in ("sdpa", "eager"):
        model.set_attn_implementation(implementation)
        with pytest.raises(ArithmeticError):
            run_tree(model, torch.tensor([1]), torch.tensor([0]), fails)
        assert model.config._attn_implementation == implementation
    with pytest.raises(DoesNotFitError):
        run_tree(model.train(), torch.tensor([1]), torch.tensor([0]), fails)


def test_texts_end_where_positions_become_those_of_long_texts():
    factors = {"short_factor": [1.0] * 4, "long_factor": [9.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    model = random_model("phi3", {"original_max_position_embeddings": 20, "rope_parameters": rope})
    config = model.model.config
    ids = np.random.default_rng(1).integers(8, VOCABULARY, 22)
    expected = plain_log_prob(model, ids[:20], 5)
    texts = [EncodedResume("invented", ids, spans) for spans in (((5, 20),), ((5, 20), (20, 22)))]
    within, beyond = (realised_log_probs(model, text)[0] for text in texts)
    assert model.context == 20 and abs(within - expected) < TOLERANCE < 0.01 < abs(beyond - expected)
    # Kinds of layers may have positions of their own.
    config.rope_parameters = {"full_attention": dict(config.rope_parameters), "sliding_attention": None}
    assert model.context == 20
