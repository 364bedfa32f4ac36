"""Baselines by name: one form for all, fitted again for a further chapter, and on resampled training workers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.registry import (
    as_many_records,
    fit_baselines,
    fit_baselines_again,
    new_baseline,
    predictions_by_training,
    refit_baselines,
    store_predictions,
    stored_by_training,
)
from labor_llm.baselines.settings import BASELINES, CareerSettings
from labor_llm.careers.histories import lengths_of
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.predictions import write_predictions
from labor_llm.careers.refits import resampled_training
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO, train_up_to
from labor_llm.errors import ArtefactError, InputError
from labor_llm.evaluation.history_length import baselines_by_length
from labor_llm.exhibits.models import baseline_tuning
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

NAMES = ["empirical-transitions", "career"]
TINY = CareerSettings(
    layers=1, width=16, heads=2, inner_width=32, epochs=2, warmup_steps=5, learning_rate=5e-3
)


@pytest.fixture(scope="module")
def splits(panel: CareerPanel) -> dict[str, str]:
    return split_workers(panel, seed=1)


@pytest.fixture(scope="module")
def results(panel: CareerPanel, splits: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """With a CAREER as notebook 06 stores it."""
    found = Results(tmp_path_factory.mktemp("registry"))
    options = {"career": {"settings": TINY, "folder": found.model(panel.dataset, "career")}}
    fit_baselines(["career"], panel, splits, options)
    return found


def test_every_baseline_has_the_same_form_and_a_row_in_the_table_of_choices(
    panel: CareerPanel, splits: dict[str, str]
) -> None:
    fitted = fit_baselines(list(BASELINES), panel, splits, {"career": {"settings": TINY}})
    validation = panel.split(splits, "validation")
    for name, model in fitted.items():
        got = model.predict(validation)
        assert got.model == BASELINES[name]
        np.testing.assert_allclose(np.exp(got.log_probs).sum(axis=1), 1.0, atol=1e-4)
        # What is predicted for the validation workers is what the choice was made by.
        assert np.exp(-got.table["log_prob"].mean()) == pytest.approx(model.chosen_perplexity, rel=1e-5)
        assert model.chosen_perplexity == pytest.approx(
            model.validation_perplexity_["validation_perplexity"].min(), 1e-3
        )
        # Fitted again with what was chosen, nothing else is tried, and the same comes out.
        assert model.kept.keys() == model.searched.keys()
        if model.searched:
            again = new_baseline(name, **json.loads(json.dumps(model.kept)))
            again.fit(panel.split(splits, "train"), validation)
            assert (again.chosen, len(again.validation_perplexity_)) == (model.chosen, 1)
            np.testing.assert_allclose(
                again.predict(validation).log_probs, got.log_probs, atol=5e-3
            )  # nats; a search begins elsewhere
    table = baseline_tuning(fitted, len(validation.workers)).frame
    assert table["Baseline"].tolist() == list(BASELINES.values())
    assert table["Chosen"].str.len().min() > 0


def test_an_unknown_baseline_is_named_also_in_the_options(
    panel: CareerPanel, splits: dict[str, str], tmp_path: Path
) -> None:
    for names, options in ((["lasso"], None), ([], {"lasso": {}})):
        with pytest.raises(InputError, match="'lasso' is no baseline"):
            fit_baselines(names, panel, splits, options)
    with pytest.raises(InputError, match="'oracle' is no baseline"):
        refit_baselines({"oracle": tmp_path}, panel, splits, 2)


@pytest.mark.parametrize(("module", "spared"), [("registry", set()), ("settings", {"pandas", "numpy"})])
def test_names_are_read_without_what_fits(module: str, spared: set[str]) -> None:
    heavy = {"torch", "transformers", "sklearn", "scipy", "matplotlib", *spared}
    program = f"import sys, labor_llm.baselines.{module}; sys.exit(len(sys.modules.keys() & {heavy}))"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_career_is_read_and_the_others_are_fitted(
    panel: CareerPanel, splits: dict[str, str], results: Results
) -> None:
    manifest = results.model(panel.dataset, "career") / "manifest.json"
    made = manifest.stat().st_mtime_ns
    fitted = fit_baselines_again(NAMES, panel, splits, results)
    assert list(fitted) == NAMES
    assert manifest.stat().st_mtime_ns == made
    assert fitted["career"].settings == TINY
    shown = baselines_by_length(
        NAMES, panel, splits, results, panel.split(splits, "test"), lengths_of([2, 1])
    )
    assert list(shown) == ["Empirical transitions", "CAREER"]
    assert all(list(by_length) == [*lengths_of([1, 2]), None] for by_length in shown.values())
    with pytest.raises(ArtefactError, match="Run notebooks/06_baselines"):
        fit_baselines_again(NAMES, panel, splits, Results(results.root / "elsewhere"))


def test_what_was_chosen_is_read_but_for_other_careers(
    panel: CareerPanel, splits: dict[str, str], tmp_path: Path
) -> None:
    name, results = "two-stage-logit", Results(tmp_path)
    with writing(results.panel(panel.dataset)):
        pass
    fitted = fit_baselines([name], panel, splits)
    predictions = {name: fitted[name].predict(panel.split(splits, "test"))}
    store_predictions(fitted, predictions, panel.dataset, results)
    tried = {
        variant: len(
            fit_baselines_again([name], panel, splits, results, variant)[name].validation_perplexity_
        )
        for variant in ("", "until-1981")
    }
    assert tried == {"": 1, "until-1981": len(fitted[name].validation_perplexity_)}
    with writing(results.panel(panel.dataset)) as other:
        (other / "other").touch()
    with pytest.raises(ArtefactError, match=f"{name}/manifest.json: .* another panel .*06_baselines"):
        fit_baselines_again([name], panel, splits, results)


def test_three_trainings_of_the_same_test_workers(
    panel: CareerPanel, splits: dict[str, str], results: Results
) -> None:
    got = predictions_by_training(NAMES, panel, splits, 1981, results, seed=1)
    assert list(got) == ["Empirical transitions", "CAREER"]
    test = panel.split(splits, "test").frame
    for by_training in got.values():
        assert set(by_training) == {ALL_YEARS, AS_MANY, UP_TO}
        for predictions in by_training.values():
            assert predictions.table["year"].tolist() == test["year"].tolist()
    early = train_up_to(panel, splits, 1981)
    expected = fit_baselines(["empirical-transitions"], early, splits)
    np.testing.assert_array_equal(
        got["Empirical transitions"][UP_TO].log_probs,
        expected["empirical-transitions"].predict(panel.split(splits, "test")).log_probs,
    )
    assert (results.model(panel.dataset, "career-until-1981") / "manifest.json").is_file()
    records = len(early.split(splits, "train").frame)
    some = as_many_records(panel, splits, records, seed=1)
    kept = some.split(splits, "train")
    assert abs(len(kept.frame) - records) <= 3
    assert kept.frame.equals(panel.restrict(kept.workers).frame), "careers are whole"
    assert some.split(splits, "validation").workers == panel.split(splits, "validation").workers
    with pytest.raises(InputError, match="records of training workers"):
        as_many_records(panel, splits, 10**6)


def test_stored_models_are_named_in_pairs(
    panel: CareerPanel, splits: dict[str, str], results: Results
) -> None:
    fitted = fit_baselines(["empirical-transitions"], panel, splits)["empirical-transitions"]
    for name in ("a", "a-until"):
        write_predictions(results.predictions(panel.dataset, name), fitted.predict(panel))
    got = stored_by_training(panel.dataset, ["a"], ["a-until"], results)
    assert {model: list(found) for model, found in got.items()} == {fitted.name: [ALL_YEARS, UP_TO]}
    assert stored_by_training(panel.dataset, [], [], results) == {}
    threes = stored_by_training(panel.dataset, ["a"], ["a-until"], results, ["a-until"])
    assert list(threes[fitted.name]) == [ALL_YEARS, UP_TO, AS_MANY]
    with pytest.raises(InputError, match="in pairs"):
        stored_by_training(panel.dataset, ["a"], [], results)


def test_a_refit_is_the_fit_of_resampled_workers_and_is_not_done_twice(
    panel: CareerPanel, splits: dict[str, str], tmp_path: Path
) -> None:
    names = ["empirical-transitions", "second-order-transitions"]
    folders = {name: tmp_path / name for name in names}
    made = refit_baselines(folders, panel, splits, 2, seed=5)
    assert {name: len(refits) for name, refits in made.items()} == dict.fromkeys(names, 2)
    train, validation, test = (panel.split(splits, name) for name in ("train", "validation", "test"))
    by_hand = new_baseline(names[0]).fit(resampled_training(train, 5, 1), validation).predict(test)
    pd.testing.assert_frame_equal(made[names[0]][1].table, by_hand.table)
    assert made[names[0]][1].model == by_hand.model
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")}
    refit_baselines(folders, panel, splits, 2, seed=5)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("manifest.json")} == before
