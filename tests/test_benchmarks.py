"""The benchmarks of conversion, fine-tuning and the survey run to their end at a tiny size; times are not checked."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits.report import read_comparison
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORKERS, COLUMNS, SAMPLE = 40, 5000, 15
TINY = ["--quick", "--workers", WORKERS, "--line-length", 300, "--cohort-columns", COLUMNS]
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def script() -> Any:
    """Return a benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


@pytest.fixture(scope="module")
def run(script: Callable[[str], ModuleType]) -> Run:
    """Run a benchmark as the command line does."""

    def main(name: str, *arguments: object) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
            return script(name).main()

    return main


@pytest.fixture(scope="module")
def converted(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """The folder of files, and the rows."""
    folder = tmp_path_factory.mktemp("benchmark")
    run(
        "survey_conversion",
        *TINY,
        "--sample-rows",
        SAMPLE,
        "--folder",
        folder / "files",
        "--json",
        folder / "r.json",
    )
    return folder / "files", json.loads((folder / "r.json").read_text())  # fmt: skip


@pytest.mark.slow  # some twenty steps, each in a process of its own
def test_the_rows_of_conversion_are_of_one_form_and_measure_every_step(converted) -> None:
    folder, rows = converted
    values = {(row["name"], row["unit"]): row["value"] for row in rows}
    assert len(values) == len(rows)
    for row in rows:
        assert list(row) == ["name", "value", "unit", "peer", "ratio"]
        assert row["value"] > 0
        assert row["unit"] in ("s", "GB", "GB read", "workers", "records", "persons")
        assert (row["peer"] is not None) == ("; peer pandas." in row["name"])
        expected = None if row["peer"] is None else pytest.approx(row["peer"] / row["value"], rel=1e-3)
        assert row["ratio"] == expected
    careers = [pd.read_parquet(folder / f"{survey}.parquet") for survey in ("psid", "nlsy79", "nlsy97")]
    assert values["simulated records", "records"] == sum(map(len, careers))
    assert values["simulated workers", "workers"] == sum(frame["worker_id"].nunique() for frame in careers)
    each = [f"simulate {survey}" for survey in ("psid", "nlsy79", "nlsy97")]
    assert values["simulate all three", "s"] == pytest.approx(
        sum(values[name, "s"] for name in each), rel=1e-3
    )
    assert values["simulate all three", "GB"] == max(values[name, "GB"] for name in each)
    steps = ["convert psid", "convert nlsy79", "convert nlsy97", "convert psid, lines of 300 characters",
             *(f"convert nlsy79_cohort, {COLUMNS:,} columns{form}" for form in ("", ", from its zip"))]  # fmt: skip
    assert {(name, unit) for name in steps for unit in ("s", "GB")} <= values.keys()
    assert sum("read_fwf" in name for name, _ in values) == 6
    assert sum("read_csv" in name for name, _ in values) == 4


@pytest.mark.slow
def test_the_cohort_has_the_columns_and_the_sample_its_first_rows(converted) -> None:
    folder, _ = converted
    cohort, sample = (
        pd.read_csv(folder / name / f"{name}.csv") for name in ("nlsy79_cohort", "nlsy79_sample")
    )
    assert cohort.shape == (WORKERS, COLUMNS)
    pd.testing.assert_frame_equal(sample, cohort.iloc[:SAMPLE])
    own = [name for name in cohort if not name.startswith("Z")]
    assert pd.read_csv(folder / "nlsy79" / "raw" / "simulated.csv").equals(cohort[own])


def test_the_table_says_what_the_rows_say_with_machine_and_versions(script) -> None:
    measurement = script("measurement")
    same = [measurement.Measurement(2.0, 1.0, {"rows": rows}) for rows in (3, 3, 4)]
    rows = measurement.step_rows("x; peer y", *same[:2])
    assert rows[0] == {"name": "x; peer y", "value": 2.0, "unit": "s", "peer": 2.0, "ratio": 1.0}
    lines = measurement.report(rows, {("x", "s"): 1.0}, ["pandas"]).splitlines()
    assert lines[0].split() == ["name", "value", "unit", "peer", "ratio"]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["x;", "peer", "y", "2.0"],
        ["x;", "peer", "y", "1.0"],
    ]
    assert lines[3] == "limit of 1 s EXCEEDED: x; peer y, 2.0 s"
    assert lines[-2].startswith("machine: ")
    assert f"pandas {pd.__version__}" in lines[-1]
    with pytest.raises(MismatchError, match="do not read the same values"):
        measurement.step_rows("x", *same[1:])


def test_a_panel_that_differs_from_the_careers_is_an_error(script, tmp_path: Path) -> None:
    benchmark, raw = script("survey_conversion"), tmp_path / "nlsy97" / "raw"
    benchmark.simulate(tmp_path, "nlsy97", 20)
    assert benchmark.convert(tmp_path, "nlsy97", raw).seconds > 0
    careers = pd.read_parquet(tmp_path / "nlsy97.parquet")
    careers.loc[7, "occupation"] = "unemployed" if careers.loc[7, "occupation"] != "unemployed" else "4"
    careers.to_parquet(tmp_path / "nlsy97.parquet")
    with pytest.raises(MismatchError, match="is not what was simulated"):
        benchmark.convert(tmp_path, "nlsy97", raw)


def test_a_folder_with_files_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    with pytest.raises(InputError, match=r"not empty\. Give a folder that is empty or does not exist"):
        run("survey_conversion", *TINY, "--folder", tmp_path)


@pytest.mark.slow
def test_fine_tuning_is_compared_with_the_peers_on_the_same_careers(
    script, run: Run, tiny_model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(script("fine_tuning"), "PEAK_SIZE", 256)
    run("fine_tuning", "--base", tiny_model_folder, "--careers", 2, "--batch-size", 1, "--rounds", 1, "--clock", "cpu",
        "--json", tmp_path / "rows.json")  # fmt: skip
    rows = {row["name"]: row for row in json.loads((tmp_path / "rows.json").read_text())}
    assert all(list(row) == ["name", "value", "unit", "peer", "ratio"] for row in rows.values())
    assert rows["careers"]["value"] == 2
    assert rows["padding of Trainer's batches"]["value"] == 0  # one career a batch
    start = rows["loss at the start, float32; peer Trainer"]
    assert start["value"] == pytest.approx(start["peer"], rel=1e-3)
    for peer in ("Trainer, defaults", "Trainer, bf16"):
        speed = rows[f"ours; peer {peer}"]
        assert speed["ratio"] == pytest.approx(speed["value"] / speed["peer"], rel=1e-3)
        # The same careers from the same weights, in another order.
        loss = rows[f"loss after the epoch, 16 other careers; peer {peer}"]
        assert loss["value"] == pytest.approx(loss["peer"], rel=0.02)
        assert f"{peer}: share of the" in " ".join(rows)
    printed = capsys.readouterr().out
    assert "transformers" in printed
    assert ("left out: trl" in printed) == (not any("SFTTrainer" in name for name in rows))


def test_careers_to_be_trained_on_are_always_the_same_and_padding_is_counted(
    script, tiny_model_folder: Path
) -> None:
    benchmark = script("fine_tuning")
    one, two = (benchmark.simulated_resumes(12, str(tiny_model_folder)) for _ in range(2))
    assert [career.ids.tolist() for career in one] == [career.ids.tolist() for career in two]
    assert len(one) == 12
    assert all(1 <= len(career.spans) <= 25 for career in one)
    assert len({len(career.ids) for career in one}) > 6
    # Lengths 1 and 3 in one batch fill four of six places.
    assert benchmark.padding([1, 3], 2) == pytest.approx(1 / 3)
    assert benchmark.padding([1, 3], 1) == 0


def test_a_comparison_is_read_as_it_was_stored_and_none_of_few_workers_is(
    script, tmp_path: Path, chain_panel: CareerPanel, chain_model: type
) -> None:
    store = script("survey_comparison").store_comparison
    panels = [chain_panel, chain_panel.restrict(chain_panel.workers[:10])]
    models = (chain_model(name="first"), chain_model(heat=2.0, name="second"))
    enough, few = ([model.predict(panel) for model in models] for panel in panels)
    store(tmp_path / "run", enough, "second", {"survey": "ACME"}, 100)
    read = read_comparison(tmp_path / "run")
    assert read.about == {"survey": "ACME", "reference": "second", "draws": 100}
    expected = (
        bootstrap_perplexity(enough, 100, 1), bootstrap_perplexity(enough, 100, 1, by="transition_type"),
        bootstrap_differences(enough, "second", 100, 1),
    )  # fmt: skip
    for got, table in zip(read, expected, strict=False):
        pd.testing.assert_frame_equal(got, table, check_dtype=False)
    changed = tmp_path / "run" / "perplexity.csv"
    changed.write_text(changed.read_text().replace("first", "other"))
    with pytest.raises(ArtefactError, match=r"perplexity\.csv"):
        read_comparison(tmp_path / "run")
    with pytest.raises(InputError, match="rests on 10 workers"):
        store(tmp_path / "few", few, "second", {}, 100)
    assert not (tmp_path / "few").exists()


@pytest.mark.slow  # eight models, one of them fine-tuned
def test_all_models_are_compared_on_the_same_workers_of_a_survey(
    script, run: Run, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    comparison = script("survey_comparison")
    small = comparison.CAREER.model_copy(update={"layers": 1, "width": 16, "inner_width": 32, "epochs": 2})
    monkeypatch.setattr(comparison, "CAREER", small)
    write_simulated_survey(tmp_path / "survey", "nlsy79", 150, 1)
    model = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    # Careers of a simulated survey are longer than the other tests'.
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    asked = [
        "--raw", tmp_path / "survey" / RAW, "--crosswalks", tmp_path / "survey" / CROSSWALKS, "--other-crosswalks",
        "--work", tmp_path / "work", "--store", tmp_path / "stored", "--train", 20, "--validation", 11, "--test", 20,
        "--simulated", 60, "--draws", 100, "--base", model, "--label", "Tiny",
    ]  # fmt: skip
    run("survey_comparison", *asked)
    assert "Multinomial logit" in capsys.readouterr().err
    found = read_comparison(tmp_path / "stored")
    models = found.perplexity["model"].tolist()
    assert models[-3:] == ["CAREER", "CAREER, transfer", "Tiny, fine-tuned"]
    assert len(models) == 8
    assert set(found.perplexity["workers"]) == {20}
    assert set(found.differences["model"]) == set(models[:-1])
    assert found.about["train"] == 20
    # Nothing of it is done twice, and a request for something else is not answered with what is there.
    run("survey_comparison", *asked)
    assert "Multinomial logit" not in capsys.readouterr().err
    with pytest.raises(SystemExit, match="made with other arguments"):
        run("survey_comparison", *asked, "--train", 21)
