import numpy as np
import pandas as pd

from labor_llm.baselines.registry import fit_baselines
from labor_llm.careers.panel import split_workers
from labor_llm.careers.predictions import Predictions
from labor_llm.exhibits.models import (
    baseline_tuning,
    embedding_tuning,
    fine_tuning_settings,
    resume_lengths,
    scored_transitions,
    split_description,
)
from labor_llm.exhibits.report import reproduced_values
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.text.tokenization import EncodedResume


def _scored(panel, workers: int, in_full: int) -> Predictions:
    rows = [(f"w{number:02d}", kind) for number in range(workers) for kind in ("first", "moving")]
    table = pd.DataFrame(rows, columns=["worker_id", "transition_type"]).assign(
        dataset="own", year=1990, occupation="000", log_prob=-2.0
    )
    scored = table["worker_id"].isin([f"w{number:02d}" for number in range(in_full)])
    table["log_valid_mass"] = np.where(scored, np.log(0.5), np.nan)
    matrix = np.full((int(scored.sum()), len(panel.outcomes)), -3.0, dtype=np.float32)
    return Predictions("Tiny", table, panel.outcomes, matrix)


def test_types_are_shown_with_the_mass_where_enough_workers_stand_behind_each(panel) -> None:
    table = scored_transitions(_scored(panel, workers=30, in_full=12))
    assert table.frame["Transitions"].tolist() == ["first", "moving", "all"]
    assert table.frame["Number"].tolist() == [30, 30, 60]
    assert table.frame["Scored for all titles"].tolist() == [12, 12, 24]
    assert np.allclose(table.frame["Mean valid mass"], 0.5)
    assert table.persons.tolist() == [12, 12, 12]


def test_bounded_scoring_shows_what_is_unresolved(panel) -> None:
    predictions = _scored(panel, workers=12, in_full=12)
    table = predictions.table.assign(unresolved=[0.01, 0.02] * 12)
    bounded = scored_transitions(Predictions("Tiny", table, panel.outcomes, predictions.log_probs))
    assert np.allclose(bounded.frame["Mean unresolved, at most"], [0.01, 0.02, 0.015])
    exact = scored_transitions(predictions)
    for shown in (exact, bounded):
        assert set(shown.formats) <= set(shown.frame)
    assert "Mean unresolved, at most" not in exact.frame


def test_no_type_is_shown_if_one_rests_on_too_few(panel) -> None:
    table = scored_transitions(_scored(panel, workers=30, in_full=10))
    assert table.frame["Transitions"].tolist() == ["all"]


def test_the_split_adds_up(panel) -> None:
    frame = split_description(panel, split_workers(panel, 1)).frame
    assert frame["Workers"].tolist() == [112, 16, 32]
    assert frame["Records"].sum() == len(panel.frame)


def test_lengths_of_resumes_and_titles() -> None:
    encoded = [EncodedResume(str(number), np.zeros(100 + number, dtype=np.int64), ()) for number in range(11)]
    frame = resume_lengths(encoded, [(1, 2, 9), (1, 3, 9), (4, 9)]).frame.set_index("Characteristic")["Value"]
    assert frame["Tokens of all resumes"] == 1155
    assert frame["Tokens of a resume, 50 % quantile"] == 100  # 105, rounded to ten
    assert frame["Tokens of a title, longest"] == 3
    assert frame["Tokens to be run for all titles of a record"] == 4  # 1, 1-2, 1-3, 4


def test_settings_of_an_adapter_are_shown_where_there_is_one() -> None:
    full = fine_tuning_settings("folder/of/model", FineTuningSettings())["Setting"].tolist()
    lora = fine_tuning_settings("m", FineTuningSettings(method="lora"))["Setting"].tolist()
    assert "lora rank" not in full
    assert {"lora rank", "quantization"} <= set(lora)
    assert fine_tuning_settings("folder/of/model", FineTuningSettings())["Value"].iloc[0] == "model"


def test_the_choice_of_each_baseline(panel) -> None:
    fitted = fit_baselines(["empirical-transitions"], panel, split_workers(panel, 1))
    row = baseline_tuning(fitted, validation_workers=16).frame.iloc[0]
    grid = fitted["empirical-transitions"].validation_perplexity_["validation_perplexity"]
    assert (row["Candidates"], row["Validation perplexity"]) == (len(grid), grid.min())
    assert row["Chosen"].endswith(f"strength {fitted['empirical-transitions'].strength_:g}")


def test_reproduced_values_have_the_form_of_the_comparison(panel) -> None:
    got = reproduced_values({"fine_tuned": [_scored(panel, 12, 12)]}, {"own": "Ours"}, 12, "/a/path/to/model")
    assert got.to_numpy().tolist() == [
        ["fine_tuned", "Ours", "model", "perplexity", np.exp(2.0)],
        ["individuals", "Ours", "none", "count", 12.0],
    ]


def test_the_penalty_that_is_kept_is_marked():
    tried = pd.DataFrame(
        {"regularisation": [1e-4, 1e-3], "iterations": [9, 20], "validation_perplexity": [8.0, 7.0]}
    )
    table = embedding_tuning(tried, validation_workers=54)
    assert table.frame[["C", "Kept"]].to_numpy().tolist() == [["0.0001", ""], ["0.001", "yes"]]
    assert table.persons.tolist() == [54, 54]
