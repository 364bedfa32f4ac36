"""The simulated labor market as a survey's files: what a user would download, had these workers been interviewed.

A folder holds `raw/` (the survey's official file formats), `crosswalks/` (the simulated survey's own classification in
the form of Dorn's files: its source codes are numbers of no real Census frame) and `market.json`, from which the market
with its true probabilities is rebuilt. The words, headers and line ends of the raw files are those of genuine
downloads; labels of the PSID say that a file is simulated.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from labor_llm.careers.occupations import STATES, outcome_space
from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.simulation.careers import SCHEDULES, simulate_careers
from labor_llm.simulation.files.nls_answers import nlsy79_answers, nlsy97_answers
from labor_llm.simulation.files.psid_answers import expressible_in_psid, psid_answers
from labor_llm.simulation.market import MARKET_FILE, Market
from labor_llm.store.artefacts import atomic_path, writing
from labor_llm.surveys.conversion import survey_named
from labor_llm.surveys.nls.codebooks import RESPONDENT, comparable
from labor_llm.surveys.nls.extracts import NON_INTERVIEW
from labor_llm.surveys.psid.files import FAMILY_NUMBER, FAMILY_OF_1968, INDIVIDUAL_NUMBER, PERSON_IN_1968
from labor_llm.surveys.psid.waves import INDIVIDUAL_FILE, family_file
from labor_llm.surveys.variables import CROSS_ROUND, WEEKLY, Key, Variable

# Below the folder of a simulated survey.
RAW, CROSSWALKS = "raw", "crosswalks"
# Source codes of the simulated frames lie outside those that a survey uses for something else, such as 600
# (armed forces in the PSID of 1970), 810 (wild) or 990 and above (not reported).
_FIRST_CODE, _FIRST_SECOND_CODE, _EVERY = 11, 401, 5
_ANSWERS = {"psid": psid_answers, "nlsy79": nlsy79_answers, "nlsy97": nlsy97_answers}

# Reference numbers of the NLS do not begin with X as far as their lists were seen; those invented here all do.
_INVENTED = "X"
_RESPONDENTS = {"nlsy79": (1979, "CASEID"), "nlsy97": (1997, "PUBID")}

_NARROWEST = {FAMILY_OF_1968: 4, PERSON_IN_1968: 3}
_LINES_A_BLOCK = 2048
_STARS = "*" * 73
# One date for all, so that the same simulation gives the same bytes.
_DATE, _ZIP_TIME = "January 1, 2026", (2026, 1, 1, 0, 0, 0)


def simulated_codes() -> dict[str, dict[str, list[int]]]:
    """Return the source codes of each Census frame by occ1990dd code: one, and for every fifth occupation two."""
    three = {}
    for rank, code in enumerate(code for code in outcome_space().codes if code not in STATES):
        three[code] = [_FIRST_CODE + rank]
        if rank % _EVERY == 0:
            three[code].append(_FIRST_SECOND_CODE + rank // _EVERY)
    four = {code: [10 * source for source in sources] for code, sources in three.items()}
    frames = ("census1970", "census1980", "census1990", "census2000")
    return {**dict.fromkeys(frames, three), **dict.fromkeys(("census2002", "census2010"), four)}


def write_simulated_survey(
    folder: Path, survey: str, workers: int | None = None, seed: int = 1
) -> pd.DataFrame:
    """Simulate a survey's workers and store what they answer, as an artefact with a checksum manifest.

    All surveys share one market, so that its probabilities are the same in each.

    Args:
        folder: where `raw/`, `crosswalks/` and `market.json` go.
        survey: `psid`, `nlsy79` or `nlsy97`.
        workers: how many; the survey's full size if None. The PSID's are a few less, see `expressible_in_psid`.
        seed: of the workers.

    Returns:
        The careers, under the respondent numbers that the reader gives as `worker_id`: the columns of a career
        panel and `schooling`, sorted by worker and year.

    Raises:
        InputError: if there is no such survey.
    """
    described = survey_named(survey)
    market = Market(seed=1)
    careers = simulate_careers(market, workers, SCHEDULES[described.name], seed)
    if survey == "psid":
        careers = expressible_in_psid(careers)
    values, persons = _ANSWERS[survey](careers, simulated_codes(), seed)
    parameters = {"survey": survey, "workers": len(persons), "seed": seed, "market_seed": market.seed}
    with writing(folder, parameters) as aside:
        if survey == "psid":
            write_psid(aside / RAW, values, described.variables(), zipped=True)
        else:
            write_nls(aside / RAW, "simulated", survey, values, described.variables())
        frames = {
            frame: {source: int(code) for code, sources in codes.items() for source in sources}
            for frame, codes in simulated_codes().items()
            if frame != "census2002"  # its codes are those of census2000 times ten
        }
        write_crosswalks(aside / CROSSWALKS, frames)
        (aside / MARKET_FILE).write_text(market.to_json(), encoding="utf-8")
    careers = careers.assign(worker_id=careers["worker_id"].map(persons).astype(str))
    return careers.sort_values(["worker_id", "year"], ignore_index=True)


def write_nls(
    folder: Path, stem: str, cohort: str, values: pd.DataFrame, variables: Sequence[Variable]
) -> None:
    """Write respondents as an NLS extract: data (.csv) and short description file (.sdf).

    Args:
        folder: where the files go.
        stem: their name without the ending.
        cohort: `nlsy79` or `nlsy97`.
        values: one row a respondent, as in `RawSurvey.values`; NA (not interviewed) is written as -5.
        variables: what the columns are; one without the other is not written. Those without reference number get
            an invented one, X and seven digits, that depends on question and year alone (but for rare clashes).

    Raises:
        ValueError: if two variables share a reference number and differ in their values.
    """
    invented = _invented_numbers(cohort, variables)
    columns = {RESPONDENT: values.index.to_numpy(dtype=np.int32)}
    first_year, question = _RESPONDENTS[cohort]
    described = {RESPONDENT: Variable("identification code", first_year, RESPONDENT, question)}
    for variable in variables:
        number = variable.name or invented[variable]
        if variable.key in values.columns and number != RESPONDENT:
            codes = values[variable.key].to_numpy(dtype=np.int32, na_value=NON_INTERVIEW)
            if not np.array_equal(columns.setdefault(number, codes), codes):
                raise ValueError(f"{variable} and {described[number]} share {number} and differ in values")
            described[number] = variable
    numbers = sorted(columns)
    buffer = io.BytesIO()
    arrow_csv.write_csv(pa.table(columns).select(numbers), buffer, arrow_csv.WriteOptions(eol="\r\n"))
    with atomic_path(Path(folder) / f"{stem}.csv") as aside:
        aside.write_bytes(buffer.getvalue().removesuffix(b"\r\n"))
    with atomic_path(Path(folder) / f"{stem}.sdf") as aside:
        aside.write_text(_sdf([(number, described[number]) for number in numbers]), newline="\n")


def _invented_numbers(cohort: str, variables: Sequence[Variable]) -> dict[Variable, str]:
    """Return reference numbers for the variables of which none is known."""
    invented: dict[str, Variable] = {}
    unknown = {variable for variable in variables if not variable.name}
    for variable in sorted(unknown, key=lambda v: (v.question, v.year, v.concept)):
        text = f"{cohort} {variable.question or variable.concept} {variable.year}"
        number = zlib.crc32(text.encode())
        while (name := f"{_INVENTED}{number % 10**7:07d}") in invented:
            number += 1
        invented[name] = variable
    return {variable: name for name, variable in invented.items()}


def _sdf(described: Sequence[tuple[str, Variable]]) -> str:
    """Return the short description file: four columns, as wide as their longest cell and two spaces."""
    rows = [("Number", "Year", "Variable Description", "Question Name")]
    for number, variable in described:
        year = "XRND" if variable.concept == WEEKLY or variable.year == CROSS_ROUND else str(variable.year)
        title = variable.concept.replace("_", " ").upper()
        rows.append((f"{number[:6]}.{number[6:]}", year, title, variable.question or comparable(title)))
    widths = [max(map(len, cells)) + 2 for cells in zip(*rows, strict=True)]
    head, *lines = ("".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(["", "", "Reference", head, "-" * sum(widths), *lines, ""])


@dataclass(frozen=True)
class Column:
    """A variable of a fixed-width file with its values, one a line."""

    name: str
    label: str  # at most 40 characters
    values: np.ndarray

    @property
    def width(self) -> int:
        """Of the longest value, and no less than the PSID gives it."""
        ends = (self.values.min(), self.values.max())
        return max(_NARROWEST.get(self.name, 1), *(len(str(end)) for end in ends))


def write_psid(
    folder: Path,
    values: pd.DataFrame,
    variables: Sequence[Variable],
    zipped: bool = False,
    arranged: Callable[[list[Column]], list[Column]] = list,
) -> None:
    """Write an individual file and the family file of each wave as the PSID packages them, with statements for SAS.

    A missing value is written as 0, the PSID's code for a question that was not asked.

    Args:
        folder: where the files are put.
        values: one row a person, of the form of `RawSurvey.values`. The members of a family agree in the family's
            variables, NA standing for any value; persons in no family have NA there.
        variables: the variables in the columns; each wave's `fam_interview_number` of the role `family`
            gives the name of the number in its family file, whether `values` holds it or not.
        zipped: put each file with its statements into an archive of its own.
        arranged: the columns that a file has, given those that are wanted of it.
    """
    names = {variable.key: variable.name for variable in variables}

    def column(key: Key, codes: pd.Series) -> Column:
        concept, role, year = key
        label = f"{year or ''} {concept} {role}".strip().upper().replace("_", " ")[:40]
        return Column(names[key].upper(), label, codes.fillna(0).to_numpy(dtype=np.int32))

    persons = values.index.to_numpy(dtype=np.int32)
    own = [key for key in values.columns if key[1] == "person" and names[key] not in _NARROWEST]
    columns = [
        Column("ER30000", "RELEASE NUMBER", np.ones_like(persons)),
        Column(FAMILY_OF_1968, "1968 INTERVIEW NUMBER", persons // 1000),
        Column(PERSON_IN_1968, f"{'PERSON NUMBER':<38}68", persons % 1000),
        *(column(key, values[key]) for key in own),
    ]
    files = {INDIVIDUAL_FILE: ("Simulated cross-year individual file, 1968-2023", columns)}
    for concept, role, year in names:
        member = (INDIVIDUAL_NUMBER, "person", year)
        if (concept, role) == (FAMILY_NUMBER, "family") and member in values.columns:
            asked = [
                key
                for key in values.columns
                if key[1] != "person" and key[2] == year and key[0] != FAMILY_NUMBER
            ]
            answers = values.loc[values[member] > 0, [member, *asked]].groupby([member]).max()
            if len(answers):
                columns = [column((concept, role, year), answers.index.to_series())]
                columns += [column(key, answers[key]) for key in asked]
                files[family_file(year)] = (f"Simulated {year} family file", columns)
    for stem, (label, columns) in files.items():
        columns = arranged(columns)
        statements = _sas(stem, label, columns).encode("ascii")
        contents = {f"{stem}.txt": _lines(columns), f"{stem}.sas": iter([statements])}
        if zipped:
            with atomic_path(folder / f"{stem.lower()}.zip") as aside, zipfile.ZipFile(aside, "w") as archive:
                for name, parts in contents.items():
                    entry = zipfile.ZipInfo(name, _ZIP_TIME)
                    entry.compress_type = zipfile.ZIP_DEFLATED
                    with archive.open(entry, "w", force_zip64=True) as stream:
                        stream.writelines(parts)
            continue
        for name, parts in contents.items():
            with atomic_path(folder / name) as aside, open(aside, "wb") as stream:
                stream.writelines(parts)


def _lines(columns: Sequence[Column]) -> Iterator[bytes]:
    """Yield the lines of a fixed-width file in blocks: numbers stand at the right of their columns."""
    widths = [column.width for column in columns]
    for start in range(0, len(columns[0].values), _LINES_A_BLOCK):
        texts = (
            pa.array(column.values[start : start + _LINES_A_BLOCK]).cast(pa.string()) for column in columns
        )
        cells = map(pc.utf8_lpad, texts, widths)
        yield "".join(pc.binary_join_element_wise(*cells, "\r\n", "").to_pylist()).encode()


def _sas(stem: str, label: str, columns: Sequence[Column]) -> str:
    """Return the statements for SAS that read a file."""
    header = (
        f"{_STARS}\n   Label           : {label}\n   Rows            : {len(columns[0].values)}\n"
        f"   Columns         : {len(columns)}\n   ASCII File Date : {_DATE}\n{_STARS}"
    )
    attributes, places, end = "", [], 0
    for column in columns:
        width, end = column.width, end + column.width
        attributes += (
            f'      {column.name:<10}LABEL="{column.label}"{"":{42 - len(column.label)}}format=f{width}.\n'
        )
        places.append(f"      {column.name:<13}{end - width + 1:>5} - {end:<5}")
    inputs = "".join("".join(places[start : start + 3]) + "\n" for start in range(0, len(places), 3))
    return (
        f"\n/{header}/\n\nDATA {stem} ; \n   ATTRIB \n{attributes}   ;\n"
        f"   INFILE '[PATH]\\{stem}.txt' LRECL = {end} ; \n   INPUT \n{inputs}   ;\nRUN ;\n"
    )
