"""How long runs of notebooks take: counted work (records, tokens, weights, titles) at this machine's measured rate.

A language model takes two operations a weight and token to predict, six to be trained. How many are done in a second
is tried for a moment on a product of matrices; what models reach of it, and what all else takes, was measured on the
demo. It is meant to be right within half on a machine that does nothing else; of a GPU, which is not tried, it is a
guess.
"""

from __future__ import annotations

import functools
import json
import math
import re
import shutil
import timeit
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from labor_llm.baselines.settings import CAREER
from labor_llm.careers.panel import read_careers, read_panel
from labor_llm.errors import LaborLLMError
from labor_llm.models.folders import PACKAGED_MODELS
from labor_llm.store.artefacts import MANIFEST
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.datasets import packaged_careers
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.runs import NotebookRun

# Seconds that a run takes whatever it is about, and by the number of its notebook on top, and by record.
_START, _ON_TOP = 9.0, {"02": 8.0, "04": 15.0, "07": 5.0, "09": 10.0, "12": 5.0, "13": 5.0, "14": 8.0}
_BY_RECORD = {"01": 5e-5, "02": 5e-5, "03": 2e-4, "09": 1e-3}
# Microseconds of a fit by record and title, and by record; on a core of the usual rate, as all but language models.
_FITS = {
    "empirical-transitions": (0, 20), "second-order-transitions": (0, 40), "multinomial-logit": (22, 500),
    "two-stage-logit": (4, 200), "bag-of-jobs": (4, 200), CAREER: (5, 8_000),
}  # fmt: skip
_USUAL_RATE, _GPU_RATE, _TRAINING_SHARE, _SCORING_SHARE = 8e10, 2e13, 0.5, 0.6
# Persons and records of surveys whose files have not been read yet.
_SURVEYS = {"psid": (31_000, 310_000), "nlsy79": (12_500, 260_000), "nlsy97": (9_000, 150_000)}


class Size(NamedTuple):
    """How large a data set is; `title` is the tokens of one, `branches` those of all, shared beginnings once."""

    workers: float
    records: float
    titles: int = 333
    title: float = 7.0
    branches: float = 1500.0

    def tokens(self, workers: float) -> float:
        """Return the tokens of the resumes of so many workers: a head, and a line each record."""
        return workers * (75 + (10 + self.title) * self.records / self.workers)


def with_forecast(profile: Profile, runs: Iterable[NotebookRun]) -> list[NotebookRun]:
    """Return runs with the minutes that each is expected to take."""
    return [replace(run, minutes=expected_seconds(profile, run) / 60.0) for run in runs]


def expected_seconds(profile: Profile, run: NotebookRun) -> float:
    """Return how long one run of a notebook takes on the cores that it is given: as the profile says, or as counted."""
    if run.minutes:
        return 60.0 * run.minutes
    number, asked = run.notebook[:2], run.parameters
    sizes = [data_size(profile, name) for name in asked.get("datasets", [asked.get("dataset", "")]) if name]
    library = sum(_library_seconds(number, asked, size) for size in sizes) * _USUAL_RATE / _rate("float32")
    operations = _model_operations(number, profile, asked, sizes[0]) if sizes else 0.0
    settings = {**asked, **asked.get("scoring", {}), **(asked.get("fine_tuning") or {})}
    coarse = "bfloat16" in (settings.get("precision"), settings.get("dtype"))
    rate = _GPU_RATE if shutil.which("nvidia-smi") else _rate("bfloat16" if coarse else "float32")
    share = _TRAINING_SHARE if number == "04" else _SCORING_SHARE
    return _START + _ON_TOP.get(number, 0.0) + library + operations / (share * rate)


def _library_seconds(number: str, asked: dict[str, Any], size: Size) -> float:
    train, baselines = 0.7 * size.records, list(asked.get("baselines", ()))
    named = [*baselines, asked.get("baseline", ""), *(asked.get("refits", 0) * asked.get("refitted", []))]
    if number in ("12", "13"):  # where it is read
        named = [name for name in named if name != CAREER]
    fits = (
        1e-6 * train * sum(_FITS[name][0] * size.titles + _FITS[name][1] for name in named if name in _FITS)
    )
    seconds = fits * (3 if number == "15" else 1) + _BY_RECORD.get(number, 0.0) * size.records
    if number == "13":
        # A question is asked after every title, and after paths, each time with its whole history.
        histories = len(baselines) * asked.get("questions", 150) * (size.titles + 100)
        seconds += histories * size.records / size.workers * (4e-6 + 2e-8 * size.titles)
    if number == "16":
        seconds += 3e-5 * train * size.titles
    return seconds


def _model_operations(number: str, profile: Profile, asked: dict[str, Any], size: Size) -> float:
    entry = profile.language_models[asked["name"] if number in ("04", "05") else profile.fine_tuned]
    test, drawn = 0.2 * size.workers, asked.get("workers", 48)
    drawn = min(test, drawn) if drawn >= 0 else test
    if number == "04":
        data, chosen = asked["training"], asked["fine_tuning"]
        tokens = size.tokens(data["own_repeats"] * (data["workers"] or 0.7 * size.workers))
        for other in (data_size(profile, name) for name in data["others"]):
            tokens += other.tokens(0.7 * data["share"] * other.workers)
        tokens *= 2 if chosen["method"] == "lora" else 3
        tokens = chosen["epochs"] * (
            tokens + chosen["evaluations_per_epoch"] * size.tokens(0.1 * size.workers)
        )
    elif number == "05":
        numbers = (asked["scoring"][name] for name in ("test_workers", "all_titles_workers"))
        workers, full = (min(test, asked_for) if asked_for >= 0 else test for asked_for in numbers)
        full *= asked["scoring"]["titles"] == "all"
        # The check of the scorer has four records with all titles, and sixteen prompts.
        tokens = size.tokens(workers + 16) + (full * size.records / size.workers + 4) * size.branches
    else:
        questions = asked.get("language_model_questions", 20)
        tokens = {
            "12": 5 * size.tokens(drawn), "13": 4 * questions * (size.branches + size.tokens(1)),
            "14": 3 * size.tokens(drawn), "16": 0.6 * size.tokens(size.workers),
        }.get(number, 0.0)  # fmt: skip
    return 2 * tokens * ((number == "16" and weights(asked["model"])) or weights(entry.base) or 1e9)


@functools.cache
def _rate(dtype: str) -> float:
    """Return the operations a second in which matrices are multiplied here, on as many threads as a run takes."""
    matrix = np.ones((400, 400), dtype=np.float32)
    if dtype == "bfloat16":
        import torch  # takes seconds, and numpy has no such numbers

        matrix = torch.ones(400, 400, dtype=torch.bfloat16)
    # So short that one of the trials is not interrupted, whatever else the machine does.
    return 2 * len(matrix) ** 3 / min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=30))


@functools.cache
def weights(base: str) -> float:
    """Return about how many weights a language model has, from its files, or else from its name; 0 if neither tells."""
    if base in PACKAGED_MODELS:
        return 28.3e6 + 3.54e6 * (PACKAGED_MODELS[base].layers or 30)
    total = 0
    for path in (project_root() / base).glob("*.safetensors"):
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    said = re.search(r"(\d+(?:\.\d+)?)([mb])(?![a-z])", base.lower())
    return total or (float(said[1]) * {"m": 1e6, "b": 1e9}[said[2]] if said else 0.0)


def data_size(profile: Profile, dataset: str) -> Size:
    """Return the size of a data set: of the stored panel, the user's files, or what is usual of such a survey."""
    entry, folder = profile.datasets[dataset], open_results(profile.results).panel(dataset)
    return _size(dataset, entry.panel, entry.titles, entry.reader, entry.simulated_workers, folder)


@functools.cache
def _size(dataset: str, panel: str, titles: str, reader: str, simulated: int, folder: Path) -> Size:
    try:
        if (folder / MANIFEST).is_file():
            careers, _ = read_panel(folder)
        elif reader:
            return Size(*((simulated, 10 * simulated) if simulated else _SURVEYS[reader]))
        else:
            own = (project_root() / panel, project_root() / titles, dataset)
            careers = read_careers(*own) if panel else packaged_careers(dataset)
    except LaborLLMError:
        # What is wrong with them is told by the run that reads them.
        return Size(1_000, 10_000)
    words = [title.split() for title in careers.outcomes.titles]
    begun = len({tuple(title[:number]) for title in words for number in range(1, len(title) + 1)})
    tokens = 1.4 * sum(map(len, words)) / len(words), 1.4 * begun
    return Size(len(careers.workers), len(careers.frame), len(words), *tokens)
