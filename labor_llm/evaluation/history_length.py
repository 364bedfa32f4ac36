"""How much history does a prediction need? Perplexity with the last k records or years shown, against all of it.

All lengths are compared on the same transitions, those with a longer history than each of them: short histories
belong to early years of a career, in which workers move more, so perplexities of different transitions would tell
nothing. Differences to the whole history are paired on the same bootstrap samples of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.histories import HistoryLength, predict_windows
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, panel_columns
from labor_llm.careers.samples import random_workers
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError
from labor_llm.evaluation.comparison import LeftOut, keys_of, realised
from labor_llm.evaluation.perplexity import perplexity_beside_reference
from labor_llm.store.results import Results

# What the whole history is called where a length stands otherwise.
ALL = "all"
ByLength = Mapping[HistoryLength | None, Predictions]
_BEFORE = ["records_before", "years_before"]


def drawn_workers(
    test: CareerPanel, lengths: Sequence[HistoryLength], number: int = -1, seed: int = 0
) -> tuple[CareerPanel, list[HistoryLength], list[LeftOut]]:
    """Return workers with more history before a record than each of the lengths, those lengths, and the others.

    Left out is a length if fewer than eleven workers have a longer history than it and those kept before it; without
    any left there are no workers. `number` of them are drawn as in `labor_llm.careers.samples.random_workers`; -1 for
    all.

    Raises:
        InputError: if fewer than eleven workers are asked for, or no length.
    """
    if not lengths or 0 <= number < MINIMUM_PERSONS:
        raise InputError(
            f"history: {number} workers, {len(lengths)} lengths; give at least {MINIMUM_PERSONS} workers, or -1 for "
            "all, and one length."
        )
    # Both are the largest before the last record.
    last = transitions(test).groupby("worker_id", sort=False)[_BEFORE].last()
    able, borne, left_out = last, [], []
    for length in lengths:
        longer = able[length.exceeded(able)]
        if len(longer) < MINIMUM_PERSONS:
            together = [str(length), *[str(other) for other in borne if other.unit != length.unit][-1:]]
            reason = f"it takes {MINIMUM_PERSONS} test workers with more than {' and '.join(together)} before a record"
            left_out.append(LeftOut(test.dataset, f"last {length}", "", reason))
        else:
            able, borne = longer, [*borne, length]
    drawn = random_workers(test.restrict(able.index if borne else []), number, seed)
    return test.restrict(drawn), borne, left_out


def baselines_by_length(
    baselines: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    test: CareerPanel,
    lengths: Sequence[HistoryLength],
) -> dict[str, ByLength]:
    """Return what baselines that are fitted again say with each length of history, by the name that tables show.

    Args:
        baselines: short names.
        panel: all workers.
        splits: the split of each worker.
        results: where CAREER lies.
        test: careers whose records are predicted.
        lengths: of the history shown; without any there are no predictions.
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
        One row a model and length, by records and then by years from the shortest on, and the whole history: `dataset`,
        `model`, `shown` (text: '5 years', or 'all'), `unit` ('records', 'years' or 'all'), `number` (missing of all),
        `perplexity`, `test_se`, `ci_low`, `ci_high`; against the whole history `difference`, `difference_se`,
        `difference_low`, `difference_high`, NaN for itself; `transitions`, `workers`.

    Raises:
        InputError: if a model lacks the whole history, or no transition has a longer one than all of the windows.
        MismatchError: if two models' transitions differ.
    """
    parts = []
    for name, by_length in _with_lengths(models):
        before = _before(by_length, panel)
        rows = np.logical_and.reduce([length.exceeded(before) for length in _shown(by_length)])
        if not rows.any():
            raise InputError(f"{name}: no transition has a longer history than every length that is shown.")
        parts.append(_compared(name, by_length, before.index[rows], draws, seed))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def history_lengths_by_available(
    models: Mapping[str, ByLength], panel: CareerPanel, draws: int = 1000, seed: int = 0
) -> pd.DataFrame:
    """Return the same by the number of records that there are before the record that is predicted.

    Of lengths by records alone: with so many records available, only shorter histories are another prediction than
    that from the whole one, while so many years hold more records of one worker than of another.

    Returns:
        As `history_lengths`, with `available` (least number of records before) and `available_label`: '5', or
        '6 or more' where longer histories are of fewer than eleven workers each.
    """
    parts = []
    for name, by_length in _with_lengths(models):
        available = _before(by_length, panel)["records_before"]
        numbers = {length: length.number for length in _shown(by_length) if length.unit == "records"}
        for least, label, keys in _groups(available[available > min(numbers.values(), default=np.inf)]):
            shorter = {key: by_length[key] for key in [*numbers, None] if key is None or key.number < least}
            part = _compared(name, shorter, keys, draws, seed)
            parts.append(part.assign(available=least, available_label=label))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _with_lengths(models: Mapping[str, ByLength]) -> list[tuple[str, ByLength]]:
    """Return the models that were shown some length of history; none where the careers are too short for any."""
    return [(name, by_length) for name, by_length in models.items() if by_length]


def _shown(by_length: ByLength) -> list[HistoryLength]:
    return [length for length in by_length if length is not None]


def _before(by_length: ByLength, panel: CareerPanel) -> pd.DataFrame:
    """Return how much history there is before each transition, by worker and year."""
    if None not in by_length:
        raise InputError("history: the predictions from the whole history are missing.")
    table = by_length[None].table
    return panel_columns(table, panel, _BEFORE).set_axis(keys_of(table))


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
    lengths = _shown(by_length)
    shown = []
    for length in [*lengths, None]:
        chosen = by_length[length].select(keys_of(by_length[length].table).isin(keys))
        shown.append(realised(chosen, ALL if length is None else str(length)))
    table = perplexity_beside_reference(shown, ALL, draws, seed).rename(columns={"model": "shown"})
    table.insert(1, "model", name)
    table["unit"] = [*(length.unit for length in lengths), ALL]
    table["number"] = pd.array([*(length.number for length in lengths), None], dtype="Int64")
    return table
