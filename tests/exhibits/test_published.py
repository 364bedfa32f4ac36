"""Published values beside those of a run: which may be compared, and that each is found where the run has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from labor_llm.careers.panel import CareerPanel, split_workers, transitions, write_panel
from labor_llm.careers.predictions import from_matrix, write_predictions
from labor_llm.exhibits import published
from labor_llm.exhibits.formatting import format_value
from labor_llm.exhibits.published import REPRODUCED_COLUMNS as COLUMNS
from labor_llm.exhibits.published import ReportedModels
from labor_llm.store.results import Results
from labor_llm.workflow.profile import load_profile
from labor_llm.workflow.runs import notebook_runs

# The only values of the paper that are known from a source; a change here needs one.
PUBLISHED = [
    ("fine_tuned", "PSID81", "Llama-2-7B", "perplexity", 8.184),
    ("career", "PSID81", "CAREER", "perplexity", 8.58),
    ("off_the_shelf", "PSID81", "Llama-2-7B", "perplexity", 364.655),
    ("fine_tuned_numeric_titles", "PSID81", "Llama-2-7B", "perplexity", 8.83),
    ("fine_tuned", "PSID81", "Llama-2-13B", "perplexity", 8.14),
    ("fine_tuned_pooled", "PSID81", "Llama-2-7B", "perplexity", 8.082),
    ("predicting_unemployment", "not stated", "not stated", "AUC-ROC", 0.754),
    ("predicting_change_of_occupation", "not stated", "not stated", "AUC-ROC", 0.848),
    ("direct_against_compounded_predictions", "not stated", "not stated", "correlation", 0.93),
    ("numeric_titles_rise_lower", "several", "not stated", "rise in perplexity", 0.6),
    ("numeric_titles_rise_upper", "several", "not stated", "rise in perplexity", 0.8),
    ("individuals", "three surveys", "none", "count", 52500.0),
]


def test_the_published_values_are_these_and_no_others() -> None:
    known = published.read_published()
    assert list(known[COLUMNS[:5]].itertuples(index=False, name=None)) == PUBLISHED
    assert set(known["source"]) == {"summary of the paper (arXiv 2406.17972)"}


def test_a_value_is_comparable_only_with_the_same_survey_and_base_model() -> None:
    ours = [
        ("fine_tuned", "psid81", "Llama-2-7b-hf", "perplexity", 8.184, False),
        ("career", "wage_panel", "CAREER", "perplexity", 12.0, False),
        ("off_the_shelf", "wage_panel", "SmolLM2", "perplexity", 5e6, False),
        ("fine_tuned_pooled", "PSID81", "Llama-2-7B", "perplexity", 8.1, True),
        ("predicting_unemployment", "PSID81", "Llama-2-7B", "AUC-ROC", 0.75, False),
    ]
    got = published.compare_with_paper(pd.DataFrame(ours, columns=COLUMNS))
    assert got.set_index(["quantity", "model"])["verdict"].iloc[:7].to_dict() == {
        ("fine_tuned", "Llama-2-7B"): "comparable",
        ("career", "CAREER"): "not comparable: other survey",
        ("off_the_shelf", "Llama-2-7B"): "not comparable: other survey, other base model",
        ("fine_tuned_numeric_titles", "Llama-2-7B"): "not in this run",
        # That of another size of ours is not ours.
        ("fine_tuned", "Llama-2-13B"): "not in this run",
        ("fine_tuned_pooled", "Llama-2-7B"): "not comparable: part of the training workers",
        ("predicting_unemployment", "not stated"): "not comparable: survey not stated, model not stated",
    }


def test_published_values_keep_their_digits_beside_ours(panel: CareerPanel) -> None:
    ours = [("fine_tuned", "Ours", "model", "perplexity", float(np.exp(2.0)), False)]
    table = published.published_values(pd.DataFrame(ours, columns=COLUMNS), [panel] * 8, ["Ours"])
    cells = [
        [format_value(cell, table.formats.get(name)) for cell in table.frame[name].iloc[[0, 2, -1]]]
        for name in ("Quantity", "Paper", "Ours", "Ours: data, model")
    ]
    assert cells == [
        ["Fine-tuned (perplexity)", "Off the shelf (perplexity)", "Individuals (count)"],
        ["8.184", "364.655", "52500"],
        ["7.39", "n/a", "1,280"],
        ["Ours, model", "", "Ours"],
    ]
    assert table.persons == 1280


def test_each_value_stands_beside_its_own_where_rows_fall_together(panel: CareerPanel) -> None:
    """Two data sets with Llama-2-7B, neither of which stands beside the paper's 13B."""
    ours = [
        ("fine_tuned", "PSID81", "Llama-2-7b-hf", "perplexity", 8.5, False),
        ("fine_tuned", "NLSY79", "Llama-2-7b-hf", "perplexity", 7.5, False),
        ("career", "PSID81", "CAREER", "perplexity", 9.5, False),
        ("fine_tuned_pooled", "PSID81", "Llama-2-7b-hf", "perplexity", 6.5, False),
    ]
    shown = published.published_values(pd.DataFrame(ours, columns=COLUMNS), [panel], ["PSID81"]).frame
    rows = shown[["Quantity", "Ours", "Ours: data, model"]].to_numpy().tolist()
    assert ["Fine-tuned (perplexity)", 7.5, "NLSY79, Llama-2-7b-hf"] in rows
    assert ["CAREER (perplexity)", 9.5, "PSID81, CAREER"] in rows
    assert ["Fine-tuned, all data pooled (perplexity)", 6.5, "PSID81, Llama-2-7b-hf"] in rows
    assert ["Individuals (count)", len(panel.workers), "PSID81"] in rows


def test_every_quantity_is_found_where_the_run_has_it(panel: CareerPanel, tmp_path: Path) -> None:
    """Of invented models: perplexities, the rise with numeric titles, both tasks and the correlation by hand."""
    results, table = Results(tmp_path), transitions(panel)
    write_panel(results.panel("d"), panel, split_workers(panel, 1), {"label": "PSID81"})
    rng = np.random.default_rng(1)

    def log_probs() -> np.ndarray:
        return np.log(rng.dirichlet(np.ones(len(panel.outcomes)), len(table)))

    def store(folder: Path, log_probabilities: np.ndarray, **columns: object) -> pd.DataFrame:
        made = from_matrix(folder.name, table, panel.outcomes, log_probabilities)
        made.table[list(columns)] = pd.DataFrame(columns, index=made.table.index)
        write_predictions(folder, made)
        return made.table

    perplexities = {}
    for name in ("tuned", "plain", "numbers", "career"):
        stored = store(results.predictions("d", name), own := log_probs())
        perplexities[name] = float(np.exp(-stored["log_prob"].mean()))
        if name == "tuned":
            chances = np.exp(own)
    pair = [
        store(results.horizons("d", "tuned") / way, log_probs(), origin_year=1)
        for way in ("direct", "compounded-1")
    ]
    reported = ReportedModels(
        fine_tuned=["tuned"], off_the_shelf=["plain", "elsewhere"], fine_tuned_numeric_titles=["numbers"],
        literal="tuned", bases={"tuned": "meta-llama/Llama-2-7b-hf", "numbers": "meta-llama/Llama-2-7b-hf"},
        in_part=["numbers"],
    )  # fmt: skip
    got = published.reproduced_values(results, ["d"], [panel], reported)
    values = got.set_index("quantity")["value"].to_dict()
    later = table["previous"].notna().to_numpy()
    previous = panel.outcomes.indices(table.loc[later, "previous"])
    changes = 1.0 - chances[np.flatnonzero(later), previous]
    idle = (
        chances[later, panel.outcomes.index("unemployed")] if "unemployed" in panel.outcomes.codes else None
    )
    expected = {
        "fine_tuned": perplexities["tuned"],
        "off_the_shelf": perplexities["plain"],
        "fine_tuned_numeric_titles": perplexities["numbers"],
        "career": perplexities["career"],
        **dict.fromkeys(published._RISES, perplexities["numbers"] - perplexities["tuned"]),
        "predicting_change_of_occupation": roc_auc_score(
            table.loc[later, "transition_type"] == "moving", changes
        ),
        "direct_against_compounded_predictions": np.corrcoef(*(np.exp(part["log_prob"]) for part in pair))[
            0, 1
        ],
    }
    if idle is not None:
        happened = table.loc[later, "occupation"] == "unemployed"
        expected["predicting_unemployment"] = roc_auc_score(happened, idle)
    assert values == pytest.approx(expected, rel=1e-5)
    verdicts = published.compare_with_paper(got).set_index(["quantity", "model"])["verdict"]
    assert verdicts["fine_tuned", "Llama-2-7B"] == "comparable"
    assert verdicts["career", "CAREER"] == "comparable"
    assert verdicts["off_the_shelf", "Llama-2-7B"] == "not comparable: other base model"
    numeric = verdicts["fine_tuned_numeric_titles", "Llama-2-7B"]
    assert numeric == "not comparable: part of the training workers"


def test_models_of_a_profile_are_reported_by_what_they_are() -> None:
    (run,) = [run for run in notebook_runs(load_profile("demo")) if run.notebook == "19_replication_report"]
    reported = run.parameters["reported"]
    assert reported["fine_tuned"] == ["smollm2-fine-tuned"]
    assert reported["off_the_shelf"] == ["smollm2-off-the-shelf"]
    assert reported["fine_tuned_numeric_titles"] == ["smollm2-numeric-titles"]
    # Ten per cent of the others are not all data pooled; prompts and other years are no quantity of the paper's.
    assert "fine_tuned_pooled" not in reported
    assert reported["literal"] == "smollm2-60-workers"
    assert set(reported["in_part"]) == {"smollm2-fine-tuned", "smollm2-numeric-titles"}
    assert ReportedModels(**reported).bases["smollm2-fine-tuned"] == "smollm2-135m-instruct"
