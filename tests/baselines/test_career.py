"""CAREER fitted and stored: it learns, goes on after a stop to the last bit, and begins from another population."""

import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines import career
from labor_llm.baselines.career import Career, fit_career, learning_rate_share
from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.baselines.oracle import Oracle
from labor_llm.baselines.registry import fit_baselines
from labor_llm.baselines.settings import CareerSettings
from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.store.artefacts import verify
from labor_llm.store.results import unfinished


@pytest.fixture(scope="module")
def stored(simulated, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("career") / "model"
    return fit_career([simulated["train"]], [simulated["validation"]], tiny, folder)


def perplexity(model, panel):
    return np.exp(-model.predict(panel).table["log_prob"].mean())


def test_perplexity_lies_between_the_oracle_and_the_empirical_transitions(simulated, stored, market):
    empirical = EmpiricalTransitions().fit(simulated["train"], simulated["validation"])
    oracle, got, empirical = (
        perplexity(model, simulated["test"]) for model in (Oracle(market), Career().load(stored), empirical)
    )
    assert oracle < got < empirical


def test_what_is_stored_predicts_as_the_curve_says_and_is_not_trained_again(simulated, stored, tiny):
    fitted = Career().load(stored)
    curve = fitted.validation_perplexity_
    best = curve["validation_perplexity"].min()
    assert perplexity(fitted, simulated["validation"]) == pytest.approx(best, rel=1e-5)
    assert curve.loc[curve["kept"], "validation_perplexity"].tolist() == [best]
    before = verify(stored)
    assert fit_career([simulated["train"]], [simulated["validation"]], tiny, stored) == stored
    assert verify(stored) == before
    assert sorted(path.name for path in stored.parent.iterdir()) == ["model"]


def test_a_run_that_was_stopped_ends_bit_for_bit_where_it_would_have_ended(
    simulated, tiny, tmp_path, monkeypatch
):
    few = [[simulated[name].restrict(simulated[name].workers[:40])] for name in ("train", "validation")]
    settings = tiny.model_copy(update={"epochs": 4, "patience": 10, "evaluations_per_epoch": 2})
    whole = fit_career(*few, settings, tmp_path / "whole")
    evaluate, steps = career._Training._evaluate, []

    def stopped(run):
        steps.append(run.step)
        if len(steps) == 4:
            raise KeyboardInterrupt
        evaluate(run)

    monkeypatch.setattr(career, "_SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr(career._Training, "_evaluate", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit_career(*few, settings, tmp_path / "stopped")
    assert unfinished(tmp_path / "stopped").is_dir()
    resumed = fit_career(*few, settings, tmp_path / "stopped")
    assert len(steps) == 4 + 8 - 3, "it goes on after the third evaluation"
    for name in ("weights.safetensors", "learning_curve.csv"):
        assert (resumed / name).read_bytes() == (whole / name).read_bytes()


def test_transfer_beats_training_from_scratch_on_few_workers(simulated, other_population, tiny, tmp_path):
    without = tiny.model_copy(update={"covariates": ["education", "region", "age"]})
    others = [[other_population[name]] for name in ("train", "validation")]
    start = fit_career(*others, without, tmp_path / "pretrained")
    few = simulated["train"].restrict(simulated["train"].workers[:40])
    fine = tiny.model_copy(update={"learning_rate": 1e-3})
    scratch = Career(tiny).fit(few, simulated["validation"])
    transfer = Career(fine, tmp_path / "transfer", start).fit(few, simulated["validation"])
    assert perplexity(transfer, simulated["test"]) < 0.95 * perplexity(scratch, simulated["test"])
    assert transfer.chosen.endswith(", pre-trained")
    assert "pretrained" in verify(tmp_path / "transfer")["inputs"]


def test_several_populations_are_pooled_and_one_registry_fits_all(
    simulated, other_population, tiny, tmp_path
):
    short = tiny.model_copy(update={"epochs": 1})
    both = [[part[name] for part in (simulated, other_population)] for name in ("train", "validation")]
    levels = Career().load(fit_career(*both, short, tmp_path / "pooled")).model_.levels
    assert set(levels.texts["ethnicity"]) >= set(other_population["train"].frame["ethnicity"])
    joined = pd.concat([panel.frame for panel in simulated.values()], ignore_index=True)
    panel = dataclasses.replace(simulated["train"], frame=joined)
    splits = {worker: name for name, part in simulated.items() for worker in part.workers}
    options = {"career": {"settings": short, "folder": tmp_path / "registered"}}
    fitted = fit_baselines(["second-order-transitions", "career"], panel, splits, options)
    got = fitted["career"].predict(simulated["test"])
    assert (got.model, fitted["career"].chosen) == ("CAREER", "2 layers of width 32, epoch 1")


def test_refuses_what_does_not_fit(simulated, stored, tiny, lettered, tmp_path, monkeypatch):
    train, validation = simulated["train"], simulated["validation"]
    with pytest.raises(MismatchError, match="pre-trained with layers 2, the settings say 3"):
        Career(tiny.model_copy(update={"layers": 3}), pretrained=stored).fit(train, validation)
    with pytest.raises(MismatchError, match="pre-trained for 9 occupations, the panel has 3"):
        Career(tiny, pretrained=stored).fit(lettered({"1": "ab"}), lettered({"2": "ab"}))
    with pytest.raises(InputError, match="workers are in the training and in the validation panel"):
        Career(tiny).fit(train, train)
    with pytest.raises(InputError, match="one of each a population"):
        fit_career([train], [validation, validation], tiny, tmp_path / "x")
    with pytest.raises(InputError, match="multiple of heads"):
        CareerSettings(width=64, heads=3)
    cut = shutil.copytree(stored, tmp_path / "cut")
    (cut / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(ArtefactError, match=r"weights\.safetensors"):
        Career().load(cut)
    monkeypatch.setattr(
        career._Training, "_log_prob", lambda run, careers: run.model.output.weight.sum() * np.nan
    )
    with pytest.raises(NumericalError, match="Lower the learning rate"):
        Career(tiny).fit(train, validation)


def test_learning_rate_rises_evenly_and_falls_with_the_root_of_the_step():
    assert [learning_rate_share(step, 4) for step in (0, 1, 3, 15)] == [0.25, 0.5, 1.0, 0.5]
