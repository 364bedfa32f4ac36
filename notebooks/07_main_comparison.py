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
#     - everything
#     run: once
# ---

# %% [markdown]
# # Main comparison
#
# How well does each model predict the next occupation of workers it has never seen? Perplexity is the exponential of the
# mean negative log-probability per transition. A language model's probability is that of the title as text, not divided by the
# mass on valid titles, so every bit of probability that it wastes on other text counts against it. Standard errors come from
# resampling test workers (TestSE), and differences between models are taken on the same samples; for models that were fitted
# again on resampled training workers there is TrainSE too, which tells what another training sample would change.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets
models: list[str] = ["empirical-transitions", "multinomial-logit", "smollm2-off-the-shelf", "smollm2-fine-tuned"]  # in the order of the tables
partial: list[str] = []  # models that some of the data sets do without
refitted: list[str] = []  # those that were fitted again on resampled training workers, for TrainSE
fine_tuned: str = "smollm2-fine-tuned"  # the model that the text is about
off_the_shelf: str = "smollm2-off-the-shelf"  # the same model without fine-tuning
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines.oracle import ORACLE
from labor_llm.baselines.registry import BASELINES
from labor_llm.careers.predictions import model_labels, read_all_predictions
from labor_llm.evaluation.families import bootstrap_families
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.evaluation.total_error import refits_in_words, stored_refits_of, with_train_errors
from labor_llm.exhibits import figures, tables
from labor_llm.exhibits.headline import (
    best_baselines,
    comparison_formats,
    comparison_numbers,
    headline_models,
)
from labor_llm.exhibits.publishing import record_numbers, show_figure, show_table, show_text
from labor_llm.store.results import open_results
from labor_llm.workflow.datasets import dataset_label

folders = open_results(results)
predictions = read_all_predictions(folders, datasets, models, optional=[ORACLE, *partial])
labels = model_labels(folders, datasets, models)

# %%
names = {dataset: dataset_label(folders, dataset) for dataset in datasets}
refits = stored_refits_of(folders, predictions, refitted)
by_worker = bootstrap_perplexity(predictions, draws, seed)
bootstrap = with_train_errors(by_worker, refits)
table = tables.main_comparison(bootstrap, names)
show_table("tab-main-comparison", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           numbers={"draws": draws, "refits": refits_in_words(refits)})

# %% [markdown]
# The yardstick for the paired differences is, for each data set, the baseline with the lowest perplexity on these same test
# workers, a choice that favors the baselines. A simulated data set has an oracle: the true probabilities that its careers
# were drawn with, which no model can beat but by luck.

# %%
references = best_baselines(bootstrap, [label for model, label in labels.items() if model in BASELINES])
differences = with_train_errors(bootstrap_differences(predictions, references, draws, seed), refits, references)
table = tables.paired_differences(differences, names)
show_table("tab-paired-differences", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           numbers={"draws": draws, "refits": refits_in_words(refits)})

# %% [markdown]
# In the figure the model off the shelf is left out, as its distance would push all others onto the line.

# %%
shown = tables.difference_labels(differences[differences["model"] != labels[off_the_shelf]]).replace({"dataset": names})
show_figure("fig-paired-differences", figures.paired_differences(shown), folders.exhibits, persons=shown["workers"],
            numbers={"draws": draws})

# %%
chosen = headline_models(labels, fine_tuned, off_the_shelf, references[datasets[0]])
numbers = comparison_numbers(bootstrap, differences, datasets[0], chosen)
show_text(
    "The fine-tuned model's perplexity of {fine:.2f} is {verdict} that of the best baseline, {base:.2f}: the paired difference "
    "is {difference:.2f} with a standard error of {se:.2f}, over {transitions:,} transitions of {workers:,} workers.",
    persons=numbers["headline_test_workers"], fine=numbers["fine_tuned_perplexity"], verdict=numbers["fine_tuned_verdict"],
    base=numbers["best_baseline_perplexity"], difference=numbers["difference_to_best_baseline"],
    se=numbers["difference_to_best_baseline_se"], transitions=numbers["headline_test_transitions"],
    workers=numbers["headline_test_workers"],
)

# %% [markdown]
# ## Families
#
# The PSID follows families, and members of one family are not independent of each other. Where whole families are resampled
# instead of workers, the standard error allows for that; the two are close where few families have several members in
# the test split.

# %%
table = tables.family_errors(by_worker, bootstrap_families(folders, predictions, draws, seed), names)
show_table("tab-family-errors", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           numbers={"draws": draws})

# %% [markdown]
# ## By type of transition
#
# Staying is easy and moving is hard. What a model adds shows where the two are told apart.

# %%
by_type = bootstrap_perplexity(predictions, draws, seed, by="transition_type")
table = tables.transition_types(by_type, names)
show_table("tab-transition-types", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           numbers={"draws": draws})

# %% tags=["remove-cell"]
record_numbers("07_main_comparison", numbers, folders.exhibits, persons=numbers["headline_test_workers"],
               formats=comparison_formats(numbers))
