import dataclasses
import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from labor_llm.baselines.career.fit import Career, fit_career, load_career, transfer_weights
from labor_llm.baselines.career.model import CareerTransformer, Levels, encode, levels_of
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.baselines.career.training import CareerRun, learning_rate_share
from labor_llm.baselines.frequencies import EmpiricalTransitions
from labor_llm.baselines.oracle import Oracle
from labor_llm.baselines.registry import fit_baselines
from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.evaluation.perplexity import perplexity
from labor_llm.store.artefacts import verify


@pytest.fixture(scope="module")
def stored(simulated, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("career") / "model"
    return fit_career(simulated["train"], simulated["validation"], tiny, folder)


def log_prob(folder, panel):
    """What a stored CAREER says of the realised occupations."""
    chances = load_career(folder).log_probabilities(panel)
    return chances[np.arange(len(panel.frame)), panel.outcomes.indices(panel.frame["occupation"])]


def new_run(panels, settings, folder) -> CareerRun:
    levels = levels_of([panels["train"]], settings.covariates)
    torch.manual_seed(settings.seed)
    model = CareerTransformer(len(panels["train"].outcomes), levels, settings)
    careers = (encode(panels[name], levels) for name in ("train", "validation"))
    return CareerRun(model, *careers, settings, folder, seconds_between_states=0.0)


def test_perplexity_lies_between_the_oracle_and_the_empirical_transitions(simulated, stored, market):
    got = perplexity(log_prob(stored, simulated["test"]))
    empirical = EmpiricalTransitions().fit(simulated["train"], simulated["validation"])
    oracle, empirical = (
        perplexity(model.predict(simulated["test"]).table["log_prob"])
        for model in (Oracle(market), empirical)
    )
    assert oracle < got < empirical


def test_what_is_stored_predicts_as_the_curve_says_and_is_not_trained_again(simulated, stored, tiny):
    fitted = load_career(stored)
    best = fitted.curve["validation_perplexity"].min()
    got = perplexity(log_prob(stored, simulated["validation"]))
    assert got == pytest.approx(best, rel=1e-5)
    assert fitted.curve.loc[fitted.curve["kept"], "validation_perplexity"].tolist() == [best]
    before = verify(stored)
    assert fit_career(simulated["train"], simulated["validation"], tiny, stored) == stored
    assert verify(stored) == before
    assert sorted(path.name for path in stored.parent.iterdir()) == ["model"]


def test_a_run_that_was_stopped_ends_bit_for_bit_where_it_would_have_ended(simulated, tiny, tmp_path):
    few = {name: panel.restrict(panel.workers[:40]) for name, panel in simulated.items()}
    settings = tiny.model_copy(update={"epochs": 4, "patience": 10, "evaluations_per_epoch": 2})
    whole, stopped = (new_run(few, settings, tmp_path / name) for name in ("whole", "stopped"))
    whole.train()
    for _ in range(3):
        stopped.train_to_evaluation()
    stopped.store()
    stopped.train_to_evaluation()  # lost by the stop
    resumed = new_run(few, settings, tmp_path / "stopped")
    resumed.train()
    assert resumed.curve == whole.curve
    assert len(whole.curve) == 8
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_transfer_beats_training_from_scratch_on_few_workers(simulated, other_population, tiny, tmp_path):
    without = tiny.model_copy(update={"covariates": ["education", "region", "age"]})
    start = fit_career(
        other_population["train"], other_population["validation"], without, tmp_path / "pretrained"
    )
    few = simulated["train"].restrict(simulated["train"].workers[:40])
    fine = tiny.model_copy(update={"learning_rate": 1e-3})
    perplexities = {}
    for name, settings, pretrained in (("scratch", tiny, None), ("transfer", fine, start)):
        folder = fit_career(few, simulated["validation"], settings, tmp_path / name, pretrained)
        perplexities[name] = perplexity(log_prob(folder, simulated["test"]))
    assert perplexities["transfer"] < 0.95 * perplexities["scratch"]
    assert "pretrained" in verify(tmp_path / "transfer")["inputs"]


def test_transfer_copies_weights_level_by_level(simulated, stored, tiny):
    start = load_career(stored, "cpu")
    texts, (first, last) = start.levels.texts, start.levels.spans["year"]
    levels = Levels(
        texts={**texts, "region": ["atlantis", *texts["region"]]},
        spans={**start.levels.spans, "year": [first - 2, last]},
    )
    model = CareerTransformer(len(start.outcomes), levels, tiny)
    fresh = model.covariates["region"].weight[1].clone()
    transfer_weights(start, model, levels)
    known = start.model.covariates["region"].weight
    assert torch.equal(model.covariates["region"].weight[2:], known[1:])
    assert torch.equal(model.covariates["region"].weight[1], fresh)
    years = start.model.covariates["year"].weight
    for place in (1, 2, 3):
        assert torch.equal(model.covariates["year"].weight[place], years[1])
    assert torch.equal(model.output.weight, start.model.output.weight)


def test_several_populations_are_pooled_and_one_registry_fits_all(
    simulated, other_population, tiny, tmp_path
):
    short = tiny.model_copy(update={"epochs": 1})
    pooled = fit_career(
        [simulated["train"], other_population["train"]], [simulated["validation"], other_population["validation"]],
        short, tmp_path / "pooled",
    )  # fmt: skip
    levels = load_career(pooled).levels
    assert set(levels.texts["ethnicity"]) >= set(other_population["train"].frame["ethnicity"])
    joined = pd.concat([panel.frame for panel in simulated.values()], ignore_index=True)
    panel = dataclasses.replace(simulated["train"], frame=joined)
    splits = {worker: name for name, part in simulated.items() for worker in part.workers}
    options = {"career": {"settings": short, "folder": tmp_path / "registered"}}
    fitted = fit_baselines(["second-order-transitions", "career"], panel, splits, options)
    got = fitted["career"].predict(simulated["test"])
    assert got.model == "CAREER"
    assert fitted["career"].chosen == "2 layers of width 32, epoch 1"
    np.testing.assert_allclose(np.exp(got.log_probs).sum(axis=1), 1.0, atol=1e-4)


def test_refuses_what_does_not_fit(simulated, stored, tiny, lettered, tmp_path):
    train, validation = simulated["train"], simulated["validation"]
    with pytest.raises(MismatchError, match="pre-trained with layers 2, the settings say 3"):
        fit_career(train, validation, tiny.model_copy(update={"layers": 3}), tmp_path / "x", stored)
    with pytest.raises(MismatchError, match="pre-trained for 9 occupations, the panel has 3"):
        fit_career(lettered({"1": "ab"}), lettered({"2": "ab"}), tiny, tmp_path / "x", stored)
    with pytest.raises(InputError, match="workers are in the training and in the validation panel"):
        Career(tiny).fit(train, train)
    with pytest.raises(InputError, match="one of each a population"):
        fit_career([train], [validation, validation], tiny, tmp_path / "x")
    with pytest.raises(InputError, match="multiple of heads"):
        CareerSettings(width=64, heads=3)
    with pytest.raises(NumericalError, match="Lower the learning rate"):
        run = new_run(simulated, tiny, tmp_path / "y")
        with torch.no_grad():
            run.model.output.weight.fill_(float("nan"))
        run.train()
    cut = shutil.copytree(stored, tmp_path / "cut")
    (cut / "weights.safetensors").write_bytes(b"cut")
    with pytest.raises(ArtefactError, match=r"weights\.safetensors"):
        load_career(cut)


def test_learning_rate_rises_evenly_and_falls_with_the_root_of_the_step():
    assert [learning_rate_share(step, 4) for step in (0, 1, 3, 15)] == [0.25, 0.5, 1.0, 0.5]
