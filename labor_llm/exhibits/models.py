"""Tables about single models: what they were given, how they were trained and tuned, what was scored, what it costs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from labor_llm.careers.panel import SPLITS, TRANSITION_TYPES, CareerPanel
from labor_llm.careers.predictions import UNRESOLVED, Predictions
from labor_llm.disclosure import MINIMUM_PERSONS, supported_quantile
from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import find_exhibit
from labor_llm.exhibits.formatting import DisplayTable, DisplayText, blank, format_value, table
from labor_llm.models.memory import recipe_table
from labor_llm.store.artefacts import verify
from labor_llm.store.results import project_root
from labor_llm.text.settings import ResumeSettings
from labor_llm.text.variants import TITLE_FORMS, variant_of

# At run time transformers and scikit-learn would be imported for tables of careers.
if TYPE_CHECKING:
    from labor_llm.baselines.registry import Baseline
    from labor_llm.finetuning.settings import FineTuningSettings
    from labor_llm.models.loading import LanguageModel
    from labor_llm.text.tokenization import EncodedResume

_TITLES_SHOWN = 6
# Between what was measured and what it was measured beside.
_BESIDE = "; peer "


def split_description(panel: CareerPanel, splits: Mapping[str, str]) -> DisplayTable:
    """Count the workers and records of each split."""
    by_split = panel.frame.groupby(panel.frame["worker_id"].map(splits))["worker_id"].agg(["nunique", "size"])
    rows = by_split.reindex(SPLITS).rename_axis("split").reset_index()
    # A split is drawn at random, so its size tells nothing about a person: all workers stand behind it.
    return table("tab-splits", rows, persons=len(panel.workers))


def resume_lengths(encoded: Sequence[EncodedResume], titles: Sequence[Sequence[int]]) -> DisplayTable:
    """Describe how many tokens the resumes of all workers and the titles have, quantiles of resumes rounded to ten.

    `titles` are the token ids of every title with its end of line.
    """
    lengths = pd.Series([len(resume.ids) for resume in encoded])
    inner = {tuple(title[:length]) for title in titles for length in range(1, len(title))}
    rows = {
        "Resumes": len(encoded),
        "Tokens of all resumes": int(lengths.sum()),
        "Tokens of a resume, mean": float(lengths.mean()),
    }
    for level in (5, 50, 95):
        length = supported_quantile(lengths, lengths.index.to_series(), level / 100)
        rounded = length if np.isnan(length) else int(np.round(length, -1))
        rows[f"Tokens of a resume, {level} % quantile"] = rounded
    rows |= {
        "Titles": len(titles),
        "Tokens of a title, mean": float(np.mean([len(title) for title in titles])),
        "Tokens of a title, longest": max(len(title) for title in titles),
        "Tokens to be run for all titles of a record": len(inner),
    }
    values = pd.Series(list(rows.values()), dtype=object)
    frame = pd.DataFrame({"Characteristic": list(rows), "Value": values})
    return DisplayTable("tab-resume-lengths", frame, len(encoded), {"Value": ".1f"})


def title_examples(panel: CareerPanel, seed: int) -> DisplayTable:
    """Show what a model was given: some titles, evenly spread over the panel's outcome space, in every form.

    The seed is of numbers, wordings and places; none of the workers is used.
    """
    places = np.unique(np.linspace(0, len(panel.outcomes) - 1, _TITLES_SHOWN, dtype=int))
    forms = {form: variant_of(panel, ResumeSettings(titles=form, seed=seed)).outcomes for form in TITLE_FORMS}
    columns = {form.capitalize(): [own.titles[place] for place in places] for form, own in forms.items()}
    return DisplayTable("tab-title-forms", pd.DataFrame(columns), "none")


def fine_tuning_settings(base: str, settings: FineTuningSettings) -> DisplayTable:
    """List the base model (of a folder the name alone) and every setting; those of the adapter if there is one."""
    values = {"base model": Path(base).name, **settings.model_dump()}
    if settings.method == "full":
        adapter = ("lora", "quantization")
        values = {name: value for name, value in values.items() if not name.startswith(adapter)}
    rows = [
        (name.replace("_", " "), f"{value:g}" if isinstance(value, float) else str(value))
        for name, value in values.items()
    ]
    return DisplayTable("tab-fine-tuning-settings", pd.DataFrame(rows, columns=["Setting", "Value"]), "none")


def kept_checkpoint(curve: pd.DataFrame, workers: int, tried: Mapping[str, float]) -> DisplayText:
    """Say after how many steps the checkpoint that is kept was taken, from `finetuning.fit.read_learning_curve`.

    `workers` stand behind the validation loss; of several schedules `tried` has that of each, as
    `finetuning.fit.validation_losses` returns it.
    """
    kept = curve[curve["kept"] & (curve["split"] == "validation")].iloc[0]
    words = (
        f"The checkpoint after {int(kept['step']):,} steps ({kept['epoch']:.2f} epochs) is kept, with a validation "
        f"loss of {kept['loss']:.4f} nats per token."
    )
    if tried:
        losses = ", ".join(f"{loss:.4f} in {epochs} epochs" for epochs, loss in tried.items())
        words += f" It is of the schedule with the lowest one: {losses}."
    return DisplayText(words, workers)


def scored_transitions(predictions: Predictions) -> DisplayTable:
    """Describe predictions by type of transition: mean log-probability and mean valid mass.

    If a type rests on too few workers no type is shown, as it could be computed from the others and the total.
    """
    scored = predictions.table.assign(mass=np.exp(predictions.table["log_valid_mass"]))
    means = [name for name in ("log_prob", "mass", UNRESOLVED) if name in scored]
    groups = {kind: scored[scored["transition_type"] == kind] for kind in TRANSITION_TYPES} | {"all": scored}
    rows = []
    for kind, part in groups.items():
        # The smaller basis of the row are those with a valid mass, unless nobody has one.
        with_mass = part.loc[part["mass"].notna(), "worker_id"].nunique()
        row = {"kind": kind, "number": len(part), "in_full": int(part["mass"].notna().sum())}
        rows.append(row | {**part[means].mean(), "workers": with_mass or part["worker_id"].nunique()})
    frame = pd.DataFrame(rows)
    frame = frame[frame["number"] > 0]
    few = (frame["workers"] < MINIMUM_PERSONS).any()
    return table("tab-scored-transitions", frame[frame["kind"] == "all"] if few else frame)


def scoring_checks(scorer: LanguageModel, panel: CareerPanel) -> DisplayText:
    """Say how far the fast scorer is from the plain one, and its arithmetic from float32, on an invented worker.

    Outcome space and form of careers are those of the panel; none of its workers is used.
    """
    from labor_llm.scoring.trials import error_sentence, largest_disagreement, score_invented_worker

    scored = score_invented_worker(scorer, panel)
    difference = format_value(largest_disagreement(scorer, panel, scored), ".1e")
    words = f"The largest difference between the two is {difference} nats."
    return DisplayText(f"{words} {error_sentence(scorer, panel, scored)}", "none")


def baseline_tuning(fitted: Mapping[str, Baseline], validation_workers: int) -> DisplayTable:
    """List what the validation workers chose for each fitted baseline, and the best and the worst of its grid."""
    rows = []
    for model in fitted.values():
        grid = model.validation_perplexity_["validation_perplexity"]
        rows.append((model.name, model.chosen, len(grid), model.chosen_perplexity, grid.max()))
    frame = pd.DataFrame(rows, columns=["name", "chosen", "candidates", "best", "worst"])
    return table("tab-baseline-tuning", frame, persons=validation_workers)


def embedding_tuning(tried: pd.DataFrame, validation_workers: int) -> DisplayTable:
    """List the penalties that were tried for the logit on embeddings, and mark the one that is kept.

    Rows are as `labor_llm.baselines.embedding_logit.stored_tuning` returns them.
    """
    rows = tried.assign(
        regularisation=[f"{value:g}" for value in tried["regularisation"]],
        kept=["yes" if kept else "" for kept in tried["kept"]],
    )
    return table("tab-embedding-tuning", rows, persons=validation_workers)


def benchmark_table(exhibit: str, folder: str | Path) -> DisplayTable:
    """Show what a benchmark measured, one row a quantity, with the machine that it ran on in the note.

    Beside each value stands what it was compared with, in the same run, and the ratio: how many times the peer's time
    or memory, or of speeds how many times the peer's speed; empty where nothing was compared.

    Args:
        exhibit: id of the table.
        folder: what `python benchmarks/<name>.py --store FOLDER` stored; a relative one is taken from the checkout.

    Returns:
        The table; without rows if nothing is stored there and the catalogue has a sentence for that.

    Raises:
        ArtefactError: if nothing is stored there, or it was changed.
    """
    stored = project_root() / folder
    if not stored.is_dir():
        if find_exhibit(exhibit, "table").empty:
            return table(exhibit, pd.DataFrame(), persons="none")
        raise ArtefactError(
            f"{stored}: no benchmark is stored there. Run `python benchmarks/<name>.py --store {stored}`."
        )
    command = verify(stored)["parameters"]["command"]
    rows, machine = (json.loads((stored / name).read_text("utf-8")) for name in ("rows.json", "machine.json"))
    rows = pd.DataFrame(rows).astype(dict.fromkeys(("value", "peer", "ratio"), float))
    rows[["measured", "_", "beside"]] = rows["name"].str.partition(_BESIDE)
    rows = rows.assign(peer=blank(rows["peer"]), ratio=blank(rows["ratio"]))
    about = {**machine, "command": " ".join(map(str, command))}
    return table(exhibit, rows, persons="none", numbers=about)


def memory_table(sizes: Sequence[str], tokens: int) -> DisplayTable:
    """List the memory that the recipes for Llama-2 take on each GPU of 80 GB, in GiB.

    `sizes` are those of `labor_llm.models.memory.LLAMA_2`, `tokens` run at once on each GPU.
    """
    rows = pd.concat([recipe_table(size, tokens).assign(size=size.upper()) for size in sizes])
    rows["recipe"] = "Llama-2-" + rows["size"] + ": " + rows["recipe"]
    rows["fits"] = rows["fits"].map({True: "yes", False: "no"})
    return table("tab-memory", rows, persons="none", numbers={"tokens": tokens})
