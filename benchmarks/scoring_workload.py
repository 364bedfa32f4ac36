"""What the benchmark of scoring works on: simulated careers of given lengths, and a model fine-tuned on such."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from measurement import interleaved

from labor_llm.careers.occupations import outcome_space
from labor_llm.careers.panel import CareerPanel, career_panel
from labor_llm.careers.samples import TrainingCareers
from labor_llm.careers.settings import TrainingData
from labor_llm.finetuning.fit import fine_tune
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.simulation.careers import SCHEDULES, simulate_careers
from labor_llm.simulation.market import Market
from labor_llm.text.templates import END_OF_LINE, Resume, continuation, resumes
from labor_llm.text.tokenization import (
    EncodedResume,
    encode_resume,
    encode_titles,
    without_needless_line_ends,
)

# A cohort that is interviewed every year from 1979 to 2010: a career of 25 years has 25 records.
SCHEDULE = dataclasses.replace(
    SCHEDULES["NLSY79"], waves=tuple(range(1979, 2011)), attrition=1e-9, response=1.0
)
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
UNITS = {"wall": "s/transition", "cpu": "CPU s/transition"}
# Workers of the same market with luck of their own, so that none is scored that was trained on.
TRAINING, VALIDATION, SCORED = 1, 2, 3


@dataclasses.dataclass(frozen=True)
class Career:
    """A career as text and as tokens.

    Attributes:
        resume: the text.
        encoded: its tokens.
    """

    resume: Resume
    encoded: EncodedResume

    @property
    def transitions(self) -> int:
        """Titles to be predicted."""
        return len(self.encoded.spans)

    @property
    def middle(self) -> int:
        """The record half way; its prompt is about as long as the career's prompts are on average."""
        return self.transitions // 2

    def last(self, records: int) -> Career:
        """Return the same career with its last records only to be scored."""
        spans = (self.resume.spans[-records:], self.encoded.spans[-records:])
        return Career(
            dataclasses.replace(self.resume, spans=spans[0]),
            dataclasses.replace(self.encoded, spans=spans[1]),
        )


@dataclasses.dataclass(frozen=True)
class Workload:
    """A model with careers to be scored.

    Attributes:
        language_model: the model.
        careers: the careers.
        titles: all titles of the outcome space.
        trie: their tree.
        rounds: how often everything is measured.
        sample: titles that are scored with a peer that takes one at a time; with the others, one batch.
        clock: of `CLOCKS`.
        titles_alone: which titles end without the end of the line, bool [titles].
    """

    language_model: LanguageModel
    careers: Sequence[Career]
    titles: Sequence[str]
    trie: TitleTrie
    rounds: int
    sample: int
    clock: str = "wall"
    titles_alone: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, dtype=bool))

    def ending_where_needed(self) -> Workload:
        """Return the same with the end of the line scored only where one title begins another."""
        tokenizer = self.language_model.tokenizer
        whole = encode_titles(tokenizer, outcome_space())
        needed = without_needless_line_ends(tokenizer, whole)
        alone = np.array([len(one) < len(other) for one, other in zip(needed, whole, strict=True)])
        return dataclasses.replace(self, trie=build_title_trie(needed), titles_alone=alone)

    def continuations(self, titles: Sequence[int]) -> list[str]:
        """Return the text of some titles as it is scored after a prompt."""
        texts = [(title, continuation(self.titles[title])) for title in titles]
        alone = self.titles_alone if len(self.titles_alone) else np.zeros(len(self.titles), dtype=bool)
        return [text.removesuffix(END_OF_LINE) if alone[title] else text for title, text in texts]

    @property
    def unit(self) -> str:
        """What times are told in."""
        return UNITS[self.clock]

    def seconds(
        self,
        steps: Mapping[str, Callable[[Career], object]],
        before: Mapping[str, Callable[[Career], object]] | None = None,
    ) -> dict[str, np.ndarray]:
        """Return the seconds that each step takes for each career, without what it has before: [rounds, careers]."""
        return interleaved(steps, self.careers, self.rounds, CLOCKS[self.clock], before)

    @property
    def transitions(self) -> int:
        """Titles to be predicted in all careers."""
        return sum(career.transitions for career in self.careers)

    @property
    def prompt(self) -> float:
        """Mean length of the prompts, tokens."""
        return float(np.mean([start for career in self.careers for start, _ in career.encoded.spans]))

    def per_transition(self, seconds: np.ndarray) -> float:
        """Return the median over rounds of the seconds for all careers [rounds, careers], over the transitions."""
        return float(np.median(seconds.sum(axis=1))) / self.transitions

    def with_years(self, years: Sequence[int]) -> Workload:
        """Return the same with careers of other lengths."""
        return dataclasses.replace(self, careers=careers_of(self.language_model, years))


def make_workload(
    model: str | Path, years: Sequence[int], rounds: int, sample: int, clock: str = "wall"
) -> Workload:
    """Return the workload of a model on careers of so many years each."""
    language_model = load_language_model(model)
    outcomes = outcome_space()
    trie = build_title_trie(encode_titles(language_model.tokenizer, outcomes))
    return Workload(
        language_model, careers_of(language_model, years), outcomes.titles, trie, rounds, sample, clock
    )


def careers_of(language_model: LanguageModel, years: Sequence[int]) -> list[Career]:
    """Return a simulated career of each length."""
    panel = simulated_panel(years, SCORED)
    return [Career(resume, encode_resume(language_model.tokenizer, resume)) for resume in resumes(panel)]


def simulated_panel(years: Sequence[int], seed: int) -> CareerPanel:
    """Return one worker for each length, with the first records of so many years.

    Args:
        years: the lengths, of which `SCHEDULE` has 26 at least.
        seed: of the workers.
    """
    frame = simulate_careers(Market(1), len(years), SCHEDULE, seed)
    careers = [career for _, career in frame.groupby("worker_id", sort=False)]
    cut = [career.iloc[:length] for career, length in zip(careers, years, strict=True)]
    panel = pd.concat(cut).drop(columns="schooling")
    return career_panel(panel, outcome_space(), "simulated", SCHEDULE.survey)


def fine_tuned(base: str, careers: int, folder: Path) -> Path:
    """Fine-tune a model on simulated careers of 5 to 25 years, one epoch, and return its folder.

    Args:
        base: the model, as in `load_language_model`.
        careers: how many; an eighth as many are for validation.
        folder: where it will stand.
    """
    train, validation = (
        simulated_panel([5 + number % 21 for number in range(count)], seed)
        for count, seed in ((careers, TRAINING), (max(1, careers // 8), VALIDATION))
    )
    # What the demo takes for this model.
    settings = FineTuningSettings(epochs=1, learning_rate=2e-4, batch_size=2)
    return fine_tune(base, TrainingCareers(train, (), validation, TrainingData()), settings, folder)
