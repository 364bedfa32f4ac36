"""The commands about surveys: what they print, and what they refuse before anything is read."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from labor_llm.commands.main import app
from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "nlsy97"
    write_simulated_survey(folder, "nlsy97", workers=130, seed=2)
    return folder


def arguments(folder: Path, out: Path) -> list[str]:
    given = f"--raw {folder / RAW} --crosswalks {folder / CROSSWALKS} --out {out} --other-versions"
    return ["convert", "nlsy97", *given.split()]


def test_convert_stores_the_panel_and_says_what_each_step_leaves(simulated, tmp_path):
    done = RUNNER.invoke(app, arguments(simulated, tmp_path / "out"))
    assert done.exit_code == 0, done.output
    stored = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "panel.parquet",
        "titles.csv",
        "splits.csv",
        "households.csv",
        "conversion.json",
        "manifest.json",
    } == stored
    lines = done.output.splitlines()
    assert lines[0] == "NLSY97: 130 respondents of 8,984 in the cohort."
    steps = [line.split(":")[0].strip() for line in lines[1:6]]
    assert steps == ["read", "in range", "coded", "mapped", "kept"]
    assert "census2002" in lines[6]
    assert lines[-1].endswith("records.")
    checked = RUNNER.invoke(app, ["validate", str(tmp_path / "out" / "panel.parquet")])
    assert "The panel is valid" in checked.output


@pytest.mark.parametrize("out", [".", RAW, f"{RAW}/out", CROSSWALKS])
def test_convert_never_writes_over_its_input(simulated, out):
    before = sorted(simulated.rglob("*"))
    refused = RUNNER.invoke(app, arguments(simulated, simulated / out))
    assert isinstance(refused.exception, InputError)
    assert "lie in one another" in str(refused.exception)
    assert sorted(simulated.rglob("*")) == before


def test_variables_are_printed_or_written(tmp_path):
    printed = RUNNER.invoke(app, ["variables", "nlsy79"])
    assert "R0214800" in printed.output
    written = RUNNER.invoke(app, ["variables", "psid", "--out", str(tmp_path)])
    assert all(Path(line).is_file() for line in written.output.splitlines())


def test_fetch_copies_from_a_folder_what_is_a_known_version(simulated, tmp_path):
    source = str(simulated / CROSSWALKS)
    refused = RUNNER.invoke(app, ["fetch", "--out", str(tmp_path / "known"), "--source", source])
    assert isinstance(refused.exception, InputError)
