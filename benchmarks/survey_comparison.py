"""Models on a part of a real survey: conversion, fine-tuning, baselines, CAREER with and without transfer.

    python benchmarks/survey_comparison.py --raw FOLDER --crosswalks FOLDER --work FOLDER --store FOLDER

Takes a random part of the survey's workers, fine-tunes the packaged language model on those in training, fits the
baselines and CAREER on the same workers, and compares all on the test workers: perplexities with their test-set
bootstrap standard errors, and differences paired on the same draws. CAREER with transfer is first trained on
simulated workers of the other two surveys, with the same occupations.

At the sizes given here it takes some hours on two cores. Each step is kept in the work folder and not done twice, so
that an interrupted run goes on; the work folder holds person-level records and probabilities. What `--store` writes
holds aggregates only, and a chapter of the book shows it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measurement import machine

from labor_llm.baselines import registry as baselines
from labor_llm.baselines.career import Career, fit_career
from labor_llm.baselines.registry import Baseline, new_baseline
from labor_llm.baselines.settings import BASELINES, CareerSettings
from labor_llm.careers.panel import CareerPanel, read_panel, split_workers, write_panel
from labor_llm.careers.predictions import Predictions, read_predictions, write_predictions
from labor_llm.careers.samples import training_careers
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import InputError, LaborLLMError, MismatchError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits.report import read_comparison
from labor_llm.finetuning.fit import fine_tune
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
from labor_llm.store.artefacts import verify, writing
from labor_llm.store.staleness import code_checksum
from labor_llm.surveys.conversion import SURVEYS, convert_survey

PLAIN = (
    "empirical-transitions",
    "second-order-transitions",
    "multinomial-logit",
    "two-stage-logit",
    "bag-of-jobs",
)
CAREER = CareerSettings(
    layers=2, width=128, heads=2, inner_width=512, dropout=0.3, epochs=60, learning_rate=1e-3, warmup_steps=100,
    weight_decay=0.3,
)  # fmt: skip
TRANSFER = "CAREER, transfer"
# Of the bootstrap samples.
DRAWS_SEED = 1
BASE, LABEL = "smollm2-135m-instruct", "SmolLM2-135M"
PACKAGES = ("labor_llm", "numpy", "pandas", "scikit-learn", "torch", "transformers")


def sampled_panel(arguments: argparse.Namespace) -> tuple[CareerPanel, dict[str, str]]:
    """Convert the survey and return a random part of its workers with their splits, both stored."""
    folder, wanted = arguments.work / "panel", {name: getattr(arguments, name) for name in SPLITS}
    asked = {**wanted, "reader": arguments.survey, "seed": arguments.seed}
    if not _is_stored(folder, asked):
        whole, _ = convert_survey(
            arguments.survey,
            arguments.raw,
            arguments.crosswalks,
            arguments.survey,
            column_map=arguments.column_map,
            other_crosswalks=arguments.other_crosswalks,
        )
        splits = split_workers(whole, arguments.seed)
        generator, chosen = np.random.default_rng(arguments.seed), {}
        for split, number in wanted.items():
            workers = sorted(worker for worker, part in splits.items() if part == split)
            if number > len(workers):
                raise InputError(f"--{split} {number}: the survey has {len(workers)} such workers.")
            chosen |= dict.fromkeys(map(str, generator.choice(workers, number, replace=False)), split)
        write_panel(folder, whole.restrict(chosen), chosen, asked)
    return read_panel(folder)


def simulated_panels(arguments: argparse.Namespace) -> list[CareerPanel]:
    """Return careers of simulated workers of the other surveys."""
    panels = []
    for survey in sorted(set(SURVEYS) - {arguments.survey}):
        folder, name = arguments.work / f"simulated_{survey}", f"simulated {SURVEYS[survey].name}"
        write_simulated_survey(folder, survey, arguments.simulated, arguments.seed)
        panel, _ = convert_survey(
            survey,
            folder / RAW,
            folder / CROSSWALKS,
            f"simulated_{survey}",
            other_crosswalks=True,
            survey_name=name,
        )
        panels.append(panel)
    return panels


def transferred(arguments: argparse.Namespace) -> Path:
    """Return the folder of CAREER trained on simulated workers."""
    panels = simulated_panels(arguments)
    splits = [split_workers(panel, arguments.seed) for panel in panels]
    train, validation = (
        [panel.split(split, part) for panel, split in zip(panels, splits, strict=True)]
        for part in ("train", "validation")
    )
    return fit_career(train, validation, CAREER, arguments.work / "career_simulated")


def fine_tuned(arguments: argparse.Namespace) -> str:
    """Return what tables call the fine-tuned model."""
    return f"{arguments.label}, fine-tuned"


def all_predictions(arguments: argparse.Namespace) -> list[Predictions]:
    """Return the predictions of every model for the test workers, in the order of the tables."""
    panel, splits = sampled_panel(arguments)
    work = arguments.work
    models: dict[str, Callable[[], Baseline]] = {
        BASELINES[name]: lambda name=name: new_baseline(name) for name in PLAIN
    }
    models["CAREER"] = lambda: Career(CAREER, work / "career", name="CAREER")
    models[TRANSFER] = lambda: Career(
        CAREER.model_copy(update={"learning_rate": CAREER.learning_rate / 3}), work / "career_transfer",
        transferred(arguments), name=TRANSFER,
    )  # fmt: skip
    results = [_baseline_predictions(name, make, panel, splits, arguments) for name, make in models.items()]
    settings = FineTuningSettings(
        epochs=arguments.epochs, learning_rate=arguments.learning_rate, batch_size=arguments.batch_size,
        evaluations_per_epoch=4, seed=1,
    )  # fmt: skip
    inputs = {"panel": work / "panel"}
    careers = training_careers(panel, splits)
    tuned = fine_tune(arguments.base, careers, settings, work / "fine_tuned", inputs)
    test = panel.split(splits, "test")
    results.append(
        score_panel(
            test,
            str(tuned),
            fine_tuned(arguments),
            work / "scored",
            ScoringSettings(titles="realised"),
            inputs={**inputs, "model": tuned},
        )
    )
    return results


def store(arguments: argparse.Namespace, predictions: list[Predictions]) -> None:
    """Compare the models with the fine-tuned one, and store what is no person's."""
    panel, splits = sampled_panel(arguments)
    workers = {split: len(panel.split(splits, split).workers) for split in SPLITS}
    about = {
        **machine(PACKAGES),
        "dataset": panel.dataset,
        "survey": SURVEYS[arguments.survey].name,
        **workers,
    }
    told = ("base", "simulated", "epochs", "learning_rate", "batch_size", "seed")
    about |= {name: getattr(arguments, name) for name in told}
    store_comparison(arguments.store, predictions, fine_tuned(arguments), about, arguments.draws)


def store_comparison(
    folder: Path, predictions: Sequence[Predictions], reference: str, about: Mapping[str, Any], draws: int
) -> None:
    """Compare models with a reference on the same transitions, and store the aggregates and what they depend on.

    Raises:
        InputError: if a number would rest on fewer than 11 workers; and as `bootstrap_differences`.
    """
    tables = {
        "perplexity": bootstrap_perplexity(predictions, draws, DRAWS_SEED),
        "by_type": bootstrap_perplexity(predictions, draws, DRAWS_SEED, by="transition_type"),
        "differences": bootstrap_differences(predictions, reference, draws, DRAWS_SEED),
    }
    for name, rows in tables.items():
        # Not left out: the number of one group follows from those of all others and the total.
        if (fewest := int(rows["workers"].min())) < MINIMUM_PERSONS:
            raise InputError(
                f"{name}: a number rests on {fewest} workers; {MINIMUM_PERSONS} or more must stand behind each. "
                "Compare the models on more test workers."
            )
    told = {**about, "reference": reference, "draws": draws}
    with writing(folder, {"tables": list(tables)}) as aside:
        for name, rows in tables.items():
            rows.to_csv(aside / f"{name}.csv", index=False)
        (aside / "about.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _baseline_predictions(
    name: str,
    make: Callable[[], Baseline],
    panel: CareerPanel,
    splits: Mapping[str, str],
    arguments: argparse.Namespace,
) -> Predictions:
    work = arguments.work
    folder = work / "predictions" / name.lower().replace(", ", "_").replace(" ", "_").replace("-", "_")
    asked = {
        "model": name,
        "panel": verify(work / "panel")["files"]["panel.parquet"]["sha256"],
        "code": code_checksum(baselines.__file__),
    }
    if name.startswith("CAREER"):
        asked |= {"settings": CAREER.model_dump()}
    if name == TRANSFER:
        asked |= {"simulated": arguments.simulated, "seed": arguments.seed}
    if not _is_stored(folder, asked):
        train, validation, test = (panel.split(splits, part) for part in SPLITS)
        model = make().fit(train, validation)
        print(f"{name}: {model.chosen}", file=sys.stderr, flush=True)
        predicted = model.predict(test)
        # The probabilities of all titles take gigabytes and are not compared here.
        write_predictions(folder, Predictions(predicted.model, predicted.table, predicted.outcomes), asked)
    return read_predictions(folder)


def _is_stored(folder: Path, asked: Mapping[str, Any]) -> bool:
    """Return whether the artefact is there.

    Raises:
        MismatchError: if it was made by another request.
    """
    if not folder.exists():
        return False
    stored = verify(folder)["parameters"]
    if any(stored.get(key) != value for key, value in asked.items()):
        raise MismatchError(f"{folder}: it was made with other arguments. Give another --work, or remove it.")
    return True


SPLITS = {"train": 4200, "validation": 250, "test": 1600}


def main() -> None:
    """Run all steps that are not done yet, print the comparison and store it if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--survey", choices=sorted(SURVEYS), default="nlsy79")
    parser.add_argument("--raw", type=Path, required=True, help="the survey's files")
    parser.add_argument("--crosswalks", type=Path, required=True, help="Dorn's crosswalks")
    parser.add_argument(
        "--column-map", type=Path, help="as `labor-llm convert` takes it, for files named otherwise"
    )
    parser.add_argument("--other-crosswalks", action="store_true", help="accept crosswalks of other versions")
    parser.add_argument(
        "--work", type=Path, required=True, help="where every step is kept: person-level, private"
    )
    for split, number in SPLITS.items():
        parser.add_argument(f"--{split}", type=int, default=number, help=f"{split} workers")
    parser.add_argument("--simulated", type=int, default=4000, help="simulated workers of each other survey")
    parser.add_argument("--base", default=BASE, help="packaged model, folder or hub id that is fine-tuned")
    parser.add_argument("--label", default=LABEL, help="what tables call it")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument("--batch-size", type=int, default=4, help="careers a step")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="of splits, samples and simulated workers")
    parser.add_argument("--store", type=Path, required=True, help="folder for the aggregates")
    arguments = parser.parse_args()
    try:
        store(arguments, all_predictions(arguments))
    except LaborLLMError as error:
        sys.exit(f"survey_comparison: {error}")
    comparison = read_comparison(arguments.store)
    for table in (comparison.perplexity, comparison.by_type, comparison.differences):
        print(f"\n{table.round(3).to_string(index=False)}")


if __name__ == "__main__":
    main()
