"""Tables about single models: what they were given, how they were trained and tuned, what was scored.

Each function returns a `DisplayTable` as it is to be read, see `labor_llm.exhibits.tables`.

Tables of stored benchmarks, and of the memory that models need.

Some titles of an outcome space in every form, so that a reader sees what a model was given.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from labor_llm.careers.panel import SPLITS, TRANSITION_TYPES, CareerPanel
from labor_llm.careers.predictions import UNRESOLVED, Predictions
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.errors import ArtefactError
from labor_llm.exhibits.tables import DisplayTable
from labor_llm.models.memory import recipe_table
from labor_llm.store.artefacts import verify
from labor_llm.text.variants import TITLE_FORMS, CareerVariant

if TYPE_CHECKING:
    from labor_llm.baselines.registry import Baseline
    from labor_llm.finetuning.settings import FineTuningSettings
    from labor_llm.text.tokenization import EncodedResume


# Named in signatures alone: at run time transformers and scikit-learn would be imported for tables of careers.


def split_description(panel: CareerPanel, splits: Mapping[str, str]) -> DisplayTable:
    """Count the workers and records of each split."""
    by_split = panel.frame.groupby(panel.frame["worker_id"].map(splits))["worker_id"].agg(["nunique", "size"])
    counts = by_split.reindex(SPLITS)
    frame = pd.DataFrame(
        {"Split": SPLITS, "Workers": counts["nunique"].to_numpy(), "Records": counts["size"].to_numpy()}
    )
    # A split is drawn at random, so its size tells nothing about a person: all workers stand behind it.
    return DisplayTable(frame, pd.Series([len(panel.workers)] * len(frame)))


def resume_lengths(encoded: Sequence[EncodedResume], titles: Sequence[Sequence[int]]) -> DisplayTable:
    """Describe how many tokens resumes and titles have, quantiles of resumes rounded to ten.

    Args:
        encoded: the resumes of all workers.
        titles: token ids of every title with its end of line.
    """
    lengths = np.array([len(resume.ids) for resume in encoded])
    inner = {tuple(title[:length]) for title in titles for length in range(1, len(title))}
    quantiles = {
        f"Tokens of a resume, {level} % quantile": np.round(np.percentile(lengths, level), -1)
        for level in (5, 50, 95)
    }
    rows = {
        "Resumes": len(encoded),
        "Tokens of all resumes": int(lengths.sum()),
        "Tokens of a resume, mean": float(lengths.mean()),
        **{name: int(value) for name, value in quantiles.items()},
        "Titles": len(titles),
        "Tokens of a title, mean": float(np.mean([len(title) for title in titles])),
        "Tokens of a title, longest": max(len(title) for title in titles),
        "Tokens to be run for all titles of a record": len(inner),
    }
    frame = pd.DataFrame(
        {"Characteristic": list(rows), "Value": pd.Series(list(rows.values()), dtype=object)}
    )
    return DisplayTable(frame, pd.Series([len(encoded)] * len(frame)), {"Value": ".1f"})


def fine_tuning_settings(base: str, settings: FineTuningSettings) -> pd.DataFrame:
    """List the base model (of a folder the name alone) and every setting; those of the adapter if there is one."""
    values = {"base model": Path(base).name, **settings.model_dump()}
    if settings.method == "full":
        values = {
            name: value for name, value in values.items() if not name.startswith(("lora", "quantization"))
        }
    names = [name.replace("_", " ") for name in values]
    return pd.DataFrame(
        {
            "Setting": names,
            "Value": [f"{value:g}" if isinstance(value, float) else str(value) for value in values.values()],
        }
    )


def scored_transitions(predictions: Predictions) -> DisplayTable:
    """Describe predictions by type of transition: mean log-probability and mean valid mass.

    If a type rests on too few workers no type is shown, as it could be computed from the others and the total.
    """
    table = predictions.table.assign(mass=np.exp(predictions.table["log_valid_mass"]))
    groups = [(kind, table[table["transition_type"] == kind]) for kind in TRANSITION_TYPES]
    groups = [(kind, part) for kind, part in groups if len(part)]
    if any(_fewest_workers(part) < MINIMUM_PERSONS for _, part in groups):
        groups = []
    groups.append(("all", table))
    frame = pd.DataFrame(
        {
            "Transitions": [kind for kind, _ in groups],
            "Number": [len(part) for _, part in groups],
            "Mean log-probability": [part["log_prob"].mean() for _, part in groups],
            "Scored for all titles": [int(part["mass"].notna().sum()) for _, part in groups],
            "Mean valid mass": [part["mass"].mean() for _, part in groups],
        }
    )
    formats = {"Mean log-probability": ".3f", "Mean valid mass": ".3g"}
    if UNRESOLVED in table:
        frame["Mean unresolved, at most"] = [part[UNRESOLVED].mean() for _, part in groups]
        formats["Mean unresolved, at most"] = ".2g"
    workers = [_fewest_workers(part) for _, part in groups]
    return DisplayTable(frame, pd.Series(workers), formats)


def _fewest_workers(part: pd.DataFrame) -> int:
    """Return the workers behind the smaller basis of a row: those with a valid mass, unless nobody has one."""
    with_mass = part.loc[part["mass"].notna(), "worker_id"].nunique()
    return int(with_mass or part["worker_id"].nunique())


def baseline_tuning(fitted: Mapping[str, Baseline], validation_workers: int) -> DisplayTable:
    """List what the validation workers chose for each baseline, and the best and the worst of its grid.

    Args:
        fitted: fitted baselines.
        validation_workers: how many workers the choice rests on.
    """
    rows = []
    for model in fitted.values():
        grid = model.validation_perplexity_["validation_perplexity"]
        rows.append(
            {
                "Baseline": model.name,
                "Chosen": model.chosen,
                "Candidates": len(grid),
                "Validation perplexity": grid.min(),
                "Worst candidate": grid.max(),
            }
        )
    frame = pd.DataFrame(rows)
    formats = {"Validation perplexity": ".2f", "Worst candidate": ".2f"}
    return DisplayTable(frame, pd.Series([validation_workers] * len(frame)), formats)


def embedding_tuning(tried: pd.DataFrame, validation_workers: int) -> DisplayTable:
    """List the penalties that were tried for the logit on embeddings, and mark the one that is kept.

    Args:
        tried: as `labor_llm.baselines.registry.embedding_logit.stored_tuning` returns it.
        validation_workers: how many workers the choice rests on.
    """
    kept = tried["validation_perplexity"].idxmin()
    frame = pd.DataFrame(
        {
            "C": [f"{value:g}" for value in tried["regularisation"]],
            "Iterations": tried["iterations"],
            "Validation perplexity": tried["validation_perplexity"],
            "Kept": ["yes" if row == kept else "" for row in tried.index],
        }
    )
    return DisplayTable(frame, pd.Series([validation_workers] * len(frame)), {"Validation perplexity": ".2f"})


# Between what was measured and what it was measured beside.
_BESIDE = "; peer "
MEMORY_PARTS = {
    "weights": "Weights",
    "gradients": "Gradients",
    "optimizer": "Optimizer",
    "activations": "Activations",
    "logits": "Logits",
    "keys_values": "Keys and values",
    "total": "Total",
}


def benchmark_table(folder: Path) -> pd.DataFrame:
    """Return what a benchmark measured, one row a quantity.

    Args:
        folder: what `python benchmarks/<name>.py --store FOLDER` stored.

    Returns:
        Columns `Measured`, `Value`, `Unit`, `Beside` (what it was compared with, in the same run), `Its value` and
        `Ratio` (how many times the peer's time or memory, or of speeds how many times the peer's speed); empty text
        where nothing was compared.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    rows = pd.DataFrame(json.loads(_stored(folder, "rows.json")))
    names = rows["name"].str.partition(_BESIDE)
    return pd.DataFrame(
        {
            "Measured": names[0],
            "Value": rows["value"].astype(float),
            "Unit": rows["unit"],
            "Beside": names[2],
            "Its value": _or_empty(rows["peer"]),
            "Ratio": _or_empty(rows["ratio"]),
        }
    )


def benchmark_machine(folder: Path) -> dict[str, str]:
    """Return on what a stored benchmark ran: `processor`, `cores`, `memory`, `platform`, `date`, `versions`, `command`.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    command = verify(folder)["parameters"]["command"]
    machine: dict[str, str] = json.loads(_stored(folder, "machine.json"))
    return {**machine, "command": " ".join(map(str, command))}


def memory_table(sizes: Sequence[str], tokens: int) -> pd.DataFrame:
    """Return the memory that the recipes for Llama-2 take on each GPU of 80 GB.

    Args:
        sizes: of `labor_llm.models.memory.LLAMA_2`.
        tokens: run at once on each GPU.

    Returns:
        Columns `Recipe`, `GPUs`, the parts of the memory and `Total` in GiB, and `Fits`.
    """
    tables = []
    for size in sizes:
        table = recipe_table(size, tokens)
        shown = pd.DataFrame({"Recipe": f"Llama-2-{size.upper()}: " + table["recipe"], "GPUs": table["gpus"]})
        for part, column in MEMORY_PARTS.items():
            shown[column] = table[part]
        tables.append(shown.assign(Fits=table["fits"].map({True: "yes", False: "no"})))
    return pd.concat(tables, ignore_index=True)


def _or_empty(values: pd.Series) -> pd.Series:
    numbers = values.astype(float)
    return numbers.astype(object).where(numbers.notna(), "")


def _stored(folder: Path, name: str) -> str:
    if not Path(folder).is_dir():
        raise ArtefactError(
            f"{folder}: no benchmark is stored there. Run `python benchmarks/<name>.py --store {folder}`."
        )
    verify(folder)
    return (Path(folder) / name).read_text(encoding="utf-8")


_SHOWN = 6


def title_examples(panel: CareerPanel, seed: int) -> pd.DataFrame:
    """Return some titles, evenly spread over the outcome space, one column a form.

    Args:
        panel: its outcome space is used, none of its workers.
        seed: of numbers, wordings and places.
    """
    places = np.unique(np.linspace(0, len(panel.outcomes) - 1, _SHOWN, dtype=int))
    titles = {form: CareerVariant(form, seed).of(panel).outcomes.titles for form in TITLE_FORMS}
    return pd.DataFrame(
        {form.capitalize(): [texts[place] for place in places] for form, texts in titles.items()}
    )
