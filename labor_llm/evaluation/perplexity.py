"""Perplexity: the exponential of the mean negative log-probability, per transition, with two standard errors.

With log P(y_it | history) in nats and T = sum_i T_i transitions of all workers i,

    perplexity = exp( -(1/T) sum_i sum_t log P(y_it | history) ),

as in the CAREER code (Vafa et al. 2024) and the paper: a long career counts more than a short one,
first records are included, and a uniform guess among K occupations has perplexity K. `log_prob` is
unnormalised (mass that a language model puts on text that is no valid title counts against it); a
normalised perplexity conditions on the title being valid. An outcome of probability zero makes
perplexity infinite; it is never clipped.

TestSE ("test-set-bootstrap") is how much a perplexity would vary with another sample of test workers, the fitted
model held fixed. Where workers depend on each other (the members of a household or family), `unit` names the column
of what is resampled instead. With few workers (say below 40) cluster methods, this one too, tend to give standard
errors that are too small. Those that cannot be computed (one worker, or a probability of zero) are NaN, never zero.

TrainSE ("training-set-bootstrap") is how much it would vary with another sample of training workers. They are resampled
with replacement and the model is fitted again, all of it: smoothing, early stopping and whatever else it chooses on the
validation workers (`labor_llm.careers.refits`). TrainSE is the standard deviation over R refits, itself known only
within a relative error of about 1 / sqrt(2 (R - 1)). Refits see fewer different workers than the model itself, so their
mean is a little worse than the model's result, which is what tables show. The two errors rest on independent samples,
so their squares add up.

TrainSE errs on the safe side: near its optimum the loss is quadratic in the error of what a model estimates, so that
what fresh training samples would change is small, while a resampled fit varies around the fitted model, where the loss
has a slope already. For a regular model, with errors of fit and refit that are alike and independent, its variance is
three times as large, and TrainSE about 1.7 times what fresh training samples of the same size would show.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import MASS_TOLERANCE, Predictions
from labor_llm.careers.refits import stored_refits
from labor_llm.errors import InputError, MismatchError, NumericalError
from labor_llm.evaluation.comparison import compare, keys_of, realised
from labor_llm.evaluation.resampling import Sample, differences, estimates, resampled_means, turned
from labor_llm.store.results import Results

# The realised title and the sum over all titles may come from different forward passes, whose
# float32 sums differ by rounding; a normalised probability may exceed one by that much.
NORMALISED_TOLERANCE = 1e-3
WORKER = "worker_id"


def perplexity(log_probs: np.ndarray | pd.Series) -> float:
    """Return the perplexity of realised outcomes' log-probabilities (nats); infinite if one of them is -inf.

    Args:
        log_probs: one per transition.

    Raises:
        InputError: if there are none.
        NumericalError: if one is NaN or above zero (a probability above one).
    """
    with np.errstate(over="ignore"):
        return float(np.exp(-_mean(log_probs, 1e-6)))


def _mean(log_probs: np.ndarray | pd.Series, tolerance: float) -> float:
    """Return the mean of log-probabilities, which by rounding may lie so far above zero."""
    values = np.asarray(log_probs, dtype=np.float64)
    if values.size == 0:
        raise InputError("perplexity of no transitions is not defined. Give at least one log-probability.")
    missing, above = int(np.isnan(values).sum()), int((values > tolerance).sum())
    if missing or above:
        raise NumericalError(
            f"log-probabilities: {missing:,} of {values.size:,} are not a number and {above:,} are above zero "
            "(a probability above one). The model's scores are wrong; score it again."
        )
    return float(values.mean())


def _perplexity(mean: float | np.ndarray) -> float | np.ndarray:
    return np.exp(-mean)


def bootstrap_perplexity(
    predictions: Sequence[Predictions],
    draws: int = 1000,
    seed: int = 0,
    by: str | None = None,
    normalised: bool = False,
    unit: str = WORKER,
) -> pd.DataFrame:
    """Return each model's perplexity with its test-set bootstrap standard error.

    Args:
        predictions: of one or more models and data sets, on identical transitions within a data set.
        draws: bootstrap samples.
        seed: of the samples.
        by: a column such as 'transition_type' for one row per value, on the same draws.
        normalised: of probabilities among the valid titles, on the transitions that have them.
        unit: column of what is resampled.

    Returns:
        Columns `dataset`, `model`, (`by`), `perplexity`, `test_se` (standard deviation over draws),
        `ci_low`, `ci_high` (2.5th and 97.5th percentile), `transitions`, `workers` (that have such
        transitions) and `draws` (that hold at least one of them, on which the three rest). `test_se`
        and the interval are NaN with one worker or a probability of zero.

    Raises:
        InputError: below two draws, or if there are no predictions, a transition is there twice, or `by` or `unit`
            is no column.
        MismatchError: if the models of a data set predict different transitions.
        NumericalError: if a log-probability is NaN or above zero.
    """
    return estimates(_samples(predictions, draws, seed, by, normalised, unit), "perplexity", _perplexity)


def bootstrap_differences(
    predictions: Sequence[Predictions],
    reference: str | Mapping[str, str],
    draws: int = 1000,
    seed: int = 0,
    unit: str = WORKER,
) -> pd.DataFrame:
    """Return how every other model differs from a reference model, paired on the same draws.

    Differences are model minus reference: a better model has a negative difference in perplexity and
    a positive one in log-probability.

    The `reference` is a model's name, or one for each data set; its predictions are among those given. `unit` is the
    column of what is resampled.

    Returns:
        Columns `dataset`, `model`, `reference`; `difference` in perplexity with `test_se`,
        `ci_low`, `ci_high` and `z` (difference / test_se); `log_prob_difference` (mean nats per
        transition) with `log_prob_test_se`, `log_prob_ci_low`, `log_prob_ci_high`, `log_prob_z`;
        `transitions`, `workers`, `draws`. `z` is NaN where the standard error is NaN or zero.

    Raises:
        InputError: if a data set lacks the reference; and as `bootstrap_perplexity`.
    """
    samples = _samples(predictions, draws, seed, unit=unit)
    return differences(samples, reference, {"": _perplexity, "log_prob_": np.positive})


def differences_of(
    predictions: Sequence[Predictions], model: str, others: Collection[str], draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return `bootstrap_differences` of one model from each of others, on the data sets that it predicts.

    Each of the others is a reference: the model is better where the difference in perplexity is negative. Without rows
    where there are no others.
    """
    datasets = {each.dataset for each in predictions if each.model == model}
    shown = [each for each in predictions if each.dataset in datasets and each.model in {model, *others}]
    paired = bootstrap_differences(shown, model, draws, seed)
    return turned(paired) if len(paired) else paired


def perplexity_beside_reference(
    predictions: Sequence[Predictions],
    reference: str,
    draws: int,
    seed: int,
    by: str | None = None,
    nats: bool = False,
) -> pd.DataFrame:
    """Return `bootstrap_perplexity` with each row's difference from a reference model of the same data set.

    With `nats` the difference is of the mean log-probability instead of the perplexity.

    Returns:
        Further columns `difference` (model minus reference), `difference_se`, `difference_low`, `difference_high`, NaN
        for the reference itself; without `draws`.
    """
    samples = _samples(predictions, draws, seed, by)
    keys, names = list(samples[0].key), {"difference": "difference"}
    names |= {"test_se": "difference_se", "ci_low": "difference_low", "ci_high": "difference_high"}
    measure = np.positive if nats else _perplexity
    table = estimates(samples, "perplexity", _perplexity).drop(columns="draws")
    # Without another model there are neither rows nor columns.
    paired = differences(samples, reference, {"": measure}).reindex(columns=[*keys, *names])
    paired = paired.astype(table[keys].dtypes.to_dict()).rename(columns=names)
    return table.merge(paired, on=keys, how="left")


def _samples(
    predictions: Sequence[Predictions],
    draws: int,
    seed: int,
    by: str | None = None,
    normalised: bool = False,
    unit: str = WORKER,
) -> list[Sample]:
    """Return the mean log-probability of each model, or of each of its groups, and in each bootstrap sample."""
    tolerance = NORMALISED_TOLERANCE if normalised else MASS_TOLERANCE
    samples = []
    for comparison in compare(predictions, [by, unit]):
        cells = comparison.cells(by, normalised)
        codes, units = comparison.units(unit)
        workers, _ = comparison.units(WORKER)
        sums = np.column_stack([np.bincount(codes[rows], values, units) for _, rows, values in cells])
        counts = np.column_stack([np.bincount(codes[rows], minlength=units) for _, rows, _ in cells])
        means = resampled_means(sums, counts, draws, seed)
        for (key, rows, values), drawn, by_unit in zip(cells, means.T, counts.T, strict=True):
            mean = _mean(values, tolerance) if len(values) else np.nan
            persons = {"transitions": len(values), "workers": len(np.unique(workers[rows]))}
            samples.append(Sample(key, mean, drawn, int((by_unit > 0).sum()), persons))
    return samples


def bootstrap_households(
    panels: Sequence[CareerPanel],
    predictions: Sequence[Predictions],
    reference: Mapping[str, str],
    draws: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the standard errors on those data sets that tell households, whole households resampled.

    Args:
        panels: of the data sets.
        predictions: as for `bootstrap_perplexity`.
        reference: a model for each data set, from which the others differ.
        draws: bootstrap samples.
        seed: of the samples.

    Returns:
        Columns `dataset`, `model`, `perplexity`, `test_se`, `difference_se` (of the difference to the reference; NaN
        for itself) and `households`; without rows where no data set tells them.
    """
    of_panels, known, count = {panel.dataset: panel.households for panel in panels}, [], {}
    for each in predictions:
        if (households := of_panels.get(each.dataset)) is not None:
            household = each.table[WORKER].map(households)
            count[each.dataset] = household.nunique()
            known.append(replace(each, table=each.table.assign(household=household)))
    if not known:
        return pd.DataFrame(
            columns=["dataset", "model", "perplexity", "test_se", "difference_se", "households"]
        )
    table = bootstrap_perplexity(known, draws, seed, unit="household")[
        ["dataset", "model", "perplexity", "test_se"]
    ]
    paired = bootstrap_differences(known, reference, draws, seed, unit="household")
    paired = paired[["dataset", "model", "test_se"]].rename(columns={"test_se": "difference_se"})
    table = table.merge(paired, on=["dataset", "model"], how="left")
    return table.assign(households=table["dataset"].map(count))


def stored_refits_of(
    results: Results, predictions: Sequence[Predictions], models: Sequence[str]
) -> list[list[Predictions]]:
    """Return the refits of each model on each data set that has any.

    The predictions are of the models themselves, which the refits of `models` (short names) must be of.

    Raises:
        MismatchError: if refits are of other transitions than the model's predictions, or of none of these models,
            as when workers were split anew and the refits not made again.
    """
    own = {(each.dataset, each.model): keys_of(each.table).sort_values() for each in predictions}
    found = []
    for dataset in dict.fromkeys(each.dataset for each in predictions):
        for model in models:
            folder = results.refits(dataset, model)
            if not folder.is_dir():
                continue
            refits = stored_refits(folder)
            keys = own.get((dataset, refits[0].model))
            if keys is None or not all(keys_of(each.table).sort_values().equals(keys) for each in refits):
                raise MismatchError(
                    f"{folder}: its refits are of other transitions than the predictions of {model}, or of a model "
                    "with another label. Run the notebook that makes both again."
                )
            found.append(refits)
    return found


def refits_in_words(refits: Sequence[Sequence[Predictions]]) -> str:
    """Return how often which models were refitted, such as '10 of Multinomial logit', or that none was."""
    counts = dict.fromkeys(f"{len(model)} of {model[0].model}" for model in refits)
    return ", ".join(counts) or "no model was refitted"


def with_train_errors(
    test: pd.DataFrame, refits: Sequence[Sequence[Predictions]], references: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Add what refits tell to a table of perplexities or of paired differences.

    Args:
        test: as `bootstrap_perplexity` or `bootstrap_differences` returns it, one row a data set and model.
        refits: as `stored_refits_of` returns them. Differences are paired by the number of the refit: give refits of
            the same seed.
        references: of differences, the reference of each data set.

    Returns:
        The table with `train_se` (standard deviation over refits) and `total_se` (root of the sum of the squares of
        both); NaN where the model, or the reference, was not refitted or a refit gave something probability zero.
        The table itself if there are no refits.

    Raises:
        InputError, MismatchError: if a model has fewer than two refits, they predict different transitions, or the
            reference has another number of them.
    """
    if not refits:
        return test
    found = {(model[0].dataset, model[0].model): _of_refits(model) for model in refits}
    errors = []
    for dataset, model in zip(test["dataset"], test["model"], strict=True):
        compared = [model] if references is None else [model, references[dataset]]
        known = [found[dataset, name] for name in compared if (dataset, name) in found]
        if len({len(values) for values in known}) > 1:
            raise InputError(
                f"{dataset}: {len(known[0])} refits of {model!r}, {len(known[1])} of the reference {compared[1]!r}. "
                "Refit both as often, with the same seed."
            )
        with np.errstate(invalid="ignore"):
            values = known[0] - sum(known[1:]) if len(known) == len(compared) else np.full(2, np.nan)
            errors.append(float(values.std(ddof=1)) if np.isfinite(values).all() else np.nan)
    return test.assign(train_se=errors, total_se=np.sqrt(test["test_se"] ** 2 + np.square(errors)))


def _of_refits(refits: Sequence[Predictions]) -> np.ndarray:
    """Return the perplexity of each refit of a model."""
    if len(refits) < 2 or len({prediction.model for prediction in refits}) > 1:
        raise InputError(f"training bootstrap: {len(refits)} refits given; give at least two, of one model.")
    (comparison,) = compare([realised(each, f"refit {number}") for number, each in enumerate(refits)])
    return np.exp([-column.mean() for column in comparison.log_probs.T])
