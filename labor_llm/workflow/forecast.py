"""How long runs of notebooks take: counted work (records, tokens, weights, titles) at this machine's measured rate.

A language model takes two operations a weight and token to predict, six to be trained. It is meant to be right within
half on processors that do nothing else; of a GPU, which is not tried, it is a guess.
"""

from __future__ import annotations

import functools
import re
import shutil
import timeit
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from labor_llm.careers.horizons import runs_needed
from labor_llm.careers.panel import read_careers
from labor_llm.models.folders import PACKAGED_MODELS
from labor_llm.store.results import project_root
from labor_llm.workflow.datasets import packaged_careers
from labor_llm.workflow.profile import DatasetEntry, Profile
from labor_llm.workflow.runs import NotebookRun

# Measured on the demo: the operations a second of matrices and the share that language models reach; seconds
# of any run, by record, and by record and title of a fit.
_RATE, _SHARE, _GPU_RATE, _START, _RECORD, _FIT = 8e10, 0.6, 2e13, 13.0, 3e-4, 3.2e-6


class Size(NamedTuple):
    """How large a data set is."""

    workers: int
    records: int
    titles: int = 333

    def tokens(self, workers: float) -> float:
        """Return the tokens of the resumes of so many workers: a head, and a line each record."""
        return workers * (75 + 16 * self.records / self.workers)


_USUAL = {"psid": Size(31_000, 310_000), "nlsy79": Size(12_500, 260_000), "nlsy97": Size(9_000, 150_000)}


def with_forecast(profile: Profile, runs: Iterable[NotebookRun]) -> list[NotebookRun]:
    """Return runs with the minutes that each is expected to take on its cores: as the profile says, or as counted."""
    sizes = {name: _size(name, entry) for name, entry in profile.datasets.items()}
    return [run if run.minutes else replace(run, minutes=_seconds(profile, sizes, run) / 60) for run in runs]


def _seconds(profile: Profile, sizes: Mapping[str, Size], run: NotebookRun) -> float:
    asked = run.parameters | run.parameters.get("scoring", {}) | (run.parameters.get("fine_tuning") or {})
    number, size = run.notebook[:2], sizes[asked.get("dataset") or asked.get("datasets", [*sizes])[0]]
    # Those that are fitted again take about half the time of all.
    fits = len(asked.get("baselines", ())) + 0.5 * asked.get("refits", 0) * len(asked.get("refitted", ()))
    fits *= 3 if number == "15" else 1
    seconds = _START + _RECORD * size.records + _FIT * fits * size.records * (size.titles + 100)
    entry = profile.language_models[asked.get("name", profile.fine_tuned)]
    coarse = "bfloat16" in (asked.get("precision"), asked.get("dtype"))
    rate = _GPU_RATE if shutil.which("nvidia-smi") else _SHARE * _rate(coarse)
    operations = 2 * _weights(asked["model"] if number == "16" else entry.base)
    return seconds * _RATE / _rate(False) + operations * _tokens(number, asked, size, sizes) / rate


def _tokens(number: str, asked: Mapping[str, Any], size: Size, sizes: Mapping[str, Size]) -> float:
    """Return how many tokens a language model reads in a run; one that it is trained on counts as three."""
    # Of all titles after a record, shared beginnings once; of test workers, by the parameter that says how many.
    all_titles, test = 2.5 * size.titles, 0.2 * size.workers
    tested = {name: min(test, n) if n >= 0 else test for name, n in asked.items() if name.endswith("workers")}
    match number:
        case "04":
            data = asked["training"]
            trained = size.tokens(data["own_repeats"] * (data["workers"] or 0.7 * size.workers))
            for other in (sizes[name] for name in data["others"]):
                trained += other.tokens(0.7 * data["share"] * other.workers)
            trained *= asked["epochs"]
            if asked["steps"]:
                trained = asked["steps"] * asked["batch_size"] * size.tokens(1)
            checked = asked["epochs"] * asked["evaluations_per_epoch"] * size.tokens(0.1 * size.workers)
            return 3 * trained + checked
        case "05":
            full = tested["all_titles_workers"] * (asked["titles"] == "all")
            return size.tokens(tested["test_workers"]) + full * size.records / size.workers * all_titles
        case "12" | "14":
            return 4 * size.tokens(tested.get("workers", min(48, test)))
        case "13":
            paths = asked.get("language_model_paths", 20)
            # The runs have most of their histories in common, as the likely ones are in all of them.
            histories = size.titles if runs_needed(size.titles, paths, 1) == 1 else paths
            return (
                (2 + histories) * asked.get("language_model_questions", 100) * (size.tokens(1) + all_titles)
            )
    return 0.8 * size.tokens(size.workers) if number == "16" else 0.0


@functools.cache
def _rate(coarse: bool) -> float:
    """Return the operations a second in which matrices (coarse: of bfloat16) are multiplied on a run's threads."""
    matrix = np.ones((400, 400), dtype=np.float32)
    if coarse:  # Some processors emulate it, at a fiftieth of the speed.
        import torch

        matrix = torch.from_numpy(matrix).bfloat16()
    # So short that one of the trials is not interrupted, whatever else the machine does.
    return 2 * len(matrix) ** 3 / min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=30))


def _weights(base: str) -> float:
    """Return about how many weights a model has, by its files at two bytes each, or by its name."""
    if base in PACKAGED_MODELS:
        return 28.3e6 + 3.54e6 * (PACKAGED_MODELS[base].layers or 30)
    files = sum(path.stat().st_size for path in (project_root() / base).glob("*.safetensors"))
    said = re.search(r"(\d+(?:\.\d+)?)([mb])(?![a-z])", base.lower())
    return files / 2 or (float(said[1]) * {"m": 1e6, "b": 1e9}[said[2]] if said else 1e9)


def _size(name: str, entry: DatasetEntry) -> Size:
    if entry.reader:
        workers = entry.simulated_workers
        return Size(workers, 10 * workers) if workers else _USUAL[entry.reader]
    own = (project_root() / entry.panel, project_root() / entry.titles, name)
    careers = read_careers(*own) if entry.panel else packaged_careers(name)
    return Size(len(careers.workers), len(careers.frame), len(careers.outcomes))
