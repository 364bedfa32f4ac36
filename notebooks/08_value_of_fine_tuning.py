# ---
# jupyter:
#   jupytext:
#     cell_metadata_filter: tags,mystnb
#     notebook_metadata_filter: kernelspec,jupytext,labor_llm
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   labor_llm:
#     makes:
#     - numbers
#     parameters: checked
#     part: findings
#     place: 40
#     reads:
#     - everything
#     run: once
#     values:
#       datasets: datasets_in_full
# ---

# %% [markdown]
# # The value of fine-tuning
#
# Off the shelf, a language model knows English but neither the survey's list of job titles nor how careers run: it spends
# probability on text that is no valid title. Fine-tuning can teach both. Dividing by the mass on valid titles (the normalised
# perplexity) tells how much of the gain is the list alone. Every title is scored for a random part of the test workers; all
# numbers of the first section rest on the transitions of those workers, so its perplexities differ from the main comparison's.
# The second section asks how much of the gain a better prompt brings.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets
fine_tuned: str = "smollm2-fine-tuned"  # the fine-tuned model
off_the_shelf: str = "smollm2-off-the-shelf"  # the same model without fine-tuning
prompted: list[str] = []  # predictions of the model off the shelf with other prompts
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import comparison, perplexity
from labor_llm.exhibits import figures, findings, formatting, publishing, report, tables

folders, show = publishing.open_chapter(results)
predictions = comparison.in_common(read_all_predictions(folders, datasets, [off_the_shelf, fine_tuned]), all_titles=True)

# %%
masses = tables.valid_mass_quantiles(predictions, **bootstrap)
unnormalised = perplexity.bootstrap_perplexity(predictions, **bootstrap)
normalised = perplexity.bootstrap_perplexity(predictions, **bootstrap, normalised=True)
show(tables.value_of_fine_tuning(unnormalised, normalised, masses))

# %%
workers, transitions = (int(normalised[name].min()) for name in ("workers", "transitions"))
before, after = (formatting.format_value(mass, ".2g") for mass in masses["mean"].iloc[:2])
show.text(
    f"Every title was scored with both models for {transitions:,} transitions of {workers:,} test workers. Off the shelf the "
    f"model puts {before} of its probability on valid titles, fine-tuned {after}, on average.", persons=workers,
)

# %%
show(figures.valid_mass(masses))

# %% [markdown]
# ## Prompts
#
# A prompt, too, can tell a model what is wanted: the list of all job titles before each resume, or whole resumes of some
# training workers, the same for everybody, as examples. The model itself is that off the shelf. Only the titles that occurred
# are scored here, unnormalised, on the transitions that every model of a data set has. The perplexities differ by orders of
# magnitude, so the gain over the plain prompt is given in nats: by how much the mean log-probability of a transition rises.

# %% tags=["leading"]
asked = [off_the_shelf, *prompted, fine_tuned]
realised = comparison.in_common(read_all_predictions(folders, datasets, asked, optional=prompted))
compared = perplexity.bootstrap_perplexity(realised, **bootstrap)
differences = perplexity.bootstrap_differences(realised, realised[0].model, **bootstrap)
names = folders.labels(datasets)
show(findings.against_reference(differences, names, nats=True))

# %%
show(tables.beside_reference("tab-prompts", compared, differences, nats=True))

# %% [markdown]
# Whether a prompt reaches fine-tuning shows in the difference of the two.

# %%
tuned, asked_models = predictions[1].model, {each.model for each in realised}
show(formatting.table("tab-prompt-pairs", perplexity.differences_of(realised, tuned, asked_models, **bootstrap), names))

# %% tags=["remove-cell"]
numbers = report.valid_mass_numbers(masses, {"off_the_shelf": predictions[0].model, "fine_tuned": predictions[1].model})
show.record("08_value_of_fine_tuning", numbers, persons=int(masses["workers"].min()))
