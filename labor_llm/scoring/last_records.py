"""All titles for the last record of each career alone: what predictions over several years ask of a language model.

Compounding gives a model many made-up careers of which only the last record is asked for, and many of them are
alike, because paths often go through the same titles. Each prompt is scored once.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from labor_llm.careers import CareerPanel
from labor_llm.language_models import LanguageModel
from labor_llm.predictions import TRANSITION_COLUMNS, Predictions
from labor_llm.progress import progress
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs
from labor_llm.scoring.prepared import prepare_careers
from labor_llm.scoring.title_trie import build_title_trie


class LastRecordScorer:
    """A language model as a `labor_llm.evaluation.horizon_histories.NextJobModel`.

    Args:
        language_model: the model.
        name: of its predictions.
        memory: bytes as in `labor_llm.scoring.all_titles.all_title_log_probs`.

    Attributes:
        prompts: how many different prompts were scored.
    """

    def __init__(self, language_model: LanguageModel, name: str, memory: int = MEMORY) -> None:
        self.language_model, self.name, self.memory = language_model, name, memory
        self._scored: dict[bytes, np.ndarray] = {}
        self._titles: tuple[tuple[int, ...], ...] = ()

    @property
    def prompts(self) -> int:
        """How many different prompts were scored."""
        return len(self._scored)

    def predict(self, panel: CareerPanel) -> Predictions:
        """Return predictions with the scores of all titles for the last record of each worker, one row a worker.

        Raises:
            As `labor_llm.scoring.prepared.prepare_careers` and `labor_llm.scoring.all_titles.all_title_log_probs`.
        """
        prepared = prepare_careers(self.language_model, panel)
        if prepared.titles != self._titles:
            self._scored, self._titles = {}, prepared.titles
        trie = build_title_trie(prepared.titles)
        matrix = np.empty((len(prepared.careers), len(prepared.titles)))
        with progress(f"scoring {self.name}", len(prepared.careers), "prompt") as advance:
            for row, career in enumerate(prepared.careers):
                text = career.parts[-1]
                last = replace(text, spans=text.spans[-1:])
                prompt = text.ids[: last.spans[0][0]].tobytes()
                if prompt not in self._scored:
                    found = all_title_log_probs(self.language_model, last, trie, memory=self.memory)
                    self._scored[prompt] = found[0]
                matrix[row] = self._scored[prompt]
                advance(1, "")
        table = prepared.table.groupby("worker_id", sort=False).tail(1)[list(TRANSITION_COLUMNS)]
        table = table.reset_index(drop=True)
        realised = [occupations[-1] for occupations in prepared.occupations]
        table["log_prob"] = matrix[np.arange(len(table)), realised]
        table["log_valid_mass"] = np.logaddexp.reduce(matrix, axis=1)
        return Predictions(self.name, table, prepared.outcomes, matrix.astype(np.float32))
