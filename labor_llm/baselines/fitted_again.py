"""Baselines fitted again for a further chapter: all are quick but CAREER, which is stored and read.

A fit uses no random numbers and chooses from the same candidates, so a baseline is the one whose predictions
notebook 06 has stored. CAREER takes its size and training from the one that notebook 06 has stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labor_llm.artefacts import MANIFEST
from labor_llm.baselines import Baseline, fit_baselines
from labor_llm.baselines.career import load_career
from labor_llm.careers import CareerPanel
from labor_llm.errors import ArtefactError
from labor_llm.history_windows import predict_windows
from labor_llm.predictions import Predictions
from labor_llm.results import Results

CAREER = "career"


def fit_baselines_again(
    names: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    variant: str = "",
) -> dict[str, Baseline]:
    """Return fitted baselines by name, CAREER read if it was trained on these careers.

    Args:
        names: keys of `labor_llm.baselines.BASELINES`.
        panel: all workers, or the careers of some of them or up to a year.
        splits: the split of each worker.
        results: where CAREER lies.
        variant: with other careers than notebook 06, a word for them: CAREER is trained on them, with the settings
            of notebook 06, and stored as `career-<variant>`.

    Raises:
        ArtefactError: if CAREER is asked for and notebook 06 has not made it.
        InputError: as `fit_baselines`.
    """
    if CAREER not in names:
        return fit_baselines(names, panel, splits)
    stored = results.model(panel.dataset, CAREER)
    if not (stored / MANIFEST).is_file():
        raise ArtefactError(
            f"{stored}: CAREER was not made yet. Run notebooks/06_baselines with it, or leave it out of `baselines`."
        )
    folder = results.model(panel.dataset, f"{CAREER}-{variant}") if variant else stored
    options = {CAREER: {"settings": load_career(stored).settings, "folder": folder}}
    return fit_baselines(names, panel, splits, options)


def predict_baselines(
    fitted: Mapping[str, Baseline], panel: CareerPanel, lengths: Sequence[int]
) -> dict[str, dict[int | None, Predictions]]:
    """Return what fitted baselines say with each length of history, by the name that tables show.

    Args:
        fitted: as `labor_llm.baselines.fit_baselines` returns them.
        panel: careers whose records are predicted.
        lengths: numbers of records shown, as in `labor_llm.history_windows.predict_windows`.

    Raises:
        InputError: as `predict_windows`.
    """
    return {baseline.name: predict_windows(baseline.predict, panel, lengths) for baseline in fitted.values()}
