import numpy as np
import pytest

from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.baselines.registry import BASELINES, fit_baselines
from labor_llm.careers.panel import split_workers
from labor_llm.errors import InputError
from labor_llm.exhibits.models import baseline_tuning

TINY = CareerSettings(
    layers=1, width=16, heads=2, inner_width=32, epochs=2, warmup_steps=5, learning_rate=5e-3
)


def test_every_baseline_has_the_same_form_and_a_row_in_the_table_of_choices(panel):
    splits = split_workers(panel, 1)
    fitted = fit_baselines(list(BASELINES), panel, splits, {"career": {"settings": TINY}})
    validation = panel.split(splits, "validation")
    for name, model in fitted.items():
        got = model.predict(validation)
        assert got.model == BASELINES[name]
        np.testing.assert_allclose(np.exp(got.log_probs).sum(axis=1), 1.0, atol=1e-4)
        # What is predicted for the validation workers is what the choice was made by.
        reported = model.validation_perplexity_["validation_perplexity"].min()
        assert np.exp(-got.table["log_prob"].mean()) == pytest.approx(reported, rel=1e-5)
    table = baseline_tuning(fitted, len(validation.workers)).frame
    assert table["Baseline"].tolist() == list(BASELINES.values())
    assert table["Chosen"].str.len().min() > 0


def test_an_unknown_baseline_is_named_also_in_the_options(panel):
    for names, options in ((["lasso"], None), ([], {"lasso": {}})):
        with pytest.raises(InputError, match="'lasso' is no baseline"):
            fit_baselines(names, panel, split_workers(panel, 1), options)
