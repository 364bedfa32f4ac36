"""Speed of fine-tuning on simulated careers, against transformers' Trainer and trl's SFTTrainer on the same.

    python benchmarks/fine_tuning.py [--quick] [--base MODEL] [--careers N] [--batch-size N] [--rounds N]
                                     [--clock wall|cpu] [--json PATH] [--store FOLDER]

All train every weight of the packaged SmolLM2-135M for an epoch on the same careers of 5 to 25 years, from the same
start, with float32 master weights and AdamW at one learning rate, and end with the loss on the same other careers,
computed in one way for all. What counts is tokens that are no padding, per second
of the whole loop; loading, validation and checkpoints are left out everywhere. The peers are

* transformers' Trainer with its defaults: careers padded to the longest of a batch, with a mask, in float32;
* the same in bfloat16 (`bf16=True`), as ours;
* trl's SFTTrainer with packing and its other defaults (bfloat16, gradient checkpointing), rows of 1,024 tokens and as
  many a step as hold about the tokens of the others' batch; left out if trl, no dependency of the package, is absent.

Rounds are interleaved in one process, and medians told. Before them the loss of the first batch is computed by
Trainer's way and by ours in float32 at the same weights, and must agree. The peak is that of square matrix products,
measured in every round; a token takes six floating point operations a weight, and attention is not counted. Where other
programs use the machine, one thread and `--clock cpu` (the processor's seconds) are steadier than the wall's clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measurement import Row, end_with_status, report, row, store, write_json
from transformers import DataCollatorForLanguageModeling, Trainer, TrainingArguments

from labor_llm.careers.occupations import outcome_space
from labor_llm.careers.panel import career_panel
from labor_llm.errors import MismatchError
from labor_llm.finetuning.batches import packed, padded, training_career
from labor_llm.finetuning.loss import NextTokenLoss, pack_careers
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.finetuning.steps import FineTuningRun
from labor_llm.models.loading import LanguageModel, load_language_model, load_tokenizer
from labor_llm.simulation.careers import SCHEDULES, simulate_careers
from labor_llm.simulation.market import Market
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume

MODEL = "smollm2-135m-instruct"
LEARNING_RATE = 1e-5
YEARS = (5, 25)
ROW_LENGTH = 1024  # of trl, its default
AGREEMENT = 1e-5  # of two losses in float32, relative
GOAL = 2.5
CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": time.process_time}
# An epoch: the model, the careers, careers a step and a folder, to what runs it.
Epoch = Callable[[LanguageModel, Sequence[EncodedResume], int, Path], Callable[[], object]]
HELD_OUT = 16
PEAK_SIZE = 2048  # rows of the matrices whose product shows the peak


def simulated_resumes(careers: int, base: str = MODEL) -> list[EncodedResume]:
    """Return simulated careers as tokens, always the same: the first 5 to 25 years of each, equally often."""
    table = simulate_careers(Market(1), 2 * careers + 20, SCHEDULES["NLSY79"], 1)
    table = table.sort_values(["worker_id", "year"], ignore_index=True).drop(columns="schooling")
    span = table.groupby("worker_id")["year"].agg(["min", "max"])
    span = span[span["max"] - span["min"] >= YEARS[1]].head(careers)
    span["last"] = span["min"] + np.random.default_rng(1).integers(YEARS[0], YEARS[1] + 1, len(span)) - 1
    table = table[table["year"] <= table["worker_id"].map(span["last"])]
    panel = career_panel(table, outcome_space(), "simulated", "NLSY79")
    tokenizer = load_tokenizer(base)
    return [encode_resume(tokenizer, resume) for resume in resumes(panel)]


def padding(lengths: Sequence[int], batch_size: int) -> float:
    """Return the share of padding in batches in random order, as Trainer makes them, over many orders."""
    generator, filled, whole = np.random.default_rng(1), 0, 0
    for _ in range(100):
        order = generator.permutation(lengths)
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            filled, whole = filled + batch.sum(), whole + len(batch) * batch.max()
    return 1 - filled / whole


def ours(
    language_model: LanguageModel,
    careers: Sequence[EncodedResume],
    batch_size: int,
    folder: Path,
    **chosen: Any,
) -> Callable[[], object]:
    """Return an epoch of the package's loop; `chosen` are further settings of it."""
    settings = FineTuningSettings(epochs=1, batch_size=batch_size, learning_rate=LEARNING_RATE, **chosen)
    run = FineTuningRun(language_model, settings, careers, careers[:1], folder)
    run.loss.train()
    return lambda: [run.take_step() for _ in range(run.total)]


def trainer(bf16: bool) -> Epoch:
    """Return the epoch of transformers' Trainer, with its defaults in all that bears on speed but `bf16`."""

    def prepare(
        language_model: LanguageModel, careers: Sequence[EncodedResume], batch_size: int, folder: Path
    ) -> Callable[[], object]:
        tokenizer = language_model.tokenizer
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        arguments = TrainingArguments(
            output_dir=str(folder), per_device_train_batch_size=batch_size, bf16=bf16, **_quiet()
        )
        loop = Trainer(
            language_model.model,
            arguments,
            train_dataset=[{"input_ids": career.ids.tolist()} for career in careers],
            data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        )
        return loop.train

    return prepare


def sft_trainer(
    language_model: LanguageModel, careers: Sequence[EncodedResume], batch_size: int, folder: Path
) -> Callable[[], object]:
    """Return the epoch of trl's SFTTrainer with packing."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    tokens = sum(len(career.ids) for career in careers) / len(careers) * batch_size
    arguments = SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=max(1, round(tokens / ROW_LENGTH)),
        packing=True,
        max_length=ROW_LENGTH,
        **_quiet(),
    )
    rows = Dataset.from_list([{"input_ids": career.ids.tolist()} for career in careers])
    loop = SFTTrainer(
        language_model.model, arguments, train_dataset=rows, processing_class=language_model.tokenizer
    )
    return loop.train


def _quiet() -> dict[str, Any]:
    return {
        "num_train_epochs": 1,
        "learning_rate": LEARNING_RATE,
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        # Without it bfloat16 is refused where there is no GPU.
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
    }


def first_losses(careers: Sequence[EncodedResume], base: str) -> tuple[float, float]:
    """Return the loss of careers in float32 by our packing, and by Trainer's padding and mask; nats per token.

    Raises:
        MismatchError: if they differ.
    """
    model = load_language_model(base).model
    peer = plain_loss(model, careers)
    prepared = [training_career(career, "all tokens") for career in careers]
    with torch.no_grad():
        pack_careers(model, prepared[0])
        summed = NextTokenLoss(model)(**packed(prepared, model.device)).item()
    own = summed / sum(career.predicted for career in prepared)
    if abs(own - peer) > AGREEMENT * peer:
        raise MismatchError(f"The losses at the same weights differ: {own} and {peer} nats per token.")
    return own, peer


@torch.no_grad()
def plain_loss(model: torch.nn.Module, careers: Sequence[EncodedResume]) -> float:
    """Return the loss of careers in float32 by Trainer's padding and mask, nats per token."""
    model.eval()
    device = next(model.parameters()).device
    batch = padded([training_career(career, "all tokens") for career in careers], device)
    lengths = torch.tensor([len(career.ids) for career in careers])
    mask = (torch.arange(int(lengths.max())) < lengths[:, None]).long().to(device)
    labels = batch["input_ids"].masked_fill(mask == 0, -100)
    return float(model(input_ids=batch["input_ids"], attention_mask=mask, labels=labels).loss)


def held_out_loss(trained: torch.nn.Module, careers: Sequence[EncodedResume], base: str) -> float:
    """Return the loss of careers by trained weights in a fresh model, nats per token."""
    model = load_language_model(base).model
    model.load_state_dict({name: weight.float() for name, weight in trained.state_dict().items()})
    return plain_loss(model, careers)


def peak(dtype: torch.dtype, clock: Callable[[], float], size: int | None = None) -> float:
    """Return the floating point operations per second of a square matrix product, in units of 1e9."""
    size, times = size or PEAK_SIZE, 4
    device = "cuda" if torch.cuda.is_available() else "cpu"
    seeded = torch.Generator(device).manual_seed(1)
    left, right = (torch.randn(size, size, device=device, generator=seeded).to(dtype) for _ in range(2))
    (left @ right).sum().item()
    start = clock()
    for _ in range(times):
        product = left @ right
    product.sum().item()
    return 2 * size**3 * times / (clock() - start) / 1e9


def benchmark(base: str, careers: int, batch_size: int, rounds: int, clock: str) -> list[Row]:
    """Return the rows of all loops.

    Raises:
        MismatchError: if the loss at the same weights is not the peer's.
    """
    now, everybody = CLOCKS[clock], simulated_resumes(careers + HELD_OUT, base)
    encoded, others = everybody[:careers], everybody[careers:]
    tokens = sum(len(career.ids) for career in encoded)
    own_loss, peer_loss = first_losses(encoded[:batch_size], base)
    loops: dict[str, Epoch] = {
        "ours": ours,
        "Trainer, defaults": trainer(bf16=False),
        "Trainer, bf16": trainer(bf16=True),
    }
    if importlib.util.find_spec("trl") and importlib.util.find_spec("datasets"):
        loops["SFTTrainer, packing"] = sft_trainer
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    losses = dict.fromkeys(loops, 0.0)
    peaks: dict[str, list[float]] = {"bfloat16": [], "float32": []}
    weights = 0
    for number in range(rounds):
        for name, loop in loops.items():
            language_model = load_language_model(base)
            weights = sum(weight.numel() for weight in language_model.model.parameters())
            with tempfile.TemporaryDirectory() as folder:
                epoch = loop(language_model, encoded, batch_size, Path(folder))
                start = now()
                epoch()
                seconds[name].append(now() - start)
            losses[name] = held_out_loss(language_model.model, others, base)
            print(f"round {number + 1}: {name}, {seconds[name][-1]:.1f} s", file=sys.stderr, flush=True)
        for dtype, found in peaks.items():
            found.append(peak(getattr(torch, dtype), now))
    speeds = {name: tokens / statistics.median(found) for name, found in seconds.items()}
    rows = [
        row("threads", torch.get_num_threads(), "threads"),
        row("careers", len(encoded), "careers"),
        row("tokens", tokens, "tokens"),
        row(
            "padding of Trainer's batches",
            padding([len(career.ids) for career in encoded], batch_size),
            "share",
        ),
        row("loss at the start, float32; peer Trainer", own_loss, "nats/token", peer_loss),
    ]
    for name in loops:
        if name != "ours":
            rows.append(faster(f"ours; peer {name}", speeds["ours"], speeds[name]))
            rows.append(
                row(
                    f"loss after the epoch, {len(others)} other careers; peer {name}",
                    losses["ours"],
                    "nats/token",
                    losses[name],
                )
            )
    medians = {dtype: statistics.median(found) for dtype, found in peaks.items()}
    rows += [row(f"peak, {dtype}", found, "GFLOP/s") for dtype, found in medians.items()]
    for name, speed in speeds.items():
        # The peers' precision is that of their defaults.
        dtype = "float32" if name == "Trainer, defaults" else "bfloat16"
        used = 6 * weights * speed / 1e9
        rows.append(row(f"{name}: share of the {dtype} peak", used / medians[dtype], "share"))
    return rows


def faster(name: str, value: float, peer: float, unit: str = "tokens/s") -> Row:
    """Return a row in which more is better, so that the ratio is ours over the peer's."""
    made = row(name, value, unit, peer)
    return made | {"ratio": row(name, made["peer"], "", made["value"])["ratio"]}


def main() -> int:
    """Run the benchmark as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: a few minutes")
    parser.add_argument("--base", default=MODEL, help=f"the model ({MODEL})")
    parser.add_argument("--careers", type=int, help="careers of an epoch (64)")
    parser.add_argument("--batch-size", type=int, help="careers a step (8, Trainer's default)")
    parser.add_argument("--rounds", type=int, help="epochs of each (3)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall", help="what a second is (wall)")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--store", type=Path, help="store rows and machine in this folder, for the book")
    given = parser.parse_args()
    sizes = {"careers": 64, "batch_size": 8, "rounds": 3}
    if given.quick:
        sizes |= {"careers": 16, "rounds": 2}
    sizes |= {name: vars(given)[name] for name in sizes if vars(given)[name] is not None}
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|accelerate)\b.*")
    rows = benchmark(given.base, **sizes, clock=given.clock)
    packages = ["torch", "transformers", "accelerate"]
    with_trl = any("SFTTrainer" in each["name"] for each in rows)
    packages += ["trl", "datasets"] if with_trl else []
    print(report(rows, {}, packages))
    print(f"clock: {given.clock}, {torch.get_num_threads()} threads, {sizes['batch_size']} careers a step")
    if not with_trl:
        print("left out: trl's SFTTrainer, as trl and datasets are not installed (pip install trl==1.16.0)")
    if next(each for each in rows if each["name"].endswith("defaults"))["ratio"] < GOAL:
        print(f"below the goal of {GOAL} times Trainer's defaults")
    if given.json:
        write_json(given.json, rows)
    if given.store:
        store(given.store, rows, packages, sys.argv)
    return 0


if __name__ == "__main__":
    end_with_status(main)
