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
# rate of 1e-5 and 3 or 5 epochs; a small model on few careers takes smaller batches and larger steps.
#
# The training careers may be a random part of them, with those of other data sets added, or end with a year; no test or
# validation worker of any data set is trained on. The titles may be replaced by numbers or other words, and the year of birth
# left out. Codes stay as they are, so what such a model predicts is comparable; it has to be scored with the same titles.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # base model: packaged, folder or hub id
name: str = "smollm2-fine-tuned"  # short name of the result
label: str = "SmolLM2-135M, fine-tuned"  # what tables call it
fine_tuning: dict = {"epochs": 1, "learning_rate": 2e-4, "batch_size": 2, "evaluations_per_epoch": 2}  # how it is fine-tuned
training: dict = {}  # the careers that it is fine-tuned on
resumes: dict = {}  # their form as text: titles, year of birth
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.samples import TrainingData
from labor_llm.exhibits import figures
from labor_llm.exhibits import models as model_tables
from labor_llm.exhibits.publishing import show_figure, show_table, show_text
from labor_llm.finetuning.fit import fine_tune_careers, read_learning_curve
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.store.results import open_results
from labor_llm.text.variants import ResumeSettings
from labor_llm.workflow.datasets import dataset_label, open_training_careers

folders = open_results(results)
variant, data = ResumeSettings(**resumes), TrainingData(**training)
careers = open_training_careers(folders, dataset, data, variant)

# %%
settings = FineTuningSettings(**fine_tuning)

# %%
exhibit = f"{dataset}-{name}"
words = {"dataset": dataset_label(folders, dataset), "model": label}
table = model_tables.fine_tuning_settings(model, settings)
show_table("tab-fine-tuning-settings", table, folders.exhibits, persons="none", variant=exhibit, numbers=words)

# %%
workers = min(careers.workers, len(careers.validation.workers))
show_text(careers.sentence(), persons=workers)

# %% [markdown]
# The next cell does the work. It writes checkpoints aside; if it is stopped, the same run goes on from the newest one and
# ends with the same weights. Meanwhile its learning curve can be watched: `tail -f` on `learning_curve.csv` in the hidden
# folder beside the model's, whose name ends in `.unfinished`.

# %%
added = dict(zip(other_datasets, map(folders.panel, other_datasets), strict=True))
inputs = {"panel": folders.panel(dataset), **added}
folder = fine_tune_careers(model, careers, settings, folders.model(dataset, name), inputs)

# %%
curve = read_learning_curve(folder)
show_figure("fig-learning-curve", figures.learning_curve(curve), folders.exhibits, variant=exhibit,
            persons=workers, numbers=words)

# %%
kept = curve[curve["kept"] & (curve["split"] == "validation")].iloc[0]
show_text(
    "The checkpoint after {step:,} steps ({epoch:.2f} epochs) is kept, with a validation loss of {loss:.4f} nats per token.",
    persons=workers, step=int(kept["step"]), epoch=kept["epoch"], loss=kept["loss"],
)
