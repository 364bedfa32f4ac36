"""Titles by name: the same numbers as among all titles, for a small part of the work."""

from __future__ import annotations

import numpy as np
import pytest

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring import realised
from labor_llm.scoring.careers import score_careers
from labor_llm.scoring.realised import check_names
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.text.tokenization import EncodedResume

UNEMPLOYED, OUT = "006", "007"


def test_named_titles_are_those_of_all_titles(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    some = panel.restrict(panel.workers[:12])
    full = score_careers(tiny_model, some, "tiny", ScoringSettings())
    named = score_careers(
        tiny_model, some, "tiny", ScoringSettings(titles="named", named=["stay", UNEMPLOYED, OUT])
    )
    assert full.log_probs is not None
    assert np.abs(named.table["log_prob"] - full.table["log_prob"]).max() == 0
    for code in (UNEMPLOYED, OUT):
        expected = full.log_probs[:, some.outcomes.index(code)]
        assert np.abs(named.table[f"log_prob_{code}"] - expected).max() < 1e-4
    previous = some.frame.groupby("worker_id")["occupation"].shift()
    stay = named.table["log_prob_stay"]
    assert stay.isna().equals(previous.isna())
    rows = np.flatnonzero(previous.notna())
    expected = full.log_probs[rows, some.outcomes.indices(previous.dropna())]
    assert np.abs(stay.iloc[rows] - expected).max() < 1e-4
    assert named.log_probs is None
    assert named.table["log_valid_mass"].isna().all()


def test_only_what_is_not_known_is_run(
    tiny_model: LanguageModel, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker who stays needs no tree; one who moves, a tree of the titles that he left."""
    runs: list[tuple[int, int]] = []
    unpatched = realised.all_title_log_probs

    def counting(model: LanguageModel, resume: EncodedResume, trie: TitleTrie, memory: int) -> np.ndarray:
        runs.append((len(resume.spans), len(trie.title_edges)))
        return unpatched(model, resume, trie, memory)

    monkeypatch.setattr(realised, "all_title_log_probs", counting)
    frame = panel.frame[panel.frame["worker_id"] == "w004"].copy()
    assert len(frame) == 6
    for jobs, expected in (("000000", []), ("000110", [(2, 2)]), ("012345", [(5, 5)])):
        frame["occupation"] = [f"00{job}" for job in jobs]
        runs.clear()
        score_careers(
            tiny_model, CareerPanel(frame, panel.outcomes, "x"), "tiny", ScoringSettings(titles="named")
        )
        assert runs == expected


def test_a_single_record_has_nothing_to_stay_in(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    one = CareerPanel(panel.frame.iloc[:1], panel.outcomes, "x")
    table = score_careers(tiny_model, one, "tiny", ScoringSettings(titles="named")).table
    assert table["log_prob"].notna().all()
    assert table["log_prob_stay"].isna().all()


@pytest.mark.parametrize(
    ("names", "message"),
    [(["retired"], "'retired' is no title that can be asked for"), (["stay", "stay"], "name each once")],
)
def test_what_cannot_be_asked_for_is_refused(
    tiny_model: LanguageModel, panel: CareerPanel, names: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        score_careers(tiny_model, panel, "tiny", ScoringSettings(titles="named", named=names))


def test_a_code_called_stay_cannot_be_asked_for(panel: CareerPanel) -> None:
    codes = ("stay", *panel.outcomes.codes[1:])
    with pytest.raises(InputError, match="rename the code"):
        check_names(["stay"], OutcomeSpace(codes, panel.outcomes.titles))
