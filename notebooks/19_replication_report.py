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
#     part: reproduce
#     place: 10
#     reads:
#     - notebooks
#     run: once
#     values:
#       datasets: datasets_of_the_text
# ---

# %% [markdown]
# # Replication report
#
# What the paper reports beside what this run gives, and what this run was made with. The published values are those that
# are at hand in a summary of the paper; every other cell of its tables is not available to us and is not shown.
# Two values may be compared only where survey and base model are the same. Correlation: of the probabilities of what happened, as
# what it was taken over is not known to us; areas under the curve are of all test transitions that have a record before them.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets
reported: dict = {"fine_tuned": ["smollm2-fine-tuned"], "off_the_shelf": ["smollm2-off-the-shelf"]}  # models by published quantity
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import published, publishing, report
from labor_llm.workflow.datasets import open_datasets
from labor_llm.workflow.parameters import settings_of

folders, show = publishing.open_chapter(results)
panels, splits = open_datasets(folders, datasets)
models = settings_of(reported=reported).reported

# %%
reproduced = published.reproduced_values(folders, datasets, panels, models)
show(published.published_values(reproduced, panels, folders.labels(datasets).values()))

# %% [markdown]
# ## How long it took, and with what

# %%
show(report.run_times(folders))

# %%
show(report.environment_table())
