"""A page to try models on: the reader picks a career that was made up and sees which next jobs models expect.

A page that is opened from a folder cannot run a model, so answers are computed before, for each career of a small grid:
the most frequent levels of education, and pairs of the most frequent jobs as the last two. All else is what most
training workers have. So that no answer tells of few persons, eleven training workers or more have had the two jobs one
after the other, and so many have held each job that is listed.
"""

from __future__ import annotations

import itertools
import json
import string
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files

import pandas as pd

from labor_llm.baselines.registry import fit_baselines_again
from labor_llm.careers.next_jobs import likely_next_jobs, next_job_questions
from labor_llm.careers.panel import FIRST_YEAR, CareerPanel, transitions
from labor_llm.careers.settings import STATIC
from labor_llm.disclosure import MINIMUM_PERSONS, supported_years
from labor_llm.exhibits.publishing import Display
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.results import Results

_SHOWN = 8
_NOTHING = (
    f"No two jobs have been had in turn by {MINIMUM_PERSONS} training workers, so there is nothing to pick."
)


def invented_careers(training: CareerPanel, jobs: int, educations: int) -> CareerPanel | None:
    """Return a career for each level of education and pair of jobs, with a third record, the one that is asked for.

    Args:
        training: the careers of the training workers, which tell what is frequent and which years there are.
        jobs: how many of the most frequent occupations may be the last one, and the one before.
        educations: how many of the most frequent levels of education.

    Returns:
        A panel of workers `E-B-L`: the numbers of the education, of the job before last and of the last job, which 11
        workers or more have had one after the other. None where there are none.
    """
    frame, space = training.frame, training.outcomes
    held, levels = _frequent(frame, "occupation")[:jobs], _frequent(frame, "education")[:educations]
    table = transitions(training).dropna(subset="previous")
    persons = table.groupby(["previous", "occupation"])["worker_id"].nunique()
    pairs = {pair for pair, number in persons.items() if number >= MINIMUM_PERSONS and {*pair} <= {*held}}
    if not pairs or not levels:
        return None
    common = {name: frame[name].mode().iloc[0] for name in STATIC if name != "birth_year"}
    asked, titles = supported_years(frame)[1], dict(zip(space.codes, space.titles, strict=True))
    # Every second year where the survey asked so.
    apart = 1 if (frame["year"] == asked - 1).any() else 2
    born = [year for year in _frequent(frame, "birth_year") if FIRST_YEAR <= year < asked - 2 * apart]
    common["birth_year"] = str(born[0]) if born else ""
    numbered = itertools.product(*(range(len(found)) for found in (levels, held, held)))
    rows = [
        {"worker_id": f"{level}-{before}-{last}", "year": str(year), "education": levels[level], **common,
         "occupation": titles[held[job]]}
        for level, before, last in numbered
        if (held[before], held[last]) in pairs
        for year, job in ((asked - 2 * apart, before), (asked - apart, last))
    ]  # fmt: skip
    records = pd.DataFrame(rows, index=[f"invented record {number}" for number in range(len(rows))])
    return next_job_questions(records, training, "invented careers", asked)


def next_job_answers(
    asked: CareerPanel | None,
    careers: CareerPanel,
    splits: Mapping[str, str],
    results: Results,
    baselines: Sequence[str],
    model: str,
    label: str,
    settings: ScoringSettings,
) -> pd.DataFrame:
    """Return what a fine-tuned language model and baselines expect after invented careers.

    Args:
        asked: from `invented_careers`.
        careers: the data set, to which baselines are fitted as notebook 06 has chosen.
        splits: of its workers.
        results: of the run.
        baselines: their names.
        model: the language model, as in `labor_llm.models.loading.load_language_model`.
        label: what it is called.
        settings: its arithmetic.

    Returns:
        A row a career, model and one of the most likely titles: `education`, `before` and `last` (titles), `model`,
        `title`, `probability` and `worker_id`; none without careers.
    """
    columns = ["education", "before", "last", "model", "title", "probability", "worker_id"]
    if asked is None:
        return pd.DataFrame(columns=columns)
    # Only here, so that the rest starts without PyTorch.
    from labor_llm.models.loading import load_language_model
    from labor_llm.scoring.last_records import LastRecordScorer

    loaded = load_language_model(model, settings.dtype, settings.quantization)
    fitted = fit_baselines_again(baselines, careers, splits, results)
    told = [LastRecordScorer(loaded, label, settings).predict(asked)]
    told += [fitted[name].predict(asked) for name in baselines]
    listed = set(_frequent(careers.split(splits, "train").frame, "occupation"))
    titles = dict(zip(asked.outcomes.codes, asked.outcomes.titles, strict=True))
    records = asked.frame.assign(title=asked.frame["occupation"].map(titles)).groupby("worker_id")
    about = {name: (part["education"].iloc[0], *part["title"].iloc[:2]) for name, part in records}
    rows = [
        (
            *about[career["worker_id"]],
            predictions.model,
            job["title"],
            job["probability"],
            career["worker_id"],
        )
        for predictions in told
        for career in likely_next_jobs(predictions, asked)
        for job in [job for job in career["jobs"] if job["occupation"] in listed][:_SHOWN]
    ]
    return pd.DataFrame(rows, columns=columns)


def picker(answers: pd.DataFrame, place: str) -> Display:
    """Return what a reader picks careers with: a page's own HTML and script, which ask no network.

    Args:
        answers: from `next_job_answers`.
        place: an id for it, unique in a page.
    """
    if answers.empty:
        return Display(markdown=_NOTHING, plain=_NOTHING)
    shown: dict[str, dict[str, list[tuple[str, float]]]] = {}
    for row in answers.itertuples():
        of_model = shown.setdefault(row.worker_id, {}).setdefault(row.model, [])
        of_model.append((row.title, round(row.probability, 4)))
    # By their numbers in the workers' ids, as not every job stands before every other.
    numbers = answers["worker_id"].str.split("-", expand=True).astype(int)
    levels = dict(zip(numbers[0], answers["education"], strict=True))
    jobs = dict(zip(numbers[1], answers["before"], strict=True)) | dict(
        zip(numbers[2], answers["last"], strict=True)
    )
    template = string.Template((files("labor_llm.exhibits") / "try_it.html").read_text(encoding="utf-8"))
    page = template.substitute(
        place=escape(f"try-it-{place}"),
        fewest=MINIMUM_PERSONS,
        educations=_options(levels),
        jobs=_options(jobs),
        # Within a script no `</` may stand.
        answers=json.dumps(shown).replace("<", "\\u003c"),
    )
    plain = f"{len(shown)} invented careers, to be picked where HTML is shown."
    return Display(markdown=f"````{{raw}} html\n{page}\n````\n", plain=plain, html=page)


def _options(names: Mapping[int, str]) -> str:
    return "".join(f'<option value="{number}">{escape(names[number])}</option>' for number in sorted(names))


def _frequent(frame: pd.DataFrame, column: str) -> list[str]:
    """Return the values of a column that 11 workers or more have, those of the most workers first."""
    workers = frame.groupby(column, sort=True)["worker_id"].nunique()
    return list(workers[workers >= MINIMUM_PERSONS].sort_values(ascending=False, kind="stable").index)
