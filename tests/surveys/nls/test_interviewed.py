"""Non-interviews of a survey year: variables that disagree on them are of different years."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import write_nls
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import Variable

JOB = {year: Variable("job", year, "", "CPSOCC80") for year in (1982, 1983)}
SCHOOL = {year: Variable("school", year, f"R000{year}", "HGC") for year in (1982, 1983)}
REASON = Variable("reason_noninterview", 1982, "R0009999", "RNI")
WEEK = Variable("weekly_status", 1982, "W0001982", "STATUS_WK_NUM1982")
BORN = Variable("birth_year", 1982, "R0000500", "Q1-3_A~Y")
SEX = Variable("sex", 0, "R0214800", "SAMPLE_SEX")
VARIABLES = [*JOB.values(), *SCHOOL.values(), REASON, WEEK, BORN, SEX]
MAP = "file,column,question,year\njob.csv,a,CPSOCC80,{}\njob.csv,b,CPSOCC80,{}\n"


def answers(people: int = 200) -> pd.DataFrame:
    """Respondents 1 to 4 were not interviewed in 1982, 5 to 10 not in 1983."""
    absent = {1982: range(1, 5), 1983: range(5, 11)}
    index = pd.Index(np.arange(1, people + 1), name="person")
    values = pd.DataFrame(12, index, pd.MultiIndex.from_tuples([v.key for v in VARIABLES]), dtype="Int32")
    for variable in (*JOB.values(), *SCHOOL.values()):
        values.loc[list(absent[variable.year]), variable.key] = -5
    values[REASON.key] = np.where(index.isin(absent[1982]), 65, -4)
    values[WEEK.key] = np.where(index < 100, -5, 3)
    return values.astype("Int32")


def write(folder: Path, values: pd.DataFrame, years: tuple[int, int] = (1982, 1983)) -> Path:
    """Write all but the jobs as an extract, the jobs as a file of columns a (1982) and b (1983), and a map of them."""
    write_nls(folder, "x", "nlsy79", values, [v for v in VARIABLES if v.concept != "job"])
    jobs = values[[JOB[1982].key, JOB[1983].key]].set_axis(["a", "b"], axis=1)
    jobs.rename_axis("R0000100").reset_index().to_csv(folder / "job.csv", index=False)
    (folder / "map.csv").write_text(MAP.format(*years))
    return folder


def test_variables_that_agree_are_read_and_others_are_not_compared(tmp_path: Path) -> None:
    got = read_nls(write(tmp_path, answers()), "nlsy79", VARIABLES, tmp_path / "map.csv")
    assert got.missing == ()
    assert got.get("job", 1983).eq(-5).sum() == 6


def test_swapped_years_of_a_column_map_are_refused(tmp_path: Path) -> None:
    raw = write(tmp_path, answers(), (1983, 1982))
    with pytest.raises(InputError) as refused:
        read_nls(raw, "nlsy79", VARIABLES, raw / "map.csv")
    assert str(refused.value).replace(f"{raw}/", "") == (
        "1982: CPSOCC80 (1982) in job.csv, column 'b' by row 3 of map.csv and R0001982 HGC (1982) in x.csv disagree on "
        "who was interviewed (code -5) for 10 of the 200 respondents that both have, so one of them is of another "
        "year. Mend the years in map.csv, or download the files anew, with codes as the NLS Investigator gives them."
    )


@pytest.mark.parametrize(("people", "refused"), [(1_000, False), (999, True)])
def test_more_than_one_in_a_hundred_is_too_many(tmp_path: Path, people: int, refused: bool) -> None:
    raw = write(tmp_path, answers(people), (1983, 1982))
    if refused:
        with pytest.raises(InputError, match="for 10 of the 999 respondents"):
            read_nls(raw, "nlsy79", VARIABLES, raw / "map.csv")
    else:
        assert read_nls(raw, "nlsy79", VARIABLES, raw / "map.csv").missing == ()


def test_respondents_of_one_file_alone_are_not_compared(tmp_path: Path) -> None:
    values = answers()
    write(tmp_path, values)
    write_nls(tmp_path, "x", "nlsy79", values.iloc[20:], [v for v in VARIABLES if v.concept != "job"])
    assert len(read_nls(tmp_path, "nlsy79", VARIABLES, tmp_path / "map.csv").values) == 200


def test_a_file_without_a_map_is_told_to_mend_its_columns(tmp_path: Path) -> None:
    values = answers()
    values[SCHOOL[1983].key] = 12
    write_nls(tmp_path, "x", "nlsy79", values, VARIABLES)
    with pytest.raises(
        InputError, match=r"1983: .* for 6 of the 200 .* Check the names of the columns, or download"
    ):
        read_nls(tmp_path, "nlsy79", VARIABLES)


def test_the_other_cohort_is_held_to_the_same(tmp_path: Path) -> None:
    job = Variable("occupation", 2004, "", "YEMP_OCCODE-2002.01")
    flag = Variable("flag", 2004, "S3822800", "CV_MAINJOB_FLG")
    index = pd.Index(np.arange(1, 101), name="person")
    values = pd.DataFrame({job.key: 10, flag.key: np.where(index < 3, -5, 1)}, index).astype("Int32")
    write_nls(tmp_path, "x", "nlsy97", values, [job, flag])
    with pytest.raises(InputError, match=r"2004: YEMP_OCCODE-2002\.01 \(2004\) in .* for 2 of the 100"):
        read_nls(tmp_path, "nlsy97", [job, flag])
