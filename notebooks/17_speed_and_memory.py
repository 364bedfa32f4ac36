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
#     part: reproduce
#     place: 20
#     reads:
#     - benchmarks
#     run: once
# ---

# %% [markdown]
# # Speed and memory
#
# How fast the package is beside other software that users would take, and how much memory large models need. The first three
# tables are not measured by the run that made this book: they take hours and a quiet machine, so each was stored, with
# checksums, by the program that its note names, and anyone can run that program again. What a machine does at other
# times differs; the ratios come from runs in turn in one process and are steadier than the seconds.

# %% tags=["parameters"]
benchmarks: str = "benchmarks/measured"  # folder of the stored benchmarks, from the top of the repository
sizes: list[str] = ["7b", "13b"]  # of Llama-2, whose memory is computed
tokens: int = 2048  # tokens run at once in fine-tuning, on each GPU
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import models, publishing

folders, show = publishing.open_chapter(results)

# %% [markdown]
# ## Scoring
#
# llama.cpp shares a prompt between the titles and scores them all. The other peers score one title after the other, each with
# its whole prompt; their time is that of a sample of titles, scaled.

# %%
show(models.benchmark_table("tab-speed-scoring", f"{benchmarks}/scoring"))

# %% [markdown]
# Bounded scoring stops where the titles that are not followed to their end have no more than a stated probability between
# them, the unresolved one. It saves most with a model that was fine-tuned.

# %%
show(models.benchmark_table("tab-speed-bounded", f"{benchmarks}/bounded_scoring"))

# %%
show(models.benchmark_table("tab-scoring-costs", f"{benchmarks}/scoring_costs"))

# %% [markdown]
# ## Fine-tuning
#
# All train every weight for an epoch on the same careers. What counts are tokens that are no padding.

# %%
show(models.benchmark_table("tab-speed-fine-tuning", f"{benchmarks}/fine_tuning"))

# %% [markdown]
# Seven billion weights in float32, with their gradients and moments, do not fit into one GPU. Stored in bfloat16 they do, but at a
# small learning rate most updates are less than the last digit there is: rounded to the nearest number, the weights stay where
# they are. Rounded up or down at random, so that they are right on average, they learn.

# %%
show(models.benchmark_table("tab-rounded-weights", f"{benchmarks}/rounded_weights"))

# %% [markdown]
# ## Conversion of surveys

# %%
show(models.benchmark_table("tab-speed-conversion", f"{benchmarks}/survey_conversion"))

# %% [markdown]
# ## On a GPU
#
# Arithmetic stands beside the rate at which the same card multiplied square matrices in the same run. The large model has the
# published shape of Llama-2-7B and random weights.

# %%
show(models.benchmark_table("tab-speed-gpu", f"{benchmarks}/gpu"))

# %% [markdown]
# ## Memory of large models
#
# What a GPU must hold, from the number and kind of a model's weights. The formulas are held against the measured peak of
# scaled-down models of the same architecture by the package's tests; where a run on a GPU is shown above, the peak there stands beside what they give.

# %%
show(models.memory_table(sizes, tokens))
