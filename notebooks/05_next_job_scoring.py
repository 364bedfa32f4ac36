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
titles: str = "all"  # titles to be scored: realised, named (those listed next) or all
named: list[str] = ["stay"]  # stay (the previous record's title) and occupation codes
all_titles_workers: int = 12  # for how many test workers every title is scored; -1 for all
tolerance: float = 0.0  # probability that may remain unresolved in a record; 0 is exact
too_long: str = "shorten"  # careers longer than the model can read: shorten by whole records, or refuse
line_ends: str = "all"  # score the end of the line with all titles, or where needed (one title begins another)
memory_mib: int = 1024  # memory in MiB that scoring all titles may take beside the model
dtype: str = "float32"  # arithmetic: float32 or bfloat16
quantization: str = "none"  # of the weights: none, 8bit or 4bit
prompt: str = "plain"  # what stands before each resume: plain (nothing), titles (their list) or examples
examples: int = 3  # with examples, resumes of so many training workers
test_workers: int = -1  # how many test workers are scored, drawn at random, at least 11; -1 for all
seed: int = 1  # of the draws of workers: examples, test workers, those for whom every title is scored
title_form: str = "literal"  # titles, those that the model was fine-tuned on: literal, numeric, perturbed or shuffled
title_seed: int = 1  # of numbers, wordings and places
birth_year: bool = True  # whether the year of birth is stated
refits: int = 0  # fine-tune a fine-tuned model again on so many resamples of its training workers (TrainSE); 0 for none
refit_seed: int = 1  # of the samples, which are the same for all models
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from pathlib import Path

from labor_llm.exhibits import models, publishing
from labor_llm.finetuning.refits import refit_language_model
from labor_llm.scoring.careers import score_panel
from labor_llm.text import prompts, variants
from labor_llm.workflow.datasets import drawn_test_workers, open_dataset

name = name or Path(model).name.lower()
label = label or name
folders, show = publishing.open_chapter(results, dataset, name, model=label)
careers, splits = open_dataset(folders, dataset)
careers = variants.CareerVariant(title_form, title_seed, birth_year).of(careers)

# %%
before = prompts.preamble(prompt, careers, splits, examples, seed)
test = drawn_test_workers(careers, splits, test_workers, seed)
predictions = score_panel(
    test, model, label, folders.predictions(dataset, name), all_titles_workers, dtype, quantization, inputs={"panel": folders.panel(dataset)}, seed=seed, ask=titles, named=named,
    too_long=too_long, tolerance=tolerance, line_ends=line_ends, memory_mib=memory_mib, preamble=before,
)

# %%
show(models.scored_transitions(predictions))

# %% [markdown]
# The fast scorer is held against the plain one, which runs the model once for every prompt and title, on an invented worker.

# %%
show(models.scoring_checks(model, careers, dtype, quantization))

# %% [markdown]
# How much would the result change with other training workers? If asked for, the model is fine-tuned again, with its own
# settings, on training workers drawn with replacement. Each refit takes as long as the fine-tuning itself.

# %%
made = refit_language_model(
    Path(model), label, careers, splits, refits, folders.refits(dataset, name), dtype, quantization, refit_seed,
    too_long, line_ends, test,
)
