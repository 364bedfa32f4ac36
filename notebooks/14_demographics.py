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
#     parameters: checked
#     part: findings
#     place: 90
#     reads:
#     - fitted
#     run: data sets of the text
#     values:
#       datasets: this_dataset
#       models: models_by_group
#       permuted_dataset: dataset
#       workers: permuted_workers
# ---

# %% [markdown]
# # Demographics
#
# Two questions. Is a model as good for every group of workers: does it predict careers of women, of minorities, of the less
# educated as well as those of others, and are its probabilities as right for them? And what does a model make of what the resume
# says of the worker before the first job: gender, ethnicity, region?
#
# A higher perplexity in a group does not by itself mean that the model neglects it, as its careers may be harder to predict for anyone;
# so models are put side by side within each group, on the same transitions.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets of the comparison by group
models: list[str] = ["multinomial-logit", "smollm2-fine-tuned"]  # of that comparison, in the order of the tables
permuted_dataset: str = "wage_panel"  # data set whose covariates are exchanged
fine_tuned: str = "smollm2-fine-tuned"  # short name of the language model that is scored again
model: str = ""  # its folder; if empty, that of the fine-tuned model in the results
baseline: str = "multinomial-logit"  # baseline that is fitted again and predicts the same permutations
covariates: list[str] = ["gender", "ethnicity", "region"]  # which are exchanged, one at a time and together
permutation_seeds: list[int] = [1, 2]  # one permutation each
workers: int = 48  # test workers among whom covariates are exchanged; -1 for all
dtype: str = "float32"  # arithmetic of the language model, as it was scored with
quantization: str = "none"  # of its weights, likewise
line_ends: str = "all"  # scoring of the end of the line, likewise
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of the draw of workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from functools import partial

import pandas as pd

from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import covariates as exchange, groups
from labor_llm.exhibits import figures, formatting, publishing, studies, tables
from labor_llm.scoring import careers as scoring, settings
from labor_llm.workflow.datasets import open_dataset, open_datasets

# %%
folders, show = publishing.open_chapter(results, permuted_dataset, **bootstrap, permutations=len(permutation_seeds))
predictions = read_all_predictions(folders, datasets, models)
names = folders.labels([*datasets, permuted_dataset])
panels, _ = open_datasets(folders, datasets)
measured, left_out = groups.group_performance(predictions, panels, **bootstrap)

# %% [markdown]
# ## By group

# %%
show(studies.group_perplexity(measured, names))

# %%
show(tables.left_out_in_words(left_out, names))

# %% [markdown]
# Whether a worker changes occupation is the event that most workers have, so it bears a comparison of small groups. The calibration
# error of a small group is large even for a model that is right; the columns of the perfect model tell how large it would be on
# average, and what it would exceed in one of twenty cases.

# %%
show(studies.group_tasks(measured, names))

# %% [markdown]
# ## The value of covariates
#
# Each test worker is given the gender, ethnicity or region of another one, drawn at random, and the career is predicted again. A model
# that makes good use of the covariate predicts worse. How often each value occurs stays as it is, and covariates that are
# exchanged together come from the same other worker, so that no combination is made that nobody has. The difference mixes
# two things: what the covariate tells, and what a false one misleads to.
#
# A resume that permutations make several times is scored once, and stored.

# %%
careers, splits = open_dataset(folders, permuted_dataset)
test = exchange.random_workers(careers.split(splits, "test"), workers, bootstrap["seed"])
kept, constant = exchange.varying_covariates(test, covariates)
permuted = exchange.permuted_panels(test, kept, permutation_seeds)
show(tables.left_out_in_words(constant, names))

# %%
(own,) = read_all_predictions(folders, [permuted_dataset], [fine_tuned])
realised = settings.ScoringSettings(titles="realised", dtype=dtype, quantization=quantization, line_ends=line_ends)
score = partial(
    scoring.score_panel, model=model or str(folders.model(permuted_dataset, fine_tuned)), label=own.model, settings=realised,
    folder=folders.permuted(permuted_dataset, fine_tuned), inputs={"panel": folders.panel(permuted_dataset)},
)
language_model = exchange.value_to_language_model(own, test, permuted, score, **bootstrap)

# %% [markdown]
# The baseline knows the same covariates as indicators, and is fitted on the training workers as in the chapter on baselines.

# %%
logit = exchange.value_to_baseline(baseline, careers, splits, folders, test, permuted, **bootstrap)
values = pd.concat([language_model, logit], ignore_index=True)

# %%
show(formatting.table("tab-value-of-covariates", values))

# %%
labelled = values.assign(label=values["covariate"] + ": " + values["model"])
show(figures.paired_differences(labelled), "fig-value-of-covariates")

# %%
show(studies.covariates_in_words(values, own.model))
