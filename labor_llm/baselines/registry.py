"""Baselines by name: fitted, fitted again for a further chapter or until a year, and on resampled training workers.

In all functions names are keys of `BASELINES`, panels hold all workers, and splits tell the split of each.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labor_llm.baselines.form import Baseline
from labor_llm.baselines.settings import BASELINES, CAREER
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, read_predictions, write_all_predictions
from labor_llm.careers.refits import training_refits
from labor_llm.careers.samples import ALL_YEARS, AS_MANY, UP_TO, as_many_records, train_up_to
from labor_llm.errors import ArtefactError, InputError
from labor_llm.settings import Settings
from labor_llm.store.artefacts import MANIFEST, checksum_of, environment, verify
from labor_llm.store.results import Results
from labor_llm.store.staleness import code_checksum

Options = Mapping[str, Mapping[str, Any]]
_KEPT = "kept"


def new_baseline(name: str, **options: Any) -> Baseline:
    """Return a baseline, named by a key of `BASELINES`, that is not fitted yet; `options` are its class's.

    Raises:
        InputError: if the name is unknown.
    """
    check_names([name])
    # These rest on scikit-learn and PyTorch, which take seconds to import.
    from labor_llm.baselines.boosted_trees import BoostedTrees
    from labor_llm.baselines.career import Career
    from labor_llm.baselines.frequencies import EmpiricalTransitions, NoChange, SecondOrderTransitions
    from labor_llm.baselines.logit import MultinomialLogit, MultinomialLogitStaying
    from labor_llm.baselines.two_stage import BagOfJobs, TwoStageLogit

    kinds = (
        NoChange, EmpiricalTransitions, SecondOrderTransitions, MultinomialLogit, MultinomialLogitStaying,
        TwoStageLogit, BagOfJobs, BoostedTrees, Career,
    )  # fmt: skip
    kind: type[Baseline] = dict(zip(BASELINES, kinds, strict=True))[name]
    return kind(**{"name": BASELINES[name], **options})


def check_names(names: Iterable[str]) -> None:
    """Raise InputError if one of the names is no key of `BASELINES`."""
    for name in names:
        if name not in BASELINES:
            raise InputError(f"{name!r} is no baseline; known are {', '.join(BASELINES)}.")


def fit_baselines(
    names: Sequence[str], panel: CareerPanel, splits: Mapping[str, str], options: Options | None = None
) -> dict[str, Baseline]:
    """Return baselines by name, fitted on a panel's training workers and tuned on its validation workers.

    `options` are further arguments of some of the classes by the baseline's name, such as
    `{"career": {"settings": CareerSettings(layers=2), "folder": results.model(dataset, "career")}}`.

    Raises:
        InputError: if a name is unknown.
    """
    options = options or {}
    check_names([*names, *options])
    train, validation = panel.split(splits, "train"), panel.split(splits, "validation")
    return {name: new_baseline(name, **options.get(name, {})).fit(train, validation) for name in names}


def fit_baselines_again(
    names: Sequence[str], panel: CareerPanel, splits: Mapping[str, str], results: Results, variant: str = ""
) -> dict[str, Baseline]:
    """Return `fit_baselines` with what notebook 06 has chosen, CAREER as it was trained there.

    What was chosen stands beside the predictions in `results`; of a baseline without them all is tried. With other
    careers (of some workers, or up to a year) `variant` is a word for them: all is tried on them, and CAREER is
    trained on them, with the settings of notebook 06, and stored as `career-<variant>`.

    Raises:
        ArtefactError: if CAREER is asked for and notebook 06 has not made it, or what was chosen is of another panel.
        InputError: as `fit_baselines`.
    """
    options: dict[str, Mapping[str, Any]] = {} if variant else _kept(names, panel.dataset, results)
    if CAREER not in names:
        return fit_baselines(names, panel, splits, options)
    stored = results.model(panel.dataset, CAREER)
    if not (stored / MANIFEST).is_file():
        raise ArtefactError(
            f"{stored}: CAREER was not made yet. Run notebooks/06_baselines with it, or leave it out of `baselines`."
        )
    folder = results.model(panel.dataset, f"{CAREER}-{variant}") if variant else stored
    from labor_llm.baselines.career import Career  # rests on PyTorch

    options[CAREER] = {"settings": Career().load(stored).settings, "folder": folder}
    return fit_baselines(names, panel, splits, options)


def store_predictions(
    fitted: Mapping[str, Baseline], predictions: Mapping[str, Predictions], dataset: str, results: Results
) -> None:
    """Store predictions by short name, beside those of fitted baselines what these have chosen."""
    kept = {name: {_KEPT: baseline.kept} for name, baseline in fitted.items()}
    write_all_predictions(results, dataset, predictions, kept)


def _kept(names: Iterable[str], dataset: str, results: Results) -> dict[str, Mapping[str, Any]]:
    folders = {name: results.predictions(dataset, name) for name in names}
    made = {name: verify(folder) for name, folder in folders.items() if (folder / MANIFEST).is_file()}
    now = checksum_of(results.panel(dataset)) if made else ""
    for name, manifest in made.items():
        if manifest["inputs"].get("panel") != now:
            raise ArtefactError(
                f"{folders[name] / MANIFEST}: made with another panel than the one that stands there now. Run "
                "notebooks/06_baselines again with this one."
            )
    return {name: manifest["parameters"].get(_KEPT, {}) for name, manifest in made.items()}


def predictions_by_training(
    names: Sequence[str],
    panel: CareerPanel,
    splits: Mapping[str, str],
    last_year: int,
    results: Results,
    seed: int = 0,
) -> dict[str, dict[str, Predictions]]:
    """Return each baseline's predictions of all records of the test workers, by what it was trained on.

    It is trained on all years, on those up to the last year, and on whole careers, drawn with `seed`, with about as
    many records as those.

    Returns:
        By the baseline's name in tables and `ALL_YEARS`, `UP_TO` or `AS_MANY`.

    Raises:
        ArtefactError: as `fit_baselines_again`.
        InputError: as `train_up_to`, `as_many_records` and `fit_baselines`.
    """
    until = train_up_to(panel, splits, last_year)
    as_many = as_many_records(panel, splits, len(until.split(splits, "train").frame), seed)
    test = panel.split(splits, "test")
    found: dict[str, dict[str, Predictions]] = {}
    for training, careers, variant in (
        (ALL_YEARS, panel, ""),
        (AS_MANY, as_many, f"as-many-as-until-{last_year}"),
        (UP_TO, until, f"until-{last_year}"),
    ):
        for baseline in fit_baselines_again(names, careers, splits, results, variant).values():
            found.setdefault(baseline.name, {})[training] = baseline.predict(test)
    return found


def stored_by_training(
    dataset: str,
    models: Sequence[str],
    models_until: Sequence[str],
    results: Results,
    models_as_many: Sequence[str] = (),
) -> dict[str, dict[str, Predictions]]:
    """Return stored predictions of models that were trained on all years, and of the same trained up to a year.

    The lists are short names of predictions that notebook 05 has stored, in the same order; the last one, which may be
    empty, of the same models trained on all years of fewer workers, with as many records as those up to the year.

    Raises:
        InputError: if there are not as many of all.
        ArtefactError: if predictions are missing.
    """
    lists = {ALL_YEARS: models, UP_TO: models_until, **({AS_MANY: models_as_many} if models_as_many else {})}
    if len({len(names) for names in lists.values()}) > 1:
        raise InputError(
            f"{len(models)} models of all years, {len(models_until)} of the years up to one and {len(models_as_many)} "
            "of as many records: name them in pairs, or all in threes."
        )
    found = {}
    for names in zip(*lists.values(), strict=True):
        trained = [read_predictions(results.predictions(dataset, name)) for name in names]
        found[trained[0].model] = dict(zip(lists, trained, strict=True))
    return found


def refit_baselines(
    folders: Mapping[str, Path],
    panel: CareerPanel,
    splits: Mapping[str, str],
    refits: int,
    options: Options | None = None,
    seed: int = 1,
) -> dict[str, list[Predictions]]:
    """Fit baselines again on resampled training workers, and store the test predictions of every refit.

    Refits that are stored already, of the same careers, options, seed and code, are read; others are replaced. All
    baselines are fitted on the same samples.

    Args:
        folders: for each baseline, where its refits stand.
        panel: all workers.
        splits: the split of each worker.
        refits: at least two.
        options: as in `fit_baselines`; a `folder` among them is left aside.
        seed: of the samples.

    Raises:
        InputError: if a name is unknown, or fewer than two refits are asked for.
    """
    check_names(folders)
    parts = [panel.split(splits, name) for name in ("train", "validation", "test")]
    code = {"code": code_checksum(__file__), **environment()["versions"]}
    found = {}
    for name, folder in folders.items():
        chosen = {key: value for key, value in (options or {}).get(name, {}).items() if key != "folder"}
        described = {
            key: value.model_dump() if isinstance(value, Settings) else value for key, value in chosen.items()
        }
        made_by = {"baseline": name, "options": described, **code}
        fit = functools.partial(_fitted, name, chosen)
        found[name] = training_refits(fit, *parts, refits, folder, seed, made_by)
    return found


def _fitted(name: str, options: Mapping[str, Any], train: CareerPanel, validation: CareerPanel) -> Baseline:
    return new_baseline(name, **options).fit(train, validation)
