"""Scoring all titles at its edges: memory, wrapped adapters, models that share no prompts, blocks of logits."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, BloomConfig, GPTNeoConfig, LlamaConfig, PreTrainedConfig

from labor_llm.errors import MismatchError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import COLUMNS, all_title_log_probs, log_normalisers, token_log_probs
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.text.tokenization import EncodedResume


class _LargestTensor(TorchDispatchMode):
    """Notes the bytes of the largest tensor that any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and not tensor._is_view():
                self.bytes = max(self.bytes, tensor.nelement() * tensor.element_size())
        return result


def test_memory_does_not_grow_with_records_and_nodes() -> None:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=3000, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    model = LanguageModel("random", AutoModelForCausalLM.from_config(config).eval(), None)
    generator = np.random.default_rng(1)
    largest = {}
    for records, titles in ((4, 40), (8, 400)):
        trie = build_title_trie([(*row, 0) for row in generator.integers(1, 3000, (titles, 3)).tolist()])
        spans = tuple((10 * record + 5, 10 * record + 10) for record in range(records))
        career = EncodedResume("invented", generator.integers(1, 3000, 165), spans)
        all_title_log_probs(model, career, trie)  # the trial
        with _LargestTensor() as noted:
            all_title_log_probs(model, career, trie, memory=4 * 2**20)
        largest[titles] = noted.bytes
    # The logits of 1,200 nodes would take 14 MB for one record.
    assert largest[400] < 2 * 2**20
    assert largest[400] < 2 * largest[40]


def test_an_adapter_that_is_not_merged_counts(
    tiny_model: LanguageModel, career: EncodedResume, trie: TitleTrie
) -> None:
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(copy.deepcopy(tiny_model.model), config).eval()
    got = all_title_log_probs(replace(tiny_model, model=adapted), career, trie)
    merged = replace(tiny_model, model=copy.deepcopy(adapted).merge_and_unload())
    assert np.abs(got - all_title_log_probs(merged, career, trie)).max() < 1e-4
    assert np.abs(got - all_title_log_probs(tiny_model, career, trie)).max() > 1e-2


@pytest.mark.parametrize(
    "config",
    [
        BloomConfig(vocab_size=420, hidden_size=16, n_layer=2, n_head=2, initializer_range=0.3),
        # Half of its layers look back eight tokens, and do not say so.
        GPTNeoConfig(
            vocab_size=420, hidden_size=16, num_layers=2, num_heads=2, window_size=8, initializer_range=0.3,
            attention_types=[[["global", "local"], 1]], bos_token_id=0, eos_token_id=0,
        ),
    ],
    ids=["bias by distance", "hidden window"],
)  # fmt: skip
def test_a_model_whose_prompts_cannot_be_shared_is_named(
    tiny_model: LanguageModel, career: EncodedResume, trie: TitleTrie, config: PreTrainedConfig
) -> None:
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config).eval()
    with pytest.raises(MismatchError, match=type(model).__name__):
        all_title_log_probs(replace(tiny_model, model=model), career, trie)


def test_titles_of_one_token_need_no_tree(tiny_model: LanguageModel, career: EncodedResume) -> None:
    single = build_title_trie([(3,), (4,)])
    start = career.spans[0][0]
    with torch.inference_mode():
        logits = tiny_model.model(torch.as_tensor(career.ids[None, :start])).logits[0, -1]
    got = all_title_log_probs(tiny_model, career, single)
    assert np.abs(got[0] - logits.log_softmax(dim=-1)[[3, 4]].numpy()).max() < 1e-4


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # at 300 the exponential of a logit is not a float32
def test_blocks_give_what_all_logits_give(bias: bool, scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    head = torch.nn.Linear(4, 2 * COLUMNS + 3, bias=bias)
    hidden = scale * torch.randn(1030, 4, generator=generator)
    rows = torch.randint(len(hidden), (50,), generator=generator)
    tokens = torch.randint(head.out_features, (50,), generator=generator)
    with torch.inference_mode():
        got = token_log_probs(head, hidden, rows, tokens)
        expected = head(hidden.double().float()).double().log_softmax(dim=-1)[rows, tokens]
    assert (got - expected).abs().max() < 1e-5 * scale


def test_the_last_token_of_the_vocabulary_counts() -> None:
    # One logit of 0 and COLUMNS logits of -log(COLUMNS): the exponentials add up to 1 + 1.
    head = torch.nn.Linear(1, COLUMNS + 1, bias=False)
    with torch.inference_mode():
        head.weight[:] = -torch.log(torch.tensor(float(COLUMNS)))
        head.weight[-1] = 0.0
        assert log_normalisers(head, torch.ones(1, 1)).item() == pytest.approx(np.log(2.0))
