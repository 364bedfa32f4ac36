"""Round trip for every survey: what simulated workers answered is what the readers make of the files, in every form."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from labor_llm.baselines.oracle import known_probabilities
from labor_llm.careers.occupations import outcome_space
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import (
    CROSSWALKS,
    RAW,
    simulated_codes,
    write_nls,
    write_psid,
    write_simulated_survey,
)
from labor_llm.simulation.market import MARKET_FILE, Market
from labor_llm.store.artefacts import verify
from labor_llm.surveys.conversion import SURVEYS, convert_survey
from labor_llm.surveys.nls.codebooks import comparable, parse_sdf
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.variables import Variable

COLUMNS = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]


@pytest.mark.parametrize("survey", SURVEYS)
def test_the_files_give_back_every_record_and_the_market_its_probabilities(
    tmp_path: Path, survey: str
) -> None:
    folder = tmp_path / "survey"
    careers = write_simulated_survey(folder, survey, workers=150, seed=4)
    workers = careers["worker_id"].nunique()
    assert 140 <= workers <= 150
    made = {"survey": survey, "workers": workers, "seed": 4, "market_seed": 1}
    assert verify(folder)["parameters"] == made
    panel, conversion = convert_survey(
        survey, folder / RAW, folder / CROSSWALKS, "sim", other_crosswalks=True
    )
    pd.testing.assert_frame_equal(panel.frame[COLUMNS], careers[COLUMNS], check_dtype=False)
    assert panel.outcomes == outcome_space()
    kept = conversion.steps[-1]
    assert (kept.step, kept.workers, kept.records) == ("kept", workers, len(careers))
    assert conversion.unmapped == []
    market = Market.from_json((folder / MARKET_FILE).read_text())
    oracle = known_probabilities(folder, panel)["oracle"]
    np.testing.assert_array_equal(oracle.log_probs, market.log_probabilities(panel))
    assert np.exp(-oracle.table["log_prob"].mean()) < len(panel.outcomes) / 10
    # The simulated classification is no known version of Dorn's.
    with pytest.raises(InputError, match="occ1970"):
        load_crosswalks(folder / CROSSWALKS)


@pytest.mark.parametrize("survey", ["psid", "nlsy97"])
def test_the_same_seed_writes_the_same_files(tmp_path: Path, survey: str) -> None:
    for name in ("first", "second"):
        write_simulated_survey(tmp_path / name, survey, workers=20, seed=9)
    first, second = (
        {path.name: path.read_bytes() for path in (tmp_path / name / RAW).iterdir()}
        for name in ("first", "second")
    )
    assert first == second


def test_each_occupation_has_source_codes_of_its_own() -> None:
    for frame, codes in simulated_codes().items():
        sources = [source for found in codes.values() for source in found]
        assert len(codes) == 330
        assert len(set(sources)) == len(sources), frame
        assert max(sources) < (10_000 if frame in ("census2002", "census2010") else 580)


NLS = [
    Variable("weekly_status", 7, "", "STATUS_WK_NUM0007"),
    Variable("occupation_1970", 1979, "R0046400", "CPSOCC70"),
    Variable("occupation_1970", 1980, "", "CPSOCC70"),
    Variable("birth_year", 1979, "R0000500", "Q1-3_A~Y"),
    Variable("sex", 0, "R0214800", "SAMPLE_SEX"),
    Variable("occupation_2000", 2004, "", "OCCALL-EMP.01"),
]


def respondents(variables: list[Variable], rows: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    keys = pd.MultiIndex.from_tuples([v.key for v in variables], names=["concept", "role", "year"])
    persons = np.sort(generator.choice(np.arange(1, 8_985), rows, replace=False))
    # No -5: everyone was interviewed, or variables of a year would have to agree on who was not.
    codes = generator.integers(-4, 9_999, (rows, len(variables)))
    return pd.DataFrame(codes, pd.Index(persons, name="person", dtype="int64"), keys).astype("Int32")


def other_forms(folder: Path, cohort: str, forms: tuple[str, ...]) -> None:
    """Put other forms of the extract x.csv with x.sdf in their place, laid out as in genuine downloads."""
    header, rows = (folder / "x.csv").read_text().split("\n", 1)
    numbers, cells = header.replace('"', "").split(","), rows.replace(",", " ")
    described = parse_sdf((folder / "x.sdf").read_text().splitlines())
    years = {number: str(entry.year or "XRND") for number, entry in described.items()}
    renamed = [f'"{comparable(described[number].question)}_{years[number]}"' for number in numbers]
    blocks = [
        f"{number[:6]}.{number[6:]}    [{entry.question}]   Survey Year: {years[number]}\n  PRIMARY VARIABLE\n\n"
        f"TOTAL =========>{rows.count(chr(10)) + 1:>8}   VALID SKIP(-4)       0     NON-INTERVIEW(-5)       0\n"
        for number, entry in described.items()
    ]
    dictionary = "".join(f'  {number} "TITLE 79"\n' for number in numbers)
    contents = {
        "csv": f"{header}\n{rows}",
        "renamed.csv": f"{','.join(renamed)}\n{rows}",
        "dat": cells,
        "dct": f"infile dictionary {{\n{dictionary}}}\n{cells}\n",
        "sdf": (folder / "x.sdf").read_text(),
        "cdb": ("-" * 80 + "\n").join(blocks),
        cohort.upper(): "".join(f"{number}\n" for number in numbers),
    }
    for name in ("x.csv", "x.sdf"):
        (folder / name).unlink()
    for form in forms:
        (folder / f"x.{form}").write_text(contents[form])


@pytest.mark.parametrize(
    ("cohort", "forms", "wanted"),
    [
        ("nlsy79", ("csv", "sdf"), NLS),
        ("nlsy79", ("dat", "cdb"), NLS[::-2]),
        ("nlsy97", ("csv", "cdb"), NLS[::-1]),
        ("nlsy97", ("dct", "sdf"), NLS),
        # Without a codebook what the columns themselves say is found.
        ("nlsy79", ("dct",), [variable for variable in NLS if variable.name]),
        ("nlsy79", ("dat", "NLSY79"), [variable for variable in NLS if variable.name]),
        ("nlsy79", ("renamed.csv",), NLS),
    ],
)
def test_every_form_of_an_extract_says_the_same(
    tmp_path: Path, cohort: str, forms: tuple[str, ...], wanted: list[Variable]
) -> None:
    values = respondents(NLS, 50)
    write_nls(tmp_path, "x", cohort, values, NLS)
    other_forms(tmp_path, cohort, forms)
    got = read_nls(tmp_path, cohort, wanted)
    pd.testing.assert_frame_equal(got.values, values[[variable.key for variable in wanted]])
    assert got.missing == ()


def test_an_extract_is_laid_out_as_a_genuine_one(tmp_path: Path) -> None:
    values = respondents(NLS[1:2], 3)
    values.iloc[:, 0] = pd.array([914, pd.NA, -4], "Int32")
    values.index = pd.Index([1, 2, 3], name="person")
    write_nls(tmp_path, "x", "nlsy79", values, NLS)
    assert (tmp_path / "x.csv").read_bytes() == b'"R0000100","R0046400"\r\n1,914\r\n2,-5\r\n3,-4'
    assert (tmp_path / "x.sdf").read_text().splitlines()[2:] == [
        "Reference",
        "Number     Year  Variable Description  Question Name  ",
        "------------------------------------------------------",
        "R00001.00  1979  IDENTIFICATION CODE   CASEID         ",
        "R00464.00  1979  OCCUPATION 1970       CPSOCC70       ",
    ]


def test_invented_numbers_do_not_depend_on_the_other_variables(tmp_path: Path) -> None:
    values = respondents(NLS, 5)
    write_nls(tmp_path, "a", "nlsy97", values, NLS)
    write_nls(tmp_path, "b", "nlsy97", values, NLS[::-1][:3])
    every, fewer = (parse_sdf((tmp_path / name).read_text().splitlines()) for name in ("a.sdf", "b.sdf"))
    assert sorted(number[0] for number in every) == ["R"] * 4 + ["X"] * 3
    assert set(fewer) < set(every)


def test_two_variables_under_one_number_must_agree(tmp_path: Path) -> None:
    variables = [Variable("week", 0, "W0061300"), Variable("weekly_status", 1, "W0061300")]
    values = respondents(variables, 5)
    with pytest.raises(ValueError, match="share W0061300 and differ"):
        write_nls(tmp_path, "x", "nlsy79", values, variables)
    values.iloc[:, 1] = values.iloc[:, 0]
    write_nls(tmp_path, "x", "nlsy79", values, variables)
    pd.testing.assert_frame_equal(read_nls(tmp_path, "nlsy79", variables).values, values)


WAVES = (1981, 1994, 2003)
PSID = [
    Variable("sex", 0, "ER32000", role="person"),
    *(Variable("ind_interview_number", year, f"ER3{year}", role="person") for year in WAVES),
    *(Variable("age", year, f"ER4{year}", role="person") for year in WAVES),
    *(Variable("fam_interview_number", year, f"V{year}", role="family") for year in WAVES),
    *(Variable("occupation", year, f"V1{year}", role="head") for year in WAVES),
    *(Variable("income_change", year, f"V2{year}", role="spouse") for year in WAVES),
]
RANGES = {"sex": (0, 100), "age": (0, 100), "occupation": (0, 1000), "income_change": (1 - 2**31, 2**31)}


def families(persons: int, seed: int, families: int = 12) -> pd.DataFrame:
    """Persons in shuffled families, some of them in none; as many digits as an Int32 may have."""
    draw = np.random.default_rng(seed)
    numbers = np.sort(draw.choice(9000 * 20, size=persons, replace=False))
    own = {year: draw.integers(0, families + 1, persons) for year in (0, *WAVES)}
    columns = {}
    for variable in PSID:
        codes = own[variable.year]
        if variable.concept in RANGES:
            codes = draw.integers(
                *RANGES[variable.concept], persons if variable.role == "person" else families + 1
            )
            if variable.role != "person":
                codes = np.where(draw.random(families + 1) < 0.3, 0, codes)[own[variable.year]]
        columns[variable.key] = pd.array(codes, dtype="Int32")
        if variable.role != "person":
            columns[variable.key][own[variable.year] == 0] = pd.NA
    frame = pd.DataFrame(
        columns, index=pd.Index((numbers // 20 + 1) * 1000 + numbers % 20 + 1, name="person")
    )
    return frame.rename_axis(columns=["concept", "role", "year"])


def job(folder: Path, values: pd.DataFrame, form: str = "csv", **cells: object) -> None:
    """Write a job of the Data Center, one row a person with the family's answers; `cells` replace those of row 4."""
    table = values.set_axis([variable.name for variable in PSID], axis=1).astype(object)
    table.insert(0, "ER30001", values.index // 1000)
    table.insert(1, "ER30002", values.index % 1000)
    for name, cell in cells.items():
        table.iloc[2, table.columns.get_loc(name)] = cell
    write = table.to_csv if form == "csv" else table.to_excel
    write(folder / f"J100001.{form}", index=False)


def test_an_excel_file_says_the_same_and_its_labels_are_refused_by_row_and_variable(tmp_path: Path) -> None:
    values = families(40, 2)
    job(tmp_path, values, "xlsx")
    pd.testing.assert_frame_equal(read_psid(tmp_path, PSID).values, values)
    job(tmp_path, values, "xlsx", V11994="Cooks")
    with pytest.raises(InputError, match=r"J100001\.xlsx: row 4, V11994: not a code but something else"):
        read_psid(tmp_path, PSID)


@settings(max_examples=15)
@given(
    persons=st.integers(1, 30), count=st.integers(1, 5), seed=st.integers(0, 2**32 - 1), zipped=st.booleans()
)
def test_any_population_is_read_back_from_both_kinds_of_file_together(
    tmp_path_factory: pytest.TempPathFactory, persons: int, count: int, seed: int, zipped: bool
) -> None:
    values, folder = families(persons, seed, count), tmp_path_factory.mktemp("psid")
    # A wave in which nobody is in a family has no family file: then its columns are in the job alone.
    write_psid(folder, values, PSID, zipped)
    job(folder, values)
    pd.testing.assert_frame_equal(read_psid(folder, PSID).values, values)


@pytest.mark.parametrize("zipped", [False, True])
def test_packaged_files_hold_the_answers_of_families_and_zero_where_nothing_was_asked(
    tmp_path: Path, zipped: bool
) -> None:
    values = families(60, 3)
    expected = values.copy()
    family = values["ind_interview_number", "person", 1981].to_numpy() == 1
    assert family.sum() > 1
    # Only one member of the family knows its head's occupation, nobody the spouse's income or any age in 1994.
    values.loc[values.index[family][1:], [("occupation", "head", 1981)]] = pd.NA
    values.loc[family, [("income_change", "spouse", 1981)]] = pd.NA
    values[("age", "person", 1994)] = pd.array([pd.NA] * len(values), "Int32")
    expected.loc[family, [("income_change", "spouse", 1981)]] = 0
    expected[("age", "person", 1994)] = pd.array([0] * len(values), "Int32")
    write_psid(tmp_path, values, PSID, zipped, arranged=lambda columns: [*columns[3:], *columns[:3]])
    got = read_psid(tmp_path, PSID)
    pd.testing.assert_frame_equal(got.values, expected)
    assert got.missing == got.skipped == ()
    stems = {"IND2023ER", "FAM1981", "FAM1994ER", "FAM2003ER"}
    assert {path.stem for path in tmp_path.iterdir()} == ({s.lower() for s in stems} if zipped else stems)
