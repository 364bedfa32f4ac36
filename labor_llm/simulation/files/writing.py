"""The simulated labor market as a survey's files: what a user would download, had these workers been interviewed.

A folder holds `raw/` (the survey's official file formats), `crosswalks/` (the simulated survey's own classification in
the form of Dorn's files: its source codes are numbers of no real Census frame) and `market.json`, from which the market
with its true probabilities is rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from labor_llm.careers.occupations import STATES, outcome_space
from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.errors import InputError
from labor_llm.simulation.careers import SCHEDULES, simulate_careers
from labor_llm.simulation.files.nls import write_nls
from labor_llm.simulation.files.nlsy79 import nlsy79_answers
from labor_llm.simulation.files.nlsy97 import nlsy97_answers
from labor_llm.simulation.files.psid import write_packaged
from labor_llm.simulation.files.psid_answers import expressible_in_psid, psid_answers
from labor_llm.simulation.market import MARKET_FILE, Market
from labor_llm.store.artefacts import writing
from labor_llm.surveys.nls.nlsy79 import nlsy79_variables
from labor_llm.surveys.nls.nlsy97 import nlsy97_variables
from labor_llm.surveys.variables import Variable, variables_of

# Below the folder of a simulated survey.
RAW, CROSSWALKS = "raw", "crosswalks"
_FOUR_DIGITS = ("census2002", "census2010")
# Source codes of the simulated frames lie outside those that a survey uses for something else, such as 600
# (armed forces in the PSID of 1970), 810 (wild) or 990 and above (not reported).
_FIRST_CODE, _FIRST_SECOND_CODE, _EVERY = 11, 401, 5

Codes = Mapping[str, Mapping[str, Sequence[int]]]


@dataclass(frozen=True)
class SimulatedSurvey:
    """How simulated workers answer a survey.

    Attributes:
        schedule: key of `SCHEDULES`.
        variables: the questions.
        answers: (careers, source codes, seed) to the answers and the respondent number of each worker.
        expressible: leaves out what the survey has no answers for.
    """

    schedule: str
    variables: Callable[[], list[Variable]]
    answers: Callable[[pd.DataFrame, Codes, int], tuple[pd.DataFrame, Mapping[str, int] | pd.Series]]
    expressible: Callable[[pd.DataFrame], pd.DataFrame] = lambda careers: careers


SIMULATED_SURVEYS = {
    "psid": SimulatedSurvey("PSID", lambda: list(variables_of("psid")), psid_answers, expressible_in_psid),
    "nlsy79": SimulatedSurvey("NLSY79", nlsy79_variables, nlsy79_answers),
    "nlsy97": SimulatedSurvey("NLSY97", nlsy97_variables, nlsy97_answers),
}


def simulated_codes() -> dict[str, dict[str, list[int]]]:
    """Return the source codes of each Census frame by occ1990dd code: one, and for every fifth occupation two."""
    occupations = [code for code in outcome_space().codes if code not in STATES]
    three = {
        code: [_FIRST_CODE + rank, *([_FIRST_SECOND_CODE + rank // _EVERY] if rank % _EVERY == 0 else [])]
        for rank, code in enumerate(occupations)
    }
    four = {code: [10 * source for source in sources] for code, sources in three.items()}
    frames = ("census1970", "census1980", "census1990", "census2000")
    return {**dict.fromkeys(frames, three), **dict.fromkeys(_FOUR_DIGITS, four)}


def write_simulated_survey(
    folder: Path, survey: str, workers: int | None = None, seed: int = 1, market_seed: int = 1
) -> pd.DataFrame:
    """Simulate a survey's workers and store what they answer, as an artefact with a checksum manifest.

    Args:
        folder: where `raw/`, `crosswalks/` and `market.json` go.
        survey: `psid`, `nlsy79` or `nlsy97`.
        workers: how many; the survey's full size if None. The PSID's are a few less: until 1984 it had no answer for
            some ethnicities, and workers who were not interviewed later are left out.
        seed: of the workers.
        market_seed: of the market; surveys with the same one share its probabilities.

    Returns:
        The careers, under the respondent numbers that the reader gives as `worker_id`: the columns of a career
        panel and `schooling`, sorted by worker and year.

    Raises:
        InputError: if there is no such survey.
    """
    if survey not in SIMULATED_SURVEYS:
        raise InputError(f"{survey!r} is no survey; known are {', '.join(SIMULATED_SURVEYS)}.")
    simulated = SIMULATED_SURVEYS[survey]
    market = Market(market_seed)
    careers = simulated.expressible(simulate_careers(market, workers, SCHEDULES[simulated.schedule], seed))
    values, persons = simulated.answers(careers, simulated_codes(), seed)
    parameters = {"survey": survey, "workers": len(persons), "seed": seed, "market_seed": market_seed}
    with writing(folder, parameters) as aside:
        asked = [variable for variable in simulated.variables() if variable.key in values.columns]
        if survey == "psid":
            write_packaged(aside / RAW, values, asked, layouts=("sas",), zipped=True)
        else:
            write_nls(aside / RAW, "simulated", survey, values, asked, forms=("csv", "sdf"))
        write_simulated_crosswalks(aside / CROSSWALKS)
        (aside / MARKET_FILE).write_text(market.to_json(), encoding="utf-8")
    careers = careers.assign(worker_id=careers["worker_id"].map(persons).astype(str))
    return careers.sort_values(["worker_id", "year"], ignore_index=True)


def write_simulated_crosswalks(folder: Path) -> None:
    """Write the simulated classification in the form of Dorn's crosswalk files."""
    frames = {
        frame: {source: int(code) for code, sources in codes.items() for source in sources}
        for frame, codes in simulated_codes().items()
        if frame != "census2002"  # its codes are those of census2000 times ten
    }
    write_crosswalks(folder, frames)
