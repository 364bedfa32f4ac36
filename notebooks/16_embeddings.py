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
#     - embedding predictions
#     parameters: checked
#     part: findings
#     place: 120
#     reads:
#     - fitted
#     run: data sets of the text
#     values:
#       compared: baselines_and_fine_tuned
#       dtype: default
#       model: base_model
# ---

# %% [markdown]
# # Embeddings of the history
#
# A language model can serve without predicting titles at all: its last hidden state at the end of a prompt is a vector that
# sums up the history, and a multinomial logit on this vector predicts the next occupation. This was an approach of the paper's
# first version. The language model stays as it is; the logit has one vector of coefficients an occupation, is penalised, and the
# penalty is chosen on the validation workers. Its probabilities add up to one over the occupations, so nothing is lost on
# text that is no valid title. What is left between it and the fine-tuned model is what the state does not hold, or holds in a
# form that no linear function reads.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # what embeds the histories: packaged model, folder or hub id
name: str = "embedding-logit"  # short name of the predictions
label: str = "Logit on embeddings"  # what tables call them
regularisations: list[float] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]  # values of C that are tried; larger is less shrinkage
dtype: str = "float32"  # arithmetic of the language model: float32 or bfloat16
compared: list[str] = ["multinomial-logit", "smollm2-off-the-shelf", "smollm2-fine-tuned"]  # predictions beside them
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines import embedding_logit
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import comparison, perplexity
from labor_llm.exhibits import findings, models, publishing, tables
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset, model=label)
careers, splits = open_dataset(folders, dataset)

# %% [markdown]
# One pass over each career gives the states of all its records; each component is scaled to variance one. The predictions of
# the test workers are stored beside those of the other models.

# %%
folder = folders.predictions(dataset, name)
inputs = {"panel": folders.panel(dataset)}
predicted = embedding_logit.predict_by_embeddings(
    careers, splits, model, label, folder, regularisations, inputs, dtype
)

# %%
tried = embedding_logit.stored_tuning(folder)
show(models.embedding_tuning(tried, validation_workers=list(splits.values()).count("validation")))

# %% [markdown]
# Beside it stand the logit on hand-made features and the language model itself, scored by the titles' words. A difference is the
# model's perplexity minus that of the logit on embeddings, on the same draws of test workers: below zero the model is better.

# %% tags=["leading"]
predictions = comparison.in_common([predicted, *read_all_predictions(folders, [dataset], compared)])
scores = perplexity.bootstrap_perplexity(predictions, **bootstrap)
differences = perplexity.bootstrap_differences(predictions, label, **bootstrap)
show(findings.against_reference(differences.tail(1)))

# %%
show(tables.beside_reference("tab-embeddings", scores, differences))
