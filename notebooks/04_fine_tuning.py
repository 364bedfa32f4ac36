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
#     - model
#     parameters: checked
#     part: appendix
#     place: 10
#     reads:
#     - training panels
#     run: each fine-tuned model
#     values:
#       model: base
# ---

# %% [markdown]
# # Fine-tuning
#
# The language model is trained to predict each next token of the training workers' resumes: one sequence a career, loss on
# all tokens (or on the titles alone), the learning rate rising shortly and then falling linearly to zero. The checkpoint
# with the lowest loss on the validation workers is kept. The paper fine-tunes Llama-2 with batches of 32 careers, a learning
# rate of 1e-5 and 3 and 5 epochs, between which validation chooses; a small model on few careers takes smaller batches and larger steps.
#
# The training careers may be a random part of them, with those of other data sets added, or end with a year; no test or
# validation worker of any data set is trained on. The titles may be replaced by numbers or other words, and the year of birth
# left out. Codes stay as they are, so what such a model predicts is comparable; it has to be scored with the same titles.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # base model: packaged, folder or hub id
name: str = "smollm2-fine-tuned"  # short name of the result
label: str = "SmolLM2-135M, fine-tuned"  # what tables call it
fine_tuning: dict = {"epochs": 1, "learning_rate": 2e-4, "batch_size": 2, "precision": "float32"}  # how it is fine-tuned
training: dict = {}  # the careers that it is fine-tuned on
resumes: dict = {}  # their form as text: titles, year of birth
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import figures, models, publishing
from labor_llm.finetuning import fit
from labor_llm.workflow import datasets, parameters

folders, show = publishing.open_chapter(results, dataset, name, model=label)
chosen = parameters.settings_of(fine_tuning=fine_tuning, training=training, resumes=resumes)
careers = datasets.open_training_careers(folders, dataset, chosen.training, chosen.resumes)

# %%
show(models.fine_tuning_settings(model, chosen.fine_tuning))

# %%
workers = min(careers.workers, len(careers.validation.workers))
show.text(careers.sentence(), persons=workers)

# %% [markdown]
# The next cell does the work. It writes checkpoints aside; if it is stopped, the same run goes on from the newest one and
# ends with the same weights. Meanwhile its learning curve can be watched: `tail -f` on `learning_curve.csv` in the hidden
# folder beside the model's, whose name ends in `.unfinished`.

# %%
inputs = {"panel": folders.panel(dataset)} | {other: folders.panel(other) for other in chosen.training.others}
folder = fit.fine_tune(model, careers, chosen.fine_tuning, folders.model(dataset, name), inputs)

# %%
curve = fit.read_learning_curve(folder)
show(figures.learning_curve(curve, persons=workers))

# %%
show(models.kept_checkpoint(curve, workers, fit.validation_losses(folder)))
