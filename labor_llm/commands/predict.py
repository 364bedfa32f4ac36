"""The command that asks a model of a finished run for the next job of a career which is typed or in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from labor_llm.careers.settings import STATIC
from labor_llm.errors import ArtefactError, InputError

_SHOWN, _BAR = 10, 30


def predict(
    profile: Annotated[str, typer.Option(help="Of the run: its name, or path of a YAML file.")] = "demo",
    model: Annotated[str, typer.Option(help="Language model or baseline; the fine-tuned if empty.")] = "",
    dataset: Annotated[str, typer.Option(help="Of the profile, its first if empty.")] = "",
    job: Annotated[
        list[str] | None, typer.Option(help="'1990: Cooks' or '1990 (college): Cooks'; may be repeated.")
    ] = None,
    about: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE of education, gender, ethnicity, region, birth_year.")
    ] = None,
    careers: Annotated[str, typer.Option(help="CSV with a panel's columns, instead of typed jobs.")] = "",
    year: Annotated[int, typer.Option(min=0, help="Of the next job; 0 for the one after the last.")] = 0,
    results: Annotated[str, typer.Option(help="Folder of the run; that of the profile if empty.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs: all titles, as JSON.")] = False,
) -> None:
    """Say the ten most likely next jobs of a career; it is not stored. Baselines but CAREER are fitted anew."""
    from labor_llm.baselines.registry import fit_baselines_again
    from labor_llm.baselines.settings import CAREER
    from labor_llm.careers.next_jobs import likely_next_jobs, next_job_questions, typed_records
    from labor_llm.careers.panel import COLUMNS, read_panel
    from labor_llm.careers.tables import read_table
    from labor_llm.store.artefacts import MANIFEST
    from labor_llm.store.results import open_results
    from labor_llm.workflow.profile import load_profile

    if careers and (job or about):
        raise InputError(f"{careers} holds whole careers: leave out --careers, or --job and --about.")
    chosen = load_profile(profile)
    folders, dataset = open_results(results or chosen.results), dataset or next(iter(chosen.datasets))
    if dataset not in chosen.datasets:
        raise InputError(f"--dataset {dataset}: {profile} has only {', '.join(chosen.datasets)}.")
    model = model or chosen.fine_tuned
    models = [name for name in chosen.language_models if dataset in chosen.datasets_of(name)]
    if model not in (models := [*models, *chosen.baselines]):
        raise InputError(f"--model {model}: {profile} has on {dataset} only {', '.join(models)}.")
    entry = chosen.language_models.get(model)
    tuned, stored = folders.model(dataset, model), folders.predictions(dataset, model)
    made = tuned if model == CAREER or (entry and entry.fine_tuning) else stored
    if not (made / MANIFEST).is_file():
        raise ArtefactError(f"{made}: not made yet. Run `labor-llm replicate --profile {profile}` first.")
    panel, splits = read_panel(folders.panel(dataset))
    if careers:
        records = read_table(Path(careers), COLUMNS)
        records.index = [f"{careers}, row {row + 2}" for row in records.index]
    else:
        records = typed_records(job or (), about or (), panel)
    asked = next_job_questions(records, panel, careers or "the typed career", year)
    if entry:
        from labor_llm.models.loading import load_language_model
        from labor_llm.scoring.last_records import LastRecordScorer
        from labor_llm.text.variants import variant_of

        # As in the run: the same resumes, prompt and arithmetic.
        settings = entry.scoring(chosen.datasets[dataset], chosen.sizes)
        preamble = entry.prompt.preamble(variant_of(panel, entry.resumes), splits).text
        base = tuned if entry.fine_tuning else entry.base
        loaded = load_language_model(base, settings.dtype, settings.quantization)
        scorer = LastRecordScorer(loaded, entry.label, settings, preamble)
        predictions = scorer.predict(variant_of(asked, entry.resumes))
    elif model == CAREER:
        from labor_llm.baselines.career import Career

        predictions = Career().load(made).predict(asked)
    else:
        predictions = fit_baselines_again([model], panel, splits, folders)[model].predict(asked)
    found = likely_next_jobs(predictions, asked)
    told = json.dumps({"model": model, "dataset": dataset, "careers": found}, indent=1)
    typer.echo(told if as_json else "\n\n".join(_block(predictions.model, career) for career in found))


def _block(model: str, career: dict[str, Any]) -> str:
    """Return who is asked about, a line a job with its probability and a bar, and what all titles have together."""
    jobs, total = career["jobs"][:_SHOWN], sum(job["probability"] for job in career["jobs"])
    about = [str(career[name]) for name in ("education", *STATIC) if career[name]]
    lines = [f"{model}: next job of {career['worker_id']} in {career['year']} ({', '.join(about)})", ""]
    width = max(len(job["title"]) for job in jobs)
    mark = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"  # for other terminals
    for number, job in enumerate(jobs, start=1):
        bar = mark * round(_BAR * job["probability"] / (jobs[0]["probability"] or 1.0))
        lines.append(f"{number:3d}  {job['title']:<{width}}  {job['probability']:.4f}  {bar}".rstrip())
    return "\n".join([*lines, "", f"All {len(career['jobs'])} titles together: {total:.4f}"])
