"""What a replication would run: each run with its hours and memory on a GPU, before anything is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from labor_llm.errors import ResourceError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.memory import GIB, LLAMA_2, USABLE_GIB_OF_80_GB, scoring_need
from labor_llm.workflow.forecast import Work, data_sizes, with_forecast, work_of
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import NotebookRun, notebook_runs

_A_MONTH = 60 * 24 * 30  # minutes, of which nobody wants to know how many


def plan_lines(profile: Profile) -> Iterator[str]:
    """Yield a line for each run of a profile, and what they come to.

    It says the minutes on this machine, which for a language model are those without a GPU; for that its hours on an
    H100 and the memory there, by `labor_llm.models.memory` where the model is a Llama-2; and the parameters.
    """
    sizes, minutes, hours = data_sizes(profile), 0.0, 0.0
    yield f"{'run':60} {'minutes here':>12} {'GPU hours':>9}  memory"
    for run in with_forecast(profile, notebook_runs(profile), sizes):
        work = work_of(profile, sizes, run)
        minutes, hours = minutes + run.minutes, hours + work.gpu_hours
        on_gpu = f"{work.gpu_hours:9.2f}  {_memory(work, run)}" if work.tokens else ""
        yield f"{run.name:60} {_shown(run.minutes):>12} {on_gpu}".rstrip()
        yield f"    {json.dumps(run.parameters, sort_keys=True)}"
    yield f"{'together':60} {_shown(minutes):>12} {hours:9.2f}"


def _shown(minutes: float) -> str:
    return f"{minutes:,.1f}" if minutes < _A_MONTH else "-"


def _memory(work: Work, run: NotebookRun) -> str:
    """Return the memory of a run on cards of 80 GB, in words."""
    said = re.search(r"llama-2-(7b|13b)", work.base.lower())
    settings = run.parameters.get("fine_tuning")
    if said is None:
        return f"{run.gigabytes * 1e9 / GIB:.1f} GiB"
    model = LLAMA_2[said[1]]
    if settings is None:
        arithmetic = run.parameters.get("scoring", run.parameters)
        return f"{sum(scoring_need(model, arithmetic.get('quantization', 'none')).values()) / GIB:.0f} GiB"
    try:
        chosen = FineTuningSettings(**settings).within_memory(model, USABLE_GIB_OF_80_GB * GIB)
    except ResourceError:
        return "more than 80 GB"
    return f"{chosen.memory(model) / GIB:.0f} GiB (weights {chosen.weights}, {chosen.optimizer})"
