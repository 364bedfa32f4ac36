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
#     part: data
#     place: 20
#     reads:
#     - panels
#     run: once
# ---

# %% [markdown]
# # Data description
#
# Who the workers are, how long their careers are observed, how the records came about, and how often workers change
# occupation. A *transition* is a record to be predicted from all before it; the first record of a worker is one too,
# predicted from the covariates alone. Every number rests on 11 workers or more; smaller groups are pooled or left out.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets, in the order of the tables
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import data, data_figures, publishing, report
from labor_llm.surveys.report import read_conversion
from labor_llm.workflow.datasets import open_datasets

folders, show = publishing.open_chapter(results)
panels, splits = open_datasets(folders, datasets)
labels = folders.labels(datasets)
conversions = {dataset: read_conversion(folders.panel(dataset)) for dataset in datasets}

# %% [markdown]
# ## The panels

# %%
show(data.data_description(panels, splits, labels))

# %% [markdown]
# The paper's own description of its data is not at hand. What is recalled of the sizes of its three data sets stands below
# beside those converted here, for orientation only. Simulated careers and the packaged panel are no data set of the paper.

# %%
show(data.believed_sizes(panels, conversions, labels))

# %% [markdown]
# ## From interviews to records
#
# A survey's files are converted in steps, and each step leaves records out: those outside the years and ages that are asked
# for, those with neither an occupation code nor one of the three states (unemployed, out of the labor force, in education),
# those with a code that no crosswalk maps, and those of workers with too few records. A panel that was taken as it is, such
# as the packaged one, has no earlier steps to show.

# %%
show(data.attrition(panels, conversions, labels))

# %% [markdown]
# Surveys went over to newer Census classifications in the course of time. Each is mapped to the same occupations, but a
# change of the classification between two records can look like a change of occupation. Years without interviews are
# left as gaps.

# %%
show(data_figures.coverage(data_figures.records_by_frame(panels, conversions, labels)))

# %%
show(data.unmapped_codes(panels, conversions, labels))

# %% [markdown]
# ## Moves
#
# What counts as a move depends on how finely occupations are told apart. In the packaged panel an occupation is a group
# within an industry, so that a change of either is a move; in converted surveys it is one of the 330 occupations of occ1990dd
# or one of the three states. The three types are told apart throughout, as staying is far easier to predict than moving.

# %%
show(data_figures.transition_type_shares(data_figures.type_shares(panels, labels)))

# %%
show(data_figures.transition_matrix(data_figures.group_transitions(panels, labels)))

# %%
show(data_figures.movers_by_age(data_figures.mover_shares(panels, labels)))

# %% tags=["remove-cell"]
numbers = report.data_numbers(panels[0], labels[datasets[0]])
show.record("02_data_description", numbers, persons=len(panels[0].workers))
