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
#     place: 110
#     reads:
#     - studied
#     run: study of structural change
# ---

# %% [markdown]
# # Structural change
#
# A model that forecasts is used in years that it has not seen. Here models are trained on the years up to a last one and tested on
# the years after it, and compared with the same models trained on all years. Test workers are never seen in training in either case;
# their own earlier records are history to the later ones, whatever the training.
#
# A training that ends early has seen fewer records as well as older ones. A third training therefore takes whole careers of so many
# training workers, drawn at random, that it has as many records as the one that ends early: the difference to it is what the
# missing years cost beyond the missing records. In the years before the end, it also shows what is due to the choice of workers
# and to their age, as an early end leaves young workers in a survey that follows a cohort. After a structural change the
# difference should open with the distance from the last year of training; without one it should stay.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
last_year: int = 1984  # last year of the training that ends early
baselines: list[str] = ["empirical-transitions", "multinomial-logit", "career"]  # models that are fitted again
models: list[str] = []  # stored predictions of models trained on all years, such as smollm2-fine-tuned
models_until: list[str] = []  # those of the same models trained up to the last year, in the same order
models_as_many: list[str] = []  # and, if any, trained on all years of fewer workers with as many records
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of the third training's workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines import registry
from labor_llm.evaluation import structural_change
from labor_llm.exhibits import figures, publishing, studies
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset, **bootstrap, last_year=last_year)
careers, splits = open_dataset(folders, dataset)

# %%
fitted = registry.predictions_by_training(baselines, careers, splits, last_year, folders, bootstrap["seed"])
trainings = fitted | registry.stored_by_training(dataset, models, models_until, folders, models_as_many)

# %%
periods = structural_change.before_and_after(trainings, last_year, **bootstrap)
show(studies.before_and_after(periods))

# %% tags=["leading"]
show(studies.structural_change_sentence(periods, last_year))

# %%
years = structural_change.performance_by_year(trainings, last_year, **bootstrap)
show(figures.performance_by_year(years, last_year))
