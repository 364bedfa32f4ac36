"""What a replication would run: each run with its hours and memory on a GPU, before anything is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from labor_llm.models.memory import GIB, LLAMA_2, USABLE_GIB_OF_80_GB, fine_tuning_need, scoring_need
from labor_llm.workflow.forecast import Work, data_sizes, with_forecast, work_of
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import notebook_runs

_MOST_CARDS = 16
_A_MONTH = 60 * 24 * 30  # minutes, of which nobody wants to know how many


def plan_lines(profile: Profile) -> Iterator[str]:
    """Yield a line for each run of a profile, and what they come to.

    It says the minutes on this machine, which for a language model are those without a GPU; for that its hours on an
    H100 and the memory there, by `labor_llm.models.memory` where the model is a Llama-2; and the parameters.
    """
    sizes, minutes, hours = data_sizes(profile), 0.0, 0.0
    yield f"{'run':60} {'minutes here':>12} {'GPU hours':>9}  memory"
    for run in with_forecast(profile, notebook_runs(profile)):
        work = work_of(profile, sizes, run)
        minutes, hours = minutes + run.minutes, hours + work.gpu_hours
        on_gpu = f"{work.gpu_hours:9.2f}  {_memory(work, run.parameters)}" if work.tokens else f"{'':9}  "
        here = f"{run.minutes:,.1f}" if run.minutes < _A_MONTH else "-"
        yield f"{run.name:60} {here:>12} {on_gpu}".rstrip()
        yield f"    {json.dumps(run.parameters, sort_keys=True)}"
    here = f"{minutes:,.1f}" if minutes < _A_MONTH else "-"
    yield f"{'together':60} {here:>12} {hours:9.2f}"


def _memory(work: Work, parameters: dict[str, Any]) -> str:
    """Return the memory of a run on cards of 80 GB, in words."""
    said = re.search(r"llama-2-(7b|13b)", work.base.lower())
    settings = parameters.get("fine_tuning")
    if said is None:
        return f"{(18 if settings else 6) * work.weights / GIB:.1f} GiB or more"
    model = LLAMA_2[said[1]]
    if settings is None:
        arithmetic = parameters.get("scoring", parameters)
        return f"{sum(scoring_need(model, arithmetic.get('quantization', 'none')).values()) / GIB:.0f} GiB"
    if settings["method"] == "lora":
        need = fine_tuning_need(model, settings["tokens_at_once"], settings["quantization"])
        return f"{sum(need.values()) / GIB:.0f} GiB"
    cards = 1
    while True:
        need = sum(fine_tuning_need(model, settings["tokens_at_once"], gpus=cards).values()) / GIB
        if need <= USABLE_GIB_OF_80_GB or cards == _MOST_CARDS:
            return f"{need:.0f} GiB" + (f" on each of {cards} cards" if cards > 1 else "")
        cards *= 2
