"""Careers of many shapes: every chapter's own code runs on each, with cheap models in place of a language model."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
import typer.main
import yaml
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from labor_llm.baselines.logit import MultinomialLogit
from labor_llm.baselines.two_stage import TwoStageLogit
from labor_llm.careers.histories import HistoryLength, predict_windows
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel, split_workers, transitions
from labor_llm.careers.predictions import Predictions, from_matrix, write_predictions
from labor_llm.commands.main import app
from labor_llm.evaluation import calibration
from labor_llm.exhibits.publishing import read_numbers
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.book import build_book, stage_book
from labor_llm.workflow.execution import execute_notebook
from labor_llm.workflow.pages import run_titles
from labor_llm.workflow.parameters import checked_parameters
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.reference import reference_pages
from labor_llm.workflow.runs import NotebookRun, notebook_file, notebook_runs

SEED = 1
COVARIATES = {
    "education": ("high school", "college"), "gender": ("male", "female"), "ethnicity": ("a", "b"),
    "region": ("north", "south"),
}  # fmt: skip
Years = Callable[[int], Iterable[int]]
BASELINES = [
    "empirical-transitions", "second-order-transitions", "multinomial-logit", "two-stage-logit", "bag-of-jobs"
]  # fmt: skip


def title_space(number: int) -> OutcomeSpace:
    codes = [f"{place:04d}" for place in range(number - 2)] + ["unemployed", "out_of_labor_force"]
    return OutcomeSpace(tuple(codes), tuple(f"Holder of office {code}" for code in codes))


def careers(
    workers: int = 160,
    years: Years = lambda worker: range(2000, 2006),
    stay: Callable[[int], float] = lambda worker: 0.6,
    titles: int = 8,
    jobs: Callable[[int], Sequence[int]] | None = None,
    covariate: Callable[[str, int], str] = lambda name, worker: COVARIATES[name][
        worker * (2 + len(name)) % 7 % 2
    ],
    born: Callable[[int], object] = lambda worker: 1960 + worker % 10,
) -> CareerPanel:
    """Careers in which a worker stays with a probability and else moves to a job out of those it may have."""
    rng, space, rows = np.random.default_rng(7), title_space(titles), []
    for worker in range(workers):
        open_to = list(jobs(worker)) if jobs else list(range(titles))
        job = open_to[rng.integers(len(open_to))]
        person = [covariate(name, worker) for name in COVARIATES]
        for year in years(worker):
            rows.append((f"p{worker:04d}", year, space.codes[job], *person, born(worker)))
            others = [other for other in open_to if other != job]
            if others and rng.random() >= stay(worker):
                job = others[rng.integers(len(others))]
    columns = ["worker_id", "year", "occupation", *COVARIATES, "birth_year"]
    return career_panel(pd.DataFrame(rows, columns=columns), space, "own", "ACME")


@functools.cache
def in_split(name: str, workers: int = 160) -> set[int]:
    """The numbers of the workers who come into a split."""
    ids = pd.DataFrame({"worker_id": [f"p{worker:04d}" for worker in range(workers)]})
    splits = split_workers(CareerPanel(ids, title_space(4), "ACME"), SEED)
    return {int(worker[1:]) for worker, split in splits.items() if split == name}


SHAPES: dict[str, dict[str, Any]] = {
    "as usual": {},
    "no covariate differs": {"covariate": lambda name, worker: "unknown", "born": lambda worker: ""},
    "every second year": {"years": lambda worker: range(1999, 2015, 2)},
    "every fourth year": {"years": lambda worker: range(1999, 2020, 4)},
    "every year, then every second": {"years": lambda worker: [*range(1990, 1994), *range(1994, 2010, 2)]},
    "years far apart, differently": {"years": lambda worker: [1990, 1991 + worker % 5, 2000 + worker % 7]},
    "two years": {"years": lambda worker: (2000, 2001)},
    "one year": {"years": lambda worker: (2000,)},
    "mostly one record": {"years": lambda worker: range(2000, 2001 if worker % 3 else 2006)},
    "one record but of ten": {"years": lambda worker: range(2000, 2001 if worker % 16 else 2006)},
    "nobody moves": {"stay": lambda worker: 1.0},
    "everybody moves": {"stay": lambda worker: 0.0},
    "five move": {"stay": lambda worker: 0.5 if worker < 5 else 1.0},
    "none moves in training": {"stay": lambda worker: 0.5 if worker in in_split("test") else 1.0},
    "two titles": {"titles": 2},
    "two of many titles": {"titles": 30, "jobs": lambda worker: (3, 4)},
    "moves to one title only": {"titles": 6, "jobs": lambda worker: (0, 0, 0, 1), "years": lambda worker: (2000, 2001)},
    "titles that training lacks": {
        "titles": 12, "jobs": lambda worker: range(6, 12) if worker in in_split("test") else range(6)
    },
    "a thousand titles": {"titles": 1000},
    "each of a group of its own": {"covariate": lambda name, worker: f"{name} {worker}"},
    "one in a group of its own": {"covariate": lambda name, worker: "rare" if worker == 17 else "usual"},
    "one education": {"covariate": lambda name, worker: COVARIATES[name][worker % 2 * (name != "education")]},
    "born in one year": {"born": lambda worker: 1960},
    "no birth year": {"born": lambda worker: ""},
    "half the records of one": {"years": lambda worker: range(1990, 2095) if worker == 3 else (2001,), "workers": 120},
    "sixty records each": {"years": lambda worker: range(1950, 2010), "workers": 110, "born": lambda worker: 1930},
    "cohorts that never meet": {"years": lambda worker: range(1920 + worker, 1923 + worker), "born": lambda worker: ""},
    "as few workers as there may be": {"workers": 110},
    "nothing but a job each": {
        "years": lambda worker: (2000, 2001), "stay": lambda worker: 1.0, "titles": 4, "born": lambda worker: "",
        "covariate": lambda name, worker: "unknown",
    },
}  # fmt: skip


class Cheap:
    """In place of a language model: half of the probability on the titles, evenly."""

    def __init__(self, *_: object) -> None:
        self.name, self.prompts = "cheap", 0

    def predict(self, panel: CareerPanel) -> Predictions:
        size = (len(panel.frame), len(panel.outcomes))
        return from_matrix(self.name, transitions(panel), panel.outcomes, np.full(size, -np.log(size[1])))


def cheap_scores(
    panel: CareerPanel, model: str, label: str, folder: Path, settings: Any, *, seed: int = 1, **_: object
) -> Predictions:
    table = Cheap().predict(panel).table
    every = sorted(panel.workers)
    number = settings.all_titles_workers if settings.titles == "all" else 0
    drawn = np.random.default_rng(seed).choice(
        every, min(number, len(every)) if number >= 0 else len(every), replace=False
    )
    full = table["worker_id"].isin(drawn)
    better = 0.5 if "tuned" in label else 0.0
    table["log_prob"] += np.log(0.5) + better * (table["transition_type"] == "staying")
    table["log_valid_mass"] = np.where(full, np.log(0.5), np.nan)
    matrix = np.full((full.sum(), len(panel.outcomes)), np.log(0.5 / len(panel.outcomes)), dtype=np.float32)
    made = Predictions(label, table, panel.outcomes, matrix if full.any() else None)
    shutil.rmtree(folder, ignore_errors=True)
    write_predictions(folder, made)
    return made


def cheap_windows(
    panel: CareerPanel, lengths: Sequence[HistoryLength], model: str, label: str, *_: object, **__: object
) -> Mapping[HistoryLength | None, Predictions]:
    return predict_windows(Cheap().predict, panel, lengths)


def drawn_coarsely(figure: Figure, path: Path, **_: object) -> None:
    """Draw what would be drawn, in a fraction of the time."""
    if path.suffix == ".png":
        figure.set_dpi(30)
        FigureCanvasAgg(figure).draw()
    path.write_bytes(b"")


@pytest.fixture
def cheap_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what a language model does by cheap predictions, and take one candidate and few draws elsewhere."""
    monkeypatch.setattr(MultinomialLogit, "regularisations", (1.0,))
    monkeypatch.setattr(MultinomialLogit, "feature_weights", ((1.0, 0.5, 0.25),))
    monkeypatch.setattr(calibration, "SIMULATIONS", 20)
    monkeypatch.setattr(calibration, "CURVE_SIMULATIONS", 20)
    monkeypatch.setattr(TwoStageLogit, "stay_regularisations", (1.0,))
    monkeypatch.setattr(TwoStageLogit, "destination_regularisations", (1.0,))
    monkeypatch.setattr(Figure, "savefig", drawn_coarsely)
    for place, cheap in {
        "scoring.careers.score_panel": cheap_scores,
        "scoring.last_records.score_windows": cheap_windows,
        "scoring.last_records.load_language_model": lambda *_: None,
        "scoring.last_records.LastRecordScorer": Cheap,
        "scoring.last_records.result_identity": lambda *_: "cheap",
        "models.loading.load_language_model": lambda *_: None,
    }.items():
        monkeypatch.setattr(f"labor_llm.{place}", cheap)


def written_profile(folder: Path, panel: CareerPanel, base: Path, **fields: Any) -> Profile:
    panel.frame.drop(columns="dataset").to_csv(folder / "careers.csv", index=False)
    panel.outcomes.frame().to_csv(folder / "titles.csv", index=False)
    tuned = {"fine_tuning": {"epochs": 1, "learning_rate": 1e-3, "batch_size": 8, "precision": "float32"}}
    files = {"panel": str(folder / "careers.csv"), "titles": str(folder / "titles.csv")}
    content = {
        "description": "Careers of a shape", "results": str(folder / "results"), "split_seed": SEED,
        "datasets": {"own": {"label": "Careers", "survey": "ACME", **files}},
        "language_models": {
            "plain": {"label": "Plain", "base": str(base), "all_titles_workers": 20},
            "tuned": {"label": "Fine-tuned", "base": str(base), "all_titles_workers": 20, **tuned},
        },
        "baselines": BASELINES,
        "refitted": ["empirical-transitions"], "refits": 2, "fine_tuned": "tuned",
        "off_the_shelf": "plain", "draws": 100, "bootstrap_seed": 1, "leave_out": ["16_embeddings"],
        "parameters": {
            "12_history_length-own": {"baselines": ["second-order-transitions"]},
            "13_horizons-own": {"baselines": ["empirical-transitions"]},
        },
        "sizes": {
            "history_lengths": [1, 2, 4], "history_years": [3], "history_workers": 40,
            "horizon_questions": 24, "horizon_paths": 3,
            "language_model_questions": 12, "language_model_paths": 2, "permuted_workers": 48, "permutations": 2,
        },
    } | fields  # fmt: skip
    (folder / "shape.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_profile(str(folder / "shape.yaml"))


def executed_here(run: NotebookRun) -> dict[str, Any]:
    """Execute the cells of a notebook in this process, which takes no kernel."""
    notebook = nbformat.read(project_root() / "notebooks" / f"{run.notebook}.ipynb", as_version=4)
    names: dict[str, Any] = {}
    for cell in notebook.cells:
        if (
            cell.cell_type == "code"
            and "scoring_checks" not in cell.source
            and "refit_language_model(" not in cell.source
        ):
            exec(compile(cell.source, f"{run.name}: {cell.source[:40]!r}", "exec"), names)  # noqa: S102
        if "parameters" in cell.metadata.get("tags", []):
            names |= checked_parameters(notebook, run.parameters, run.name)
    return names


EXECUTED = ("01", "02", "03", "05", "06", "07", "08", "09", "12", "13", "14", "19_claims")
# Tables of which nothing is left, by shape.
NOTHING = {
    "no covariate differs": {
        "tab-value-of-covariates-own",
        "tab-group-perplexity-own",
        "tab-group-tasks-own",
    },
    "two years": {"tab-horizon-perplexity-own", "tab-horizon-agreement-own", "tab-history-length-own"},
    "one year": {
        "tab-horizon-perplexity-own",
        "tab-history-available-own",
        "tab-binary-tasks",
        "tab-binary-events",
    },
    "nobody moves": {"tab-binary-tasks"},
    "five move": {"tab-binary-tasks"},
}
HORIZONS = {
    "as usual": [2, 3],
    "every second year": [4, 6],
    "every year, then every second": [4, 6],
    "two years": [],
}


QUICK = {"no covariate differs", "every second year", "two years", "mostly one record", "nobody moves"}


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[] if shape in QUICK else pytest.mark.slow) for shape in SHAPES]
)
def test_every_chapter_bears_careers_of_every_shape(shape, tmp_path, tiny_model_folder, cheap_models) -> None:
    profile = written_profile(tmp_path, careers(**SHAPES[shape]), tiny_model_folder)
    exhibits = open_results(profile.results).exhibits
    for run in notebook_runs(profile):
        if run.name.startswith(EXECUTED):
            executed_here(run)
            missing = [path for path in run.makes if path.parent == exhibits and not path.is_file()]
            assert missing == [], run.name
    pages = "".join(path.read_text("utf-8") for path in (project_root() / "book").glob("*.md"))
    assert set(re.findall(r"{{ *([a-z]\w*)", pages)) - {"profile"} <= set(read_numbers(exhibits.iterdir()))
    for name in NOTHING.get(shape, ()):
        assert pd.read_csv(exhibits / f"{name}.csv").empty, name
    if shape in HORIZONS:
        table = pd.read_csv(exhibits / "tab-horizon-perplexity-own.csv")
        assert sorted(table["Years ahead"].unique()) == HORIZONS[shape]


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("shape", ["nothing but a job each"])
def test_the_book_is_made_of_careers_that_bear_next_to_nothing(
    shape, tmp_path, tiny_model_folder, fork_server_address
) -> None:
    profile = written_profile(tmp_path, careers(**SHAPES[shape]), tiny_model_folder, leave_out=[])
    for run in notebook_runs(profile):
        execute_notebook(notebook_file(run.notebook), run.executed, run.parameters, run.needs, run.makes)
    required, pages = run_titles(profile), reference_pages(profile, typer.main.get_command(app))
    results = open_results(profile.results)
    staged = stage_book(project_root() / "book", results, "shape", tmp_path / "staged", required, pages)
    html = build_book(staged, tmp_path / "html").parent / "notebooks" / "13_horizons.html"
    assert "No horizon is shown: 11 test workers or more" in html.read_text(encoding="utf-8")
