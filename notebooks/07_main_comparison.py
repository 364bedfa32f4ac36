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
#     place: 10
#     reads:
#     - everything
#     - benchmarks
#     - stored runs
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
stored: str = "benchmarks/measured/nlsy79_comparison"  # folder of a larger run that is shown beside these data sets
stored_beside: list[str] = []  # folders of stored runs of real surveys, likewise
fine_tuned: str = "smollm2-fine-tuned"  # the model that the text is about
off_the_shelf: str = "smollm2-off-the-shelf"  # the same model without fine-tuning
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines.settings import BASELINES, ORACLE
from labor_llm.careers.predictions import model_labels, read_all_predictions
from labor_llm.evaluation import perplexity, resampling
from labor_llm.exhibits import figures, findings, formatting, publishing, report, stored_runs, tables
from labor_llm.workflow.datasets import open_datasets

folders, show = publishing.open_chapter(results, **bootstrap)
panels, splits = open_datasets(folders, datasets)
predictions = read_all_predictions(folders, datasets, models, optional=[ORACLE, *partial])
labels = model_labels(folders, datasets, models)
baselines = [label for model, label in labels.items() if model in BASELINES]
names = folders.labels(datasets)

# %% tags=["leading"]
pairs = perplexity.differences_of(predictions, labels[fine_tuned], labels.values(), **bootstrap)
against = pairs[pairs["reference"].isin(baselines)]
finding = findings.against_baselines(against, names)
show(finding)

# %%
refits = perplexity.stored_refits_of(folders, predictions, refitted)
by_worker = perplexity.bootstrap_perplexity(predictions, **bootstrap)
scores = perplexity.with_train_errors(by_worker, refits)
show(tables.main_comparison(scores, names), refits=perplexity.refits_in_words(refits))

# %% [markdown]
# The yardstick for the paired differences is, for each data set, the baseline with the lowest perplexity on these same test
# workers, a choice that favors the baselines. A simulated data set has an oracle: the true probabilities that its careers
# were drawn with, which no model can beat but by luck.

# %%
references = report.best_baselines(scores, baselines)
paired = perplexity.bootstrap_differences(predictions, references, **bootstrap)
differences = perplexity.with_train_errors(paired, refits, references)
labelled = tables.difference_labels(differences)
show(formatting.table("tab-paired-differences", labelled, names), refits=perplexity.refits_in_words(refits))

# %% [markdown]
# In the figure the model off the shelf is left out, as its distance would push all others onto the line.

# %%
shown = differences[differences["model"] != labels[off_the_shelf]]
show(figures.paired_differences(tables.difference_labels(shown, names)))

# %% [markdown]
# The next table takes the fine-tuned model itself as the first of each pair, larger language models among the second.

# %%
show(formatting.table("tab-fine-tuned-pairs", pairs, names))

# %% [markdown]
# ## Households
#
# The PSID follows families and the NLSY79 and NLSY97 sampled households, often with several brothers and sisters: the careers of one
# household are not independent of each other. Where whole households are resampled instead of workers, the standard error allows
# for that; the two are close where few households have several members in the test split. A data set can also be split by
# household (`whole_households`), so that nobody is tested whose sister the models were trained on.

# %%
by_household = perplexity.bootstrap_households(panels, predictions, references, **bootstrap)
show(tables.household_errors(by_household, by_worker, paired, names))

# %% [markdown]
# ## By type of transition
#
# Staying is easy and moving is hard. What a model adds shows where the two are told apart.

# %%
by_type = perplexity.bootstrap_perplexity(predictions, **bootstrap, by="transition_type")
show(tables.transition_types(by_type, names))

# %% tags=["remove-cell"]
# The book's first page shows this run beside larger ones, which take hours and were stored.
larger = report.read_comparison(stored)
of_larger = resampling.turned(larger.differences)
of_runs = stored_runs.stored_baseline_pairs(stored_beside)
others = {f"{larger.about['survey']}, larger run": of_larger, "": of_runs}
everywhere = findings.on_every_data_set(others, against, names)
words = {name: larger.about[name] for name in ("date", "train")}
show(figures.paired_differences(everywhere), "fig-on-every-data-set", **words)

# %% tags=["remove-cell"]
of_survey = findings.against_baselines(of_larger, {larger.about["dataset"]: larger.about["survey"]})
numbers = {
    **report.comparison_numbers(scores, references, labels[fine_tuned], labels[off_the_shelf]),
    **report.training_numbers(folders, datasets[0], fine_tuned, splits[datasets[0]]),
    "finding": finding.words, "larger_finding": of_survey.words, "larger_train": larger.about["train"],
    "stored_finding": findings.against_baselines(of_runs).words,
}
show.record("07_main_comparison", numbers, persons=numbers["headline_test_workers"], decimals=2)
