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
from labor_llm.exhibits import report as comparison_with_paper
from labor_llm.exhibits import report as run_record
from labor_llm.exhibits.publishing import show_table
from labor_llm.exhibits.report import reproduced_values
from labor_llm.store.artefacts import environment
from labor_llm.store.results import open_results
from labor_llm.workflow.datasets import dataset_label, open_datasets

folders = open_results(results)
predictions = {
    "fine_tuned": read_all_predictions(folders, datasets, [fine_tuned]),
    "off_the_shelf": read_all_predictions(folders, datasets, [off_the_shelf]),
}

# %%
surveys = {dataset: dataset_label(folders, dataset) for dataset in datasets}
panels, splits = open_datasets(folders, datasets)
workers = sum(len(panel.workers) for panel in panels)
reproduced = reproduced_values(predictions, surveys, workers, base_model)
compared = comparison_with_paper.compare_with_paper(comparison_with_paper.read_published(), reproduced)
table = comparison_with_paper.published_table(compared, persons=workers)
show_table("tab-published-values", table.frame, folders.exhibits, persons=table.persons, formats=table.formats)

# %% [markdown]
# ## How long it took, and with what

# %%
times = run_record.run_times(folders.notebooks, folders.benchmarks)
show_table("tab-run-times", times, folders.exhibits, persons="none", formats={"Minutes": ".1f", "Peak memory, GB": ".1f"})

# %%
show_table("tab-environment", run_record.environment_table(environment()), folders.exhibits, persons="none")
