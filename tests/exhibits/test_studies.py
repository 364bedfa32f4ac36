"""Tables and sentences of the studies by hand, and the rule of eleven persons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import Predictions, write_predictions
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO
from labor_llm.errors import InputError
from labor_llm.evaluation.covariates import TOGETHER
from labor_llm.evaluation.perplexity import bootstrap_perplexity
from labor_llm.exhibits import figures, studies
from labor_llm.exhibits.formatting import table
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

LENGTHS = pd.DataFrame(
    {
        "dataset": "d", "model": "m", "shown": ["1 record", "4 records", "all"], "perplexity": [9.0, 8.1, 8.0],
        "test_se": 0.5,
        "ci_low": [8.0, 7.0, 7.0], "ci_high": [10.0, 9.0, 9.0], "difference": [1.0, 0.1, np.nan],
        "difference_se": [0.2, 0.1, np.nan], "difference_low": [0.6, -0.1, np.nan],
        "difference_high": [1.4, 0.3, np.nan], "transitions": 40, "workers": 20,
        "unit": ["records", "records", "all"], "number": pd.array([1, 4, None], dtype="Int64"),
    }
)  # fmt: skip
AGREEMENT = pd.DataFrame(
    {
        "model": ["a", "b"], "years": 2, "direct_perplexity": [8.0, 9.0], "compounded_perplexity": [7.0, 10.0],
        "log_prob_difference": [-0.13, 0.1], "test_se": 0.04, "ci_low": [-0.2, 0.02], "ci_high": [-0.05, 0.18],
        "correlation": [0.9, 0.8], "total_variation": [0.1, 0.2], "total_variation_se": 0.01,
        "kl_direct_compounded": [0.05, 0.1], "exact": [True, False], "scatter": [0.0, 0.03],
        "correlation_mc": [0.0, 0.02], "total_variation_mc": [0.0, 0.01], "kl_direct_compounded_mc": [0.0, 0.01],
        "compounded_perplexity_mc": [0.0, 0.2],
        "transitions": [50, 24], "workers": [30, 20],
    }
)  # fmt: skip
PERIODS = pd.DataFrame(
    {
        "model": "m", "period": np.repeat(["1980-1984", "1985-1987"], 2), "training": [ALL_YEARS, UP_TO] * 2,
        "perplexity": [8.0, 8.5, 7.0, 9.0], "difference": [0.5, np.nan, 2.0, np.nan],
        "difference_se": [0.2, np.nan, 0.3, np.nan], "difference_low": [0.1, np.nan, 1.4, np.nan],
        "difference_high": [0.9, np.nan, 2.6, np.nan], "ci_low": 6.0, "ci_high": 9.5, "workers": 20, "transitions": 50,
    }
)  # fmt: skip


def test_the_whole_history_has_no_difference_to_itself() -> None:
    shown = studies.history_lengths(LENGTHS)
    assert shown.frame["Difference to all"].tolist() == [1.0, 0.1, ""]
    assert shown.persons.tolist() == [20, 20, 20]
    told = studies.history_sentence(LENGTHS, "m").words
    assert "Shown the last record alone, m has a perplexity of 9.00" in told
    assert told.endswith("no difference can be told are 4.")
    years = LENGTHS.iloc[:1].assign(shown="3 years", unit="years", number=3)
    both = pd.concat([LENGTHS.iloc[:2], years, LENGTHS.iloc[2:]], ignore_index=True)
    assert studies.history_lengths(both).numbers["longest"] == "4 records and 3 years"
    told = studies.history_sentence(both, "m").words
    assert told.endswith("told are 4. Every number of years that was tried differs from the whole history.")


def test_a_history_without_so_many_records_leaves_a_cell_empty() -> None:
    groups = pd.concat(
        [
            LENGTHS.assign(available=5, available_label="5 or more"),
            LENGTHS[LENGTHS["shown"] != "4 records"].assign(available=2, available_label="2"),
        ]
    )
    frame = studies.history_available(groups).frame
    assert frame["Records available"].tolist() == ["5 or more", "2"]
    assert frame["Last 4"].tolist() == [8.1, ""]
    assert frame["Last 1 \u2212 all"].tolist() == [1.0, 1.0]


def test_the_truth_has_columns_where_it_is_known() -> None:
    nothing = pd.DataFrame(columns=["model", "years"])
    plain = studies.horizon_agreement(AGREEMENT, nothing).frame
    assert not any("Truth" in name for name in plain.columns)
    errors = ["MC error", "MC error (variation)", "From paths alone", "MC error (KL)"]
    assert plain[errors].to_numpy().tolist() == [[""] * 4, [0.02, 0.01, 0.03, 0.01]]
    truth = pd.DataFrame(
        {
            "model": ["a"], "years": 2, "direct_variation": 0.3, "direct_se": 0.01, "compounded_variation": 0.2,
            "compounded_se": 0.02,
        }
    )  # fmt: skip
    frame = studies.horizon_agreement(AGREEMENT, truth).frame
    assert frame["Truth to direct"].tolist() == [0.3, ""]
    assert frame["TestSE (compounded)"].tolist() == [0.02, ""]
    assert studies.horizon_perplexities(AGREEMENT).persons.tolist() == [30, 20]


def test_what_paths_were_drawn_for_is_no_evidence_for_direct_predictions() -> None:
    # The interval of b lies above zero, but the logarithm of an average over drawn paths is too low by itself.
    frame = studies.horizon_perplexities(AGREEMENT).frame
    compared = ["Difference, nats", "TestSE", "95 % from", "95 % to"]
    assert frame[compared].to_numpy().tolist() == [[-0.13, 0.04, -0.2, -0.05], [""] * 4]
    assert frame["Compounded"].tolist() == [7.0, 10.0]
    told = studies.horizon_sentence(AGREEMENT).words
    counted = "{} models with the exact sum predict what happens better compounded and {} better directly"
    assert counted.format("1 of 1", 0) in told
    assert "between 0.90 and 0.90" in told
    assert told.endswith("Not counted, as paths were drawn: b.")
    both = studies.horizon_sentence(AGREEMENT.assign(exact=True)).words
    assert counted.format("1 of 2", 1) in both
    assert "between 0.80 and 0.90" in both
    assert "Not counted" not in both
    # The first horizon that has a sum is told.
    later = pd.concat([AGREEMENT.assign(exact=False, years=3), AGREEMENT])
    assert studies.horizon_sentence(later).words == told
    none = studies.horizon_sentence(AGREEMENT.assign(exact=False)).words
    assert none.startswith("Paths were drawn for every model")


def test_a_training_that_a_model_lacks_is_empty() -> None:
    frame = studies.before_and_after(PERIODS).frame
    assert frame["Test years"].tolist() == ["1980\u20131984", "1985\u20131987"]
    assert frame["Early end"].tolist() == [8.5, 9.0]
    assert frame["Early end \u2212 all"].tolist() == [0.5, 2.0]
    assert frame["As many records"].tolist() == ["", ""]
    third = PERIODS[PERIODS["training"] == ALL_YEARS].assign(training=AS_MANY, perplexity=[8.2, 7.5])
    frame = studies.before_and_after(pd.concat([PERIODS, third])).frame
    assert frame["As many records"].tolist() == [8.2, 7.5]


def test_the_sentence_is_about_the_years_after_training_alone() -> None:
    told = studies.structural_change_sentence(PERIODS, 1984).words
    assert told.startswith(
        "Perplexity of training that ended before, in 1985\u20131987, against training on all years: "
    )
    assert "higher for m (+2.00, 95 % interval 1.40 to 2.60)" in told
    with pytest.raises(InputError, match="no period begins after 1984"):
        studies.structural_change_sentence(PERIODS[PERIODS["period"] == "1980-1984"], 1984)


def measured() -> pd.DataFrame:
    groups = pd.DataFrame({"group": ["female", "male", "other"], "workers": [20, 15, 9]})
    measures = pd.DataFrame({"measure": ["perplexity", "auc", "calibration_error"], "value": [8.0, 0.7, 0.1]})
    rows = groups.merge(measures, how="cross")
    return rows.assign(
        dataset="d", model="m", characteristic="gender", test_se=0.5, ci_low=rows["value"] - 0.05,
        ci_high=rows["value"] + 0.05, perfect_mean=0.05, perfect_high=0.08, transitions=90,
        workers_with_event=pd.NA,
    )  # fmt: skip


def test_groups_below_eleven_workers_are_not_shown() -> None:
    shown = studies.group_perplexity(measured())
    headings = ["Group", "Model", "Perplexity", "TestSE", "95 % from", "95 % to", "Transitions", "Workers"]
    assert list(shown.frame) == headings
    assert shown.frame.to_numpy().tolist() == [
        ["Gender: female", "m", 8.0, 0.5, 7.95, 8.05, 90, 20], ["Gender: male", "m", 8.0, 0.5, 7.95, 8.05, 90, 15],
    ]  # fmt: skip
    assert shown.persons.tolist() == [20, 15]


def test_auc_and_calibration_error_of_a_group_stand_in_one_row() -> None:
    frame = measured().sample(frac=1.0, random_state=1)
    shown = studies.group_tasks(pd.concat([frame, frame.assign(dataset="e", value=0.3)]), {"e": "Data E"})
    own = shown.frame[shown.frame["Data set"] == "d"]
    told = ["AUC", "Calibration error", "Perfect model, mean", "Perfect model, 95 %"]
    assert own[told].to_numpy().tolist() == [[0.7, 0.1, 0.05, 0.08]] * 2
    assert shown.frame["Data set"].tolist().count("Data E") == 2
    assert shown.persons.min() == 15


def values(names: tuple[str, ...] = ("gender", TOGETHER)) -> pd.DataFrame:
    rows = pd.DataFrame({"model": ["m", "n"]}).merge(pd.DataFrame({"covariate": names}), how="cross")
    return rows.assign(
        dataset="d", difference=0.5, test_se=0.1, ci_low=0.3, ci_high=0.7, seed_sd=np.nan, log_prob_difference=-0.02,
        log_prob_test_se=0.004, transitions=1200, workers=40, seeds=3,
    )  # fmt: skip


def test_the_value_of_covariates_as_table_and_sentence() -> None:
    shown = table("tab-value-of-covariates", values())
    assert shown.frame[["Covariate", "Model"]].to_numpy().tolist() == [
        ["gender", "m"], [TOGETHER, "m"], ["gender", "n"], [TOGETHER, "n"],
    ]  # fmt: skip
    assert shown.persons.tolist() == [40] * 4
    assert studies.covariates_in_words(values(), "n").words == (
        "Perplexity of n with all of them exchanged, against that with the workers' own: higher (+0.50, 95 % interval "
        "0.30 to 0.70), over 1,200 transitions of 40 workers and 3 permutations."
    )
    zero = values().assign(difference=np.inf, test_se=np.nan, ci_low=np.nan, ci_high=np.nan)
    assert "own: not comparable, over" in studies.covariates_in_words(zero, "n").words
    alone = studies.covariates_in_words(values(names=("region",)), "m").words
    assert "with region exchanged" in alone


def predictions(model: str) -> Predictions:
    """Twelve workers of two transitions each."""
    table = pd.DataFrame(
        {
            "dataset": "d", "worker_id": np.repeat([f"w{number:02}" for number in range(12)], 2),
            "year": [1980, 1981] * 12, "transition_type": "first", "occupation": "1",
            "log_prob": np.tile([-0.5, -1.5], 12), "log_valid_mass": np.nan,
        }
    )  # fmt: skip
    return Predictions(model, table, OutcomeSpace(("1", "2"), ("Cooks", "Bakers")))


def test_training_careers_are_read_from_the_models(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for name, label, own, others in (("own", "Own", 40, {}), ("pooled", "Pooled", 40, {"x": 25, "y": 30})):
        write_predictions(results.predictions("d", name), predictions(label))
        data = {"own_workers": own, "other_workers": others, "own_repeats": 1 + len(others), "steps": 60}
        with writing(results.model("d", name), {"training_data": data}):
            pass
    got = studies.training_sizes(results, "d", ["own", "pooled"])
    assert got.to_numpy().tolist() == [["d", "Own", 40, 0, 1, 60], ["d", "Pooled", 40, 55, 3, 60]]
    bootstrap = bootstrap_perplexity([predictions("Own"), predictions("Pooled")], 20)
    axes = figures.perplexity_by_training_careers(bootstrap, got).figure.axes[0]
    drawn = [tuple(container.lines[0].get_xdata()) for container in axes.containers]
    assert drawn == [(40,), (95,)]
    with writing(results.model("d", "own"), {}):
        pass
    with pytest.raises(InputError, match="does not say what it was trained on"):
        studies.training_sizes(results, "d", ["own"])
    with pytest.raises(InputError, match="no model whose perplexity"):
        figures.perplexity_by_training_careers(bootstrap.assign(dataset="e"), got)
