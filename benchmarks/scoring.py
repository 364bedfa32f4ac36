"""Time, memory and error of scoring job titles, against other software on the same weights.

    OMP_NUM_THREADS=2 python benchmarks/scoring.py [--quick] [--parts NAME ...] [--model FOLDER] [--json PATH]
                                                    [--store FOLDER]

Measured on simulated careers of 5 to 25 yearly records and the 333 titles of occ1990dd, in seconds a transition:

* `all-titles`: every title of every record, exactly, against the plain reference scorer, lm-evaluation-harness and
  minicons, one text and 32 texts at a time, and llama.cpp, which shares a prompt between titles; then the same
  with the end of the line scored only for titles that begin another one (`line_ends='needed'`), by all contenders;
* `bounded`: the same with an unresolved probability of 0.01 and 0.001, by a model that is fine-tuned on other
  simulated careers first (or one that is given), against exact scoring and lm-evaluation-harness;
* `realised`: the titles that occurred, against the reference scorer on each prompt and title apart;
* `growth`: more careers, longer careers, and the memory taken under a budget;
* `precision`: bfloat16, 8 and 4 bits, against float32: speed, and error in nats.

Peers that need a whole forward pass a title score a random sample of titles, one batch of 32 or a few one at a time,
llama.cpp all of them once it has read the record before, for the record half way through each career; their time is
scaled to all titles and records. What all contenders do, they do in turn, and medians over rounds are told. A peer
that is not installed is named. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from measurement import Row, end_with_status, measured, ratio_verdicts, report, row, store, write_json
from scoring_comparisons import all_titles, bounded, realised
from scoring_costs import growth, precision
from scoring_peers import BATCH, PEERS, available_peers
from scoring_workload import CLOCKS, fine_tuned, make_workload

from labor_llm.finetuning.fit import read_learning_curve

PARTS = ("all-titles", "bounded", "realised", "growth", "precision")
BASE = "smollm2-135m-instruct"
PACKAGES = ("labor_llm", "torch", "transformers", "bitsandbytes")
# The same without the end of the line, but for titles that begin another one.
ALONE = "all titles, line ends where needed"
# The least ratios that a full run on two cores is meant to reach.
LEAST = {
    **{
        f"{name}; peer {peer}, batch size {batch}": least
        for name in ("all titles", ALONE)
        for peer in ("lm_eval", "minicons")
        for batch, least in ((1, 60.0), (BATCH, 50.0))
    },
    **{f"{name}; peer llama_cpp, prompt shared": 1.0 for name in ("all titles", ALONE)},
    "all titles, unresolved 0.01; peer lm_eval": 150.0,
    "realised titles; peer the plain reference": 8.0,
    "memory beside the model": 1.0,
}


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        rounds: how often.
        years: lengths of the careers that are scored.
        growth: lengths of the careers that show growth, ascending.
        sample: titles that a peer scores one at a time, for a career.
        careers: on which the model is fine-tuned.
        clock: 'wall', or 'cpu' for the processor's seconds where the machine is shared, with one thread.
    """

    rounds: int = 3
    years: Sequence[int] = (5, 15, 25)
    growth: Sequence[int] = (5, 10, 20)
    sample: int = 8
    careers: int = 240
    clock: str = "wall"


FULL, QUICK = Sizes(), Sizes(1, (10,), (5, 10), 4, 24)


def benchmark(
    folder: Path, parts: Sequence[str], base: str, model: Path | None, sizes: Sizes
) -> tuple[list[Row], list[str]]:
    """Return the rows of some parts, and a line for everything that could not be measured.

    Args:
        folder: where the fine-tuned model goes.
        parts: of `PARTS`.
        base: the model, as in `load_language_model`.
        model: a fine-tuned model; one is made if None.
        sizes: how much is measured.

    Raises:
        MismatchError: if a peer gives other log-probabilities, or a bound does not hold.
    """
    work = make_workload(base, sizes.years, sizes.rounds, sizes.sample, sizes.clock)
    rows = [
        row("threads", torch.get_num_threads(), "threads"),
        row("load average of the machine before", os.getloadavg()[0], "processes"),
        row("titles", len(work.titles), "titles"),
        row("transitions of the careers scored", work.transitions, "transitions"),
        row("prompt, mean over transitions", work.prompt, "tokens"),
    ]
    missing: list[str] = []
    if "all-titles" in parts:
        peers, missing = available_peers(work.language_model)
        rows += all_titles(work, peers)
        rows += all_titles(work.ending_where_needed(), peers, ALONE)
    if "realised" in parts:
        rows += realised(work)
    if "growth" in parts:
        rows += growth(work, base, sizes.growth)
    if "precision" in parts:
        found, unable = precision(work, base)
        rows, missing = rows + found, missing + unable
    if "bounded" in parts:
        found, model = _fine_tuning(folder, base, model, sizes)
        rows += found
        sharp = make_workload(model, sizes.years, sizes.rounds, sizes.sample, sizes.clock)
        (_, *peers), unable = available_peers(sharp.language_model, ["lm_eval"])
        rows += bounded(sharp, peers[:1])
        missing += [line for line in unable if line not in missing]
    rows.append(row("load average of the machine after", os.getloadavg()[0], "processes"))
    return rows, missing


def _fine_tuning(folder: Path, base: str, model: Path | None, sizes: Sizes) -> tuple[list[Row], Path]:
    if model is not None:
        return [], model
    with measured() as measurement:
        model = fine_tuned(base, sizes.careers, folder / "fine_tuned")
    curve = read_learning_curve(model)
    name = f"fine-tuning on {sizes.careers} careers"
    loss = curve.loc[curve["split"] == "validation", "loss"].min()
    return [row(name, measurement.seconds, "s"), row(f"{name}: validation loss", loss, "nats/token")], model


def main() -> int:
    """Run the benchmark as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: a few minutes on two cores")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=PARTS, help="what is measured; all if not given"
    )
    parser.add_argument("--base", default=BASE, help=f"the model ({BASE})")
    parser.add_argument(
        "--model", type=Path, help="a fine-tuned model for bounded scoring; otherwise one is made"
    )
    parser.add_argument("--careers", type=int, help=f"careers that it is fine-tuned on ({FULL.careers})")
    parser.add_argument("--rounds", type=int, help=f"how often each time is measured ({FULL.rounds})")
    parser.add_argument("--years", type=int, nargs="+", help="lengths of the careers scored (5 15 25)")
    parser.add_argument("--growth", type=int, nargs="+", help="lengths of careers that show growth (5 10 20)")
    parser.add_argument("--sample", type=int, help=f"titles that a peer scores one at a time ({FULL.sample})")
    parser.add_argument("--clock", choices=CLOCKS, help="wall time, or the processor's with one thread")
    parser.add_argument("--folder", type=Path, help="keep the fine-tuned model here; otherwise it is deleted")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--store", type=Path, help="store rows and machine in this folder, for the book")
    given = parser.parse_args()
    chosen = {
        name: value for name, value in vars(given).items() if value and name in Sizes.__dataclass_fields__
    }
    sizes = dataclasses.replace(QUICK if given.quick else FULL, **chosen)
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        rows, missing = benchmark(folder, given.parts, given.base, given.model, sizes)
    installed = [module for module in PEERS if importlib.util.find_spec(module)]
    packages = (*PACKAGES, *(PEERS[module].partition("==")[0] for module in installed))
    print("\n".join([report(rows, {}, packages), *missing]))
    if sizes == FULL:
        print("\n".join(ratio_verdicts(rows, LEAST)))
    if given.json:
        write_json(given.json, rows)
    if given.store:
        store(given.store, rows, packages, sys.argv)
    return 0


if __name__ == "__main__":
    end_with_status(main)
