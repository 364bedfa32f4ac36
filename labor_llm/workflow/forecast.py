"""How long runs of notebooks take: counted work (records, tokens, weights, titles) at this machine's measured rate.

A language model takes two operations a weight and token to predict, six to be trained. It is meant to be right within
half on processors that do nothing else. Of a GPU it rests on what an H100 was measured at: 26,200 tokens a second in
fine-tuning 135 million weights, 8,000 in fine-tuning 7 billion, and between them on their power law.
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
_RATE, _SHARE, _START, _RECORD, _FIT = 8e10, 0.6, 13.0, 3e-4, 3.2e-6
# What fits take of those that choose anew, by notebook: with what was chosen before a sixth, of three trainings twice.
_FITS = {
    "07_where_the_gain_arises": 1 / 6, "12_history_length": 1 / 6, "13_horizons": 1 / 6, "14_demographics": 1 / 6,
    "15_structural_change": 2,
}  # fmt: skip
# Likewise bytes: of a kernel with its libraries, of PyTorch, by record, and by weight of a model trained or only read.
_KERNEL_BYTES, _TORCH_BYTES, _RECORD_BYTES, _TRAINED_BYTES, _READ_BYTES = 6e8, 2e8, 4e3, 18, 6
# Operations a second of an H100 by the weights of the model, and the most.
_GPU_WEIGHTS, _GPU_RATE, _GPU_POWER, _MOST_OF_A_GPU = 1.35e8, 2.1e13, 0.7, 3.4e14


class Size(NamedTuple):
    """How large a data set is."""

    workers: int
    records: int
    titles: int = 333

    def tokens(self, workers: float) -> float:
        """Return the tokens of the resumes of so many workers: a head, and a line each record."""
        return workers * (75 + 16 * self.records / self.workers)


_USUAL = {"psid": Size(31_000, 310_000), "nlsy79": Size(12_500, 260_000), "nlsy97": Size(9_000, 150_000)}


class Work(NamedTuple):
    """What a language model does in a run."""

    base: str
    weights: float
    tokens: float
    """That it reads; one that it is trained on counts as three."""

    @property
    def gpu_hours(self) -> float:
        """On an H100, about."""
        rate = min(_MOST_OF_A_GPU, _GPU_RATE * (self.weights / _GPU_WEIGHTS) ** _GPU_POWER)
        return 2 * self.weights * self.tokens / rate / 3600


def with_forecast(
    profile: Profile,
    runs: Iterable[NotebookRun],
    sizes: Mapping[str, Size] | None = None,
    gpu: bool | None = None,
) -> list[NotebookRun]:
    """Return runs with what each is expected to take.

    That is minutes on its cores, as the profile says or else as counted, and memory, with whether it takes a GPU where
    there is one. `sizes` are those of `data_sizes`, which are counted if not given; `gpu` says whether the runs have
    one, by default whether this machine has.
    """
    gpu = shutil.which("nvidia-smi") is not None if gpu is None else gpu
    sizes = data_sizes(profile) if sizes is None else sizes
    found = []
    for run in runs:
        work, size = work_of(profile, sizes, run), _asked(sizes, run)[1]
        tuned = run.parameters.get("fine_tuning") or run.parameters.get("refits")
        # On a GPU a model passes through the machine's memory and is checkpointed from there.
        weight = _TRAINED_BYTES if tuned and not gpu else _READ_BYTES
        held = _TORCH_BYTES + weight * work.weights if work.tokens else 0.0
        found.append(
            replace(
                run,
                minutes=run.minutes or _seconds(sizes, run, work, gpu) / 60,
                gigabytes=(_KERNEL_BYTES + _RECORD_BYTES * size.records + held) / 1e9,
                on_gpu=work.tokens > 0,
            )
        )
    return found


def data_sizes(profile: Profile) -> dict[str, Size]:
    """Return how large each data set of a profile is, as far as that is known before it is converted."""
    found = {}
    for name, entry in profile.datasets.items():
        size, share = _size(name, entry), profile.source_of(name).share
        found[name] = Size(round(share * size.workers), round(share * size.records), size.titles)
    return found


def _asked(sizes: Mapping[str, Size], run: NotebookRun) -> tuple[dict[str, Any], Size]:
    """Return what a run is asked, its groups of settings laid flat, and the size of its data set."""
    asked = run.parameters | run.parameters.get("scoring", {}) | (run.parameters.get("fine_tuning") or {})
    return asked, sizes[asked.get("dataset") or asked.get("datasets", [*sizes])[0]]


def work_of(profile: Profile, sizes: Mapping[str, Size], run: NotebookRun) -> Work:
    """Return what a language model does in a run of a profile; no tokens where there is none."""
    asked, size = _asked(sizes, run)
    entry = profile.language_models[asked.get("name") or profile.fine_tuned]
    base = asked["model"] if run.notebook == "16_embeddings" else entry.base
    tokens = _tokens(run.notebook, asked, size, sizes)
    if run.notebook == "05_next_job_scoring" and asked["refits"]:
        # By the schedule that is chosen, at most the longest.
        epochs = max(entry.fine_tuning.schedules)
        tokens += asked["refits"] * (
            3 * epochs * size.tokens(0.7 * size.workers) + size.tokens(0.2 * size.workers)
        )
    return Work(base, _weights(base), tokens)


def _seconds(sizes: Mapping[str, Size], run: NotebookRun, work: Work, gpu: bool) -> float:
    asked, size = _asked(sizes, run)
    # Those that are fitted again take about half the time of all.
    fits = len(asked.get("partners", asked.get("baselines", ())))
    fits += 0.5 * asked.get("refits", 0) * len(asked.get("refitted", ()))
    fits *= _FITS.get(run.notebook, 1)
    seconds = _START + _RECORD * size.records + _FIT * fits * size.records * (size.titles + 100)
    coarse = "bfloat16" in (asked.get("precision"), asked.get("dtype"))
    seconds *= _RATE / _rate(False)
    if gpu:
        return seconds + 3600 * work.gpu_hours
    return seconds + 2 * work.weights * work.tokens / (_SHARE * _rate(coarse))


def _tokens(notebook: str, asked: Mapping[str, Any], size: Size, sizes: Mapping[str, Size]) -> float:
    """Return how many tokens a language model reads in a run; one that it is trained on counts as three."""
    # Of all titles after a record, shared beginnings once; of test workers, by the parameter that says how many.
    all_titles, test = 2.5 * size.titles, 0.2 * size.workers
    tested = {name: min(test, n) if n >= 0 else test for name, n in asked.items() if name.endswith("workers")}
    match notebook:
        case "04_fine_tuning":
            data = asked["training"]
            trained = size.tokens(data["own_repeats"] * (data["workers"] or 0.7 * size.workers))
            for other in (sizes[name] for name in data["others"]):
                trained += other.tokens(0.7 * data["share"] * other.workers)
            schedules = [asked["epochs"], *asked["other_epochs"]]
            trained *= sum(schedules)
            if asked["steps"]:
                trained = len(schedules) * asked["steps"] * asked["batch_size"] * size.tokens(1)
            trained *= 0.5 if asked["loss"] == "titles" else 1
            checked = sum(schedules) * asked["evaluations_per_epoch"] * size.tokens(0.1 * size.workers)
            return 3 * trained + checked
        case "05_next_job_scoring":
            full = tested["all_titles_workers"] * (asked["titles"] == "all")
            return size.tokens(tested["test_workers"]) + full * size.records / size.workers * all_titles
        case "07_where_the_gain_arises":
            return size.tokens(min(0.1 * size.workers, tested.get("mixture_workers", 0)))
        case "12_history_length":
            # Each length, and the whole histories.
            return (1 + len(asked["lengths"]) + len(asked["years"])) * size.tokens(tested["workers"])
        case "14_demographics":
            return 4 * size.tokens(tested.get("workers", min(48, test)))
        case "20_try_it":
            return asked.get("try_educations", 2) * asked.get("try_jobs", 5) ** 2 * all_titles
        case "13_horizons":
            paths = asked.get("language_model_paths", 20)
            # The runs have most of their histories in common, as the likely ones are in all of them.
            histories = size.titles if runs_needed(size.titles, paths, 1) == 1 else paths
            return (
                (2 + histories) * asked.get("language_model_questions", 100) * (size.tokens(1) + all_titles)
            )
    return 0.8 * size.tokens(size.workers) if notebook == "16_embeddings" else 0.0


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
        return PACKAGED_MODELS[base].weights
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
