"""TestSE and TrainSE together: the error of a result with another sample of test and of training workers.

The two rest on independent samples, so their squares add up; the interval of the sum uses Student's t with
Satterthwaite's degrees of freedom (Satterthwaite 1946, Biometrics Bulletin 2, 110-114), of which the many draws of
TestSE count as infinitely many. That TrainSE errs on the safe side is told in
`labor_llm.evaluation.training_error`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import scipy.stats

from labor_llm.careers.predictions import Predictions
from labor_llm.careers.refits import stored_refits
from labor_llm.errors import InputError, MismatchError
from labor_llm.evaluation.training_error import train_difference_errors, train_standard_errors
from labor_llm.store.results import Results


def stored_refits_of(
    results: Results, predictions: Sequence[Predictions], models: Sequence[str]
) -> list[list[Predictions]]:
    """Return the refits of each model on each data set that has any.

    Args:
        results: where they stand.
        predictions: of the models themselves, which the refits must be of.
        models: short names of those that were refitted.

    Raises:
        MismatchError: if refits are of other transitions than the model's predictions, or of none of these models,
            as when workers were split anew and the refits not made again.
    """
    own = {(each.dataset, each.model): each for each in predictions}
    found = []
    for dataset in dict.fromkeys(each.dataset for each in predictions):
        for model in models:
            folder = results.refits(dataset, model)
            if not folder.is_dir():
                continue
            refits = stored_refits(folder)
            of_model = own.get((dataset, refits[0].model))
            if of_model is None or not all(_keys(each).equals(_keys(of_model)) for each in refits):
                raise MismatchError(
                    f"{folder}: its refits are of other transitions than the predictions of {model}, or of a model "
                    "with another label. Run the notebook that makes both again."
                )
            found.append(refits)
    return found


def _keys(predictions: Predictions) -> pd.Index:
    return pd.MultiIndex.from_frame(predictions.table[["worker_id", "year"]]).sort_values()


def with_train_errors(
    test: pd.DataFrame,
    refits: Sequence[Sequence[Predictions]],
    references: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Add what refits tell to a table of perplexities or of paired differences.

    Args:
        test: as `bootstrap_perplexity` or `bootstrap_differences` returns it.
        refits: as `stored_refits_of` returns them; of differences, those of models that were not refitted together
            with their reference stay without TrainSE.
        references: of differences, the reference of each data set.

    Returns:
        As `combined_errors`, without numbers where no refits are of the rows; the table itself if there are no refits.
    """
    if references is None:
        errors = train_standard_errors(refits) if refits else pd.DataFrame()
    else:
        parts = [
            train_difference_errors(models, references[dataset])
            for dataset, models in _by_dataset(refits).items()
            if references[dataset] in {model[0].model for model in models}
        ]
        errors = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    if errors.empty:
        return test.assign(train_se=np.nan, total_se=np.nan) if refits else test
    return combined_errors(test, errors)


def refits_in_words(refits: Sequence[Sequence[Predictions]]) -> str:
    """Return how often which models were refitted, such as '10 of Multinomial logit', or that none was."""
    counts = dict.fromkeys(f"{len(model)} of {model[0].model}" for model in refits)
    return ", ".join(counts) or "no model was refitted"


def _by_dataset(refits: Sequence[Sequence[Predictions]]) -> dict[str, list[Sequence[Predictions]]]:
    parts: dict[str, list[Sequence[Predictions]]] = {}
    for model in refits:
        parts.setdefault(model[0].dataset, []).append(model)
    return parts


def combined_errors(test: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Put TestSE and TrainSE of the same estimates together.

    Args:
        test: as `bootstrap_perplexity` or `bootstrap_differences` returns it.
        training: as `train_standard_errors` or `train_difference_errors` does, of the same models and groups.

    Returns:
        The rows of `test` with `train_se`, `refits`, `relative_error`, `total_se` (root of the sum of squares),
        `degrees_of_freedom`, `total_ci_low` and `total_ci_high` (95 %); NaN for models that were not refitted.

    Raises:
        InputError: if the two tables are not of the same kind.
    """
    estimate = "difference" if "difference" in test.columns else "perplexity"
    counts = {"transitions", "workers", "draws"}
    measures = {"mean_over_refits", "train_se", "relative_error", "refits"}
    keys = [column for column in training.columns if column not in counts | measures]
    if missing := [key for key in [*keys, estimate, "test_se"] if key not in test.columns]:
        raise InputError(
            f"combined errors: the table of TestSE has no column {missing[0]!r}. Make both alike."
        )
    wanted = training[[*keys, "train_se", "refits", "relative_error"]]
    joined = test.merge(wanted, on=keys, how="left", validate="one_to_one")
    total = np.sqrt(joined["test_se"] ** 2 + joined["train_se"] ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.where(
            joined["train_se"] == 0, np.inf, total**4 * (joined["refits"] - 1) / joined["train_se"] ** 4
        )
    half = scipy.stats.t.ppf(0.975, freedom) * total
    return joined.assign(
        total_se=total,
        degrees_of_freedom=freedom,
        total_ci_low=joined[estimate] - half,
        total_ci_high=joined[estimate] + half,
    )
