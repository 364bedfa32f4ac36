"""Claims of the paper on hand-made tables: a case for each verdict, and what has no number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits import claims
from labor_llm.exhibits.catalogue import find_exhibit
from labor_llm.exhibits.formatting import Reference, escape_markdown, format_value, table
from labor_llm.exhibits.publishing import Exhibits
from labor_llm.exhibits.report import StoredComparison
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

SHORT = {
    "fine_tuned": ["tuned"],
    "off_the_shelf": ["plain"],
    "prompted": [],
    "numeric": ["numbers"],
    "larger": [],
}
LABELS = {
    "tuned": "FT",
    "plain": "OTS",
    "career": "CAREER",
    "no-change": "No change",
    "numbers": "FT, numbers",
}
PAIR = ("difference", "test_se", "ci_low", "ci_high")
CAREER_CLAIM, OFF_CLAIM, MASS, NUMBERS = (
    next(claim.claim for claim in claims.read_claims() if claim.claim.startswith(start))
    for start in ("Fine-tuned,", "It predicts better than off", "Off the shelf", "Titles in numbers")
)


@pytest.mark.parametrize(
    ("sign", "difference", "workers", "word"),
    [
        ("lower", (-0.7, -0.9, -0.5), 1600, "replicated"),
        ("higher", (-0.7, -0.9, -0.5), 1600, "not replicated"),
        ("lower", (-0.7, -1.5, 0.1), 1600, "undecided: no difference can be told"),
        # An interval as clear, of too few.
        ("lower", (-0.7, -0.9, -0.5), 39, "undecided: fewer than 40 workers"),
        # That two things are equal can be refuted and not shown.
        ("equal", (-0.7, -0.9, -0.5), 1600, "not replicated"),
        ("equal", (0.0, -0.1, 0.1), 1600, "undecided: no difference can be told"),
        ("lower", (float("inf"), float("nan"), float("nan")), 1600, "undecided: not comparable"),
    ],
)
def test_one_rule_gives_every_verdict(sign, difference, workers, word) -> None:
    assert claims.verdict_on(sign, *difference, workers) == word


@pytest.mark.parametrize(
    ("difference", "error", "workers", "needed"),
    [
        # 100 * (1.96 * 0.5 / 0.2)^2 = 2,401.
        (-0.2, 0.5, 100, "about 2,500 test workers"),
        # 12 * (1.96 * 1 / 2)^2 = 11.5, and an interval is trusted from 40 on.
        (2.0, 1.0, 12, "about 40 test workers"),
        # 100 * (1.96 * 0.5 / 0.98)^2 = 100.
        (0.98, 0.5, 100, "about 100 test workers"),
        (0.0, 0.5, 100, "no number of test workers"),
        (float("inf"), float("nan"), 100, "no number of test workers"),
    ],
)
def test_the_workers_that_would_decide(difference, error, workers, needed) -> None:
    assert claims.workers_to_decide(difference, error, workers) == needed


def larger(*differences: tuple[str, float, float]) -> StoredComparison:
    """Other models minus the fine-tuned one, with the interval."""
    frame = pd.DataFrame([(name, (low + high) / 2, 0.1, low, high) for name, low, high in differences],
                         columns=["model", *PAIR])  # fmt: skip
    frame = frame.assign(reference="FT", z=1.0, transitions=20_000, workers=1600)
    return StoredComparison(frame, frame, frame, {"survey": "S"})


LARGER = larger(("Bag of jobs", 1.0, 2.0), ("CAREER", 0.6, 1.0), ("CAREER, transfer", 0.5, 0.9))


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A run on two data sets, of which the second has no stored table."""
    folders = Results(tmp_path)
    for dataset in ("one", "two"):
        with writing(folders.panel(dataset), {"label": f"Data {dataset}"}):
            pass
        for name, label in LABELS.items():
            with writing(folders.predictions(dataset, name), {"model": label}):
                pass
    return folders


def store(results: Results, exhibit: str, variant: str = "", **columns: object) -> None:
    """Write a table as a chapter does."""
    rows = pd.DataFrame({"transitions": 500, "workers": 100, **columns})
    shown = Exhibits(results, variant if find_exhibit(exhibit, "table").variants else "")
    shown._table(
        table(exhibit, rows), find_exhibit(exhibit, "table"),
        {"label": find_exhibit(exhibit, "table").label(shown.dataset), "caption": "A caption", "note": ""},
    )  # fmt: skip


def judged(results: Results, *datasets: str, comparison: StoredComparison = LARGER) -> pd.DataFrame:
    return claims.judged(results, SHORT, list(datasets), list(datasets), comparison).set_index("claim")


def store_pairs(results: Results, dataset: list[str], workers: int = 100) -> None:
    low, high = [0.1, -3.0, -9.0], [0.9, -1.0, -5.0]
    store(results, "tab-fine-tuned-pairs", model="FT", reference=["CAREER", "No change", "OTS"], dataset=dataset,
          difference=[0.5, -2.0, -7.0], test_se=[0.2, 0.5, 1.0], ci_low=low, ci_high=high, workers=workers)  # fmt: skip


def test_a_number_is_read_where_a_chapter_has_stored_it(results: Results) -> None:
    store_pairs(results, ["Data one"] * 3)
    store(results, "tab-titles", "one", model=["FT", "FT, numbers", "FT, perturbed"], dataset="one", perplexity=9.0,
          paired_difference=["", 0.3, -1.0], paired_test_se=["", 0.2, 0.1], paired_ci_low=["", -0.1, -1.2],
          paired_ci_high=["", 0.7, -0.8])  # fmt: skip
    rows = judged(results, "one")
    own, of_larger = rows.loc[CAREER_CLAIM].to_dict("records")
    assert (own["verdict"], own["dataset"], own["shown_in"]) == (
        "not replicated",
        "Data one",
        "tab-fine-tuned-pairs",
    )
    assert own["paper"] == "8.184 against 8.58 (PSID81)" and own["compared"] == "FT − CAREER"
    # Of the two kinds of CAREER the better one is taken.
    assert of_larger["verdict"] == "replicated" and of_larger["compared"] == "FT − CAREER, transfer"
    assert of_larger["dataset"] == "S, larger run" and of_larger["difference"] == pytest.approx(-0.7)
    off = rows.loc[OFF_CLAIM]
    assert off["verdict"] == "replicated" and off["decides"] == "" and off["difference"] == -7.0
    titles = rows.loc[NUMBERS]
    assert (
        titles["verdict"] == "undecided: no difference can be told" and titles["shown_in"] == "tab-titles-one"
    )
    assert titles["decides"] == "about 180 test workers" and titles["compared"] == "FT, numbers − in words"


def test_history_is_told_by_years_where_it_was_shown_by_them(results: Results) -> None:
    claim = next(claim.claim for claim in claims.read_claims() if claim.exhibit == "tab-history-length")
    stored = {
        "shown": ["5 records", "10 records", "5 years", "10 years", "all"], "difference": [0.1, 0.2, 0.3, 0.0, ""],
        "difference_se": 0.1, "difference_low": [-0.1, 0.0, 0.1, -0.2, ""], "difference_high": [0.3, 0.4, 0.5, 0.2, ""],
    }  # fmt: skip
    rows = pd.DataFrame({"model": "FT", **stored})
    for kept, compared in ((rows, "FT, last 5 years − all"), (rows[:2], "FT, last 5 records − all")):
        store(results, "tab-history-length", "one", **kept)
        assert judged(results, "one").loc[claim, "compared"] == compared


def test_what_is_subtracted_is_a_number_or_the_papers_value(results: Results) -> None:
    store(results, "tab-value-of-fine-tuning", model=["OTS", "FT"], dataset="one", perplexity=9.0, mean=[0.2, 0.9],
          mean_se=0.02, mean_low=[0.16, 0.85], mean_high=[0.24, 0.95])  # fmt: skip
    store(results, "tab-horizon-agreement", "one", model="FT", years=[2, 3], correlation=[0.98, 0.9],
          correlation_se=0.01, correlation_low=[0.96, 0.88], correlation_high=[0.99, 0.92])  # fmt: skip
    store(results, "tab-binary-calibration", model="FT", task=["Change of occupation", "Unemployment"],
          dataset="one", slope=[0.8, 2.0], slope_se=0.1)  # fmt: skip
    rows = judged(results, "one")
    mass = rows.loc[MASS]
    assert mass["difference"] == pytest.approx(-0.3) and mass["ci_high"] == pytest.approx(-0.26)
    direct, slope = (
        rows[rows["shown_in"] == name].iloc[0]
        for name in ("tab-horizon-agreement-one", "tab-binary-calibration")
    )
    assert direct["compared"] == "FT, 2 years ahead − 0.93" and direct["paper"] == "0.93 (survey not stated)"
    assert direct["ci_low"] == pytest.approx(0.03) and direct["verdict"] == "replicated"
    # 0.8 - 1 + 1.96 * 0.1 is below zero: a claim of equality is refuted.
    assert slope["ci_high"] == pytest.approx(-0.004) and slope["verdict"] == "not replicated"


def test_a_claim_without_a_number_is_not_run_here(results: Results) -> None:
    rows = judged(results, "one", "two", comparison=larger(("Bag of jobs", 1.0, 2.0)))
    assert len(rows) == len(claims.read_claims())
    assert rows["verdict"].value_counts().to_dict() == {"not run here": len(rows) - 1, "replicated": 1}
    missing = rows.loc[CAREER_CLAIM]
    assert (
        missing["decides"] == "no run of it in this profile"
        and missing[[*PAIR, "dataset", "shown_in"]].isna().all()
    )
    shown = claims.verdicts(rows.reset_index()).frame
    assert shown["Difference"].tolist().count("") == len(rows) - 1
    links = Exhibits(results)(claims.verdicts(rows.reset_index())).markdown
    assert "{numref}`fig-on-every-data-set`" in links and "| 1,600 |" in links
    assert len(claims.evidence(rows.reset_index()).frame) == 1


def test_a_table_that_names_no_data_set_is_of_one_alone(results: Results) -> None:
    store_pairs(results, ["Data one"] * 3)
    # Nobody can tell of which of two it would be.
    assert judged(results, "one", "two").loc[OFF_CLAIM, "verdict"] == "not run here"
    store_pairs(results, ["Data one", "Data two", "Data two"])
    both = judged(results, "one", "two")
    assert both.loc[OFF_CLAIM, "dataset"] == "Data two"
    assert both.loc[CAREER_CLAIM, "dataset"].tolist() == ["Data one", "S, larger run"]


def test_few_workers_decide_nothing_and_fewer_than_eleven_are_not_shown(results: Results) -> None:
    store_pairs(results, ["Data one"] * 3, workers=12)
    rows = judged(results, "one")
    assert rows.loc[OFF_CLAIM, "verdict"] == "undecided: fewer than 40 workers"
    assert rows.loc[OFF_CLAIM, "decides"] == "about 40 test workers"
    summary = claims.summary(rows.reset_index())
    assert summary.persons == 12
    assert summary.words == (
        "Of 16 claims of the paper, 3 have a number on one or more of 2 data sets (Data one; S, larger run), which "
        "makes 5 comparisons: 2 replicated, 0 not replicated, 3 undecided, 3 of which rest on fewer than 40 workers. "
        "13 claims are not run here."
    )
    few = rows.reset_index().assign(workers=10)
    with pytest.raises(InputError, match="fewer than 11 persons"):
        Exhibits(results)(claims.verdicts(few))


def test_every_claim_names_columns_values_and_words_that_there_are() -> None:
    for claim in claims.read_claims():
        columns = find_exhibit(claim.exhibit, "table").columns
        assert {*claim.where, *claim.columns, "transitions"} <= set(columns), claim.claim
        assert "Workers" in columns.values()
        assert claims._published(claim).notna().all()
        assert {cells for cells in claim.where.values() if isinstance(cells, str)} <= {
            *SHORT,
            "baselines",
            "career",
        }


def test_better_than_all_is_not_told_where_one_cannot_be_told() -> None:
    claim = claims.Claim(claim="", sign="lower", exhibit="tab-fine-tuned-pairs")
    rows = pd.DataFrame(
        {
            "model": "FT", "reference": ["A", "B"], "difference": [-1.0, -1.1], "test_se": [0.1, 0.8],
            "ci_low": [-1.2, -2.6], "ci_high": [-0.8, 0.4], "transitions": 400, "workers": 100,
        }
    )  # fmt: skip
    (told,) = claims._judged(claim, rows, {})
    assert (told["compared"], told["verdict"][:9]) == ("FT − B", "undecided")
    (told,) = claims._judged(claim, rows.assign(difference=[-1.0, np.nan]), {})
    assert told["verdict"].startswith("undecided")


def test_a_table_of_before_the_counts_were_stored_is_refused(tmp_path) -> None:
    results = Results(tmp_path)
    results.exhibits.mkdir(parents=True)
    (results.exhibits / "tab-titles-one.csv").write_text("Model,Perplexity\nnumeric,9.0\n")
    with pytest.raises(ArtefactError, match=r"tab-titles-one\.csv: has no transitions. Run 10_titles again"):
        claims._stored(results, "tab-titles", "one", "One", alone=True)


def test_a_reference_is_a_link_in_the_book_and_a_label_elsewhere() -> None:
    label = format_value(Reference("tab-titles-one"))
    assert escape_markdown(label) == "{numref}`tab-titles-one`" and str(label) == "tab-titles-one"
    assert escape_markdown("tab_{titles}") == r"tab\_\{titles\}"
