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
#     place: 100
#     reads:
#     - everything
#     run: once
# ---

# %% [markdown]
# # Binary tasks and calibration
#
# Perplexity asks for the very title. Often less is asked: will the worker change occupation, be unemployed, be out of the labor
# force? Each of these events is decided by one title, so its probability is read off the model's distribution over titles and no
# model is trained for it. Two things are measured: whether transitions with the event get higher probabilities than those
# without it (the area under the ROC curve, AUC), and whether the probabilities are right as numbers (calibration). A model can
# rank perfectly and be wrong by a factor of two throughout.
#
# The probability of a title other than the realised one is needed, so language models take part where all titles, or the
# named ones, were scored, and all models of a data set are compared on the transitions that all of them have.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets
models: list[str] = [
    "empirical-transitions",
    "multinomial-logit",
    "smollm2-off-the-shelf",
    "smollm2-fine-tuned",
]  # in the order of the tables
partial: list[str] = []  # models that some of the data sets do without
fine_tuned: str = "smollm2-fine-tuned"  # the model that the text is about
bootstrap: dict = {
    "draws": 1000,
    "seed": 1,
}  # samples of test workers, and their seed, also of the simulated perfect model
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines.settings import BASELINES, ORACLE
from labor_llm.careers.predictions import model_labels, read_all_predictions
from labor_llm.evaluation import binary_tasks, calibration, comparison, distribution_calibration
from labor_llm.exhibits import data, figures, formatting, publishing, tables
from labor_llm.workflow.datasets import open_datasets

# %%
folders, show = publishing.open_chapter(results, **bootstrap)
predictions = read_all_predictions(folders, datasets, models, optional=[ORACLE, *partial])
labels = model_labels(folders, datasets, models)
names = folders.labels(datasets)
panels, _ = open_datasets(folders, datasets)
events, left_out = binary_tasks.shared_events(predictions, panels)

# %%
show(tables.task_events(events, names))

# %%
show(tables.left_out_in_words(left_out, names))

# %% [markdown]
# ## Ranking
#
# The records of one worker depend on each other, so standard errors come from resampling workers, not records. The event of a
# few workers says little, however many records there are: the table above tells how many workers stand behind each number.
# Who was unemployed or out of the labor force in the record before is among the transitions, and often still is in the next one:
# part of the AUC of these two tasks is persistence.

# %%
show(tables.areas(binary_tasks.bootstrap_auc(events, **bootstrap), names))

# %% [markdown]
# Differences between models are much better known than each AUC alone, as all models are judged on the same samples. The yardstick
# is, for each task, the baseline with the highest AUC on these same transitions, a choice that favors the baselines.

# %%
baselines = [label for model, label in labels.items() if model in BASELINES]
differences = binary_tasks.differences_to_best(events, baselines, **bootstrap)
show(formatting.table("tab-auc-differences", differences, names))

# %%
show(tables.model_in_words(differences, labels[fine_tuned], names))

# %% [markdown]
# ## Calibration
#
# A model is calibrated if, of the transitions to which it gives a probability of 0.3, three in ten have the event. In the figure
# such a model's points scatter about the diagonal, because events are few; the grey band shows by how much. Points below
# the diagonal mean that the model expects more moves than there are.

# %%
curves = calibration.reliability_curves(events, binary_tasks.CHANGE, **bootstrap)
show(figures.reliability_curves(curves, names))

# %% [markdown]
# A slope below one means probabilities that are too extreme, one above it probabilities that are too timid; with a slope of
# one, an intercept below zero means that the event is expected too often. The calibration error is above zero even for a model
# that is right, and the more so the fewer transitions there are: it is large only against the values of the perfect model beside it.

# %%
errors = calibration.calibration_errors(events, seed=bootstrap["seed"])
show(tables.task_calibration(calibration.recalibration(events), errors, names))

# %% [markdown]
# An event sums up one title. Whether the whole distribution is right shows in three ways: how often the most probable title occurs
# against how often it is expected to; how often each group of occupations does; and by which power the probabilities would have
# to be raised to fit workers that the power was not chosen on (its inverse is the temperature). A temperature that gains nothing is one that
# the model does not need.

# %%
complete, without = comparison.with_all_titles(predictions)
show(tables.left_out_in_words(without, names))

# %%
groups = {panel.dataset: data.occupation_groups(panel) for panel in panels}
measured = distribution_calibration.distribution_calibration(complete, groups, **bootstrap)
show(formatting.table("tab-distribution-calibration", measured, names))
