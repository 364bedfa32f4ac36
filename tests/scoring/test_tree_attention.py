"""All titles by tree attention and by a dense mask against one forward pass a title, for several architectures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import all_titles
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.passes import read_career
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.scoring.tree_attention import DoesNotFitError, run_tree
from labor_llm.text.tokenization import EncodedResume

VOCABULARY, END = 60, 7
TOLERANCE = 1e-4  # nats, float32
_SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128, "initializer_range": 0.3,
    "bos_token_id": None, "eos_token_id": 0,
}  # fmt: skip
PLAIN = {
    "llama": LlamaConfig(**_SIZES),
    "qwen2": Qwen2Config(**_SIZES),
    "gpt2": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3, bos_token_id=0, eos_token_id=0
    ),
    "gemma3": Gemma3TextConfig(**_SIZES, head_dim=16),
}  # fmt: skip
WINDOWED = {
    "gemma3": Gemma3TextConfig(
        **_SIZES, head_dim=16, sliding_window=12, layer_types=["sliding_attention", "full_attention"]
    ),
    "mistral": MistralConfig(**_SIZES, sliding_window=10),
}
TITLES = [(1, 2, END), (1, 2, 3, END), (1, 2, 3, 4, END), (1, 3, END), (2, 2, 2, 2, 2, END), (3, END), (END,)]


@pytest.fixture(scope="module")
def trie() -> TitleTrie:
    return build_title_trie(TITLES)


@pytest.fixture(scope="module")
def career() -> EncodedResume:
    """Three records; the last realised title is the longest."""
    generator = np.random.default_rng(1)
    ids, spans = generator.integers(8, VOCABULARY, 15).tolist(), []
    for title in (TITLES[1], TITLES[6], TITLES[4]):
        spans.append((len(ids), len(ids) + len(title)))
        ids += [*title, *generator.integers(8, VOCABULARY, 4).tolist()]
    return EncodedResume("invented", np.array(ids), tuple(spans))


def _model(config: PreTrainedConfig) -> LanguageModel:
    torch.manual_seed(1)
    return LanguageModel("random", AutoModelForCausalLM.from_config(config).eval(), None)


@torch.inference_mode()
def _expected(model: PreTrainedModel, career: EncodedResume) -> np.ndarray:
    """One forward pass for every prompt and title [records, titles]."""
    scores = np.empty((len(career.spans), len(TITLES)))
    for record, (start, _) in enumerate(career.spans):
        for column, title in enumerate(TITLES):
            ids = torch.tensor([*career.ids[:start], *title])
            log_probs = model(input_ids=ids[None], use_cache=False).logits[0].log_softmax(dim=-1)
            scores[record, column] = log_probs[start - 1 : -1].gather(1, ids[start:, None]).sum()
    return scores


def _by(
    run: all_titles.Run, model: LanguageModel, career: EncodedResume, trie: TitleTrie
) -> np.ndarray | None:
    """What one way gives, or None if it does not fit."""
    try:
        with torch.inference_mode():
            read = read_career(model, career, trie)
            return all_titles.title_log_probs(
                all_titles.edge_log_probs(read, trie, all_titles.MEMORY, run), trie
            )
    except DoesNotFitError:
        return None


@pytest.mark.parametrize("name", PLAIN)
def test_tree_attention_and_a_dense_mask_agree_with_single_passes(
    name: str, career: EncodedResume, trie: TitleTrie
) -> None:
    model = _model(PLAIN[name])
    expected = _expected(model.model, career)
    for run in (all_titles.run_tree_attention, all_titles._run_dense_mask):
        got = _by(run, model, career, trie)
        assert got is not None
        assert np.abs(got - expected).max() < TOLERANCE


@pytest.mark.parametrize("name", WINDOWED)
def test_a_short_attention_window_is_kept(name: str, career: EncodedResume, trie: TitleTrie) -> None:
    model = _model(WINDOWED[name])
    got = _by(all_titles.run_tree_attention, model, career, trie)
    assert got is not None
    assert np.abs(got - _expected(model.model, career)).max() < TOLERANCE
    # A dense mask hides nothing of the prompt, so that the other way must be found.
    dense = _by(all_titles._run_dense_mask, model, career, trie)
    assert np.abs(dense - got).max() > 1e-2
    assert all_titles.way_to_run(model, career, trie) is all_titles.run_tree_attention


def test_capped_logits_are_left_to_the_dense_mask(career: EncodedResume, trie: TitleTrie) -> None:
    model = _model(
        Gemma2Config(**_SIZES, head_dim=16, attn_logit_softcapping=5.0, final_logit_softcapping=3.0)
    )
    assert _by(all_titles.run_tree_attention, model, career, trie) is None
    got = all_title_log_probs(model, career, trie)
    assert np.abs(got - _expected(model.model, career)).max() < TOLERANCE


def _fails(*arguments: object) -> torch.Tensor:
    raise ArithmeticError


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_model_is_left_as_it_was_after_an_error(implementation: str) -> None:
    model = _model(PLAIN["llama"]).model
    model.set_attn_implementation(implementation)
    with pytest.raises(ArithmeticError):
        run_tree(model, torch.tensor([1]), torch.tensor([0]), _fails)
    assert model.config._attn_implementation == implementation


def test_a_model_in_training_is_refused() -> None:
    model = _model(PLAIN["llama"]).model.train()
    with pytest.raises(DoesNotFitError):
        run_tree(model, torch.tensor([1]), torch.tensor([0]), _fails)
