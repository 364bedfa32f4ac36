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
#     place: 50
#     reads:
#     - studied
#     run: study of titles
# ---

# %% [markdown]
# # Titles: words, numbers, other words
#
# A fine-tuned language model may use what the words of a job title mean, or learn from the careers alone which title follows
# which, as it would for codes. To tell the two apart the same model is fine-tuned on the same careers with other titles:
# numbers assigned at random, the titles in other words (abbreviated, by synonyms, in another order), and the titles shuffled
# among the occupations, so that they are English and wrong. If meaning is of use, numbers and shuffled titles do worse than
# the literal ones, and other words do about as well. One further model reads careers that do not state the year of birth.
#
# Occupations, workers and transitions are the same for all of them, and a perplexity is of the occupation that occurred, whatever
# it is called; so the perplexities are compared transition by transition.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
literal: str = "smollm2-fine-tuned"  # predictions of the model with literal titles, the reference
variants: list[str] = []  # predictions of models with other titles, or without the year of birth
title_seed: int = 1  # of the examples of titles; the seed of the models that are compared
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import comparison, perplexity, title_frequency
from labor_llm.exhibits import findings, models, publishing, tables
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset, **bootstrap)
careers, splits = open_dataset(folders, dataset)
predictions = comparison.in_common(read_all_predictions(folders, [dataset], [literal, *variants]))

# %% [markdown]
# The next table shows what the models were given. A title has the same number, wording and place in every model of one seed.

# %%
show(models.title_examples(careers, title_seed))

# %% [markdown]
# A difference is the model's perplexity minus that of the model with literal titles; above zero the literal titles are better.
# Its standard error is of the difference itself, as the same test workers are drawn for both. It does not cover chance in
# fine-tuning: another order of the careers, or another assignment of numbers, gives other models.

# %% tags=["leading"]
scores = perplexity.bootstrap_perplexity(predictions, **bootstrap)
differences = perplexity.bootstrap_differences(predictions, predictions[0].model, **bootstrap)
show(findings.against_reference(differences))

# %%
show(tables.beside_reference("tab-titles", scores, differences))

# %% [markdown]
# If the words of a title tell what too few records of it cannot, literal titles are worth most where the title that occurred is rare
# in training records.

# %%
training, first = careers.split(splits, "train"), predictions[0].model
by_frequency = title_frequency.perplexity_by_frequency(predictions, training, first, **bootstrap)
show(tables.title_frequency("tab-titles-by-frequency", by_frequency))
