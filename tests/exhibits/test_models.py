"""Tables about single models, stored benchmarks and the memory of models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.registry import fit_baselines
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.predictions import Predictions
from labor_llm.errors import ArtefactError
from labor_llm.exhibits import models
from labor_llm.exhibits.catalogue import find_exhibit
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.store.artefacts import writing
from labor_llm.text.tokenization import EncodedResume

ROWS = [
    {"name": "titles", "value": 333, "unit": "titles", "peer": None, "ratio": None},
    {"name": "all titles; peer other", "value": 2.0, "unit": "s/transition", "peer": 90.0, "ratio": 45.0},
]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    with writing(tmp_path / "scoring", {"command": ["scoring.py", "--quick"]}) as aside:
        (aside / "rows.json").write_text(json.dumps(ROWS))
        (aside / "machine.json").write_text(json.dumps({"processor": "a processor", "date": "2026-01-01"}))
    return tmp_path / "scoring"


def scored(panel, workers: int, in_full: int) -> Predictions:
    rows = [(f"w{number:02d}", kind) for number in range(workers) for kind in ("first", "moving")]
    table = pd.DataFrame(rows, columns=["worker_id", "transition_type"]).assign(
        dataset="own", year=1990, occupation="000", log_prob=-2.0
    )
    scored = table["worker_id"].isin([f"w{number:02d}" for number in range(in_full)])
    table["log_valid_mass"] = np.where(scored, np.log(0.5), np.nan)
    matrix = np.full((int(scored.sum()), len(panel.outcomes)), -3.0, dtype=np.float32)
    return Predictions("Tiny", table, panel.outcomes, matrix)


def test_types_are_shown_with_the_mass_where_enough_workers_stand_behind_each(panel) -> None:
    table = models.scored_transitions(scored(panel, workers=30, in_full=12))
    assert table.frame[["Transitions", "Number", "Scored for all titles"]].to_numpy().tolist() == [
        ["first", 30, 12], ["moving", 30, 12], ["all", 60, 24],
    ]  # fmt: skip
    assert np.allclose(table.frame["Mean valid mass"], 0.5)
    assert table.persons.tolist() == [12, 12, 12]
    # A type that rests on too few could be computed from the others.
    table = models.scored_transitions(scored(panel, workers=30, in_full=10))
    assert table.frame["Transitions"].tolist() == ["all"]


def test_bounded_scoring_shows_what_is_unresolved(panel) -> None:
    predictions = scored(panel, workers=12, in_full=12)
    table = predictions.table.assign(unresolved=[0.01, 0.02] * 12)
    bounded = models.scored_transitions(Predictions("Tiny", table, panel.outcomes, predictions.log_probs))
    assert np.allclose(bounded.frame["Mean unresolved, at most"], [0.01, 0.02, 0.015])
    exact = models.scored_transitions(predictions)
    for shown in (exact, bounded):
        assert set(shown.formats) <= set(shown.frame)
    assert "Mean unresolved, at most" not in exact.frame


def test_the_split_adds_up(panel) -> None:
    frame = models.split_description(panel, split_workers(panel, 1)).frame
    assert frame["Workers"].tolist() == [112, 16, 32]
    assert frame["Records"].sum() == len(panel.frame)


def test_lengths_of_resumes_and_titles() -> None:
    encoded = [EncodedResume(str(number), np.zeros(100 + number, dtype=np.int64), ()) for number in range(21)]
    frame = models.resume_lengths(encoded, [(1, 2, 9), (1, 3, 9), (4, 9)]).frame
    values = frame.set_index("Characteristic")["Value"]
    assert values["Tokens of all resumes"] == 2310
    assert values["Tokens of a resume, 50 % quantile"] == 110  # rounded to ten
    assert np.isnan(values["Tokens of a resume, 95 % quantile"]), "two workers lie beyond it"
    assert values["Tokens of a title, longest"] == 3
    assert values["Tokens to be run for all titles of a record"] == 4  # 1, 1-2, 1-3, 4


def test_settings_of_an_adapter_are_shown_where_there_is_one() -> None:
    full = models.fine_tuning_settings("folder/of/model", FineTuningSettings()).frame.set_index("Setting")
    lora = models.fine_tuning_settings("m", FineTuningSettings(method="lora")).frame["Setting"]
    assert "lora rank" not in full.index
    assert {"lora rank", "quantization"} <= set(lora)
    assert full.at["base model", "Value"] == "model"


def test_the_choice_of_each_baseline(panel) -> None:
    fitted = fit_baselines(["empirical-transitions"], panel, split_workers(panel, 1))
    row = models.baseline_tuning(fitted, validation_workers=16).frame.iloc[0]
    grid = fitted["empirical-transitions"].validation_perplexity_["validation_perplexity"]
    assert (row["Candidates"], row["Validation perplexity"]) == (len(grid), grid.min())
    assert row["Chosen"].endswith(f"strength {fitted['empirical-transitions'].strength_:g}")


# The kept one is estimated to its end, which may put it just behind one that is not.
@pytest.mark.parametrize("of_other", [8.0, 6.999])
def test_the_penalty_that_is_kept_is_marked(of_other: float) -> None:
    tried = pd.DataFrame(
        {"regularisation": [1e-4, 1e-3], "iterations": [9, 20], "validation_perplexity": [of_other, 7.0],
         "kept": [False, True]}
    )  # fmt: skip
    table = models.embedding_tuning(tried, validation_workers=54)
    assert table.frame[["C", "Kept"]].to_numpy().tolist() == [["0.0001", ""], ["0.001", "yes"]]
    assert table.persons == 54


def test_titles_are_shown_in_every_form(panel: CareerPanel) -> None:
    got = models.title_examples(panel, seed=1).frame
    assert list(got) == ["Literal", "Numeric", "Perturbed", "Shuffled"]
    assert got["Literal"].iloc[0] == panel.outcomes.titles[0]
    assert got["Literal"].iloc[-1] == panel.outcomes.titles[-1]
    assert got["Numeric"].str.fullmatch("job_[0-9]{3}").all()


def test_a_row_tells_what_it_was_measured_beside_and_the_note_on_what(stored: Path) -> None:
    shown = models.benchmark_table("tab-speed-scoring", stored)
    table = shown.frame
    assert table["Measured"].tolist() == ["titles", "all titles"]
    assert table["Beside"].tolist() == ["", "other"]
    assert table.loc[1, ["Value", "Its value", "Ratio"]].tolist() == [2, 90, 45]
    assert table.loc[0, "Ratio"] == ""
    assert shown.numbers == {
        "processor": "a processor", "date": "2026-01-01", "command": "scoring.py --quick",
    }  # fmt: skip


def test_numbers_that_were_changed_are_refused(stored: Path) -> None:
    (stored / "rows.json").write_text(json.dumps(ROWS).replace("45", "90"))
    with pytest.raises(ArtefactError, match=r"rows\.json"):
        models.benchmark_table("tab-speed-scoring", stored)
    with pytest.raises(ArtefactError, match=r"Run `python benchmarks/<name>\.py --store"):
        models.benchmark_table("tab-speed-scoring", stored / "absent")


def test_what_was_not_measured_has_no_row_and_a_sentence_says_so(tmp_path: Path) -> None:
    shown = models.benchmark_table("tab-speed-gpu", tmp_path / "absent")
    assert shown.frame.empty and next(iter(shown.frame)) == "Measured"
    assert find_exhibit("tab-speed-gpu", "table").empty.startswith("Not measured:")


def test_the_memory_of_a_recipe_is_the_sum_of_its_parts() -> None:
    table = models.memory_table(["7b", "13b"], tokens=4096).frame.set_index("Recipe")
    parts = ["Weights", "Gradients", "Optimizer", "Activations", "Logits", "Keys and values"]
    row = table.loc["Llama-2-7B: LoRA, bfloat16"]
    assert row[parts].sum() == pytest.approx(row["Total"])
    assert row["Total"] < table.loc["Llama-2-13B: LoRA, bfloat16", "Total"]
    assert table.loc["Llama-2-7B: full, float32 weights", "Fits"] == "no"
