"""Scoring of a panel: predictions in their form, and stored ones that are used again only where nothing has changed."""

import shutil

import numpy as np
import pandas as pd
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.careers.predictions import Predictions, read_predictions, write_predictions
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring import careers
from labor_llm.scoring.careers import check_names, result_identity, score_careers, score_panel
from labor_llm.scoring.reference import text_log_prob
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.store.artefacts import verify
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume

REALISED, NAMED = ScoringSettings(titles="realised"), ScoringSettings(titles="named")


def realised_columns(panel: CareerPanel) -> tuple[np.ndarray, np.ndarray]:
    columns = panel.outcomes.indices(panel.frame["occupation"])
    return np.arange(len(columns)), columns


@pytest.fixture(scope="module")
def some(panel: CareerPanel) -> CareerPanel:
    return panel.restrict(panel.workers[:13])


@pytest.fixture(scope="module")
def exact(tiny_model: LanguageModel, some: CareerPanel) -> Predictions:
    """Every title of every record."""
    return score_careers(tiny_model, some, "tiny", ScoringSettings())


def test_predictions_have_a_row_a_record_and_a_matrix_for_the_workers_in_full(tiny_model, some, exact):
    predictions = score_careers(tiny_model, some, "tiny", ScoringSettings(all_titles_workers=11))
    table = predictions.table
    assert table["worker_id"].tolist() == some.frame["worker_id"].tolist()
    in_full = table["log_valid_mass"].notna()
    assert table.loc[in_full, "worker_id"].nunique() == 11
    assert not table.loc[~in_full, "worker_id"].isin(table.loc[in_full, "worker_id"]).any()
    assert np.array_equal(predictions.log_probs, exact.log_probs[in_full])
    realised = exact.log_probs[realised_columns(some)]
    assert np.abs(realised - table["log_prob"]).max() < 1e-4


def test_a_tolerance_gives_bounds_that_hold_the_exact_scores(tiny_model, some, exact, tmp_path):
    bounded = score_careers(tiny_model, some, "tiny", ScoringSettings(tolerance=0.2))
    assert exact.upper is None and "unresolved" not in exact.table
    known = np.isfinite(bounded.log_probs)
    assert not known.all() and np.abs(bounded.log_probs - exact.log_probs)[known].max() < 1e-4
    assert (bounded.upper > exact.log_probs - 1e-4).all()
    # The realised title is always known, and what is not known adds up to no more than was said.
    assert known[realised_columns(some)].all()
    rest = np.where(known, 0, np.exp(exact.log_probs)).sum(axis=1)
    assert (rest <= bounded.table["unresolved"] + 1e-6).all() and (bounded.table["unresolved"] <= 0.2).all()
    mass = np.exp(exact.table["log_valid_mass"]) - np.exp(bounded.table["log_valid_mass"])
    assert mass.between(-1e-6, bounded.table["unresolved"] + 1e-6).all()
    write_predictions(tmp_path / "stored", bounded)
    stored = read_predictions(tmp_path / "stored")
    assert stored.table.equals(bounded.table)
    assert np.array_equal(stored.upper, bounded.upper) and np.array_equal(stored.log_probs, bounded.log_probs)


@pytest.mark.parametrize("titles", ["all", "named"])
def test_line_ends_are_left_out_where_they_are_not_needed(tiny_model, panel, titles):
    two = panel.restrict(panel.workers[:2])
    every, needed = (
        score_careers(tiny_model, two, "tiny", ScoringSettings(titles=titles, line_ends=line_ends))
        for line_ends in ("all", "needed")
    )
    # The probability of the line end, given prompt and title, is what the two differ by.
    ends = []
    for resume in resumes(two):
        for start, end in resume.spans:
            title = resume.text[start + 1 : end - 1]
            needless = sum(other.startswith(title) for other in panel.outcomes.titles) == 1
            ends.append(text_log_prob(tiny_model, resume.text[: end - 1], "\n") if needless else 0.0)
    assert min(ends) < -1
    assert np.abs(every.table["log_prob"] - needed.table["log_prob"] - ends).max() < 1e-4
    if titles == "all":
        realised = needed.log_probs[realised_columns(two)]
        assert np.abs(realised - needed.table["log_prob"]).max() < 1e-4
        assert (needed.log_probs >= every.log_probs - 1e-4).all()
        assert (needed.table["log_valid_mass"] <= 1e-6).all()
    else:
        assert (needed.table["log_prob_stay"].dropna() >= every.table["log_prob_stay"].dropna()).all()


def test_scores_do_not_depend_on_the_order_or_the_company_of_careers(tiny_model, some, exact):
    by_worker = dict(list(some.frame.groupby("worker_id")))
    first = exact.table.set_index(["worker_id", "year"])[["log_prob", "log_valid_mass"]]
    for workers in ([some.workers[3]], some.workers[4::-1]):
        frame = pd.concat([by_worker[worker] for worker in workers], ignore_index=True)
        turned = CareerPanel(frame, some.outcomes, some.survey)
        table = score_careers(tiny_model, turned, "x", ScoringSettings()).table
        table = table.set_index(["worker_id", "year"])[["log_prob", "log_valid_mass"]]
        assert (first.loc[table.index] - table).abs().to_numpy().max() < 1e-5


def test_no_career_is_refused_and_one_record_is_scored(tiny_model, panel):
    with pytest.raises(InputError, match="There is no career to score"):
        score_careers(tiny_model, panel.restrict([]), "tiny", REALISED)
    one = CareerPanel(panel.frame.iloc[:1], panel.outcomes, panel.survey)
    predictions = score_careers(tiny_model, one, "tiny", ScoringSettings())
    assert predictions.table["transition_type"].tolist() == ["first"]
    realised = predictions.log_probs[realised_columns(one)]
    assert abs(realised - predictions.table["log_prob"]).max() < 1e-4
    # It has nothing to stay in.
    table = score_careers(tiny_model, one, "tiny", NAMED).table
    assert table["log_prob"].notna().all() and table["log_prob_stay"].isna().all()


def test_named_titles_are_those_of_all_titles(tiny_model, some, exact):
    settings = ScoringSettings(titles="named", named=["stay", "006", "007"])
    named = score_careers(tiny_model, some, "tiny", settings)
    assert np.abs(named.table["log_prob"] - exact.table["log_prob"]).max() == 0
    for code in ("006", "007"):
        expected = exact.log_probs[:, some.outcomes.index(code)]
        assert np.abs(named.table[f"log_prob_{code}"] - expected).max() < 1e-4
    previous = some.frame.groupby("worker_id")["occupation"].shift()
    stay = named.table["log_prob_stay"]
    assert stay.isna().equals(previous.isna())
    rows = np.flatnonzero(previous.notna())
    expected = exact.log_probs[rows, some.outcomes.indices(previous.dropna())]
    assert np.abs(stay.iloc[rows] - expected).max() < 1e-4
    assert named.log_probs is None and named.table["log_valid_mass"].isna().all()


def test_only_what_is_not_known_is_run(tiny_model, panel, monkeypatch):
    """A worker who stays needs no tree; one who moves, a tree of the titles that he left."""
    runs: list[tuple[int, int]] = []
    unpatched = careers.all_title_log_probs

    def counting(model: LanguageModel, resume: EncodedResume, trie: TitleTrie, memory: int) -> np.ndarray:
        runs.append((len(resume.spans), len(trie.title_edges)))
        return unpatched(model, resume, trie, memory)

    monkeypatch.setattr(careers, "all_title_log_probs", counting)
    frame = panel.frame[panel.frame["worker_id"] == "w004"].copy()
    for jobs, expected in (("000000", []), ("000110", [(2, 2)]), ("012345", [(5, 5)])):
        frame["occupation"] = [f"00{job}" for job in jobs]
        runs.clear()
        score_careers(tiny_model, CareerPanel(frame, panel.outcomes, "x"), "tiny", NAMED)
        assert runs == expected


@pytest.mark.parametrize(
    ("names", "codes", "message"),
    [
        (["retired"], (), "'retired' is no title that can be asked for"),
        (["stay", "stay"], (), "name each once"),
        (["stay"], ("stay",), "rename the code"),
    ],
)
def test_names_that_cannot_be_asked_for_are_refused(panel, names, codes, message):
    space = OutcomeSpace((*codes, *panel.outcomes.codes[len(codes) :]), panel.outcomes.titles)
    with pytest.raises(InputError, match=message):
        check_names(names, space)


def test_a_run_that_was_stopped_goes_on_ends_alike_and_says_what_was_asked(
    tiny_model_folder, tiny_model, panel, tmp_path, monkeypatch
):
    some, settings = (
        panel.restrict(panel.workers[:45]),
        ScoringSettings(titles="named", named=["stay", "006"]),
    )
    expected = score_careers(tiny_model, some, "Tiny", settings)
    runs: list[str] = []
    unpatched = careers.realised_log_probs

    def stopped_after(limit: int) -> None:
        def counting(language_model: LanguageModel, resume: EncodedResume, *more: object) -> np.ndarray:
            if len(runs) == limit:
                raise KeyboardInterrupt
            runs.append(resume.worker_id)
            return unpatched(language_model, resume, *more)

        monkeypatch.setattr(careers, "realised_log_probs", counting)

    stopped_after(25)
    with pytest.raises(KeyboardInterrupt):
        score_panel(some, str(tiny_model_folder), "Tiny", tmp_path / "tiny", settings)
    runs.clear()
    stopped_after(-1)
    again = score_panel(some, str(tiny_model_folder), "Tiny", tmp_path / "tiny", settings)
    assert len(runs) == 45 - 20  # a whole shard of twenty was stored
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]
    for got in (again, read_predictions(tmp_path / "tiny")):
        assert got.model == "Tiny" and got.table.equals(expected.table)
    parameters = verify(tmp_path / "tiny")["parameters"]
    asked = {"ask": "named", "named": ["stay", "006"], "too_long": "shorten", "all_titles_workers": 0}
    assert parameters.items() >= asked.items()
    assert parameters["shortened"] == {"careers": 0, "records": 0, "dropped_records": 0}


def test_the_same_scoring_is_not_done_twice_and_another_is(tiny_model_folder, panel, tmp_path):
    """A changed weight in the same folder, another worker and coarser weights are other scoring."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_model_folder, tmp_path / "model")
    loads = []

    def load(*arguments: str) -> LanguageModel:
        loads.append(arguments)
        return load_language_model(*arguments)

    def scored(workers: int, settings: ScoringSettings = REALISED) -> np.ndarray:
        some = panel.restrict(panel.workers[:workers])
        got = score_panel(some, str(tmp_path / "model"), "Tiny", tmp_path / "tiny", settings, load=load)
        return got.table["log_prob"].iloc[:5].to_numpy()

    first = scored(3)
    assert np.array_equal(scored(3, ScoringSettings(titles="realised", all_titles_workers=20)), first)
    assert len(loads) == 1
    assert np.array_equal(scored(4), first)
    assert len(loads) == 2
    eight, four = (
        scored(4, ScoringSettings(titles="realised", quantization=bits)) for bits in ("8bit", "4bit")
    )
    assert np.abs(eight - four).min() > 0
    weights = load_file(tmp_path / "model" / "model.safetensors")
    changed = {name: weight * 1.5 for name, weight in weights.items()}
    save_file(changed, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    assert np.abs(scored(4) - first).min() > 1e-3


def test_codes_that_change_places_are_another_panel(tiny_model_folder, panel):
    """Two codes change places and their titles with them: every text is the same, a named title is another."""
    some = panel.restrict(panel.workers[:4])
    codes = list(panel.outcomes.codes)
    codes[3], codes[4] = codes[4], codes[3]
    order = np.argsort(codes)
    outcomes = OutcomeSpace(tuple(codes[k] for k in order), tuple(panel.outcomes.titles[k] for k in order))
    frame = some.frame.assign(occupation=some.frame["occupation"].replace({"003": "004", "004": "003"}))
    swapped = CareerPanel(frame, outcomes, some.survey)
    assert [resume.text for resume in resumes(swapped)] == [resume.text for resume in resumes(some)]
    one, other = (
        result_identity(each, str(tiny_model_folder), "m", {}, __file__) for each in (some, swapped)
    )
    assert one != other
