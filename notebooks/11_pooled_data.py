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
#     place: 60
#     reads:
#     - studied
#     run: study of pooled data
# ---

# %% [markdown]
# # More data, and data of other populations
#
# A language model can be fine-tuned on careers of any origin, since all are text. Here one model is fine-tuned on more and more
# careers: a random part of the training workers of its own data set, all of them, and these with the training workers of
# other data sets added. Careers of another population can help, as they show how careers run, or hurt, as they run otherwise;
# what they do is measured on the test workers of the own data set, of whom no model has seen any.
#
# The own careers represent the population that is predicted, the added ones do not. How much weight the two have is a choice: an
# own career may occur several times in each pass over the data and so count several times as much as an added one.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set on whose test workers the models are compared
reference: str = "smollm2-fine-tuned"  # the model that is trained on the own careers alone
models: list[str] = []  # models trained on other careers: fewer, or with those of other data sets
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import comparison, perplexity
from labor_llm.exhibits import figures, findings, publishing, studies, tables

folders, show = publishing.open_chapter(results, dataset)
predictions = comparison.in_common(read_all_predictions(folders, [dataset], [reference, *models]))
sizes = studies.training_sizes(folders, dataset, [reference, *models])

# %% [markdown]
# One row is one model. The careers that it was trained on are counted from the record that fine-tuning leaves beside it, each
# worker once. A difference is the model's perplexity minus that of the model in the first row, on the same draws of test
# workers: below zero the model is better. Chance in fine-tuning is not in its standard error.

# %% tags=["leading"]
scores = perplexity.bootstrap_perplexity(predictions, **bootstrap)
differences = perplexity.bootstrap_differences(predictions, predictions[0].model, **bootstrap)
show(findings.against_reference(differences))

# %%
show(tables.beside_reference("tab-pooled-data", scores, differences, described=sizes))

# %%
show(studies.pooled_pairs(predictions, sizes, **bootstrap))

# %%
show(figures.perplexity_by_training_careers(scores, sizes))
