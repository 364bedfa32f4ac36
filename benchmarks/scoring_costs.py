"""What scoring of all titles takes as the work grows, and in coarser arithmetic."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
from measurement import Measurement, Row, in_own_process, memory_above_present, row
from scoring_comparisons import exact
from scoring_workload import Workload, make_workload

from labor_llm.errors import LaborLLMError
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.all_titles import MEMORY, all_title_log_probs

PRECISIONS = (("bfloat16", "none"), ("bfloat16", "8bit"), ("bfloat16", "4bit"))


def growth(work: Workload, base: str, years: Sequence[int]) -> list[Row]:
    """Return the rows of time and memory for careers of several lengths, and for more and more careers."""
    longer = work.with_years(years)
    seconds = longer.seconds({"own": functools.partial(exact, longer)})["own"]
    rows = []
    for number, (length, career) in enumerate(zip(years, longer.careers, strict=True)):
        taken = float(np.median(seconds[:, number])) / career.transitions
        tokens = len(career.encoded.ids)
        rows.append(row(f"one career of {length} years, {tokens:,} tokens", taken, work.unit))
    more = work.with_years([years[0]] * 4)
    seconds = more.seconds({"own": functools.partial(exact, more)})["own"]
    for count in (1, 2, 4):
        transitions = sum(career.transitions for career in more.careers[:count])
        taken = float(np.median(seconds[:, :count].sum(axis=1))) / transitions
        rows.append(row(f"careers of {years[0]} years: {count}, {transitions} transitions", taken, work.unit))
    # Longer careers must not take more, and less must be taken where less is given.
    for length, budget in ((years[0], MEMORY), (years[-1], MEMORY), (years[-1], MEMORY // 4)):
        taken = in_own_process(scoring_memory, base, length, budget)
        name = f"memory beside the model, career of {length} years; peer the budget of {budget // 2**20} MiB"
        rows.append(row(name, taken.gigabytes, "GB", budget / 1e9))
    return rows


def scoring_memory(base: str, years: int, budget: int) -> Measurement:
    """Score the last records of a career under a budget of memory, bytes."""
    work = make_workload(base, [years], rounds=1, sample=1)
    # The longest prompts take most.
    career = work.careers[0].last(2)
    with memory_above_present() as measurement:
        all_title_log_probs(work.language_model, career.encoded, work.trie, memory=budget)
    return measurement


def precision(work: Workload, base: str) -> tuple[list[Row], list[str]]:
    """Return the rows of coarser arithmetic beside float32, and a line for each kind that does not run here."""
    rows, missing = [], []
    for dtype, quantization in PRECISIONS:
        name = dtype if quantization == "none" else f"{quantization} and {dtype}"
        try:
            coarse = dataclasses.replace(work, language_model=load_language_model(base, dtype, quantization))
            exact(coarse, work.careers[0].last(1))
        except (LaborLLMError, ImportError, RuntimeError) as error:
            missing.append(f"{name}: does not run here: {str(error).strip().splitlines()[0]}")
        else:
            rows += _beside_float32(f"all titles, {name}", work, coarse)
    return rows, missing


def _beside_float32(name: str, work: Workload, coarse: Workload) -> list[Row]:
    seconds = work.seconds(
        {"fine": functools.partial(exact, work), "coarse": functools.partial(exact, coarse)}
    )
    fine, rough = (
        np.concatenate([exact(each, career) for career in work.careers]) for each in (work, coarse)
    )
    difference = np.abs(fine - rough)
    variation = np.abs(_normalised(fine) - _normalised(rough)).sum(axis=1) / 2
    taken = work.per_transition(seconds["coarse"])
    return [
        row(f"{name}; peer float32", taken, work.unit, work.per_transition(seconds["fine"])),
        row(f"{name}: largest error", difference.max(), "nats"),
        row(f"{name}: mean error", difference.mean(), "nats"),
        row(f"{name}: largest total variation", variation.max(), "probability"),
    ]


def _normalised(log_probs: np.ndarray) -> np.ndarray:
    return np.exp(log_probs - np.logaddexp.reduce(log_probs, axis=1)[:, None])
