"""Round trip for every survey: what simulated workers answered is what the readers make of the files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.baselines.oracle import known_probabilities
from labor_llm.careers.occupations import outcome_space
from labor_llm.careers.panel import CareerPanel
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, simulated_codes, write_simulated_survey
from labor_llm.simulation.market import MARKET_FILE, Market
from labor_llm.store.artefacts import verify
from labor_llm.surveys.conversion import SURVEYS, convert_survey
from labor_llm.surveys.report import Conversion

COLUMNS = ["worker_id", "year", "occupation", "education", "gender", "ethnicity", "region", "birth_year"]


@pytest.fixture(scope="module", params=list(SURVEYS))
def simulated(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, pd.DataFrame, CareerPanel, Conversion]:
    """A small simulated survey: its name, folder, careers, and what was read back."""
    survey, folder = request.param, tmp_path_factory.mktemp("simulated") / "survey"
    careers = write_simulated_survey(folder, survey, workers=150, seed=4)
    read = convert_survey(survey, folder / RAW, folder / CROSSWALKS, "sim", other_crosswalks=True)
    return survey, folder, careers, *read


def test_the_files_give_back_every_record(simulated) -> None:
    _, _, careers, panel, conversion = simulated
    expected = careers[COLUMNS].reset_index(drop=True)
    pd.testing.assert_frame_equal(panel.frame[COLUMNS], expected, check_dtype=False)
    assert panel.outcomes == outcome_space()
    kept = conversion.steps[-1]
    assert (kept.step, kept.workers, kept.records) == ("kept", careers["worker_id"].nunique(), len(careers))
    assert conversion.unmapped == []


def test_the_market_is_rebuilt_and_its_oracle_beats_chance(simulated) -> None:
    _, folder, _, panel, _ = simulated
    market = Market.from_json((folder / MARKET_FILE).read_text())
    oracle = known_probabilities(folder, panel)["oracle"]
    np.testing.assert_array_equal(oracle.log_probs, market.log_probabilities(panel))
    assert np.exp(-oracle.table["log_prob"].mean()) < len(panel.outcomes) / 10


def test_the_folder_is_an_artefact_that_says_how_it_was_made(simulated) -> None:
    survey, folder, careers, *_ = simulated
    workers = careers["worker_id"].nunique()
    assert 140 <= workers <= 150
    expected = {"survey": survey, "workers": workers, "seed": 4, "market_seed": 1}
    assert verify(folder)["parameters"] == expected


def test_the_same_seed_writes_the_same_files(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_simulated_survey(tmp_path / name, "nlsy97", workers=20, seed=9)
    first, second = ((tmp_path / name / RAW / "simulated.csv").read_bytes() for name in ("first", "second"))
    assert first == second


def test_each_occupation_has_source_codes_of_its_own(tmp_path: Path) -> None:
    for frame, codes in simulated_codes().items():
        sources = [source for found in codes.values() for source in found]
        assert len(codes) == 330
        assert len(set(sources)) == len(sources), frame
        assert max(sources) < (10_000 if frame in ("census2002", "census2010") else 580)


def test_the_simulated_classification_is_no_known_version(simulated) -> None:
    _, folder, *_ = simulated
    with pytest.raises(InputError, match="occ1970"):
        load_crosswalks(folder / CROSSWALKS)


def test_an_unknown_survey_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'cps' is no survey"):
        write_simulated_survey(tmp_path / "x", "cps", 20)
    assert not (tmp_path / "x").exists()
