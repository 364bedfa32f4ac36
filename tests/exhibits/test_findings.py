"""Leading sentences on hand-made differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from labor_llm.exhibits.findings import against_baselines, against_reference, on_every_data_set, told, verdict


@pytest.mark.parametrize(
    ("difference", "word"),
    [
        ((3.0, 2.0, 4.0), "higher"),
        # The estimate may lie outside the percentiles of the samples: the interval tells.
        ((0.1, -0.5, -0.2), "lower"),
        ((0.6, -0.2, 0.5), "no difference can be told"),
        # After a probability of zero.
        ((np.inf, 1.0, np.inf), "not comparable"),
    ],
)
def test_the_interval_tells(difference: tuple[float, float, float], word: str) -> None:
    assert verdict(*difference) == word
    assert told(*difference).startswith(word) and ("95 %" in told(*difference)) == (word != "not comparable")


def rows(*differences: tuple[str, float, float, float], dataset: str = "d") -> pd.DataFrame:
    """Differences of a model from references."""
    frame = pd.DataFrame(differences, columns=["reference", "difference", "ci_low", "ci_high"])
    nats = {"difference": -frame["difference"], "ci_low": -frame["ci_high"], "ci_high": -frame["ci_low"]}
    counts = {"transitions": 1500, "workers": 1200}
    return frame.assign(dataset=dataset, model="LM", **counts).join(
        pd.DataFrame(nats).add_prefix("log_prob_")
    )


BETTER, WORSE, UNTOLD = ("A", -2.0, -3.0, -1.0), ("B", 0.5, 0.25, 0.75), ("C", 0.1, -0.2, 0.4)


def test_sizes_are_written_as_in_tables() -> None:
    assert told(-0.716, -0.94, -0.514) == "lower (\u22120.72, 95 % interval \u22120.94 to \u22120.51)"
    assert (
        told(1.746e21, 1040.4, 1.5e25)
        == "higher (+1.75\u00d710\u00b2\u00b9, 95 % interval 1,040 to 1.50\u00d710\u00b2\u2075)"
    )


def test_a_model_against_baselines() -> None:
    def sentence(*differences: tuple[str, float, float, float]) -> str:
        got = against_baselines(rows(*differences), {"d": "Data D"})
        start = "On 1,200 held-out workers (Data D) the language model (LM) "
        assert got.words.startswith(start) and got.persons == 1200
        return got.words.removeprefix(start)

    assert sentence(BETTER, ("D", -4.0, -5.0, -3.0)) == (
        "predicts the next job better than each of 2 baselines; its perplexity is lower than that of the best of "
        "them (A; −2.00, 95 % interval −3.00 to −1.00)."
    )
    assert sentence(BETTER, UNTOLD, WORSE).startswith(
        "predicts the next job better than 1 and worse than 1 of 3 baselines; its perplexity is higher than that of "
        "the best of them (B; "
    )
    assert "; no difference can be told from the best of them (C; +0.10, 95 %" in sentence(BETTER, UNTOLD)
    never = [(name, np.inf, np.nan, np.nan) for name in "AB"]
    # Behind a model that is infinitely far from all, none can be told to be the best.
    assert sentence(*never).endswith("of 2 baselines; it is not comparable with the best of them.")
    far = ("D", -np.inf, np.nan, np.nan)
    assert sentence(BETTER, far).endswith("best of them (A; −2.00, 95 % interval −3.00 to −1.00).")
    assert sentence(BETTER).startswith(
        "is put beside one baseline; its perplexity is lower than that of this baseline (A; −2.00, 95 % "
    )
    assert "; no difference can be told from this baseline (C; " in sentence(UNTOLD)


def test_models_against_their_reference_in_perplexity_and_nats() -> None:
    variants = rows(BETTER, UNTOLD, ("D", -4.0, -5.0, -3.0))
    variants = variants.assign(model=variants["reference"], reference="own")
    assert against_reference(variants).words == (
        "Perplexity against own: lower for A (−2.00, 95 % interval −3.00 to −1.00), D (−4.00, 95 % interval "
        "−5.00 to −3.00); no difference can be told for C (+0.10, 95 % interval −0.20 to 0.40); over 1,500 "
        "transitions of 1,200 workers."
    )
    both = pd.concat([variants.head(1), variants.head(1).assign(dataset="e")])
    assert against_reference(both, {"d": "Data D"}, nats=True).words.startswith(
        "Data D: Mean log-probability in nats against own: higher for A (+2.00, 95 % interval 1.00 to 3.00); over"
    )
    assert against_reference(variants.head(0)).words == ""


def test_every_data_set_has_a_panel_with_its_workers_and_stored_ones_come_first() -> None:
    stored = {"Stored": rows(BETTER, dataset="s"), "": rows(BETTER, dataset="Another")}
    got = on_every_data_set(stored, rows(WORSE).assign(workers=12), {"d": "Data D"})
    persons = [f"{name} held-out workers" for name in ("Stored: 1,200", "Another: 1,200", "Data D: 12")]
    assert got["dataset"].tolist() == persons
    assert got[["label", "difference"]].to_numpy().tolist() == [["A", -2.0], ["A", -2.0], ["B", 0.5]]
