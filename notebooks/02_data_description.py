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
# ---

# %% [markdown]
# # Data description
#
# Who the workers are, how long their careers are observed, and how often they change occupation. A *transition* is a
# record to be predicted from all before it; the first record of a worker is one too, predicted from the covariates alone.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets, in the order of the tables
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.datasets import dataset_label, open_datasets
from labor_llm.exhibits import figures, tables
from labor_llm.exhibits.headline import data_numbers
from labor_llm.exhibits.publishing import record_numbers, show_figure, show_table
from labor_llm.results import open_results

folders = open_results(results)
panels, splits = open_datasets(folders, datasets)

# %%
labels = {dataset: dataset_label(folders, dataset) for dataset in datasets}
table = tables.data_description(panels, splits, labels)
show_table("tab-data-description", table.frame, folders.exhibits, persons=table.persons, formats=table.formats)

# %% [markdown]
# In the packaged data set moves are frequent because an occupation is a group within an industry: a change of either is
# a move.
# The three types are told apart throughout, as staying is far easier to predict than moving.

# %%
shares = tables.transition_type_shares(panels).replace({"dataset": labels})
show_figure("fig-transition-types", figures.transition_type_shares(shares), folders.exhibits, persons=shares["workers"])

# %% tags=["remove-cell"]
numbers = data_numbers(panels[0], labels[datasets[0]])
record_numbers("02_data_description", numbers, folders.exhibits, persons=len(panels[0].workers))
