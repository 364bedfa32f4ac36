"""The parts of the benchmark of a card but scoring: what it can do, exactness, its tests, and fine-tuning.

Each yields rows as they come, and lines that say what there is no number for.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import gc
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import gpu_scoring
import numpy as np
import psutil
import torch
from fine_tuning import faster, ours, peak, simulated_resumes, trainer
from gpu_models import RATE, Item, Plan, arithmetic, fitting, invented, now, products, workload
from measurement import row
from scoring_comparisons import exact

from labor_llm.errors import MismatchError
from labor_llm.exhibits.expected import processor
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.models.memory import GIB, LEAST, fine_tuning_need
from labor_llm.scoring.passes import realised_log_probs

EXACT = 1e-3  # nats, of float32 on the card and on the CPU
ROOT = Path(__file__).parents[1]


def card(plan: Plan) -> Iterator[Item]:
    """Measure what the card can do, beside which everything else is told."""
    name, memory, device = processor(), psutil.virtual_memory().total, "cpu"
    if torch.cuda.is_available():
        about, device = torch.cuda.get_device_properties(0), "cuda"
        name, memory = about.name, about.total_memory
    yield row(f"memory of {name}", memory / GIB, "GiB")
    rates = [peak(torch.bfloat16, now, size) for size in plan.matrices for _ in range(1 + plan.rounds)]
    yield row(RATE, max(rates) / 1e3, "TFLOP/s")
    source = torch.ones(plan.copied, dtype=torch.uint8, device=device)
    target, seconds = torch.empty_like(source), []
    for _ in range(5):
        start = now()
        target.copy_(source)
        seconds.append(now() - start)
    # Each byte is read and written.
    yield row("memory bandwidth by a copy", 2 * plan.copied / min(seconds) / 1e9, "GB/s")


def exactness(plan: Plan) -> Iterator[Item]:
    """Compare log-probabilities on the card with those of float32 on the CPU.

    Raises:
        MismatchError: if those in float32 differ by more than `EXACT`.
    """
    fine, coarse, peer = (
        load_language_model(plan.small, dtype) for dtype in ("float32", plan.dtype, "float32")
    )
    peer.model.to("cpu")
    expected = _both_kinds(peer, plan)
    for kind, found in _both_kinds(fine, plan).items():
        difference = float(np.abs(found - expected[kind]).max())
        if not difference <= EXACT:
            raise MismatchError(
                f"{kind}, float32: card and CPU differ by {difference:.2g} nats; {EXACT} are allowed."
            )
        yield row(f"{kind}, float32: largest difference from the CPU, of {found.size:,}", difference, "nats")
    for kind, found in _both_kinds(coarse, plan).items():
        errors = np.abs(found - expected[kind])
        yield row(f"{kind}, {plan.dtype}: largest error", float(errors.max()), "nats")
        yield row(f"{kind}, {plan.dtype}: mean error", float(errors.mean()), "nats")


def _both_kinds(language_model: LanguageModel, plan: Plan) -> dict[str, np.ndarray]:
    work = workload(language_model, plan.exact, 1)
    return {
        "realised titles": np.concatenate(
            [realised_log_probs(language_model, one.encoded) for one in work.careers]
        ),
        "all titles": np.concatenate([exact(work, career) for career in work.careers]),
    }


def tests(plan: Plan) -> Iterator[Item]:
    """Run the tests that need a card."""
    if importlib.util.find_spec("pytest") is None:
        yield "pytest is not installed"
        return
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/test_cuda.py",
        "-m",
        "cuda",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    counts = dict.fromkeys(("passed", "failed", "skipped", "error"), 0)
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1] if lines else "")
    if not found:
        raise RuntimeError(f"pytest did not run: {' '.join((done.stderr or done.stdout).split())[-300:]}")
    counts |= {what: int(count) for count, what in found}
    yield row("tests on the card: passed", counts["passed"], "tests")
    yield row("tests on the card: failed", counts["failed"] + counts["error"], "tests")
    yield row("tests on the card: skipped", counts["skipped"], "tests")
    yield from (line for line in lines if line.startswith(("FAILED", "ERROR")))


def fine_tuning_small(plan: Plan) -> Iterator[Item]:
    """Fine-tune the small model by the package and by Trainer, in turn."""
    careers, loaded = simulated_resumes(plan.trained, plan.small), load_language_model(plan.small)
    at_once = f"{plan.tokens:,} tokens at once"
    ways = {
        "defaults": functools.partial(ours, precision=plan.dtype),
        at_once: functools.partial(ours, precision=plan.dtype, tokens_at_once=plan.tokens),
        "Trainer": trainer(bf16=plan.dtype == "bfloat16"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(1 + plan.rounds):
        some = careers if turn else careers[: plan.batch_size]
        for name, way in ways.items():
            # The loops change a model's attention, and train it.
            fresh = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model))
            with tempfile.TemporaryDirectory() as folder:
                epoch = way(fresh, some, plan.batch_size, Path(folder))
                start = now()
                epoch()
                seconds[name] += [now() - start] if turn else []
    tokens = sum(len(career.ids) for career in careers)
    speeds = {name: tokens / statistics.median(taken) for name, taken in seconds.items()}
    name = f"fine-tuning, {plan.small}, full, mixed {plan.dtype}, {plan.batch_size} careers a step"
    for way in ("defaults", at_once):
        yield faster(f"{name}, {way}; peer Trainer", speeds[way], speeds["Trainer"])
        yield arithmetic(
            f"{name}, {way}: 6 operations a weight and token", 6 * sum(products(loaded)) * speeds[way]
        )


def fine_tuning_large(plan: Plan) -> Iterator[Item]:
    """Fine-tune the large shape in the least memory."""
    sizes = fitting(plan, lambda some: sum(fine_tuning_need(some, plan.tokens, **LEAST).values()))
    model, careers = invented(plan, sizes), simulated_resumes(plan.trained_large, plan.small)
    name = f"fine-tuning, {model.name}, {', '.join(LEAST.values())}, {plan.tokens:,} tokens at once"
    for some in (careers[: plan.batch_size], careers):
        # What is left of the epoch before: its moments, and the attention that it has exchanged.
        gc.collect()
        model.model.set_attn_implementation("sdpa")
        with tempfile.TemporaryDirectory() as folder:
            epoch = ours(
                model,
                some,
                plan.batch_size,
                Path(folder),
                tokens_at_once=plan.tokens,
                precision=plan.dtype,
                **LEAST,
            )
            if torch.cuda.is_available():
                torch.cuda.reset_peak_memory_stats()
            start = now()
            epoch()
            taken = now() - start
            del epoch
    speed = sum(len(career.ids) for career in careers) / taken
    layers, head = products(model)
    yield row(name, speed, "tokens/s")
    # What a layer gives is computed again; the output layer's gradient is taken in its forward pass.
    what = f"{name}: 8 operations a weight and token, with recomputation, 6 of the output layer"
    yield arithmetic(what, (8 * layers + 6 * head) * speed)
    if torch.cuda.is_available():
        need = sum(fine_tuning_need(sizes, plan.tokens, **LEAST).values()) / GIB
        peer = "what labor_llm.models.memory computes"
        yield row(f"{name}: peak memory; peer {peer}", torch.cuda.max_memory_allocated() / GIB, "GiB", need)


MEASURES: Mapping[str, Callable[[Plan], Iterator[Item]]] = {
    "card": card,
    "exactness": exactness,
    "tests": tests,
    "fine-tuning-small": fine_tuning_small,
    "fine-tuning-large": fine_tuning_large,
    "scoring-small": gpu_scoring.scoring_small,
    "scoring-large": gpu_scoring.scoring_large,
    "quantized-small": gpu_scoring.quantized_small,
    "quantized-large": gpu_scoring.quantized_large,
    "vllm": gpu_scoring.vllm,
}
