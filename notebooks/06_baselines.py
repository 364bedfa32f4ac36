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
# # Baselines
#
# Two models that an economist would try first. *Empirical transition frequencies* ask only for the previous occupation.
# The *multinomial logit* adds the occupation before that, years in the occupation, gaps and number of earlier records,
# schooling, gender, ethnicity, region, calendar year and age. Smoothing and penalties are chosen on the validation workers
# from a wide grid, so that the baselines are as strong as they can be made: frequencies may shrink towards the pooled shares
# of stayers and destinations, and the covariates of the logit may be penalised more than the previous occupation.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
baselines: list[str] = ["empirical-transitions", "multinomial-logit"]  # which baselines are fitted
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines import fit_baselines
from labor_llm.baselines.oracle import known_probabilities
from labor_llm.datasets import dataset_label, open_dataset
from labor_llm.exhibits.model_tables import baseline_tuning
from labor_llm.exhibits.publishing import show_table, show_text
from labor_llm.predictions import write_all_predictions
from labor_llm.results import open_results

folders = open_results(results)
careers, splits = open_dataset(folders, dataset)

# %%
fitted = fit_baselines(baselines, careers, splits)

# %%
table = baseline_tuning(fitted, validation_workers=list(splits.values()).count("validation"))
show_table("tab-baseline-tuning", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           variant=dataset, numbers={"dataset": dataset_label(folders, dataset)})

# %% [markdown]
# For a simulated data set the true probabilities are known, and are stored beside the baselines' as those of an oracle.

# %%
test = careers.split(splits, "test")
predictions = {key: baseline.predict(test) for key, baseline in fitted.items()}
write_all_predictions(folders, dataset, predictions | known_probabilities(folders.panel(dataset), test))

# %%
show_text(
    "{models} predictions for {transitions:,} transitions of {workers:,} test workers are stored.",
    persons=len(test.workers), models=len(predictions), transitions=len(test.frame), workers=len(test.workers),
)
