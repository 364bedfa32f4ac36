"""Several models over several horizons: direct and compounded predictions of each, and tables of how they compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from labor_llm.careers import CareerPanel
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.evaluation.horizon_agreement import distance_to_truth, horizon_agreement
from labor_llm.evaluation.horizon_histories import Education, NextJobModel
from labor_llm.evaluation.horizons import compounded_predictions, direct_predictions
from labor_llm.predictions import Predictions

_KEYS = ["worker_id", "year"]
# Column of the Monte Carlo error of predictions that were compounded over drawn paths.
PATH_ERROR = "probability_se"


@dataclass(frozen=True)
class HorizonPair:
    """What one model says of the same questions, asked directly and compounded.

    Attributes:
        model: name in tables.
        years: from the last known record to the predicted one.
        direct: the direct predictions.
        compounded: the compounded ones; their table has `PATH_ERROR` where paths were drawn.
    """

    model: str
    years: int
    direct: Predictions
    compounded: Predictions

    @property
    def exact(self) -> bool:
        """Whether the compounded predictions are sums over all paths."""
        return PATH_ERROR not in self.compounded.table.columns


class NamedModel(NextJobModel, Protocol):
    """A next-job model that knows what tables call it."""

    name: str


def by_label(models: Mapping[str, NamedModel]) -> dict[str, NamedModel]:
    """Return models by the name that tables show instead of the short one."""
    return {model.name: model for model in models.values()}


def horizon_pairs(
    models: Mapping[str, NextJobModel],
    panel: CareerPanel,
    questions: Mapping[int, pd.DataFrame],
    paths: int,
    seed: int = 0,
    step: int = 1,
    education: Education = "observed",
) -> list[HorizonPair]:
    """Return direct and compounded predictions of each model over each horizon.

    Args:
        models: by name in tables.
        panel: that the questions are of.
        questions: by number of years, as `labor_llm.evaluation.horizons.horizon_questions` returns them.
        paths: drawn where more than one record lies between; with one, all are summed over.
        seed: of the paths.
        step: years from one record to the next.
        education: of the records between.

    Raises:
        As `direct_predictions` and `compounded_predictions`.
    """
    pairs = []
    for years, asked in questions.items():
        drawn = None if years == 2 * step else paths
        for name, model in models.items():
            direct = direct_predictions(model, panel, asked, f"{name}: direct")
            compounded = compounded_predictions(
                model, panel, asked, drawn, seed, step, education, f"{name}: compounded"
            )
            pairs.append(HorizonPair(name, years, direct, compounded))
    return pairs


def agreement_by_model(pairs: Sequence[HorizonPair], draws: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Return `horizon_agreement` of each pair, with `model`, `years`, `path_error` and `exact`.

    `path_error` is the mean Monte Carlo standard error of the realised title's compounded probability; 0 for a sum
    over all paths, which is what `exact` says. Where it is not, the difference in log-probability favors direct
    predictions by construction (`labor_llm.evaluation.horizon_agreement`) and is no evidence for them.
    """
    parts = []
    for pair in pairs:
        row = horizon_agreement(pair.direct, pair.compounded, draws, seed)
        error = 0.0 if pair.exact else float(pair.compounded.table[PATH_ERROR].mean())
        parts.append(row.assign(model=pair.model, years=pair.years, path_error=error, exact=pair.exact))
    return pd.concat(parts, ignore_index=True)


def truth_by_model(
    pairs: Sequence[HorizonPair], oracle: str, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return how far direct and compounded predictions are from the compounded truth of a simulated market.

    Args:
        pairs: of several models, the oracle among them; without it nothing is known.
        oracle: its name.
        draws: bootstrap samples of workers.
        seed: of the samples.

    Returns:
        One row a pair whose horizon has an exact truth (paths would add their scatter to the distance): `model`,
        `years`; `direct_variation`, `compounded_variation` (total variation) with `direct_se`, `compounded_se`;
        `direct_kl`, `compounded_kl` (nats); `transitions`, `workers`. The oracle's compounded ones are the truth.
        Without an oracle no rows.
    """
    truths = {pair.years: pair.compounded for pair in pairs if pair.model == oracle and pair.exact}
    columns = [
        "model", "years", "direct_variation", "direct_se", "direct_kl", "compounded_variation", "compounded_se",
        "compounded_kl", "transitions", "workers",
    ]  # fmt: skip
    rows = []
    for pair in pairs:
        if pair.years not in truths:
            continue
        truth = _of_transitions(truths[pair.years], pair.direct)
        row: dict[str, object] = {"model": pair.model, "years": pair.years}
        for kind, prediction in (("direct", pair.direct), ("compounded", pair.compounded)):
            if prediction is truths[pair.years]:
                row |= {f"{kind}_variation": 0.0, f"{kind}_se": 0.0, f"{kind}_kl": 0.0}
                continue
            found = distance_to_truth(truth, [prediction], draws, seed).iloc[0]
            row |= {
                f"{kind}_variation": found["total_variation"],
                f"{kind}_se": found["test_se"],
                f"{kind}_kl": found["kl"],
                "transitions": found["transitions"],
                "workers": found["workers"],
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def stay_bins(
    pairs: Sequence[HorizonPair], questions: Mapping[int, pd.DataFrame], bins: int = 10
) -> pd.DataFrame:
    """Return the mean probability of the occupation at the origin, direct and compounded, in bins of the direct one.

    Args:
        pairs: of several models.
        questions: by number of years, at least those of the pairs.
        bins: of about equal numbers of questions; fewer where one would hold fewer than eleven workers.

    Returns:
        Columns `model`, `years`, `direct`, `compounded` (mean probabilities), `questions`, `workers`.
    """
    parts = []
    for pair in pairs:
        origins = questions[pair.years].set_index(_KEYS)["origin"]
        table = pair.direct.table
        keys = pd.MultiIndex.from_frame(table[_KEYS])
        columns = table.assign(origin=origins.reindex(keys).to_numpy())
        places = np.array(pair.direct.outcomes.indices(columns["origin"]))
        rows = np.arange(len(columns))
        for kind in ("direct", "compounded"):
            columns[kind] = np.exp(getattr(pair, kind).log_probs[rows, places].astype(np.float64))
        binned = _binned(columns, bins)
        parts.append(binned.assign(model=pair.model, years=pair.years))
    return pd.concat(parts, ignore_index=True)[
        ["model", "years", "direct", "compounded", "questions", "workers"]
    ]


def _of_transitions(predictions: Predictions, others: Predictions) -> Predictions:
    """Return the predictions of those transitions that others have too."""
    wanted = pd.MultiIndex.from_frame(others.table[_KEYS])
    return predictions.select(pd.MultiIndex.from_frame(predictions.table[_KEYS]).isin(wanted))


def _binned(columns: pd.DataFrame, bins: int) -> pd.DataFrame:
    rank = columns["direct"].rank(method="first")
    for number in range(bins, 0, -1):
        groups = columns.groupby(pd.qcut(rank, number, labels=False))
        if number == 1 or groups["worker_id"].nunique().min() >= MINIMUM_PERSONS:
            break
    return groups.agg(
        direct=("direct", "mean"),
        compounded=("compounded", "mean"),
        questions=("year", "size"),
        workers=("worker_id", "nunique"),
    ).reset_index(drop=True)
