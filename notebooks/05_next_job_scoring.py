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
#     - predictions
#     parameters: checked
#     part: appendix
#     place: 20
#     reads:
#     - panel
#     - model
#     run: each language model
# ---

# %% [markdown]
# # Next-job scoring
#
# The probability of a job title as the next job is that of its tokens, one after the other, given the prompt:
#
# $$\log P(\text{title} \mid \text{prompt}) = \sum_k \log P(\text{token}_k \mid \text{prompt}, \text{token}_1, \dots, \text{token}_{k-1}),$$
#
# over the tokens of the title and of the end of its line. For the realised titles one pass over a whole career suffices.
# For all titles the career is read once, and the tree of titles hangs on each prompt, so nothing is computed twice. With a
# tolerance above zero the tree is followed where the probability is, until what is left of it is below the tolerance; then
# every title has a certified interval instead of a number.
#
# Before each resume may stand the list of all titles, or whole resumes of some training workers, the same for everybody:
# prompts that tell a model off the shelf what is wanted of it. These resumes are given to the model and nowhere stored.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # packaged model, folder of a (fine-tuned) model or adapter, or hub id
name: str = ""  # short name of the predictions; that of the model if empty
label: str = ""  # what tables call the model; its short name if empty
scoring: dict = {"all_titles_workers": 12}  # who is scored, which titles, how closely, with what arithmetic
resumes: dict = {}  # the form of the resumes, that of the fine-tuning: titles, year of birth
prompt: dict = {"examples": 3}  # what stands before each resume
seed: int = 1  # of the draws of workers: test workers, those for whom every title is scored
refits: int = 0  # fine-tune a fine-tuned model again on so many resamples of its training workers (TrainSE); 0 for none
refit_seed: int = 1  # of the samples, which are the same for all models
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from functools import cache
from pathlib import Path

from labor_llm.exhibits import models, publishing
from labor_llm.finetuning.refits import refit_language_model
from labor_llm.models.loading import load_language_model
from labor_llm.scoring.careers import score_panel
from labor_llm.workflow import datasets, parameters

name = name or Path(model).name.lower()
label = label or name
folders, show = publishing.open_chapter(results, dataset, name, model=label)
chosen = parameters.settings_of(scoring=scoring, resumes=resumes, prompt=prompt)
careers, splits = datasets.open_dataset(folders, dataset, chosen.resumes)

# %%
load = cache(load_language_model)  # once for all cells
test = datasets.drawn_workers(careers, splits, chosen.scoring.test_workers, seed)
predictions = score_panel(
    test, model, label, folders.predictions(dataset, name), chosen.scoring, seed=seed, load=load,
    preamble=chosen.prompt.preamble(careers, splits), inputs={"panel": folders.panel(dataset)},
)

# %%
show(models.scored_transitions(predictions))

# %% [markdown]
# The fast scorer is held against the plain one, which runs the model once for every prompt and title, on an invented worker.

# %%
show(models.scoring_checks(load(model, chosen.scoring.dtype, chosen.scoring.quantization), careers))

# %% [markdown]
# How much would the result change with other training workers? If asked for, the model is fine-tuned again, with its own
# settings, on training workers drawn with replacement. Each refit takes as long as the fine-tuning itself.

# %%
made = refit_language_model(
    Path(model), label, careers, splits, refits, folders.refits(dataset, name), chosen.scoring, refit_seed, test
)
