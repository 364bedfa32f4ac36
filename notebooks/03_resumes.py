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
#     part: data
#     place: 30
#     reads:
#     - panel
#     run: each data set
#     values:
#       model: base_model
# ---

# %% [markdown]
# # Careers as text
#
# A language model reads text, so a career is written as a short resume {cite:p}`athey2024laborllm`. The prompt of a
# transition is everything up to the colon of its line; the title and the end of the line are what the model has to predict.
# The prompts of successive years are beginnings of one and the same text.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # whose tokenizer counts: packaged model, folder or hub id
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from IPython.display import Code

from labor_llm.exhibits import models, publishing
from labor_llm.models.loading import load_tokenizer
from labor_llm.text import templates, tokenization
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset)
careers, splits = open_dataset(folders, dataset)

# %% [markdown]
# This is how it looks for an invented worker. No resume of a real person is shown anywhere in this book.

# %%
example = templates.invented_resume(careers)
Code(example.text, language="text")

# %% [markdown]
# The prompt for the third record ends at the colon:

# %%
Code("\n".join(example.prompt(2).splitlines()[-2:]), language="text")

# %% [markdown]
# A tokenizer may join characters across any boundary, so the resume is encoded as a whole and the tokens of a title are
# those whose characters lie in its place. The titles are encoded in their place too, closed by the end of the line;
# it is checked that none is the beginning of another, so their probabilities cannot add up to more than one.

# %%
tokenizer = load_tokenizer(model)
encoded = [tokenization.encode_resume(tokenizer, resume) for resume in templates.resumes(careers)]
show(models.resume_lengths(encoded, tokenization.encode_titles(tokenizer, careers.outcomes)))
