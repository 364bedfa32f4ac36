"""Data sets by name: packaged ones and a user's own, stored with their splits."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, split_workers
from labor_llm.careers.settings import TrainingData
from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import checksum_of, verify
from labor_llm.store.results import Results
from labor_llm.workflow.datasets import (
    DatasetSource,
    convert_dataset,
    open_dataset,
    open_datasets,
    open_training_careers,
)


@pytest.fixture
def own(tmp_path: Path, records: pd.DataFrame, outcomes: OutcomeSpace) -> dict[str, str]:
    """A user's own two files, as the parameters of the conversion."""
    records.to_csv(tmp_path / "careers.csv", index=False)
    outcomes.frame().to_csv(tmp_path / "titles.csv", index=False)
    return {"panel": str(tmp_path / "careers.csv"), "titles": str(tmp_path / "titles.csv")}


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "results")


def test_own_careers_are_converted_and_opened(
    results: Results, own: dict[str, str], panel: CareerPanel
) -> None:
    folder = convert_dataset(
        results, "own", DatasetSource(label="Our careers", survey="ACME", **own), split_seed=5
    )

    got, splits = open_dataset(results, "own")
    expected = panel.frame.assign(dataset="own")
    pd.testing.assert_frame_equal(got.frame, expected)
    assert (got.survey, got.dataset, results.label("own")) == ("ACME", "own", "Our careers")
    assert splits == split_workers(panel, 5)
    manifest = verify(folder)
    assert manifest["inputs"] == {name: checksum_of(Path(path)) for name, path in own.items()}
    said = {"dataset": "own", "survey": "ACME", "label": "Our careers", "split_seed": 5}
    assert manifest["parameters"] == said
    # Label and survey are the short name if they are not given.
    convert_dataset(results, "own", DatasetSource(**own))
    assert (open_dataset(results, "own")[0].survey, results.label("own")) == ("own", "own")


@pytest.mark.parametrize(
    ("dataset", "given"),
    [("own", []), ("own", ["panel"]), ("own", ["titles"]), ("wage_panel", ["panel"])],
)
def test_a_data_set_that_is_not_packaged_needs_both_files(
    results: Results, own: dict[str, str], dataset: str, given: list[str]
) -> None:
    with pytest.raises(InputError, match=r"Give both of its files: panel \(careers\) and titles"):
        convert_dataset(results, dataset, DatasetSource(**{name: own[name] for name in given}))
    assert not results.root.exists()
    with pytest.raises(InputError, match=r"'own' has not been converted\. Run notebooks/01_data_conversion"):
        open_dataset(results, "own")


def test_bad_input_leaves_the_earlier_panel(results: Results, own: dict[str, str]) -> None:
    folder = convert_dataset(results, "own", DatasetSource(**own))
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    careers = Path(own["panel"])
    careers.write_text(careers.read_text().replace("w000,1980,", "w000,1890,"))

    with pytest.raises(InputError, match=r"careers\.csv, row 2, column year: '1890' is not a calendar year"):
        convert_dataset(results, "own", DatasetSource(**own))

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert os.listdir(folder.parent) == ["panel"]


@pytest.mark.parametrize(("workers", "accepted"), [(106, True), (105, False)])
def test_a_split_has_as_many_workers_as_a_published_number_needs(
    results: Results, own: dict[str, str], records: pd.DataFrame, workers: int, accepted: bool
) -> None:
    """The bounds are rounded: of 106 workers 85 - 74 = 11 are for validation, of 105 only 84 - 74 = 10."""
    kept = list(records["worker_id"].unique()[:workers])
    records[records["worker_id"].isin(kept)].to_csv(own["panel"], index=False)
    if accepted:
        convert_dataset(results, "own", DatasetSource(**own))
        return
    with pytest.raises(InputError, match=r"^own: only 10 validation workers, .* at least 110 .* has 105"):
        convert_dataset(results, "own", DatasetSource(**own))
    assert not results.root.exists()


def test_the_packaged_data_set_is_converted_when_it_is_first_opened_but_not_when_it_is_damaged(
    results: Results,
) -> None:
    (careers,), splits = open_datasets(results, ["wage_panel"])
    assert (len(careers.workers), careers.survey) == (545, "NLSY79")
    assert set(splits) == {"wage_panel"}
    assert len(splits["wage_panel"]) == 545
    folder = results.panel("wage_panel")
    assert verify(folder)["parameters"]["split_seed"] == 1
    with open(folder / "panel.parquet", "ab") as file:
        file.write(b"\0")
    with pytest.raises(ArtefactError, match=r"panel\.parquet: [\d,]+ bytes found"):
        open_dataset(results, "wage_panel")


def test_the_same_persons_are_not_pooled_under_another_name_of_their_survey(
    results: Results, own: dict[str, str]
) -> None:
    convert_dataset(results, "wage_panel", DatasetSource(survey="Young men"))
    convert_dataset(results, "own", DatasetSource(survey="NLSY 79", **own))
    with pytest.raises(InputError, match="wage_panel and own are both of the survey NLSY79, so a person"):
        open_training_careers(results, "wage_panel", TrainingData(others=["own"], share=0.5))
    convert_dataset(results, "own", DatasetSource(survey="ACME", **own))
    got = open_training_careers(results, "wage_panel", TrainingData(others=["own"], share=0.5))
    assert (got.own.survey, got.added[0].survey) == ("Young men", "ACME")
