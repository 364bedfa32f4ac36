"""The claims of the paper beside what a run has of them, each with a verdict by one rule.

`claims.yaml` says of each claim which table has the number that bears on it. Nothing is computed anew: the tables that
other chapters have stored are read, so that a verdict stands on what a reader sees there.

The rule: a difference can be told if its 95 % interval does not hold zero (`findings.verdict`) and rests on
`ENOUGH_WORKERS` or more. A claim is replicated if the difference that is told has the sign that is claimed, and is not
replicated if it has the other one. All else is undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any, Literal

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter

from labor_llm.baselines.settings import BASELINES, CAREER
from labor_llm.careers.predictions import model_labels
from labor_llm.errors import ArtefactError
from labor_llm.evaluation.resampling import turned
from labor_llm.exhibits.catalogue import find_exhibit
from labor_llm.exhibits.findings import ENOUGH_WORKERS, verdict
from labor_llm.exhibits.formatting import DisplayTable, DisplayText, Reference, blank, escape_csv, table
from labor_llm.exhibits.published import read_published
from labor_llm.exhibits.report import StoredComparison
from labor_llm.exhibits.stored_runs import read_table
from labor_llm.store.results import Results

REPLICATED, NOT_REPLICATED, NOT_RUN = "replicated", "not replicated", "not run here"
UNDECIDED, FEW = "undecided: ", f"fewer than {ENOUGH_WORKERS} workers"
_NO_RUN = {"verdict": NOT_RUN, "decides": "no run of it in this profile"}
# Where a larger run, stored apart, is shown beside this one.
_PAIRS, _OF_LARGER = "tab-fine-tuned-pairs", "fig-on-every-data-set"
# Of data sets with scores of all titles alone.
_IN_FULL = ("tab-value-of-fine-tuning", "tab-prompts", "tab-prompt-pairs")
_NORMAL = 1.96
_Names = Mapping[str, Sequence[str]]
_SIZES = ("difference", "test_se", "ci_low", "ci_high")
_COUNTS = ("transitions", "workers")
_COLUMNS = ["claim", "paper", "dataset", "compared", *_SIZES, *_COUNTS, "verdict", "decides", "shown_in"]


class Claim(BaseModel):
    """A claim, and where the number that bears on it is stored; `claims.yaml` explains the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    claim: str
    sign: Literal["lower", "higher", "equal"]
    exhibit: str
    where: dict[str, str | list[str]] = {}
    otherwise: dict[str, list[str]] = {}
    take: Literal["least", "first", "last"] = "least"
    compared: str = "{model} − {reference}"
    paper: list[tuple[str, str]] = []
    columns: tuple[str, ...] = _SIZES
    zero: float | Literal["paper"] = 0.0


def read_claims() -> list[Claim]:
    """Return the claims in reading order."""
    text = (files("labor_llm.exhibits") / "claims.yaml").read_text(encoding="utf-8")
    return TypeAdapter(list[Claim]).validate_python(yaml.safe_load(text))


def judged(
    results: Results,
    models: _Names,
    datasets: list[str],
    in_full: list[str],
    larger: StoredComparison,
    stored: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Return each claim with a verdict for each data set that has a number on it, or one row that says that none has.

    Args:
        results: of the run.
        models: short names by what the models are: 'fine_tuned', 'off_the_shelf', 'prompted', 'numeric', 'larger'.
        datasets: short names of those that the fine-tuned model is run on.
        in_full: those of them for which it scored all titles.
        larger: a stored comparison, one more data set.
        stored: what stored runs have of the claims, as `stored_runs.stored_claims` returns it; it comes first.

    Returns:
        Columns `claim`, `paper`, `dataset`, `compared`, `difference`, `test_se`, `ci_low`, `ci_high`, `transitions`,
        `workers`, `verdict`, `decides`, `shown_in`; missing where there is nothing to be said.
    """
    known = {"baselines": list(BASELINES), "career": [CAREER], **models}
    names = {key: list(model_labels(results, datasets, some).values()) for key, some in known.items()}
    others = larger.differences["model"].tolist()
    # CAREER that has seen other careers before is CAREER too, as that of its authors has.
    careers = [name for name in others if name.startswith(BASELINES[CAREER])]
    found: list[dict[str, Any]] = []
    before = pd.DataFrame(columns=["claim"]) if stored is None or stored.empty else stored
    for claim in read_claims():
        rows = before[before["claim"] == claim.claim].to_dict("records")
        for dataset, label in results.labels(datasets).items():
            # Where a chapter shows one data set alone, its tables do not name it.
            alone = (in_full if claim.exhibit in _IN_FULL else datasets) == [dataset]
            shown_in, of_dataset = _stored(results, claim.exhibit, dataset, label, alone)
            if of_dataset is not None:
                # The book shows stored runs above the table of this one.
                rows = [{"shown_in": shown_in, **row} for row in rows]
                rows += [
                    {"dataset": label, "shown_in": shown_in, **row}
                    for row in _judged(claim, of_dataset, names)
                ]
        if claim.exhibit == _PAIRS:
            of_survey = {"dataset": f"{larger.about['survey']}, larger run", "shown_in": _OF_LARGER}
            of_model = turned(larger.differences)
            rows += [
                of_survey | row for row in _judged(claim, of_model, {"baselines": others, "career": careers})
            ]
        paper = _published(claim)
        values, surveys = " against ".join(map("{:g}".format, paper)), ", ".join(dict.fromkeys(paper.index))
        head = {"claim": claim.claim, "paper": f"{values} ({surveys})" if values else ""}
        found += [head | row for row in rows or [_NO_RUN]]
    return pd.DataFrame(found, columns=_COLUMNS).astype(dict.fromkeys(_COUNTS, "Int64"))


def _published(claim: Claim) -> pd.Series:
    """Return the paper's values for a claim, by survey."""
    values = read_published().set_index(["quantity", "model"]).loc[claim.paper]
    return values.set_index(values["dataset"].replace("not stated", "survey not stated"))["value"]


def _stored(
    results: Results, exhibit: str, dataset: str, label: str, alone: bool
) -> tuple[str, pd.DataFrame | None]:
    """Return the label of a table, and its rows of a data set in the columns that it was made of; None without it."""
    entry = find_exhibit(exhibit, "table")
    name = entry.label(dataset if entry.variants else "")
    if not (path := results.exhibits / f"{name}.csv").is_file():
        return name, None
    rows = read_table(path, entry)
    if not rows.empty and (lacking := [column for column in _COUNTS if column not in rows]):
        raise ArtefactError(
            f"{path}: has no {lacking[0]}. Run {entry.notebook} again, which now stores them."
        )
    if entry.variants or ("dataset" not in rows and alone):
        return name, rows
    return name, rows[rows["dataset"].isin([dataset, escape_csv(label)])] if "dataset" in rows else rows[:0]


def _judged(claim: Claim, rows: pd.DataFrame, names: _Names) -> list[dict[str, Any]]:
    """Return the row of a table that bears on a claim, judged; none if there is none."""
    found = rows
    for column, cells in claim.where.items():
        wanted = cells if isinstance(cells, list) else [escape_csv(name) for name in names.get(cells, [])]
        rows = rows[rows[column].astype(str).isin(wanted)] if len(rows) else rows
    if rows.empty and claim.otherwise:
        where = {"where": claim.where | claim.otherwise, "otherwise": {}}
        return _judged(claim.model_copy(update=where), found, names)
    if rows.empty or (rows := rows.dropna(subset=[*_COUNTS]))[claim.columns[0]].isna().all():
        return []
    if claim.take == "least":
        # By the end of the interval: one that reaches beyond zero refutes "better than all", however large its middle.
        # What cannot be compared is not better either.
        end = claim.columns[{"lower": -1, "higher": 2}.get(claim.sign, 0) if len(claim.columns) > 2 else 0]
        rows = rows.sort_values(end, ascending=claim.sign == "higher", kind="stable", na_position="first")
    row = rows.iloc[-1 if claim.take == "last" else 0]
    zero = float(_published(claim).iloc[0]) if claim.zero == "paper" else claim.zero
    value, error, *ends = (float(row[name]) for name in claim.columns)
    # Errors by formula are stored without an interval.
    low, high = ends or (value - _NORMAL * error, value + _NORMAL * error)
    size, counts = (value - zero, error, low - zero, high - zero), {name: int(row[name]) for name in _COUNTS}
    word = verdict_on(claim.sign, size[0], *size[2:], counts["workers"])
    decides = workers_to_decide(*size[:2], counts["workers"]) if word.startswith(UNDECIDED) else ""
    compared = claim.compared.format_map({**row, "zero": f"{zero:g}"})
    words = {"compared": compared, "verdict": word, "decides": decides}
    return [dict(zip(_SIZES, size, strict=True)) | counts | words]


def verdict_on(sign: str, difference: float, ci_low: float, ci_high: float, workers: int) -> str:
    """Return the verdict on a claimed sign ('lower', 'higher' or 'equal'), by the rule of the module."""
    word = FEW if workers < ENOUGH_WORKERS else verdict(difference, ci_low, ci_high)
    if word in ("lower", "higher"):
        return REPLICATED if word == sign else NOT_REPLICATED
    return UNDECIDED + word


def workers_to_decide(difference: float, test_se: float, workers: int) -> str:
    """Return how many test workers would tell a difference of this size, to two digits, and never below enough.

    A standard error falls with the root of the number of workers, and 1.96 of it have to fit into the difference.
    """
    needed = workers * (_NORMAL * test_se / difference) ** 2 if difference else math.inf
    if not math.isfinite(needed):
        return "no number of test workers"
    tens = 10 ** max(0, len(str(math.ceil(needed))) - 2)
    return f"about {max(ENOUGH_WORKERS, math.ceil(needed / tens) * tens):,} test workers"


def summary(rows: pd.DataFrame) -> DisplayText:
    """Say how many claims are replicated, not replicated, undecided and not run, from `judged`."""
    run = rows[rows["verdict"] != NOT_RUN]
    yes, no, few = ((rows["verdict"] == word).sum() for word in (REPLICATED, NOT_REPLICATED, UNDECIDED + FEW))
    claimed, found, surveys = rows["claim"].nunique(), run["claim"].nunique(), run["dataset"].unique()
    sentence = (
        f"Of {claimed} claims of the paper, {found} have a number on one or more of {len(surveys)} data sets "
        f"({'; '.join(surveys)}), which makes {len(run)} comparisons: {yes} replicated, {no} not replicated, "
        f"{len(run) - yes - no} undecided, {few} of which rest on {FEW}. {claimed - found} claims are not run here."
    )
    return DisplayText(sentence, _persons(rows))


def verdicts(rows: pd.DataFrame) -> DisplayTable:
    """Put claims, the paper's values and verdicts side by side, from `judged`."""
    shown = rows.apply(blank)
    # Objects, as a column of strings would hold plain ones.
    links = pd.Series([name and Reference(name) for name in shown["shown_in"]], dtype=object)
    return table("tab-claims", shown.assign(shown_in=links), persons=_persons(rows))


def evidence(rows: pd.DataFrame) -> DisplayTable:
    """List the differences that the verdicts are about, from `judged`."""
    return table("tab-claims-evidence", rows[rows["verdict"] != NOT_RUN], persons=_persons(rows))


def _persons(rows: pd.DataFrame) -> int | Literal["none"]:
    return int(rows["workers"].min()) if rows["workers"].notna().any() else "none"
