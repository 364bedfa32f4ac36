"""Predictions: what a model may say of a transition, and how it is stored."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import (
    COLUMNS,
    Predictions,
    from_matrix,
    model_labels,
    panel_columns,
    read_all_predictions,
    read_predictions,
    write_all_predictions,
    write_predictions,
)
from labor_llm.errors import ArtefactError, InputError, MismatchError, NumericalError
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

SPACE = OutcomeSpace(("010", "020"), ("Cooks", "Bakers"))
TRANSITIONS = pd.DataFrame(
    {
        "dataset": "toy", "worker_id": ["a", "a", "b"], "year": [1980, 1981, 1980],
        "transition_type": ["first", "moving", "first"], "occupation": ["010", "020", "020"],
        "education": "college",
    }
)  # fmt: skip
SHARES = np.array([[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]])


def scored(
    log_prob: list[float], log_valid_mass: list[float], log_probs: np.ndarray | None = None
) -> Predictions:
    table = TRANSITIONS.drop(columns="education").assign(log_prob=log_prob, log_valid_mass=log_valid_mass)
    return Predictions("tiny", table, SPACE, log_probs)


def test_a_matrix_gives_each_transition_the_probability_of_its_occupation() -> None:
    # Rows picked from a longer table keep their labels, which must not be taken for positions.
    got = from_matrix("tiny", TRANSITIONS.set_index(pd.Index([7, 3, 5])), SPACE, np.log(SHARES))
    np.testing.assert_allclose(np.exp(got.table["log_prob"]), [0.25, 0.5, 0.1])
    assert got.table["log_valid_mass"].tolist() == [0, 0, 0]
    assert got.table.index.tolist() == [0, 1, 2]
    assert tuple(got.table.columns) == COLUMNS
    assert got.log_probs.dtype == np.float32
    np.testing.assert_allclose(np.exp(got.log_probs), SHARES, rtol=1e-6)


@pytest.mark.parametrize(("factor", "said"), [(0.9, "0.900000"), (1.001, "1.001000"), (np.nan, "nan")])
def test_probabilities_that_do_not_add_up_to_one_are_refused(factor: float, said: str) -> None:
    shares = SHARES * [[1.0], [factor], [1.0]]
    message = f"^tiny: the probabilities of a transition add up to {said}, not 1"
    with pytest.raises(NumericalError, match=message):
        from_matrix("tiny", TRANSITIONS, SPACE, np.log(shares))


@pytest.mark.parametrize(
    ("log_prob", "mass", "message"),
    [
        ([-1, np.nan, -1], [0, 0, 0], "log_prob is not a number for 1 of 3 transitions."),
        ([-1, 0.01, 0.01], [0, 0, 0], "log_prob is above zero (a probability above one) for 2 transitions."),
        ([-1, -1, -1], [np.nan, 0.01, -1], "log_valid_mass is above zero (a probability above one) for 1 "),
        ([np.inf, -1, -1], [0, 0, 0], "log_prob is above zero"),
    ],
)
def test_what_is_no_log_probability_is_refused(
    log_prob: list[float], mass: list[float], message: str
) -> None:
    with pytest.raises(NumericalError, match="^" + re.escape(f"tiny: {message}")):
        scored(log_prob, mass)
    # What is above zero by rounding is no fault.
    assert scored([1e-6, -1, -np.inf], [1e-5, 0, 0]).table["log_prob"].max() == 1e-6


@pytest.mark.parametrize("shape", [(3, 2), (2, 3), (1, 2)])
def test_a_matrix_has_a_row_for_each_transition_scored_in_full(shape: tuple[int, int]) -> None:
    mass = [0.0, np.nan, 0.0]
    got = scored([-1, -1, -1], mass, np.full((2, 2), -1, np.float32))
    assert got.scored_in_full.tolist() == [True, False, True]
    for value in (np.nan, 0.5):
        with pytest.raises(NumericalError, match="holds values that are no log-probabilities"):
            scored([-1, -1, -1], mass, np.array([[-1, -1], [-1, value]], np.float32))
    message = rf"^tiny: .* is {re.escape(str(shape))}, the table .* ask for \(2, 2\)"
    with pytest.raises(MismatchError, match=message):
        scored([-1, -1, -1], mass, np.full(shape, -1, np.float32))


@pytest.mark.parametrize("matrix", [None, np.log(SHARES[:2]).astype(np.float32)])
def test_stored_predictions_come_back_bit_by_bit_unless_they_were_changed(
    tmp_path: Path, matrix: np.ndarray | None
) -> None:
    mass = [np.nan] * 3 if matrix is None else [-0.25, -1e-7, np.nan]
    stored = scored([-1 / 3, -2.5, -700.125], mass, matrix)
    write_predictions(tmp_path / "tiny", stored, {"dtype": "float32"})
    got = read_predictions(tmp_path / "tiny")
    pd.testing.assert_frame_equal(got.table, stored.table, check_dtype=False, check_exact=True)
    assert (got.model, got.outcomes.codes, got.outcomes.titles) == ("tiny", SPACE.codes, SPACE.titles)
    assert (got.log_probs is None) == (matrix is None)
    np.testing.assert_array_equal(got.log_probs, matrix)
    (tmp_path / "tiny" / "predictions.parquet").write_bytes(b"")
    with pytest.raises(ArtefactError, match=r"predictions\.parquet: "):
        read_predictions(tmp_path / "tiny")


def test_all_predictions_are_read_data_set_by_data_set(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for dataset, names in (("one", "xy"), ("two", "xyz")):
        with writing(results.panel(dataset)) as aside:
            (aside / "panel.parquet").write_bytes(b"any")
        made = {
            name: from_matrix(f"{name} of {dataset}", TRANSITIONS, SPACE, np.log(SHARES)) for name in names
        }
        write_all_predictions(results, dataset, made)

    def read(datasets: list[str], models: str, optional: str = "") -> list[str]:
        return [found.model for found in read_all_predictions(results, datasets, models, optional)]

    assert read(["two", "one"], "yx") == ["y of two", "x of two", "y of one", "x of one"]
    assert read(["one", "two"], "xz", optional="z") == ["x of one", "x of two", "z of two"]
    message = r"one/predictions/z: these predictions were not made yet\. Run notebooks/05_next_job_scoring .*/06_base"
    with pytest.raises(ArtefactError, match=message):
        read(["one", "two"], "xz")
    assert model_labels(results, ["one", "two"], ["x", "z", "w"]) == {"x": "x of one", "z": "z of two"}


def test_columns_of_the_panel_follow_the_rows_whatever_their_order(
    chain_panel: CareerPanel, chain_model: type
) -> None:
    table = chain_model().predict(chain_panel).table.sort_values("year")
    frame = chain_panel.frame.assign(family=chain_panel.frame["worker_id"].str[:-1])
    panel = CareerPanel(frame, chain_panel.outcomes, "x")
    got = panel_columns(table, panel, ["gender", "previous", "family"])
    expected = frame.set_index(["worker_id", "year"]).loc[table.set_index(["worker_id", "year"]).index]
    for column in ("gender", "family"):
        assert got[column].tolist() == expected[column].tolist()
    assert got["previous"].isna().tolist() == (table["transition_type"] == "first").tolist()
    with pytest.raises(InputError, match="the panel has no column 'family'"):
        panel_columns(table, chain_panel, ["family"])
    with pytest.raises(MismatchError, match="scored transitions are not in the panel"):
        panel_columns(table, chain_panel.restrict(chain_panel.workers[:2]), ["gender"])
    other = CareerPanel(frame.assign(occupation="10"), chain_panel.outcomes, "x")
    with pytest.raises(MismatchError, match="the occupation differs"):
        panel_columns(table, other, ["gender"])
