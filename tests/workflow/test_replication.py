"""The whole way on the small profile: careers of one's own and a tiny model, by a profile file alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import psutil
import pytest
import typer.main
import yaml
from filelock import FileLock

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import read_panel
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.careers.settings import TrainingData
from labor_llm.commands.main import app
from labor_llm.errors import ArtefactError, BusyError, InputError, LaborLLMError
from labor_llm.exhibits.stored_runs import read_stored, stored_claims
from labor_llm.store.artefacts import verify
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.book import build_book, stage_book
from labor_llm.workflow.execution import execute_notebook
from labor_llm.workflow.forkserver import START
from labor_llm.workflow.pages import run_titles
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.reference import reference_pages
from labor_llm.workflow.replication import replicate
from labor_llm.workflow.runs import NotebookRun, longest_way_first, notebook_file, notebook_runs
from labor_llm.workflow.stopping import lives
from labor_llm.workflow.storing import store_run

CANARY = "w001x"


@pytest.fixture(scope="module")
def small_profile(
    tmp_path_factory: pytest.TempPathFactory,
    records: pd.DataFrame,
    outcomes: OutcomeSpace,
    tiny_model_folder: Path,
    fork_server_address: str,
) -> Profile:
    """A user's own careers (two CSV files), a simulated survey and an own model (a folder), said in one YAML file."""
    folder = tmp_path_factory.mktemp("own")
    # A record a year, as the chapter on horizons asks of careers; the other tests' skip years.
    years = 1980 + records.groupby("worker_id").cumcount()
    # One, whose id puts her into the test split, is alone with all that she has.
    canary = dict.fromkeys(["education", "gender", "ethnicity", "region"], "canary")
    alone = records.iloc[[0] * 4].assign(worker_id=CANARY, birth_year="1899", **canary)
    careers = pd.concat([records.assign(year=years.astype(str)), alone.assign(year=range(1931, 1935))])
    careers.to_csv(folder / "careers.csv", index=False)
    outcomes.frame().to_csv(folder / "titles.csv", index=False)
    model = folder / "model"
    shutil.copytree(tiny_model_folder, model)
    config = json.loads((model / "config.json").read_text())
    # Careers of a simulated survey are longer than the other tests'.
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    tiny = {"base": str(model), "datasets": ["own"]}
    tuned = {"fine_tuning": {"epochs": 2, "learning_rate": 5e-3, "batch_size": 8, "precision": "float32"}}
    small = {
        "description": "Invented careers and a tiny model",
        "results": str(folder / "results"),
        "split_seed": 1,
        "datasets": {
            "own": {
                "label": "Careers of one's own", "survey": "ACME",
                "panel": str(folder / "careers.csv"), "titles": str(folder / "titles.csv"),
            },
            "simulated": {
                "label": "Simulated PSID", "reader": "psid", "simulated_workers": 120, "all_titles_workers": 0
            },
        },
        "language_models": {
            "tiny": {"label": "Tiny, off the shelf", **tiny, "all_titles_workers": 24},
            "tiny-fine-tuned": {"label": "Tiny, fine-tuned", **tiny, **tuned},
            # In two chapters: another form of resumes, and careers of two data sets.
            "tiny-variant": {
                "label": "Tiny, pooled, without year of birth",
                **tiny,
                **tuned,
                "resumes": {"birth_year": False},
                "training": {"others": ["simulated"], "share": 0.2},
            },
            "tiny-early": {"label": "Tiny, early", **tiny, **tuned, "training": {"last_year": 1982}},
            "tiny-told": {"label": "Tiny, told", **tiny, "titles": "realised", "prompt": {"form": "titles"}},
        },
        "studies": {
            "titles": ["tiny-fine-tuned", "tiny-variant"],
            "pooled_data": ["tiny-fine-tuned", "tiny-variant"],
            "prompts": ["tiny-told"],
            "last_year": 1982,
            "until_last_year": {"tiny-early": "tiny-fine-tuned"},
        },
        "sizes": {
            "history_lengths": [1, 2], "horizon_questions": 40, "horizon_paths": 5, "language_model_questions": 12,
            "language_model_paths": 2, "permuted_workers": 24, "permutations": 1,
        },
        "parameters": {
            "13_horizons": {"horizons": [2]},
            "15_structural_change-own": {"baselines": ["empirical-transitions"]},
        },
        "baselines": ["empirical-transitions", "multinomial-logit"],
        "refitted": ["empirical-transitions", "tiny-fine-tuned"],
        "refits": 2,
        "fine_tuned": "tiny-fine-tuned",
        "off_the_shelf": "tiny",
        "draws": 100,
        "bootstrap_seed": 1,
    }  # fmt: skip
    (folder / "small.yaml").write_text(yaml.safe_dump(small), encoding="utf-8")
    return load_profile(str(folder / "small.yaml"))


@pytest.fixture(scope="module")
def replicated(small_profile: Profile) -> Profile:
    """The small profile with all its notebooks executed."""
    for run in notebook_runs(small_profile):
        made = [run.needs, run.makes]
        assert execute_notebook(notebook_file(run.notebook), run.executed, run.parameters, *made)
    return small_profile


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_every_notebook_runs_and_the_book_builds(
    small_profile: Profile, replicated: Profile, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = open_results(small_profile.results)
    predictions = read_all_predictions(results, ["own"], ["tiny", "tiny-fine-tuned", "multinomial-logit"])
    off_the_shelf, fine_tuned, logit = (prediction.table["log_prob"].mean() for prediction in predictions)
    assert off_the_shelf < fine_tuned < logit + 3
    careers, splits = read_panel(results.panel("own"))
    assert set(predictions[0].table["worker_id"]) == set(careers.split(splits, "test").workers)
    known, guessed = read_all_predictions(results, ["simulated"], ["oracle", "empirical-transitions"])
    assert known.table["log_prob"].mean() > guessed.table["log_prob"].mean()
    required = run_titles(small_profile)
    pages = reference_pages(small_profile, typer.main.get_command(app))
    kept = store_run(small_profile, "small.yaml", tmp_path / "kept")
    stored = read_stored([kept])
    assert set(stored_claims([kept])["dataset"]) == {
        "Careers of one's own (Invented careers and a tiny model)"
    }
    staged = stage_book(
        project_root() / "book", results, "small", tmp_path / "staged", required, pages, stored
    )
    index = build_book(staged, tmp_path / "html")
    page = index.read_text(encoding="utf-8")
    numbers = json.loads((results.exhibits / "07_main_comparison.numbers.json").read_text(encoding="utf-8"))
    assert numbers["fine_tuned_perplexity"]["text"] in page
    assert not [path for path in tmp_path.rglob("html/**/*.html") if b"w017" in path.read_bytes()]
    assert splits[CANARY] == "test"
    assert small_profile.description in (tmp_path / "html" / "stored.html").read_text("utf-8")
    told = [path.read_text("utf-8") for path in (*results.exhibits.glob("*.[ctj]*"), *kept.iterdir())]
    for path in results.notebooks.glob("*.ipynb"):
        for output in (output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])):
            told += [str(output.get("data", {}).get("text/markdown", "")), output.get("text", "")]
    assert not [hit for text in told if (hit := re.search(r"canary|(?<![\d.])(193\d|1899)(?!\d)", text))]
    careers = Path(small_profile.datasets["own"].panel)
    before = careers.read_text()
    for text, stale in [(before, 0), (before.replace("w017", "w999"), 1)]:
        careers.write_text(text)
        os.utime(careers, (0, 0))  # as unzipping leaves it
        capfd.readouterr()
        replicate(small_profile, str(careers.with_name("small.yaml")), cores=1, dry_run=True)
        said = capfd.readouterr()
        assert ("01_data_conversion-own: about" in said.out + said.err) == bool(stale)
        assert f"{len(required) - stale} of {len(required)} notebooks are current." in said.err
    with pytest.raises(ArtefactError, match=r"conversion-own\.ipynb: not run to its end, or by"):
        store_run(small_profile, "small.yaml", kept)
    careers.write_text(before)


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_job_killed_at_any_moment_ends_with_the_same_results(replicated: Profile, tmp_path: Path) -> None:
    shutil.copytree(replicated.results, tmp_path / "results")
    profile = replicated.model_copy(update={"results": str(tmp_path / "results")})
    [server] = [
        child for child in psutil.Process().children() if "labor_llm.workflow.forkserver" in child.cmdline()
    ]

    def made(run: NotebookRun) -> list[object]:
        texts = {path: path.read_bytes() for path in run.makes}
        return [json.loads(t)["files"] if p.name == "manifest.json" else t for p, t in texts.items()]

    jobs = {
        "04_fine_tuning-own-tiny-fine-tuned", "05_next_job_scoring-own-tiny", "06_baselines-own", "07_main_comparison",
        "08_value_of_fine_tuning",
    }  # fmt: skip
    for run in (run for run in notebook_runs(profile) if run.name in jobs):
        expected = made(run)
        for path in run.makes:
            shutil.rmtree(path.parent) if path.name == "manifest.json" else path.unlink()
        job = [notebook_file(run.notebook), run.executed, "--parameters", json.dumps(run.parameters)]
        command = [*START, "-m", "labor_llm.commands.main", "notebook", *job]
        for seconds in np.random.default_rng(1).uniform(0.3, 8, 2):
            with contextlib.suppress(subprocess.TimeoutExpired):
                subprocess.run(command, cwd=project_root(), timeout=seconds, check=False)
            for child in server.children(recursive=True):
                child.kill()
        assert subprocess.run(command, cwd=project_root(), check=False).returncode == 0, run.name
        assert made(run) == expected, run.name
    assert [path for path in (tmp_path / "results").rglob(".*") if path.is_dir()] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_replication_ends_with_all_its_processes(
    small_profile: Profile, tmp_path: Path, number: int
) -> None:
    """By a signal to the command alone; what it holds is free for the next one."""
    profile, results = str(tmp_path / "ended.yaml"), tmp_path / "results"
    written_again(small_profile, profile, results=str(results))
    command = [sys.executable, "-m", "labor_llm.commands.main", "replicate", "--profile", profile]
    with subprocess.Popen(command) as process:
        while not list((results / "notebooks").glob(".*/*.ipynb")):
            assert process.poll() is None
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(timeout=10) == (-9 if number == signal.SIGKILL else 128 + number)
    while any(map(lives, family)):
        time.sleep(0.1)
    # A process that was born while all were ended holds it until it finds its starter gone, at most ten seconds.
    FileLock(results / ".lock", timeout=10).acquire().lock.release()


def written_again(profile: Profile, name: str, **fields: Any) -> Profile:
    """Write a profile with other values of some fields."""
    text = Path(profile.results).with_name("small.yaml").read_text(encoding="utf-8")
    Path(name).write_text(yaml.safe_dump(yaml.safe_load(text) | fields), encoding="utf-8")
    return load_profile(name)


def test_the_workflow_sees_every_run(
    small_profile: Profile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    hostile: str,
) -> None:
    folder = tmp_path / "Project #2: {x} & 'co'"
    folder.mkdir()
    monkeypatch.chdir(folder)  # a relative path is taken from where the command is typed
    own = small_profile.datasets["own"].model_dump() | {"label": hostile, "survey": "My {careers} & #1"}
    fresh = written_again(
        small_profile,
        "fresh.yaml",
        results=str(tmp_path / "results: with a blank"),
        datasets={"own": own, "simulated": small_profile.datasets["simulated"].model_dump()},
    )
    replicate(fresh, "fresh.yaml", cores=1, dry_run=True)
    said = capfd.readouterr()
    for run in notebook_runs(small_profile):
        assert f"{run.name}: about" in said.out + said.err
    braces = fresh.model_copy(update={"results": str(folder / "results")})
    with pytest.raises(InputError, match="takes a word in braces"):
        replicate(braces, "fresh.yaml", cores=1, dry_run=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_failed_notebook_had_stored_is_used_by_the_next_run(
    small_profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first notebook stores the panel and then cannot write its table, as a folder stands in its place."""
    monkeypatch.chdir(tmp_path)
    place = str(tmp_path / "results #2: mine")
    stopped = written_again(small_profile, "stopped.yaml", results=place, cores_per_run=1)
    results = open_results(place)
    obstacle = results.exhibits / "tab-splits-own.csv" / "in the way"
    obstacle.mkdir(parents=True)
    with pytest.raises(LaborLLMError, match="01_data_conversion"):
        replicate(stopped, "stopped.yaml", cores=2)
    panel, _ = read_panel(results.panel("own"))
    assert len(panel.workers) == 161  # the canary too
    # Of the two cores a run takes one.
    assert verify(results.panel("own"))["environment"]["threads"] == "1"


def test_own_careers_are_checked_before_anything_runs(small_profile: Profile, tmp_path: Path) -> None:
    entry = small_profile.datasets["own"].model_copy(update={"panel": str(tmp_path / "absent.csv")})
    broken = small_profile.model_copy(
        update={"datasets": {"own": entry}, "results": str(tmp_path / "results")}
    )
    with pytest.raises(InputError, match=r"absent\.csv does not exist"):
        replicate(broken, "demo", cores=1)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"training": {"workers": 5000}}, r"models\.tiny-fine-tuned\.training: own: 5,000 training workers"),
        (
            {"training": {"last_year": 1900}},
            r"tiny-fine-tuned\.training: own: fewer than 11 training workers",
        ),
        ({"last_year": 1900}, r"studies\.last_year: own: with 1900 as the last year"),
        ({"workers": 60}, r"own: only 6 validation workers.*this panel has 60"),
        ({"occupation": "000"}, "own: all records of the training workers have one and the same occupation"),
    ],
)
def test_what_own_careers_do_not_bear_at_all_is_refused_before_anything_runs(
    small_profile: Profile, tmp_path: Path, fields, message
) -> None:
    entry, models = small_profile.datasets["own"], dict(small_profile.language_models)
    careers = pd.read_csv(entry.panel, dtype=str, keep_default_na=False)
    kept = careers[careers["worker_id"].isin(careers["worker_id"].unique()[: fields.get("workers", 160)])]
    kept = kept.assign(occupation=fields.get("occupation", kept["occupation"]))
    kept.to_csv(tmp_path / "own.csv", index=False)
    data = {"training": TrainingData(**fields.get("training", {}))}
    models["tiny-fine-tuned"] = models["tiny-fine-tuned"].model_copy(update=data)
    year = {"last_year": fields.get("last_year", small_profile.studies.last_year)}
    update = {
        "datasets": {"own": entry.model_copy(update={"panel": str(tmp_path / "own.csv")})}, "language_models": models,
        "studies": small_profile.studies.model_copy(update=year), "results": str(tmp_path / "results"),
    }  # fmt: skip
    with pytest.raises(InputError, match=message):
        replicate(small_profile.model_copy(update=update), "demo", cores=1)
    assert not (tmp_path / "results").exists()


def test_a_second_run_of_one_profile_is_told_of_the_first(small_profile: Profile, tmp_path: Path) -> None:
    held = small_profile.model_copy(update={"results": str(tmp_path)})
    with FileLock(tmp_path / ".lock"), pytest.raises(BusyError, match="another run works there"):
        replicate(held, "demo", cores=1, dry_run=True)


@pytest.mark.parametrize("order", [list, longest_way_first])
def test_runs_come_after_what_they_need(
    small_profile: Profile, order: Callable[..., list[NotebookRun]]
) -> None:
    made: set[Path] = set()
    for run in order(notebook_runs(small_profile)):
        # Files that a user holds, and the benchmarks that the repository does.
        own_files = {path for path in run.needs if path.suffix == ".csv" or "benchmarks" in path.parts}
        assert set(run.needs) - own_files <= made, run.name
        made |= {*run.makes, run.executed}


def test_the_run_that_most_minutes_follow_begins() -> None:
    """Of a (1 minute) before b (3), and c (2) before d (1) and e (5), c begins: seven minutes to the end."""
    x, y = Path("x"), Path("y")
    runs = [
        NotebookRun(name, name, Path(f"{name}.ipynb"), {}, needs, makes, minutes)
        for name, minutes, needs, makes in [
            ("a", 1.0, [], [x]), ("b", 3.0, [x], []), ("c", 2.0, [], [y]), ("d", 1.0, [y], []), ("e", 5.0, [y], []),
        ]
    ]  # fmt: skip
    assert [run.name for run in longest_way_first(runs)] == ["c", "e", "a", "b", "d"]
