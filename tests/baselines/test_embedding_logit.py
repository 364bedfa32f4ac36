"""A logit on a language model's states: the right states, the chain that the careers were drawn from, stored once."""

import numpy as np
import pandas as pd
import pytest
import torch

from labor_llm.baselines.embedding_logit import EmbeddingLogit, predict_by_embeddings, stored_tuning
from labor_llm.careers.panel import career_panel, split_workers, transitions
from labor_llm.errors import InputError
from labor_llm.scoring.passes import history_embeddings
from labor_llm.text.templates import resumes


def test_states_are_those_of_each_prompt_on_its_own(tiny_model, panel):
    some = panel.restrict(panel.workers[3:5])
    expected = []
    for resume in resumes(some):
        for record in range(len(resume.spans)):
            ids = tiny_model.tokenizer(resume.prompt(record), return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                output = tiny_model.model(ids, output_hidden_states=True)
            expected.append(output.hidden_states[-1][0, -1].numpy())
    assert np.abs(history_embeddings(tiny_model, some) - expected).max() < 1e-4


@pytest.fixture(scope="module")
def chain(outcomes):
    """Careers of two records that differ in their titles alone: the first is uniform, then one stays with 0.6."""
    generator = np.random.default_rng(1)
    first = generator.integers(8, size=900)
    stays = generator.random(900) < 0.6
    second = np.where(stays, first, (first + generator.integers(1, 8, size=900)) % 8)
    jobs = np.stack([first, second], axis=1).ravel()
    frame = pd.DataFrame(
        {
            "worker_id": [f"w{number:03d}" for number in range(900) for _ in range(2)],
            "year": ["1980", "1981"] * 900, "occupation": [outcomes.codes[job] for job in jobs],
            "education": "college", "gender": "male", "ethnicity": "white", "region": "west", "birth_year": "1960",
        }
    )  # fmt: skip
    return career_panel(frame, outcomes, "chain")


def test_it_recovers_the_chain_that_the_careers_were_drawn_from(tiny_model, chain):
    """There are nine different prompts, so that a logit on their states can give each its own frequencies."""
    splits = split_workers(chain, seed=1)
    train, validation, test = (chain.split(splits, name) for name in ("train", "validation", "test"))
    model = EmbeddingLogit(tiny_model, regularisations=(1e-4, 10.0), tolerance=1e-5).fit(train, validation)
    assert model.chosen == "C = 10"
    assert model.validation_perplexity_["validation_perplexity"].iloc[0] > 6
    # Told of the one that is kept are also those with which it was tried.
    assert model.validation_perplexity_["iterations"].iloc[1] > model._logit.iterations
    table = transitions(test)
    later = (table["transition_type"] != "first").to_numpy()
    found = np.exp(model.predict(test).log_probs[later])
    pairs = transitions(train).dropna(subset="previous")
    counted = pd.crosstab(pairs["previous"], pairs["occupation"], normalize="index")
    origins = counted.index.get_indexer(table.loc[later, "previous"])
    # Shrinkage keeps it from the frequencies themselves; chance keeps those from the truth (79 workers an origin).
    assert np.abs(found - counted.to_numpy()[origins]).max() < 0.03
    assert abs(found[np.arange(len(origins)), origins].mean() - 0.6) < 0.05


def test_what_is_stored_is_used_again(tiny_model_folder, panel, tmp_path):
    arguments = panel, split_workers(panel, seed=1), str(tiny_model_folder), "Logit", tmp_path / "logit"
    first = predict_by_embeddings(*arguments, (1e-3, 1e-2))
    manifest = tmp_path / "logit" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    assert predict_by_embeddings(*arguments, (1e-3, 1e-2)).table.equals(first.table)
    assert manifest.stat().st_mtime_ns == written
    assert stored_tuning(tmp_path / "logit")["kept"].sum() == 1
    predict_by_embeddings(*arguments, (1e-2,))
    assert stored_tuning(tmp_path / "logit")["regularisation"].tolist() == [1e-2]


def test_a_penalty_of_nothing_is_refused(tiny_model):
    with pytest.raises(InputError, match="all above zero"):
        EmbeddingLogit(tiny_model, regularisations=(0.0,))
