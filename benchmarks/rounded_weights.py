"""What weights in bfloat16 cost in loss at a small learning rate: rounded at random, and to the nearest number.

    python benchmarks/rounded_weights.py [--base MODEL] [--steps N] [--seeds N] [--store FOLDER]

All weights of a model are trained on simulated careers, from the same start and in the same order, with the settings by
which 7 billion weights fit into one GPU of 80 GB (weights in bfloat16, moments in 8 bits), and with weights and moments
in float32. At this learning rate a step changes most weights by less than the last digit of bfloat16. Products are
computed in float32 throughout, so that what differs is what is stored; the loss is that on other careers, with the mean
and the spread over seeds, which draw the order of the careers and the rounding.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from fine_tuning import LEARNING_RATE, simulated_resumes
from measurement import Row, end_with_status, report, row, store

from labor_llm.finetuning import optimizers
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun
from labor_llm.models.loading import load_language_model
from labor_llm.models.memory import LEAST
from labor_llm.text.tokenization import EncodedResume

HELD_OUT, BATCH_SIZE = 32, 4
PRECISE, AT_RANDOM, NEAREST = (
    "weights in float32",
    "in bfloat16, rounded at random",
    "in bfloat16, to the nearest",
)


def to_the_nearest(numbers: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Round as bfloat16 does by itself, in place of `optimizers.rounded_at_random`."""
    return numbers.bfloat16().float()


def losses(
    base: str, careers: list[EncodedResume], others: list[EncodedResume], steps: int, seed: int, kind: str
) -> tuple[float, float]:
    """Return the loss on other careers before and after the steps, nats per token that counts."""
    stored = {} if kind == PRECISE else LEAST
    settings = FineTuningSettings(
        epochs=1, steps=steps, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, precision="float32", loss="titles",
        seed=seed, evaluations_per_epoch=1, **stored,
    )  # fmt: skip
    at_random = optimizers.rounded_at_random
    optimizers.rounded_at_random = to_the_nearest if kind == NEAREST else at_random
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = FineTuningRun(load_language_model(base), settings, careers, others, Path(folder))
            found = []
            for _ in range(2):
                run._evaluate()
                found.append(run.curve[-1]["loss"])
                run.loss.train()
                while run.step < run.total:
                    run.take_step()
    finally:
        optimizers.rounded_at_random = at_random
    return found[0], found[1]


def benchmark(base: str, steps: int, seeds: int) -> list[Row]:
    """Return the losses of all three ways; the peer of each is float32."""
    everybody = simulated_resumes(steps * BATCH_SIZE + HELD_OUT, base)
    careers, others = everybody[:-HELD_OUT], everybody[-HELD_OUT:]
    after: dict[str, list[float]] = {PRECISE: [], AT_RANDOM: [], NEAREST: []}
    before = 0.0
    for seed in range(seeds):
        for kind, found in after.items():
            before, reached = losses(base, careers, others, steps, seed, kind)
            found.append(reached)
            print(f"seed {seed}, {kind}: {before:.4f} to {reached:.4f}", file=sys.stderr, flush=True)
    means = {kind: statistics.mean(found) for kind, found in after.items()}
    rows = [row("loss before, titles of other careers", before, "nats/token")]
    rows += [
        row(f"loss after {steps} steps, {kind}; peer {PRECISE}", mean, "nats/token", means[PRECISE])
        for kind, mean in means.items()
    ]
    rows += [
        row(f"spread over {seeds} seeds, {kind}", max(found) - min(found), "nats/token")
        for kind, found in after.items()
    ]
    return rows


def main() -> int:
    """Run the benchmark as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--base", default="smollm2-135m-first-4-layers", help="the model (its first 4 layers)"
    )
    parser.add_argument("--steps", type=int, default=30, help="of each run (30)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each way (3)")
    parser.add_argument("--store", type=Path, help="store rows and machine in this folder, for the book")
    given = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    rows = benchmark(given.base, given.steps, given.seeds)
    packages = ["torch", "transformers", "bitsandbytes"]
    print(report(rows, {}, packages))
    if given.store:
        store(given.store, rows, packages, sys.argv)
    return 0


if __name__ == "__main__":
    end_with_status(main)
