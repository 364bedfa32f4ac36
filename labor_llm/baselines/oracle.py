"""The oracle: the market's own probabilities as the predictions of a model.

No model can have a lower expected perplexity on careers of the market. The probabilities are computed from the
panel alone, record by record from the true history, so the oracle also shows that a panel that was written to a
survey's files and read back carries all that the market depends on.
"""

from __future__ import annotations

from pathlib import Path

from labor_llm.baselines.form import check_outcomes
from labor_llm.baselines.settings import BESIDE_BASELINES, ORACLE
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.simulation.market import MARKET_FILE, Market
from labor_llm.store.artefacts import verify

LABEL = BESIDE_BASELINES[ORACLE]


class Oracle:
    """The probabilities of the market that careers come from, in the form of a baseline; there is nothing to fit."""

    name = LABEL

    def __init__(self, market: Market) -> None:
        self.market = market

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return the market's log-probability of every outcome for every record of a panel.

        Raises:
            MismatchError: if the panel's outcome space is not the market's.
            InputError: as `Market.log_probabilities`.
        """
        check_outcomes(self.name, self.market.outcomes, panel)
        log_probs = self.market.log_probabilities(panel)
        return from_matrix(self.name, transitions(panel), self.market.outcomes, log_probs)


def known_oracle(folder: Path) -> dict[str, Oracle]:
    """Return the oracle of a converted data set by its short name, or nothing where no simulated market made it.

    Raises:
        ArtefactError: if the artefact `folder` was changed, or the market cannot be read.
    """
    verify(folder)
    path = folder / MARKET_FILE
    return {ORACLE: Oracle(Market.from_json(path.read_text(encoding="utf-8")))} if path.is_file() else {}


def known_probabilities(folder: Path, panel: CareerPanel) -> dict[str, Predictions]:
    """Return what the oracle of `known_oracle` predicts for the careers of a panel, by its short name."""
    return {name: oracle.predict(panel) for name, oracle in known_oracle(folder).items()}
