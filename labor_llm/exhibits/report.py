"""Published values beside reproduced ones, with a verdict on whether the two may be compared.

`published.csv` holds every value of the paper that is at hand. They are quoted as summarised in a
secondary source, not from the paper's tables, and no other value is given as the paper's.

What a run leaves about itself: wall time of each notebook, software and machine.

What a run reproduces of the paper's quantities, in the form that is compared with the published values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from labor_llm.careers.predictions import Predictions
from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.tables import DisplayTable

PUBLISHED_COLUMNS = ["quantity", "dataset", "model", "metric", "value", "source", "note"]
REPRODUCED_COLUMNS = ["quantity", "dataset", "model", "metric", "value"]
COMPARED_COLUMNS = [
    "quantity", "metric", "paper_dataset", "paper_model", "paper_value",
    "our_dataset", "our_model", "our_value", "comparable", "verdict", "source", "note",
]  # fmt: skip
COMPARABLE = "comparable"
# Chapters of their own may show it, on other data: a perplexity of other titles, a rise, a correlation.
NOT_BESIDE = "not set beside ours here"
_LABELS = {
    "fine_tuned": "Fine-tuned",
    "career": "CAREER",
    "off_the_shelf": "Off the shelf",
    "fine_tuned_numeric_titles": "Fine-tuned, numeric titles",
    "fine_tuned_pooled": "Fine-tuned, all data pooled",
    "predicting_unemployment": "Unemployment",
    "predicting_change_of_occupation": "Change of occupation",
    "direct_against_compounded_predictions": "Direct and compounded predictions",
    "numeric_titles_rise_lower": "Numeric titles, lower end",
    "numeric_titles_rise_upper": "Numeric titles, upper end",
    "individuals": "Individuals",
}
_UNKNOWN = "not stated"
_NO_MODEL = "none"


def read_published() -> pd.DataFrame:
    """Return the published values.

    Returns:
        Columns `quantity`, `dataset`, `model` (the base model), `metric`, `value` (float), `source`, `note`.
    """
    with (files("labor_llm.exhibits") / "published.csv").open(encoding="utf-8") as file:
        published = pd.read_csv(file, keep_default_na=False, dtype={"value": float})
    if list(published.columns) != PUBLISHED_COLUMNS:
        raise InputError(f"published.csv: columns {list(published.columns)}, expected {PUBLISHED_COLUMNS}.")
    return published


def compare_with_paper(published: pd.DataFrame, reproduced: pd.DataFrame) -> pd.DataFrame:
    """Join published values with reproduced ones of the same quantity and metric.

    Args:
        published: as `read_published` returns it.
        reproduced: columns `quantity` (as in `published.csv`), `dataset`, `model` (the base model), `metric`
            and `value`, one row for each value of this run; may be empty.

    Returns:
        A row for each pair, and one for each published value that was not reproduced, in published order:
        `quantity`, `metric`, `paper_dataset`, `paper_model`, `paper_value`, `our_dataset`, `our_model`,
        `our_value` (text empty and value NaN where nothing was reproduced), `comparable` (bool), `verdict`,
        `source`, `note`.

    Raises:
        InputError: if a column is missing, or a reproduced quantity and metric was never published.
    """
    missing = [column for column in REPRODUCED_COLUMNS if column not in reproduced.columns]
    if missing:
        raise InputError(f"reproduced values: no column {missing[0]!r}; needed are {REPRODUCED_COLUMNS}.")
    known = set(zip(published["quantity"], published["metric"], strict=True))
    for pair in zip(reproduced["quantity"], reproduced["metric"], strict=True):
        if pair not in known:
            raise InputError(f"reproduced values: there is no published value of {pair[0]!r} ({pair[1]}).")
    paper = published.rename(columns={name: f"paper_{name}" for name in ("dataset", "model", "value")})
    ours = reproduced[REPRODUCED_COLUMNS].rename(
        columns={name: f"our_{name}" for name in ("dataset", "model", "value")}
    )
    joined = paper.merge(ours, on=["quantity", "metric"], how="left")
    joined[["our_dataset", "our_model"]] = joined[["our_dataset", "our_model"]].astype(object).fillna("")
    joined["verdict"] = [_verdict(row) for row in joined.to_dict("records")]
    joined["comparable"] = joined["verdict"] == COMPARABLE
    return joined[COMPARED_COLUMNS]


def published_table(compared: pd.DataFrame, persons: int) -> DisplayTable:
    """Lay `compare_with_paper` out for reading; published values keep the digits they were given with.

    Args:
        compared: as `compare_with_paper` returns it.
        persons: test workers behind the reproduced values.
    """
    names = [_LABELS.get(name, name) for name in compared["quantity"]]
    frame = pd.DataFrame(
        {
            "Quantity": [
                f"{name} ({metric})" for name, metric in zip(names, compared["metric"], strict=True)
            ],
            "Paper": [_as_given(value) for value in compared["paper_value"]],
            "Paper: data, model": _joined(compared["paper_dataset"], compared["paper_model"]),
            "Ours": pd.Series([_as_given(value) for value in compared["our_value"]], dtype=object),
            "Ours: data, model": _joined(compared["our_dataset"], compared["our_model"]),
            "Verdict": compared["verdict"],
        }
    )
    return DisplayTable(frame, pd.Series([persons] * len(frame)), {"Paper": ".12g", "Ours": ".2f"})


def _joined(datasets: pd.Series, models: pd.Series) -> list[str]:
    """Name data set and model in one cell, each word once."""
    pairs = zip(datasets, models, strict=True)
    return [", ".join(dict.fromkeys(part for part in pair if part not in ("", _NO_MODEL))) for pair in pairs]


def _as_given(value: float) -> float | int:
    """Turn a whole number back into one, for its separators."""
    return int(value) if pd.notna(value) and value == int(value) else value


def _verdict(row: dict[str, object]) -> str:
    if not row["our_dataset"]:
        return NOT_BESIDE
    reasons = []
    if row["paper_dataset"] == _UNKNOWN:
        reasons.append("survey not stated")
    elif str(row["paper_dataset"]).casefold() != str(row["our_dataset"]).casefold():
        reasons.append("other survey")
    if row["paper_model"] == _UNKNOWN:
        reasons.append("model not stated")
    elif row["paper_model"] != _NO_MODEL and row["paper_model"] != row["our_model"]:
        reasons.append("other base model")
    return f"not comparable: {', '.join(reasons)}" if reasons else COMPARABLE


def run_times(notebooks: Path, benchmarks: Path) -> pd.DataFrame:
    """Return wall time and peak memory of every executed notebook of a folder.

    Args:
        notebooks: executed notebooks; papermill records the wall time in them.
        benchmarks: the workflow's record of each job, `<name>.tsv`, with its peak memory; may be absent.

    Returns:
        Columns `Notebook`, `Minutes`, `Peak memory, GB` (NaN where not recorded), in the order of names, and a
        last row `Total` with the sum of the minutes and the largest peak. A notebook that is being executed is
        left out.

    Raises:
        ArtefactError: if the folder holds no executed notebook or one of them is unreadable.
    """
    rows = []
    for path in sorted(Path(notebooks).glob("*.ipynb")):
        if path.name.endswith(".failed.ipynb"):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("papermill", {})
        except (ValueError, KeyError) as error:
            raise ArtefactError(f"{path}: not readable as a notebook ({error}). Run it again.") from error
        if record.get("duration") is not None:
            rows.append((path.stem, record["duration"] / 60.0, _peak_memory(benchmarks / f"{path.stem}.tsv")))
    if not rows:
        raise ArtefactError(f"{notebooks}: no executed notebook there. Run the replication first.")
    frame = pd.DataFrame(rows, columns=["Notebook", "Minutes", "Peak memory, GB"])
    frame.loc[len(frame)] = ["Total", frame["Minutes"].sum(), frame["Peak memory, GB"].max()]
    return frame


def _peak_memory(path: Path) -> float:
    """Return the largest resident memory of a job's processes together, in GB, or NaN if it was not recorded."""
    if not path.is_file():
        return float("nan")
    return float(pd.to_numeric(pd.read_csv(path, sep="\t")["max_rss"], errors="coerce").max()) * 2**20 / 1e9


def environment_table(environment: Mapping[str, Any]) -> pd.DataFrame:
    """Return software and machine as a table.

    Args:
        environment: as `labor_llm.store.artefacts.environment` returns it; nested mappings are laid flat.

    Returns:
        Columns `Item`, `Value` (text).
    """
    rows = []
    for key, value in environment.items():
        nested = value.items() if isinstance(value, Mapping) else [(key, value)]
        rows += [{"Item": str(name), "Value": str(text)} for name, text in nested]
    return pd.DataFrame(rows)


def reproduced_values(
    predictions: Mapping[str, Sequence[Predictions]],
    surveys: Mapping[str, str],
    workers: int,
    base_model: str,
) -> pd.DataFrame:
    """Return the quantities of `published.csv` that this run has, with the columns that the comparison asks for.

    Args:
        predictions: for each quantity ('fine_tuned', 'off_the_shelf') the predictions on each data set.
        surveys: what to call each data set, by its short name.
        workers: workers of all data sets together.
        base_model: base model of the language models; of a folder the name alone is shown.
    """
    rows = [
        (
            quantity,
            surveys[dataset],
            Path(base_model).name,
            "perplexity",
            float(np.exp(-part["log_prob"].mean())),
        )
        for quantity, several in predictions.items()
        for prediction in several
        for dataset, part in prediction.table.groupby("dataset", sort=False)
    ]
    rows.append(("individuals", ", ".join(surveys.values()), "none", "count", float(workers)))
    return pd.DataFrame(rows, columns=REPRODUCED_COLUMNS)
