"""How much history does a prediction need? Perplexity with the last k records shown, against the whole history.

All lengths are compared on the same transitions, those with more than the largest k records before them: short
histories belong to early years of a career, in which workers move more, so perplexities of different transitions
would tell nothing. Differences to the whole history are paired on the same bootstrap samples of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.histories import predict_windows
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, panel_columns
from labor_llm.careers.samples import random_workers
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import LeftOut, keys_of, realised
from labor_llm.evaluation.perplexity import perplexity_beside_reference
from labor_llm.store.results import Results

# What the whole history is called where a number of records stands otherwise.
ALL = "all"
ByLength = Mapping[int | None, Predictions]


def drawn_workers(
    test: CareerPanel, lengths: Sequence[int], number: int = -1, seed: int = 0
) -> tuple[CareerPanel, list[int], list[LeftOut]]:
    """Return workers with more records before another than the largest of the lengths, those lengths, and the others.

    Left out are numbers of records that fewer than eleven workers have so long a career for; without any left there are
    no workers. `number` of them are drawn as in `labor_llm.careers.samples.random_workers`; -1 for all.

    Raises:
        InputError: if fewer than eleven workers are asked for, or no number of records.
    """
    if not lengths or 0 <= number < MINIMUM_PERSONS:
        raise InputError(
            f"history: {number} workers, {len(lengths)} numbers of records; give at least {MINIMUM_PERSONS} workers, "
            "or -1 for all, and one number."
        )
    records = test.frame["worker_id"].value_counts()
    borne = [length for length in lengths if (records > length + 1).sum() >= MINIMUM_PERSONS]
    reason = f"it takes {MINIMUM_PERSONS} test workers with {{}} records"
    others = [length for length in lengths if length not in borne]
    left_out = [LeftOut(test.dataset, f"last {length}", "", reason.format(length + 2)) for length in others]
    able = test.restrict(records.index[records > max(borne) + 1] if borne else [])
    return test.restrict(random_workers(able, number, seed)), borne, left_out


def baselines_by_length(
    baselines: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    test: CareerPanel,
    lengths: Sequence[int],
) -> dict[str, ByLength]:
    """Return what baselines that are fitted again say with each length of history, by the name that tables show.

    Args:
        baselines: short names.
        panel: all workers.
        splits: the split of each worker.
        results: where CAREER lies.
        test: careers whose records are predicted.
        lengths: numbers of records shown; without any there are no predictions.
    """
    if not lengths:
        return {}
    fitted = fit_baselines_again(baselines, panel, splits, results).values()
    return {model.name: predict_windows(model.predict, test, lengths) for model in fitted}


def history_lengths(
    models: Mapping[str, ByLength], panel: CareerPanel, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the perplexity of each model with each length of history, on the same transitions.

    Predictions of `models`, by name, are as `labor_llm.careers.histories.predict_windows` returns them for the panel.

    Returns:
        One row a model and length, from the shortest to the whole history: `dataset`, `model`, `records` (text: a
        number or 'all'), `perplexity`, `test_se`, `ci_low`, `ci_high`; against the whole history `difference`,
        `difference_se`, `difference_low`, `difference_high`, NaN for itself; `transitions`, `workers`.

    Raises:
        InputError: if a model lacks the whole history, or no transition has a longer one than the windows.
        MismatchError: if two models' transitions differ.
    """
    parts = []
    for name, by_length in _with_lengths(models):
        longest = max(records for records in by_length if records is not None)
        available = _available(by_length, panel)
        rows = available > longest
        if not rows.any():
            raise InputError(f"{name}: no transition has more than {longest} records before it.")
        parts.append(_compared(name, by_length, available[rows].index, draws, seed))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def history_lengths_by_available(
    models: Mapping[str, ByLength], panel: CareerPanel, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the same by the number of records that there are before the record that is predicted.

    With so many records available, only shorter histories are another prediction than that from the whole one.

    Returns:
        As `history_lengths`, with `available` (least number of records before) and `available_label`: '5', or
        '6 or more' where longer histories are of fewer than eleven workers each.
    """
    parts = []
    for name, by_length in _with_lengths(models):
        available = _available(by_length, panel)
        shortest = min(records for records in by_length if records is not None)
        for least, label, keys in _groups(available[available > shortest]):
            shorter = {key: value for key, value in by_length.items() if key is None or key < least}
            part = _compared(name, shorter, keys, draws, seed)
            parts.append(part.assign(available=least, available_label=label))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _with_lengths(models: Mapping[str, ByLength]) -> list[tuple[str, ByLength]]:
    """Return the models that were shown some length of history; none where the careers are too short for any."""
    return [(name, by_length) for name, by_length in models.items() if by_length]


def _available(by_length: ByLength, panel: CareerPanel) -> pd.Series:
    """Return the number of records before each transition, by worker and year."""
    if None not in by_length:
        raise InputError("history: the predictions from the whole history are missing.")
    table = by_length[None].table
    return panel_columns(table, panel, ["records_before"])["records_before"].set_axis(keys_of(table))


def _groups(available: pd.Series) -> Iterator[tuple[int, str, pd.Index]]:
    """Yield least number of records, label and transitions; the longest histories are pooled to eleven workers.

    Whoever has a record with n before it has one with fewer, so only the last groups can be small.
    """
    workers = available.index.get_level_values("worker_id")
    numbers = sorted(available.unique())
    large = [n for n in numbers if workers[available >= n].nunique() >= MINIMUM_PERSONS]
    for position, n in enumerate(large):
        last = position == len(large) - 1
        chosen = available >= n if last else available == n
        yield int(n), f"{n} or more" if last and numbers[-1] > n else str(n), available[chosen].index


def _compared(name: str, by_length: ByLength, keys: pd.Index, draws: int, seed: int) -> pd.DataFrame:
    shown = []
    for records in [*sorted(records for records in by_length if records is not None), None]:
        chosen = by_length[records].select(keys_of(by_length[records].table).isin(keys))
        shown.append(realised(chosen, ALL if records is None else str(records)))
    table = perplexity_beside_reference(shown, ALL, draws, seed).rename(columns={"model": "records"})
    table.insert(1, "model", name)
    return table
