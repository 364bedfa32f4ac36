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
#     part: try
#     place: 10
#     reads:
#     - fitted
#     run: data sets of the text
#     values:
#       baselines: partners
# ---

# %% [markdown]
# # Try a career
#
# What does a worker do next who was in one job and then in another? Pick a career: the tables show the most likely next jobs, by the
# fine-tuned language model and by models that economists would use. The careers are made up: two of the most frequent jobs, one of the
# most frequent levels of education, and all else (gender, ethnicity, region, year of birth, years of the jobs) as most training workers
# have it. The answers were computed when this page was made, for pairs of jobs that eleven training workers or more have had in turn,
# and list jobs that as many have held. For any other career there is `labor-llm predict`.
#
# They are probabilities that models state, for workers of this data set in these years: how far they can be trusted is what the
# chapters on findings are about.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "results/demo/wage_panel/models/smollm2-fine-tuned"  # folder of a (fine-tuned) language model
fine_tuned_label: str = "SmolLM2-135M, fine-tuned"  # what tables call it
baselines: list[str] = ["multinomial-logit", "career"]  # baselines beside it
dtype: str = "float32"  # arithmetic of the language model: float32 or bfloat16
quantization: str = "none"  # none, 8bit or 4bit
try_jobs: int = 5  # jobs to pick from
try_educations: int = 2  # levels of education to pick from
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import publishing, try_it
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset)
careers, splits = open_dataset(folders, dataset)
settings = ScoringSettings(dtype=dtype, quantization=quantization)

# %%
asked = try_it.invented_careers(careers.split(splits, "train"), try_jobs, try_educations)
answers = try_it.next_job_answers(
    asked, careers, splits, folders, baselines, model, fine_tuned_label, settings
)

# %% tags=["remove-input"]
try_it.picker(answers, dataset)
