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
method: str = "full"  # full (all weights) or lora (a low-rank adapter)
epochs: int = 1  # passes over the training careers
learning_rate: float = 2e-4  # peak learning rate
batch_size: int = 2  # careers a step
warmup_share: float = 0.03  # share of steps with a rising learning rate
weight_decay: float = 0.0  # of AdamW
max_gradient_norm: float = 1.0  # larger gradients are scaled down
precision: str = "bfloat16"  # bfloat16 (mixed, float32 master weights) or float32
quantization: str = "none"  # none, or 8bit or 4bit for frozen base weights under lora
lora_rank: int = 16  # rank of the adapter
lora_alpha: int = 32  # its scale
lora_dropout: float = 0.0  # its dropout
evaluations_per_epoch: int = 2  # validations, and checkpoints to resume from
seed: int = 1  # of the order of careers, the adapter's start and dropout
loss: str = "all tokens"  # all tokens, or titles
layout: str = "packed"  # packed (careers without padding), or padded for models whose attention cannot be exchanged
tokens_at_once: int = 2048  # the most tokens in one pass; less needs less memory
train_workers: int = 0  # so many of the training workers, drawn at random; 0 for all
other_datasets: list[str] = []  # data sets whose training workers are added
other_share: float = 1.0  # share of their training workers that is added
own_repeats: int = 1  # how often the own careers occur in an epoch; those of other data sets occur once
last_year: int = 0  # records up to this year alone, of training and validation workers; 0 for all
data_seed: int = 1  # of the draw of training workers
title_form: str = "literal"  # titles: literal, numeric (job_000), perturbed (other words) or shuffled among occupations
title_seed: int = 1  # of numbers, wordings and places
birth_year: bool = True  # whether the year of birth is stated
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.samples import TrainingData
from labor_llm.exhibits import figures, models, publishing
from labor_llm.finetuning import fit, settings
from labor_llm.text.variants import CareerVariant
from labor_llm.workflow.datasets import open_training_careers

folders, show = publishing.open_chapter(results, dataset, name, model=label)
variant = CareerVariant(title_form, title_seed, birth_year)
data = TrainingData(train_workers, dict.fromkeys(other_datasets, other_share), own_repeats, last_year, data_seed)
careers = open_training_careers(folders, dataset, data, variant)

# %%
chosen = settings.FineTuningSettings(
    method=method, epochs=epochs, learning_rate=learning_rate, batch_size=batch_size, warmup_share=warmup_share,
    weight_decay=weight_decay, max_gradient_norm=max_gradient_norm, precision=precision, quantization=quantization,
    lora_rank=lora_rank, lora_alpha=lora_alpha, lora_dropout=lora_dropout,
    evaluations_per_epoch=evaluations_per_epoch, seed=seed, loss=loss, layout=layout, tokens_at_once=tokens_at_once,
)

# %%
show(models.fine_tuning_settings(model, chosen))

# %%
workers = min(careers.workers, len(careers.validation.workers))
show.text(careers.sentence(), persons=workers)

# %% [markdown]
# The next cell does the work. It writes checkpoints aside; if it is stopped, the same run goes on from the newest one and
# ends with the same weights. Meanwhile its learning curve can be watched: `tail -f` on `learning_curve.csv` in the hidden
# folder beside the model's, whose name ends in `.unfinished`.

# %%
added = dict(zip(other_datasets, map(folders.panel, other_datasets), strict=True))
inputs = {"panel": folders.panel(dataset), **added}
folder = fit.fine_tune_careers(model, careers, chosen, folders.model(dataset, name), inputs)

# %%
curve = fit.read_learning_curve(folder)
show(figures.learning_curve(curve, persons=workers))

# %%
show(models.kept_checkpoint(curve, workers))
