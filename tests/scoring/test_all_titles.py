"""All titles against a pass for each: with any memory and precision, adapters, and blocks of logits."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, LlamaConfig

from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import (
    COLUMNS,
    MEMORY,
    all_title_log_probs,
    log_normalisers,
    token_log_probs,
)
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.tokenization import EncodedResume

TOLERANCE = 1e-4  # nats, float32


def test_all_titles_agree_with_the_reference_for_every_memory_budget_and_in_double_precision(
    tiny_model, panel, resume, career, trie
):
    """The reference rounds as the fast scorer does; twice as many digits tell what is right."""
    prompts = [resume.prompt(record) for record in range(len(resume.spans))]
    reference = [
        [reference_log_prob(tiny_model, prompt, title) for title in panel.outcomes.titles]
        for prompt in prompts
    ]
    for memory in (1, 2**20, MEMORY):
        got = all_title_log_probs(tiny_model, career, trie, memory)
        assert np.abs(got - reference).max() < TOLERANCE
        assert (np.exp(got).sum(axis=1) <= 1 + 1e-6).all()
    precise = replace(tiny_model, model=copy.deepcopy(tiny_model.model).double())
    assert 0 < np.abs(got - all_title_log_probs(precise, career, trie)).max() < TOLERANCE


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


def test_memory_does_not_grow_with_records_and_nodes():
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


def test_an_adapter_that_is_not_merged_counts(tiny_model, career, trie):
    torch.manual_seed(1)
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(copy.deepcopy(tiny_model.model), config).eval()
    got = all_title_log_probs(replace(tiny_model, model=adapted), career, trie)
    merged = replace(tiny_model, model=copy.deepcopy(adapted).merge_and_unload())
    assert np.abs(got - all_title_log_probs(merged, career, trie)).max() < 1e-4
    assert np.abs(got - all_title_log_probs(tiny_model, career, trie)).max() > 1e-2


def test_titles_of_one_token_need_no_tree(tiny_model, career):
    single = build_title_trie([(3,), (4,)])
    start = career.spans[0][0]
    with torch.inference_mode():
        logits = tiny_model.model(torch.as_tensor(career.ids[None, :start])).logits[0, -1]
    got = all_title_log_probs(tiny_model, career, single)
    assert np.abs(got[0] - logits.log_softmax(dim=-1)[[3, 4]].numpy()).max() < 1e-4


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # at 300 the exponential of a logit is not a float32
def test_blocks_give_what_all_logits_give(bias, scale):
    generator = torch.Generator().manual_seed(1)
    head = torch.nn.Linear(4, 2 * COLUMNS + 3, bias=bias)
    hidden = scale * torch.randn(1030, 4, generator=generator)
    rows = torch.randint(len(hidden), (50,), generator=generator)
    tokens = torch.randint(head.out_features, (50,), generator=generator)
    with torch.inference_mode():
        got = token_log_probs(head, hidden, rows, tokens)
        expected = head(hidden.double().float()).double().log_softmax(dim=-1)[rows, tokens]
    assert (got - expected).abs().max() < 1e-5 * scale


def test_the_last_token_of_the_vocabulary_counts():
    # One logit of 0 and COLUMNS logits of -log(COLUMNS): the exponentials add up to 1 + 1.
    head = torch.nn.Linear(1, COLUMNS + 1, bias=False)
    with torch.inference_mode():
        head.weight[:] = -torch.log(torch.tensor(float(COLUMNS)))
        head.weight[-1] = 0.0
        assert log_normalisers(head, torch.ones(1, 1)).item() == pytest.approx(np.log(2.0))
