"""A model of a run is asked for next jobs: as it scores, whichever model, and nothing of the career is left."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from labor_llm.baselines.registry import fit_baselines, store_predictions
from labor_llm.baselines.settings import CareerSettings
from labor_llm.careers.panel import CareerPanel, split_workers, write_panel
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

TINY = {"layers": 1, "width": 16, "heads": 2, "inner_width": 32, "epochs": 1, "warmup_steps": 5}
BASELINES = ["empirical-transitions", "career"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, panel: CareerPanel, tiny_model_folder: Path) -> Path:
    """The profile of a run that has a fine-tuned model and two baselines, but has not scored off the shelf."""
    folder = tmp_path_factory.mktemp("run")
    results, splits = Results(folder / "results"), split_workers(panel, seed=1)
    write_panel(results.panel("invented"), panel, splits)
    with writing(results.model("invented", "tuned")) as aside:
        shutil.copytree(tiny_model_folder, aside, dirs_exist_ok=True)
    options = {"career": {"settings": CareerSettings(**TINY), "folder": results.model("invented", "career")}}
    fitted = fit_baselines(BASELINES, panel, splits, options)
    test = panel.split(splits, "test")
    predictions = {name: baseline.predict(test) for name, baseline in fitted.items()}
    store_predictions(fitted, predictions, "invented", results)
    base = {"base": str(tiny_model_folder), "all_titles_workers": 12}
    profile = {
        "description": "Invented", "split_seed": 1, "draws": 100, "bootstrap_seed": 1, "results": str(results.root),
        "datasets": {"invented": {"label": "Invented", "survey": "invented", "panel": "a.csv", "titles": "b.csv"}},
        "language_models": {"tuned": {"label": "Tuned", **base, "fine_tuning": {}},
                            "plain": {"label": "Plain", **base}},
        "baselines": ["no-change", *BASELINES], "fine_tuned": "tuned", "off_the_shelf": "plain",
    }  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    return folder / "mine.yaml"


@pytest.fixture
def whole(panel: CareerPanel) -> CareerPanel:
    """Careers of three records or more, the last two a year apart."""
    gap = panel.frame.groupby("worker_id")["year"].diff()
    place = panel.frame.groupby("worker_id").cumcount()
    ends = panel.frame[(gap == 1) & (place > 1) & ~panel.frame["worker_id"].duplicated(keep="last")]
    return panel.restrict(list(ends["worker_id"])[:3])


@pytest.fixture
def history(tmp_path: Path, whole: CareerPanel) -> Path:
    """The same without their last records, occupations by title."""
    known = whole.frame[whole.frame["worker_id"].duplicated(keep="last")]
    titles = [whole.outcomes.title(code).upper() for code in known["occupation"]]
    known.assign(occupation=titles).drop(columns="dataset").to_csv(tmp_path / "history.csv", index=False)
    return tmp_path / "history.csv"


def probabilities(career: dict, panel: CareerPanel) -> list[float]:
    by_code = {job["occupation"]: job["probability"] for job in career["jobs"]}
    return [by_code[code] for code in panel.outcomes.codes]


@pytest.mark.parametrize("model", ["tuned", *BASELINES])
def test_probabilities_are_those_of_scoring_the_same_history(
    run, finished, whole, history, tiny_model, panel, model
):
    before = {path: path.read_bytes() for path in finished.parent.rglob("*") if path.is_file()}
    code, out, _ = run("predict", "--profile", finished, "--model", model, "--careers", history, "--json")
    assert code == 0
    asked = json.loads(out)["careers"]
    if model == "tuned":
        scored = score_careers(tiny_model, whole, "tiny", ScoringSettings())
    else:
        fitted = fit_baselines(
            [model], panel, split_workers(panel, 1), {"career": {"settings": CareerSettings(**TINY)}}
        )
        scored = fitted[model].predict(whole)
    last = (~scored.table["worker_id"].duplicated(keep="last")).to_numpy()
    assert [career["worker_id"] for career in asked] == whole.workers
    expected = np.exp(scored.log_probs[last].astype(float))
    np.testing.assert_allclose([probabilities(career, panel) for career in asked], expected, atol=1e-6)
    assert {path: path.read_bytes() for path in finished.parent.rglob("*") if path.is_file()} == before


def test_a_typed_career_says_what_the_file_says(run, finished, history):
    one = pd.read_csv(history, dtype=str, keep_default_na=False)
    one = one[one["worker_id"] == one["worker_id"].iloc[-1]]
    jobs = [f"--job={year}: {title}" for year, title in zip(one["year"], one["occupation"], strict=True)]
    about = [f"--about={name}={one[name].iloc[0]}" for name in one.columns[3:] if one[name].iloc[0]]
    typed = run("predict", "--profile", finished, *jobs, *about, "--json")[1]
    filed = run("predict", "--profile", finished, "--careers", history, "--json")[1]
    assert json.loads(typed)["careers"][0]["jobs"] == json.loads(filed)["careers"][-1]["jobs"]
    code, out, _ = run("predict", "--profile", finished, "--model", "career", *jobs, *about)
    head, _, first, *_, blank, total = out.splitlines()
    assert code == 0 and head.startswith("CAREER: next job of typed in ") and one["gender"].iloc[0] in head
    assert first.startswith("  1  ") and first.endswith("  " + "█" * 30) and out.count("\n") == 8 + 4
    assert (blank, total) == ("", "All 8 titles together: 1.0000")


REFUSED = [
    ("--dataset x", 3, "--dataset x: PROFILE has only invented."),
    ("--model x", 3, "--model x: PROFILE has on invented only tuned, plain, no-change, empirical-transitions, career."),
    ("--model no-change", 4, "invented/predictions/no-change: not made yet. Run `labor-llm replicate --profile"),
    ("--results /nowhere", 4, "/nowhere/invented/models/tuned: not made yet."),
    ("", 3, "The career is empty."),
    ("--careers CSV --about gender=male", 3, "CSV holds whole careers: leave out --careers, or --job and --about."),
    ("--careers /nowhere.csv", 3, "/nowhere.csv: no such file."),
    ("--careers CSV --year 1980", 3, "--year 1980 is not after 198"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status", "message"), REFUSED, ids=[case[0] or "no job" for case in REFUSED]
)
def test_a_refusal_says_what_there_is(run, finished, history, arguments, status, message):
    words = [str(history) if word == "CSV" else word for word in arguments.split()]
    code, out, err = run("predict", "--profile", finished, *words)
    assert (code, out, err.count("\n")) == (status, "", 1)
    assert message.replace("PROFILE", str(finished)).replace("CSV", str(history)) in err


@pytest.mark.parametrize(
    ("row", "column", "cell", "message"),
    [
        (1, "occupation", None, "row 3, column occupation: {hostile!r} is not known. Write "),
        (0, "gender", None, "row 2, column gender: {hostile!r} is not known. Write "),
        (0, "education", "", "row 2, column education: is empty. Write "),
        (1, "worker_id", None, "row 3, column worker_id: "),
        (1, "year", "1979", "row 3, column year: '1979' is before the row above"),
        (1, "year", "198x", "row 3, column year: '198x' is not a calendar year"),
        (0, "birth_year", "=1+1", "row 2, column birth_year: '=1+1' is not a calendar year"),
    ],
)
def test_a_hostile_file_is_refused_by_row_and_column(
    run, finished, history, hostile, row, column, cell, message
):
    table = pd.read_csv(history, dtype=str, keep_default_na=False)
    table.loc[row, column] = hostile if cell is None else cell
    table.to_csv(history, index=False)
    code, out, err = run("predict", "--profile", finished, "--model", "career", "--careers", history)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert f"{history}, {message.format(hostile=hostile)}" in err


def test_a_file_without_a_column_and_one_cut_short_are_refused(run, finished, history):
    whole, asking = history.read_text(), ("predict", "--profile", finished, "--careers", history)
    for text, message in (
        (whole.replace("region", "place", 1), "column 'region' is missing"),
        (whole.split("\n")[0] + "\n", "a header but no rows"),
        (whole + "w999,1980\n", "not a regular CSV (2 cells"),
    ):
        history.write_text(text)
        code, out, err = run(*asking)
        assert (code, out, err.count("\n")) == (3, "", 1) and f"{history}" in err and message in err


def test_titles_in_another_form_are_shown_as_they_are_known(run, finished, history, panel):
    """A model of numbers is asked by numbers."""
    profile = yaml.safe_load(finished.read_text())
    profile["language_models"]["numbers"] = {
        **profile["language_models"]["tuned"], "label": "Numbers", "resumes": {"titles": "numeric"},
    }  # fmt: skip
    finished.with_name("numbers.yaml").write_text(yaml.safe_dump(profile, sort_keys=False))
    results = Results(Path(profile["results"]))
    with writing(results.model("invented", "numbers")) as aside:
        shutil.copytree(profile["language_models"]["plain"]["base"], aside, dirs_exist_ok=True)
    asking = (
        "predict",
        "--profile",
        finished.with_name("numbers.yaml"),
        "--careers",
        history,
        "--json",
        "--model",
    )
    (words, numbers) = (json.loads(run(*asking, name)[1])["careers"][0] for name in ("tuned", "numbers"))
    assert {job["title"] for job in numbers["jobs"]} == set(panel.outcomes.titles)
    assert not np.allclose(probabilities(words, panel), probabilities(numbers, panel))
