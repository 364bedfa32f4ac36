"""How long runs take, counted: against what was measured, and in what it grows with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from labor_llm.workflow import forecast
from labor_llm.workflow.forecast import data_size, expected_seconds, weights, with_forecast
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.runs import NotebookRun, notebook_runs


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Profile:
    """The demo before its first run, on a machine on which its minutes were measured."""
    monkeypatch.setattr(forecast, "_rate", lambda dtype: 8e10)
    monkeypatch.setattr(forecast.shutil, "which", lambda _: None)
    return load_profile("demo").model_copy(update={"results": str(tmp_path)})


# Minutes of long runs, on one of two cores.
MEASURED = {
    "04_fine_tuning-wage_panel-smollm2-fine-tuned": 8.2, "04_fine_tuning-wage_panel-smollm2-60-workers": 1.9,
    "04_fine_tuning-wage_panel-smollm2-pooled": 2.6, "04_fine_tuning-wage_panel-smollm2-120-workers": 3.6,
    "05_next_job_scoring-wage_panel-smollm2-off-the-shelf": 3.8,
    "05_next_job_scoring-wage_panel-smollm2-60-workers": 0.7,
    "06_baselines-wage_panel": 1.3, "12_history_length-wage_panel": 1.7, "13_horizons-wage_panel": 2.0,
    "14_demographics": 0.9, "16_embeddings": 2.6,
}  # fmt: skip


def counted(profile: Profile) -> dict[str, tuple[NotebookRun, float]]:
    return {run.name: (run, expected_seconds(profile, run) / 60.0) for run in notebook_runs(profile)}


def test_the_demo_takes_what_was_measured_within_half(demo: Profile) -> None:
    found = {name: minutes for name, (_, minutes) in counted(demo).items()}
    for name, minutes in MEASURED.items():
        assert 0.5 * minutes < found[name] < 1.5 * minutes, name
    assert sum(MEASURED.values()) == pytest.approx(sum(found[name] for name in MEASURED), rel=0.2)
    # Two at once: of the 27 minutes from a fresh clone, setup and book take two.
    assert sum(found.values()) / 2 == pytest.approx(25, rel=0.25)


def test_what_the_profile_says_is_taken(demo: Profile) -> None:
    said = demo.model_copy(update={"minutes": {"16_embeddings": 7.0, "05_next_job_scoring": 3.0}})
    minutes = {run.name: run.minutes for run in with_forecast(said, notebook_runs(said))}
    assert minutes["16_embeddings"] == 7.0
    assert minutes["05_next_job_scoring-wage_panel-smollm2-60-workers"] == 3.0
    assert all(found > 0 for found in minutes.values())


@pytest.mark.parametrize(
    ("run", "parameter", "setting", "more"),
    [
        ("04_fine_tuning-wage_panel-smollm2-fine-tuned", "fine_tuning", "epochs", 2),
        ("04_fine_tuning-wage_panel-smollm2-fine-tuned", "training", "workers", 0),
        ("04_fine_tuning-wage_panel-smollm2-fine-tuned", "training", "own_repeats", 2),
        ("05_next_job_scoring-wage_panel-smollm2-fine-tuned", "scoring", "all_titles_workers", -1),
        ("06_baselines-wage_panel", "refits", None, 40),
        ("12_history_length-wage_panel", "workers", None, -1),
        ("13_horizons-wage_panel", "language_model_questions", None, 100),
        (
            "15_structural_change-wage_panel",
            "baselines",
            None,
            ["career"] * 3,
        ),
    ],
)
def test_more_work_takes_longer(demo: Profile, run, parameter, setting, more) -> None:
    one, minutes = counted(demo)[run]
    changed = {**one.parameters[parameter], setting: more} if setting else more
    longer = replace(one, parameters=one.parameters | {parameter: changed})
    assert expected_seconds(demo, longer) / 60.0 > 1.3 * minutes


def test_a_slower_machine_or_coarser_arithmetic_that_is_emulated_takes_longer(
    demo: Profile, monkeypatch
) -> None:
    run, minutes = counted(demo)["04_fine_tuning-wage_panel-smollm2-fine-tuned"]
    monkeypatch.setattr(forecast, "_rate", {"float32": 4e10, "bfloat16": 4e9}.get)
    assert expected_seconds(demo, run) / 60.0 > 1.9 * minutes
    coarse = run.parameters | {"fine_tuning": {**run.parameters["fine_tuning"], "precision": "bfloat16"}}
    assert expected_seconds(demo, replace(run, parameters=coarse)) / 60.0 > 15 * minutes


def test_the_machine_is_tried_for_a_moment() -> None:
    assert 1e9 < forecast._rate("float32") < 1e14


def test_weights_are_counted_in_the_files_or_read_off_the_name(tiny_model_folder: Path) -> None:
    file = next(tiny_model_folder.glob("*.safetensors"))
    # Float32: four bytes a weight, and the header.
    assert weights(str(tiny_model_folder)) == pytest.approx(file.stat().st_size / 4, rel=0.05)
    assert weights("smollm2-135m-instruct") == pytest.approx(135e6, rel=0.01)
    assert weights("meta-llama/Llama-2-7b-hf") == 7e9
    assert weights("someone/base-1.5B") == 1.5e9
    assert weights("someone/something") == 0.0


@pytest.mark.parametrize("entry", [
    {"panel": "absent.csv", "titles": "absent.csv"}, {"reader": "psid", "raw": "absent", "crosswalks": "absent"},
    {"reader": "nlsy79", "simulated_workers": 500},
])  # fmt: skip
def test_a_data_set_that_is_not_there_yet_counts_as_usual(demo: Profile, entry) -> None:
    content = json.loads(demo.model_dump_json())
    content["datasets"]["wage_panel"] = {"label": "Other", **entry}
    profile = Profile(**content)
    assert data_size(profile, "wage_panel").records > 1000
    assert all(minutes > 0 for _, minutes in counted(profile).values())
