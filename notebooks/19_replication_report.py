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
# Two values may be compared only where survey and base model are the same. Values that stand alone here belong to the chapters
# on the main comparison, tasks, titles, pooled data and horizons, which show ours.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets
base_model: str = "smollm2-135m-instruct"  # base model of the language models below
fine_tuned: str = "smollm2-fine-tuned"  # the fine-tuned model
off_the_shelf: str = "smollm2-off-the-shelf"  # the same model without fine-tuning
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.exhibits import publishing, report
from labor_llm.workflow.datasets import open_datasets

folders, show = publishing.open_chapter(results)
predictions = {
    "fine_tuned": read_all_predictions(folders, datasets, [fine_tuned]),
    "off_the_shelf": read_all_predictions(folders, datasets, [off_the_shelf]),
}

# %%
panels, splits = open_datasets(folders, datasets)
workers = sum(len(panel.workers) for panel in panels)
show(report.published_values(predictions, folders.labels(datasets), workers, base_model))

# %% [markdown]
# ## How long it took, and with what

# %%
show(report.run_times(folders))

# %%
show(report.environment_table())
