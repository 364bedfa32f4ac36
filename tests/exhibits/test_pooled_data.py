"""Models by the careers that they were fine-tuned on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, write_predictions
from labor_llm.errors import InputError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits.models import title_examples
from labor_llm.exhibits.studies import perplexity_by_training_careers, training_sizes
from labor_llm.exhibits.tables import beside_reference
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

OUTCOMES = OutcomeSpace(("1", "2"), ("Cooks", "Bakers"))


def predictions(model: str, log_prob: float) -> Predictions:
    """Twelve workers of two transitions each."""
    table = pd.DataFrame(
        {
            "dataset": "d", "worker_id": np.repeat([f"w{number:02}" for number in range(12)], 2),
            "year": [1980, 1981] * 12, "transition_type": "first", "occupation": "1",
            "log_prob": log_prob * np.tile([0.5, 1.5], 12), "log_valid_mass": np.nan,
        }
    )  # fmt: skip
    return Predictions(model, table, OUTCOMES)


def test_models_beside_the_reference_with_what_they_were_trained_on() -> None:
    both = [predictions("Own", -np.log(2.0)), predictions("Pooled", -np.log(1.5))]
    bootstrap, differences = bootstrap_perplexity(both, 20), bootstrap_differences(both, "Own", 20)
    described = pd.DataFrame({"dataset": "d", "model": ["Pooled", "Own"], "Careers": [300, 100]})
    table = beside_reference(bootstrap, differences, {"Own": "Own careers"}, described)
    own, pooled = table.frame.to_dict("records")
    assert (own["Model"], own["Careers"], own["Difference"]) == ("Own careers", 100, "")
    assert own["Perplexity"] == pytest.approx(2.0)
    assert pooled["Difference"] == pytest.approx(-0.5)
    assert pooled["95 % from"] <= -0.5 <= pooled["95 % to"] + 1e-9
    assert table.persons.tolist() == [12, 12]
    gain = beside_reference(bootstrap, differences, nats=True).frame["Gain in nats"].tolist()
    assert gain == ["", pytest.approx(np.log(2.0 / 1.5))]


def test_a_reference_alone_has_no_differences() -> None:
    one = [predictions("Own", -1.0)]
    table = beside_reference(bootstrap_perplexity(one, 20), bootstrap_differences(one, "Own", 20))
    assert table.frame["Difference"].tolist() == [""]
    assert table.frame["Perplexity"].item() == pytest.approx(np.e)


def test_training_careers_are_read_from_the_models(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for name, label, own, others in (("own", "Own", 40, {}), ("pooled", "Pooled", 40, {"x": 25, "y": 30})):
        write_predictions(results.predictions("d", name), predictions(label, -1.0))
        data = {"own_workers": own, "other_workers": others, "own_repeats": 1 + len(others)}
        with writing(results.model("d", name), {"training_data": data}):
            pass
    got = training_sizes(results, "d", ["own", "pooled"])
    assert got.to_numpy().tolist() == [["d", "Own", 40, 0, 1], ["d", "Pooled", 40, 55, 3]]
    bootstrap = bootstrap_perplexity([predictions("Own", -1.0), predictions("Pooled", -0.9)], 20)
    axes = perplexity_by_training_careers(bootstrap, got).axes[0]
    drawn = [tuple(container.lines[0].get_xdata()) for container in axes.containers]
    assert drawn == [(40,), (95,)]
    with writing(results.model("d", "own"), {}):
        pass
    with pytest.raises(InputError, match="does not say what it was trained on"):
        training_sizes(results, "d", ["own"])
    with pytest.raises(InputError, match="no model whose perplexity"):
        perplexity_by_training_careers(bootstrap.assign(dataset="e"), got)


def test_titles_are_shown_in_every_form(panel: CareerPanel) -> None:
    got = title_examples(panel, seed=1)
    assert list(got) == ["Literal", "Numeric", "Perturbed", "Shuffled"]
    assert got["Literal"].iloc[0] == panel.outcomes.titles[0]
    assert got["Literal"].iloc[-1] == panel.outcomes.titles[-1]
    assert got["Numeric"].str.fullmatch("job_[0-9]{3}").all()
