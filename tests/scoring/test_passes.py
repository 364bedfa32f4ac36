"""Realised titles of several careers from one pass: as many as a GPU takes, with the scores of each career alone."""

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import careers, passes, trials
from labor_llm.scoring.careers import score_careers, score_panel
from labor_llm.scoring.passes import batch_log_probs, prepare_careers, tokens_at_once
from labor_llm.scoring.settings import ScoringSettings

REALISED = ScoringSettings(titles="realised")
TRIAL = [1, 1, 1]  # rows of the passes by which the scorer of one career is tried


@pytest.fixture
def sixty(panel: CareerPanel) -> CareerPanel:
    return panel.restrict(panel.workers[:60])


@pytest.fixture
def rows(tiny_model: LanguageModel) -> Iterator[list[int]]:
    """How many texts each pass of the model has read."""
    read: list[int] = []
    counted = tiny_model.model.register_forward_pre_hook(
        lambda _, arguments, named: read.append(len(named["input_ids"])), with_kwargs=True
    )
    yield read
    counted.remove()


@pytest.fixture
def as_on_a_gpu(monkeypatch) -> None:
    monkeypatch.setattr(trials, "tokens_at_once", lambda _: passes._TOKENS_ON_A_GPU)


@pytest.mark.parametrize("context", [None, 200])
def test_a_gpu_reads_many_careers_at_once_and_their_scores_stay(
    tiny_model, sixty, rows, monkeypatch, request, context
):
    """Also in several texts each, where the model reads but short ones."""
    if context:
        monkeypatch.setattr(LanguageModel, "context", context)
    texts = prepare_careers(tiny_model, sixty, REALISED).texts
    assert len({len(text.ids) for text in texts}) > 5 and (len(texts) > 60) == bool(context)
    alone = score_careers(tiny_model, sixty, "tiny", REALISED)
    assert rows == [*TRIAL, *[1] * len(texts)]
    rows.clear()
    request.getfixturevalue("as_on_a_gpu")
    together = score_careers(tiny_model, sixty, "tiny", REALISED)
    assert rows[:4] == [*TRIAL, 2]
    assert sum(rows[4:]) == len(texts) and 20 * len(rows[4:]) <= 60
    assert together.table.drop(columns="log_prob").equals(alone.table.drop(columns="log_prob"))
    assert np.abs(together.table["log_prob"] - alone.table["log_prob"]).max() < 1e-4


def test_logits_are_taken_at_titles_alone(tiny_model, sixty):
    texts, seen = prepare_careers(tiny_model, sixty, REALISED).texts, []
    head = tiny_model.model.get_output_embeddings()
    watching = head.register_forward_hook(lambda _, states, logits: seen.append(logits.shape[:2]))
    batch_log_probs(tiny_model, texts)
    watching.remove()
    assert seen == [(1, sum(end - start for text in texts for start, end in text.spans))]


def test_a_model_that_reads_several_texts_otherwise_reads_each_alone(tiny_model, sixty, as_on_a_gpu):
    expected = score_careers(tiny_model, sixty, "tiny", REALISED).table
    model = copy.deepcopy(tiny_model.model)
    model.model.embed_tokens.register_forward_hook(
        lambda layer, inputs, output: output * (1.5 if len(output) > 1 else 1.0)
    )
    found = score_careers(replace(tiny_model, model=model), sixty, "tiny", REALISED).table
    assert np.abs(found["log_prob"] - expected["log_prob"]).max() < 1e-4


def test_what_rounds_by_its_company_and_what_a_cpu_reads_goes_alone(tiny_model):
    assert tokens_at_once(tiny_model) == 1
    layer = torch.nn.Linear(2, 2, device="meta")
    on_another = replace(tiny_model, model=layer)
    assert tokens_at_once(on_another) == passes._TOKENS_ON_A_GPU
    layer.weight = torch.nn.Parameter(layer.weight.to(torch.int8), requires_grad=False)
    assert tokens_at_once(on_another) == 1


def test_a_pass_that_memory_does_not_suffice_for_is_divided(tiny_model, sixty, rows, monkeypatch):
    texts, whole = prepare_careers(tiny_model, sixty, REALISED).texts[:9], passes._padded_log_probs
    expected = batch_log_probs(tiny_model, texts)

    def small(language_model: LanguageModel, some: list, beginning: None) -> np.ndarray:
        if len(some) > 3:
            raise torch.OutOfMemoryError
        return whole(language_model, some, beginning)

    monkeypatch.setattr(passes, "_padded_log_probs", small)
    rows.clear()
    assert np.abs(batch_log_probs(tiny_model, texts) - expected).max() < 1e-4
    assert rows == [2, 2, 2, 3]


def test_a_run_in_batches_that_was_stopped_goes_on_after_its_last_pass(
    tiny_model_folder, tiny_model, sixty, tmp_path, monkeypatch
):
    expected = score_careers(tiny_model, sixty, "Tiny", REALISED).table
    monkeypatch.setattr(trials, "tokens_at_once", lambda _: 2000)
    read: list[int] = []
    limit, unpatched = 3, careers.batch_log_probs

    def counting(language_model: LanguageModel, texts: list, *more: object) -> np.ndarray:
        if len(read) == limit:
            raise KeyboardInterrupt
        read.append(len(texts))
        return unpatched(language_model, texts, *more)

    monkeypatch.setattr(careers, "batch_log_probs", counting)
    with pytest.raises(KeyboardInterrupt):
        score_panel(sixty, str(tiny_model_folder), "Tiny", tmp_path / "tiny", REALISED)
    limit = -1
    table = score_panel(sixty, str(tiny_model_folder), "Tiny", tmp_path / "tiny", REALISED).table
    assert sum(read) == 60 and len(read) > 4
    assert np.abs(table["log_prob"] - expected["log_prob"]).max() < 1e-4
