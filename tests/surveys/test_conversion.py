"""From a survey's files to a panel: options by name, and faults that end in one message with the remedy."""

from pathlib import Path

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
from labor_llm.surveys.conversion import convert_survey
from labor_llm.surveys.nls.codebooks import parse_sdf


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "nlsy79"
    write_simulated_survey(folder, "nlsy79", workers=130, seed=2)
    return folder


def convert(folder: Path, raw: Path, **further):
    return convert_survey("nlsy79", raw, folder / CROSSWALKS, "sim", other_crosswalks=True, **further)


def edited(folder: Path, out: Path, change) -> Path:
    """A copy of the simulated extract whose table was changed."""
    out.mkdir()
    table = pd.read_csv(folder / RAW / "simulated.csv", dtype=str)
    change(table).to_csv(out / "simulated.csv", index=False)
    (out / "simulated.sdf").write_bytes((folder / RAW / "simulated.sdf").read_bytes())
    return out


def test_options_change_what_is_kept(simulated):
    panel, conversion = convert(simulated, simulated / RAW, settings=["first_age=30", "last_age=40"])
    age = panel.frame["year"] - panel.frame["birth_year"]
    assert (age.min(), age.max()) == (30, 40)
    assert conversion.options["first_age"] == 30
    assert conversion.steps[0].records > conversion.steps[-1].records


def test_counts_of_few_workers_are_left_out(simulated):
    _, conversion = convert(simulated, simulated / RAW)
    shown = [
        count for row in conversion.coverage for count in (row.interviewed, row.kept) if count is not None
    ]
    assert min(shown) >= 11


def test_a_wave_that_is_not_in_the_files_gives_no_records(simulated, tmp_path):
    described = parse_sdf((simulated / RAW / "simulated.sdf").read_text().splitlines())
    of_1990 = [reference for reference, entry in described.items() if entry.year == 1990]
    raw = edited(simulated, tmp_path / "raw", lambda table: table.drop(columns=of_1990))
    panel, conversion = convert(simulated, raw)
    assert 1990 not in set(panel.frame["year"])
    assert 1990 not in {row.year for row in conversion.coverage}
    assert 1991 in set(panel.frame["year"])
    (missing,) = conversion.missing_waves
    assert missing.startswith("NLSY79 1990: no occupation")
    assert "labor-llm variables nlsy79" in missing


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="R0214700"), r"R0214700 SAMPLE_RACE.*labor-llm variables nlsy79"),
        (lambda table: table.rename(columns={"R0214800": "SEX"}), r"R0214800 SAMPLE_SEX"),
        (lambda table: table.assign(R0214800="FEMALE"), r"simulated\.csv, column R0214800: cells that are no.*codes"),
        (lambda table: table.assign(R0000500="80", R0410300="80"), r"130 respondents have a year of birth"),
        (lambda table: table.assign(R0214700="9"), r"simulated\.csv: 130 respondents.*race"),
    ],
)  # fmt: skip
def test_faults_of_an_extract_name_the_variable_and_the_remedy(simulated, tmp_path, change, message):
    raw = edited(simulated, tmp_path / "raw", change)
    with pytest.raises(InputError, match=message):
        convert(simulated, raw)


def test_nothing_in_range_is_an_error_with_the_counts(simulated):
    with pytest.raises(InputError, match=r"no interview becomes a record \(read [\d,]+, in range 0"):
        convert(simulated, simulated / RAW, settings=["first_age=99", "last_age=99"])


def test_simulated_crosswalks_are_refused_unless_asked_for(simulated):
    with pytest.raises(InputError, match="occ1970_occ1990dd"):
        convert_survey("nlsy79", simulated / RAW, simulated / CROSSWALKS, "sim")


def test_a_column_map_is_not_for_the_psid(tmp_path, simulated):
    with pytest.raises(InputError, match="column map is for NLS extracts"):
        convert_survey(
            "psid", tmp_path, simulated / CROSSWALKS, "sim", column_map=tmp_path, other_crosswalks=True
        )
