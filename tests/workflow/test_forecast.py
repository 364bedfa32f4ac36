"""How long runs take, counted: against what was measured, and in what it grows with."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from labor_llm.workflow import forecast
from labor_llm.workflow.forecast import with_forecast
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.runs import NotebookRun, notebook_runs

TUNED = "04_fine_tuning-wage_panel-smollm2-fine-tuned"
# Minutes of long runs, on one of two cores.
MEASURED = {
    TUNED: 8.2, "04_fine_tuning-wage_panel-smollm2-60-workers": 1.9,
    "05_next_job_scoring-wage_panel-smollm2-off-the-shelf": 3.8,
    "05_next_job_scoring-wage_panel-smollm2-60-workers": 0.7, "06_baselines-wage_panel": 1.3,
    "12_history_length-wage_panel": 1.7, "13_horizons-wage_panel": 3.5, "14_demographics-wage_panel": 0.9,
    "15_structural_change-wage_panel": 1.2, "16_embeddings-wage_panel": 2.6, "07_main_comparison": 0.3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def where_it_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecast, "_rate", {False: 8e10, True: 2e9}.get)
    monkeypatch.setattr(forecast.shutil, "which", lambda _: None)


@pytest.fixture(scope="module")
def demo() -> Profile:
    return load_profile("demo")


@pytest.fixture(scope="module")
def runs(demo: Profile) -> list[NotebookRun]:
    return notebook_runs(demo)


def counted(profile: Profile, runs: list[NotebookRun]) -> dict[str, float]:
    return {run.name: run.minutes for run in with_forecast(profile, runs)}


def test_the_demo_takes_what_was_measured_within_half_and_other_minutes_as_the_profile_says(
    demo, runs
) -> None:
    found = counted(demo, runs)
    for name, minutes in MEASURED.items():
        assert 0.5 * minutes < found[name] < 1.5 * minutes, name
    # Two at once: of the 27 minutes from a fresh clone, setup and book take two.
    assert sum(found.values()) / 2 == pytest.approx(25, rel=0.25)
    said = demo.model_copy(update={"minutes": {"16_embeddings-wage_panel": 7.0}})
    assert counted(said, notebook_runs(said)) == found | {"16_embeddings-wage_panel": 7.0}


def test_the_demo_takes_the_memory_that_was_measured_within_two_fifths(demo, runs) -> None:
    found = {run.name: run for run in with_forecast(demo, runs)}
    for name, gigabytes in {
        "01_data_conversion-wage_panel": 0.57, "06_baselines-wage_panel": 0.69, TUNED: 3.40,
        "04_fine_tuning-wage_panel-smollm2-60-workers": 1.55,
        "05_next_job_scoring-wage_panel-smollm2-off-the-shelf": 1.28,
    }.items():  # fmt: skip
        assert found[name].gigabytes == pytest.approx(gigabytes, rel=0.4), name
        assert found[name].on_gpu == (gigabytes > 1.0)


@pytest.mark.parametrize(
    ("run", "more"),
    [
        (TUNED, {"fine_tuning": {"epochs": 2}}), (TUNED, {"training": {"workers": 0}}),
        (TUNED, {"fine_tuning": {"precision": "bfloat16"}}),
        ("05_next_job_scoring-wage_panel-smollm2-fine-tuned", {"scoring": {"all_titles_workers": -1}}),
        ("06_baselines-wage_panel", {"refits": 40}), ("12_history_length-wage_panel", {"workers": -1}),
        ("13_horizons-wage_panel", {"language_model_questions": 100}),
    ],
)  # fmt: skip
def test_more_work_takes_longer(demo, runs, run, more) -> None:
    [one] = with_forecast(demo, [found for found in runs if found.name == run])
    given = {k: {**one.parameters[k], **v} if isinstance(v, dict) else v for k, v in more.items()}
    [longer] = with_forecast(demo, [replace(one, parameters=one.parameters | given, minutes=0.0)])
    assert longer.minutes > 1.3 * one.minutes


def test_notebooks_are_told_by_names_that_they_have(runs) -> None:
    named = re.findall(r'"(\d\d_\w+)"', Path(forecast.__file__).read_text(encoding="utf-8"))
    assert named and {*named} <= {run.notebook for run in runs}


def test_weights_are_told_by_files_or_a_name(tiny_model_folder) -> None:
    file = next(tiny_model_folder.glob("*.safetensors"))
    assert forecast._weights(str(tiny_model_folder)) == file.stat().st_size / 2
    for name, weights in {
        "smollm2-135m-instruct": 135e6,
        "a/Llama-2-7b-hf": 7e9,
        "a/1.5B": 1.5e9,
        "a/b": 1e9,
    }.items():
        assert forecast._weights(name) == pytest.approx(weights, rel=0.01)


@pytest.mark.parametrize("name", ["nlsy79", "paper"])
def test_a_survey_that_is_not_there_yet_counts_as_usual(name) -> None:
    profile = load_profile(name)
    assert all(minutes > 0 for minutes in counted(profile, notebook_runs(profile)).values())


RATE = forecast._rate


def test_the_machine_is_tried_for_a_moment() -> None:
    assert 1e9 < RATE(False) < 1e14
