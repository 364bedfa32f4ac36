"""What one graphics card gives: exactness, speed of fine-tuning and scoring, and memory, in at most eight minutes.

    PYTHONPATH=. python benchmarks/gpu.py [--minutes 8] [--parts NAME ...] [--device cuda|cpu] [--quick]
                                          [--work FOLDER] [--json PATH] [--store FOLDER]

From a checkout, with the packaged SmolLM2-135M and nothing fetched. In order of importance:

* `card`: its name and memory, the rate of its products of square matrices in bfloat16 (the best of several), beside
  which all arithmetic is told, and of its memory;
* `exactness`: log-probabilities of realised and all titles in float32, within 1e-3 nats of those on the CPU or
  refused, and the errors of bfloat16;
* `tests`: the tests that need a card, tests/test_cuda.py;
* `fine-tuning-small`: SmolLM2 in full, beside transformers' Trainer in the same run;
* `fine-tuning-large`: the shape of Llama-2-7B (its published sizes, SmolLM2's vocabulary and random weights, made on
  the card; as many layers as fit, told) with weights in bfloat16, moments in 8 bits and activation checkpointing;
* `scoring-small`, `scoring-large`: realised titles of many careers a pass beside one career a pass, and all titles,
  each beside a batched pass over every prompt and title (a sample of them, scaled);
* `quantized-small`, `quantized-large`: 8 and 4 bits beside bfloat16;
* `vllm`: its log-probabilities of prompts, where it is installed.

Each part has a share of the minutes, at the end of which it is stopped. Its rows are kept in the work folder as they
come: the same command goes on with the parts that did not end, and begins anew once all have. Where memory does not
suffice, a part is tried once more at half the size. `--device cpu --quick` tries all of it at tiny sizes.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import hashlib
import importlib
import importlib.util
import json
import multiprocessing
import os
import platform
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from gpu_models import QUICK, Plan, beside_rate
from measurement import Row, end_with_status, report, store, write_json

from labor_llm.errors import InputError, LaborLLMError, MismatchError
from labor_llm.store.artefacts import atomic_path
from labor_llm.store.results import project_root
from labor_llm.store.staleness import code_checksum

# Of the minutes, at most; the sum is more than one, as most parts take less.
SHARES = {
    "card": 0.15, "exactness": 0.25, "tests": 0.35, "fine-tuning-small": 0.25, "fine-tuning-large": 0.25,
    "scoring-small": 0.2, "scoring-large": 0.25, "quantized-small": 0.2, "quantized-large": 0.25, "vllm": 0.35,
}  # fmt: skip
PACKAGES = ("torch", "transformers", "accelerate", "bitsandbytes")


def work(parts: Sequence[tuple[str, Plan]], sender: Connection) -> None:
    """Measure parts one after the other, in a process of its own, and send what each gives as it comes.

    None ends a part. After an error, which is sent too, the card may be in any state, so the process ends.
    """
    os.setsid()  # what a part starts is stopped with it
    measures = importlib.import_module("gpu_parts").MEASURES  # after that, as it takes seconds

    for part, plan in parts:
        print(f"{part} ...", file=sys.stderr, flush=True)
        try:
            for item in measures[part](plan):
                sender.send(item)
        except torch.OutOfMemoryError as error:
            sender.send(MemoryError(str(error).partition("\n")[0]))
            return
        except Exception as error:  # the other parts can do without this one
            traceback.print_exc()
            said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            sender.send(error if isinstance(error, LaborLLMError) else RuntimeError(said))
            return
        sender.send(None)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


@dataclasses.dataclass
class Found:
    """What a part has given.

    Attributes:
        rows: its rows.
        lines: what it says beside them.
        ended: 'done', or why it ended before; empty while it has not.
    """

    rows: list[Row] = dataclasses.field(default_factory=list)
    lines: list[str] = dataclasses.field(default_factory=list)
    ended: str = ""


class Run:
    """Parts, measured within some minutes.

    Attributes:
        found: what each part has given, by name.
        errors: why parts ended, where that was not for time.
    """

    def __init__(self, parts: Sequence[str], plan: Plan, minutes: float, folder: Path, identity: str) -> None:
        self.seconds, self.deadline = 60 * minutes, time.monotonic() + 60 * minutes
        self._folder, self._identity = folder, identity
        self._plans, self._halved = dict.fromkeys(parts, plan), set[str]()
        self.found = {part: self._kept(part) for part in parts}
        self.errors: list[Exception] = []

    def measure(self) -> None:
        """Measure what was not measured before, as far as the time goes."""
        context = multiprocessing.get_context("spawn")
        while waiting := [part for part, found in self.found.items() if not found.ended]:
            if time.monotonic() >= self.deadline:
                for part in waiting:
                    self.found[part].ended = "not reached in the time"
                return
            receiver, sender = context.Pipe(duplex=False)
            parts = [(part, self._plans[part]) for part in waiting]
            process = context.Process(target=work, args=(parts, sender))
            process.start()
            sender.close()
            try:
                # Of a part that failed the process is not used again.
                for part in waiting:
                    if not self._follow(part, receiver):
                        break
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its own, once it has begun
                process.kill()
                process.join()

    def _follow(self, part: str, receiver: Connection) -> bool:
        """Keep what a part gives, and tell whether it has ended as it should."""
        begun, found = time.monotonic(), self.found[part]
        until = min(self.deadline, begun + SHARES[part] * self.seconds)
        while receiver.poll(max(0.0, until - time.monotonic())):
            try:
                item = receiver.recv()
            except EOFError:
                item = RuntimeError("its process was killed")
            if isinstance(item, dict):
                found.rows.append(item)
            elif isinstance(item, str):
                found.lines.append(item)
            elif isinstance(item, MemoryError) and part not in self._halved:
                self._halved.add(part)
                self._plans[part] = self._plans[part].halved()
                self.found[part] = Found([], [f"memory did not suffice ({item}): measured at half the size"])
                return False
            else:
                found.ended = "done" if item is None else str(item)
                self.errors += [] if item is None else [item]
            self._keep(part)
            if found.ended:
                return item is None
        found.ended = f"stopped after {time.monotonic() - begun:.0f} seconds"
        return False

    def _keep(self, part: str) -> None:
        kept = {"identity": self._identity, **dataclasses.asdict(self.found[part])}
        self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self._folder / f"{part}.json") as aside:
            aside.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")

    def _kept(self, part: str) -> Found:
        """Return what an earlier run has found for a part, if that came to its end."""
        with contextlib.suppress(OSError, ValueError):
            kept = json.loads((self._folder / f"{part}.json").read_text(encoding="utf-8"))
            if kept.pop("identity") == self._identity and kept["ended"] == "done":
                print(f"{part}: kept from before", file=sys.stderr)
                return Found(**kept)
        return Found()

    def forget(self) -> None:
        """Remove what is kept, if all parts are done."""
        if all(found.ended == "done" for found in self.found.values()):
            for part in self.found:
                (self._folder / f"{part}.json").unlink(missing_ok=True)

    def rows(self) -> list[Row]:
        """Return the rows of all parts, arithmetic beside the card's rate."""
        return beside_rate([each for found in self.found.values() for each in found.rows])

    def lines(self) -> list[str]:
        """Return what there is to say of each part beside its rows."""
        said = []
        for part, found in self.found.items():
            ended = [] if found.ended == "done" else [found.ended]
            said += [f"{part}: {line}" for line in (*found.lines, *ended)]
        return said


def main() -> int:
    """Run the benchmark as the command line says, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=8.0, help="all parts take at most (8)")
    parser.add_argument("--parts", nargs="+", choices=SHARES, default=list(SHARES), help="all if not given")
    parser.add_argument(
        "--device", choices=("cuda", "cpu"), default="cuda", help="the CPU to try the program"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes")
    parser.add_argument("--work", type=Path, help="keep what was measured here (results/gpu_benchmark)")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--store", type=Path, help="store rows and machine in this folder, for the book")
    given = parser.parse_args()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    # Before PyTorch looks for cards: Trainer would use all there are, and the package one where there is one.
    os.environ["CUDA_VISIBLE_DEVICES"] = visible if given.device == "cuda" else ""
    if given.device == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "PyTorch sees no card. Run it on a machine with a GPU and PyTorch's build for it, or try it with "
            "--device cpu --quick."
        )
    sums = [code_checksum(path) for path in sorted(Path(__file__).parent.glob("*.py"))]
    about = [given.device, given.quick, platform.node(), visible, torch.__version__, *sums]
    folder = given.work or project_root() / "results" / "gpu_benchmark"
    identity = hashlib.sha256(json.dumps(about).encode()).hexdigest()
    run = Run(given.parts, QUICK if given.quick else Plan(), given.minutes, folder, identity)
    # Ended from outside, it ends its own process too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    run.measure()
    rows = run.rows()
    packages = [*PACKAGES, *(["vllm"] if importlib.util.find_spec("vllm") else [])]
    print("\n".join([report(rows, {}, packages) if rows else "nothing was measured", *run.lines()]))
    if given.json:
        write_json(given.json, rows)
    for error in run.errors:
        if isinstance(error, MismatchError):
            raise error  # wrong numbers are not stored
    if given.store:
        store(given.store, rows, packages, sys.argv)
    run.forget()
    failed = any(each["name"].endswith("failed") and each["value"] for each in rows)
    return int(failed or bool(run.errors))


if __name__ == "__main__":
    end_with_status(main)
