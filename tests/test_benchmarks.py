"""The benchmark of survey conversion runs to its end at a tiny size; its rows are of one form, whatever the times."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from labor_llm.errors import MismatchError

# Some twenty steps, each in a process of its own.
pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORKERS, COLUMNS, SAMPLE = 40, 5000, 15
TINY = ["--quick", "--workers", WORKERS, "--line-length", 300, "--cohort-columns", COLUMNS]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, FOLDER / "survey_conversion.py", *arguments]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[dict]]:
    """A run at a tiny size: the folder with its files, what it printed, and its rows."""
    folder = tmp_path_factory.mktemp("benchmark")
    done = run(*TINY, "--sample-rows", SAMPLE, "--folder", folder / "files", "--json", folder / "rows.json")
    assert done.returncode == 0, done.stderr
    return folder / "files", done.stdout, json.loads((folder / "rows.json").read_text())


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("survey_conversion")


def test_every_row_is_of_one_form_and_its_ratio_is_peer_over_value(tiny) -> None:
    rows = tiny[2]
    assert len({(row["name"], row["unit"]) for row in rows}) == len(rows)
    for row in rows:
        assert list(row) == ["name", "value", "unit", "peer", "ratio"]
        assert row["value"] > 0
        assert row["unit"] in ("s", "GB", "GB read", "workers", "records", "persons")
        assert (row["peer"] is not None) == ("; peer pandas." in row["name"])
        expected = None if row["peer"] is None else pytest.approx(row["peer"] / row["value"], rel=1e-3)
        assert row["ratio"] == expected


def test_the_rows_count_what_was_simulated_and_measure_every_step(tiny) -> None:
    folder, _, rows = tiny
    values = {(row["name"], row["unit"]): row["value"] for row in rows}
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


def test_the_cohort_has_the_columns_and_the_sample_its_first_rows(tiny) -> None:
    cohort, sample = (
        pd.read_csv(tiny[0] / name / f"{name}.csv") for name in ("nlsy79_cohort", "nlsy79_sample")
    )
    assert cohort.shape == (WORKERS, COLUMNS)
    assert sample.shape == (SAMPLE, COLUMNS)
    pd.testing.assert_frame_equal(sample, cohort.iloc[:SAMPLE])
    assert pd.read_csv(tiny[0] / "nlsy79" / "raw" / "simulated.csv").equals(
        cohort[[name for name in cohort if not name.startswith("Z")]]
    )


def test_the_table_says_what_the_rows_say_with_machine_and_versions(tiny) -> None:
    _, printed, rows = tiny
    lines = printed.splitlines()
    assert [line.startswith(row["name"]) for line, row in zip(lines[1:], rows, strict=False)] == [True] * len(
        rows
    )
    assert lines[0].split() == ["name", "value", "unit", "peer", "ratio"]
    assert lines[-2].startswith("machine: ")
    assert f"pandas {pd.__version__}" in lines[-1]
    assert "limit of" not in printed


def test_a_panel_that_differs_from_the_careers_is_an_error(benchmark: ModuleType, tmp_path: Path) -> None:
    benchmark.simulate(tmp_path, "nlsy97", 20)
    raw = tmp_path / "nlsy97" / "raw"
    assert benchmark.convert(tmp_path, "nlsy97", raw).seconds > 0
    careers = pd.read_parquet(tmp_path / "nlsy97.parquet")
    careers.loc[7, "occupation"] = "unemployed" if careers.loc[7, "occupation"] != "unemployed" else "4"
    careers.to_parquet(tmp_path / "nlsy97.parquet")
    with pytest.raises(MismatchError, match="is not what was simulated"):
        benchmark.convert(tmp_path, "nlsy97", raw)


def test_a_peer_that_reads_other_values_is_an_error(benchmark: ModuleType) -> None:
    measurements = [benchmark.Measurement(2.0, 1.0, {"rows": rows}) for rows in (3, 3, 4)]
    same = benchmark.step_rows("x", *measurements[:2])
    assert same[0] == {"name": "x", "value": 2.0, "unit": "s", "peer": 2.0, "ratio": 1.0}
    with pytest.raises(MismatchError, match="do not read the same values"):
        benchmark.step_rows("x", *measurements[1:])


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").touch()
    done = run(*TINY, "--folder", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"error: {tmp_path}: not empty. Give a folder that is empty or does not exist.\n"
