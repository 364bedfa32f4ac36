"""The two cohorts share R0000100: files of one given as the other are refused, whatever the evidence."""

from __future__ import annotations

from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import Variable

SEX = {
    "nlsy79": Variable("sex", 0, "R0214800", "SAMPLE_SEX"),
    "nlsy97": Variable("sex", 0, "R0536300", "KEY!SEX"),
}
CSV = "R0000100,R0214800,R0536300\n1,1,2\n2,2,2\n"
SDF = "R00001.00  1997  NUMBER  {question}\nR02148.00  1997  X  SOMETHING\nR05363.00  1997  SEX  KEY!SEX\n"


def refusal(folder: Path, cohort: str) -> str:
    with pytest.raises(InputError) as refused:
        read_nls(folder, cohort, [SEX[cohort]])
    return str(refused.value).replace(str(folder) + "/", "")


@pytest.mark.parametrize(("question", "cohort"), [("CASEID", "nlsy79"), ("PUBID", "nlsy97")])
@pytest.mark.parametrize("name", ["x.sdf", "y.sdf"])
def test_the_question_of_the_respondents_number_decides(
    tmp_path: Path, question: str, cohort: str, name: str
) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / name).write_text(SDF.format(question=question))
    assert read_nls(tmp_path, cohort, [SEX[cohort]]).get("sex").notna().all()
    other = "nlsy97" if cohort == "nlsy79" else "nlsy79"
    assert refusal(tmp_path, other) == (
        f"x.csv: an extract of the {cohort.upper()}, not of the {other.upper()} ({name} calls R0000100 {question}). "
        f"Give {other.upper()} files, or convert it as {cohort}; keep the cohorts in folders of their own."
    )


def test_a_codebook_of_another_extract_in_the_folder_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(CSV.replace("R0536300", "R0618500"))
    (tmp_path / "y.sdf").write_text(SDF.format(question="PUBID"))
    assert read_nls(tmp_path, "nlsy79", [SEX["nlsy79"]]).get("sex").tolist() == [1, 2]


def test_a_tagset_beside_the_data_decides(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "x.NLSY97").write_text("R0000100\nR0214800\nR0536300\n")
    assert read_nls(tmp_path, "nlsy97", [SEX["nlsy97"]]).get("sex").tolist() == [2, 2]
    assert "an extract of the NLSY97, not of the NLSY79 (the tagset of" in refusal(tmp_path, "nlsy79")


def test_the_name_of_a_renamed_column_decides(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("PUBID_1997,KEY_SEX_1997\n1,1\n")
    assert read_nls(tmp_path, "nlsy97", [SEX["nlsy97"]]).get("sex").tolist() == [1]
    assert "not of the NLSY79 (its column of respondents is PUBID)" in refusal(tmp_path, "nlsy79")


def test_variables_of_the_other_cohort_alone_decide(tmp_path: Path) -> None:
    """KEY!SEX, KEY!RACE_ETHNICITY and CV_SAMPLE_TYPE are variables of the NLSY97."""
    (tmp_path / "x.csv").write_text("R0000100,R0536300,R1482600,R1235800\n1,1,1,1\n")
    assert "not of the NLSY79 (it has 3 variables of that cohort and none of this)" in refusal(
        tmp_path, "nlsy79"
    )


@pytest.mark.parametrize(("cohort", "size", "last"), [("nlsy79", 12_686, 12_686), ("nlsy97", 8_984, 9_022)])
def test_the_respondents_decide_where_nothing_else_does(
    tmp_path: Path, cohort: str, size: int, last: int
) -> None:
    persons = [*range(1, size), last]
    rows = "".join(f"{person},1,1\n" for person in persons)
    (tmp_path / "x.csv").write_text("R0000100,R0214800,R0536300\n" + rows)
    assert len(read_nls(tmp_path, cohort, [SEX[cohort]]).values) == size
    other = "nlsy97" if cohort == "nlsy79" else "nlsy79"
    assert f"not of the {other.upper()} (it has the {size:,} respondents of that" in refusal(tmp_path, other)


@pytest.mark.parametrize(("cohort", "highest"), [("nlsy79", 12_686), ("nlsy97", 9_022)])
def test_numbers_that_the_cohort_does_not_have_are_refused(tmp_path: Path, cohort: str, highest: int) -> None:
    text = "R0000100,R0214800,R0536300\n1,1,1\n"
    (tmp_path / "x.csv").write_text(f"{text}{highest},1,1\n")
    assert read_nls(tmp_path, cohort, [SEX[cohort]]).values.index.tolist() == [1, highest]
    (tmp_path / "x.csv").write_text(f"{text}{highest + 1},1,1\n20000,1,1\n")
    refused = refusal(tmp_path, cohort)
    assert refused.startswith(
        f"x.csv, column R0000100: 2 of 3 respondents have a number above {highest:,}, the highest"
    )
    assert "20000" not in refused and str(highest + 1) not in refused


def test_a_codebook_that_shares_the_respondents_number_alone_is_no_evidence(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("R0000100,1979\n1,1\n")
    (tmp_path / "y.sdf").write_text(SDF.format(question="PUBID"))
    (tmp_path / "map.csv").write_text("file,column,question,year\nx.csv,1979,SAMPLE_SEX,1979\n")
    got = read_nls(tmp_path, "nlsy79", [SEX["nlsy79"]], tmp_path / "map.csv")
    assert got.get("sex").tolist() == [1]
    assert got.read == (tmp_path / "x.csv",)
