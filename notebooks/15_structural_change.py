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
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of the third training's workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines.registry import predictions_by_training, stored_by_training
from labor_llm.evaluation.structural_change import before_and_after, performance_by_year
from labor_llm.exhibits import figures as study_figures
from labor_llm.exhibits import studies as structural_change_tables
from labor_llm.exhibits.publishing import show_figure, show_table, show_text
from labor_llm.exhibits.studies import structural_change_sentence
from labor_llm.store.results import open_results
from labor_llm.workflow.datasets import dataset_label, open_dataset

folders = open_results(results)
careers, splits = open_dataset(folders, dataset)

# %%
fitted = predictions_by_training(baselines, careers, splits, last_year, folders, seed)
trainings = fitted | stored_by_training(dataset, models, models_until, folders)

# %%
periods = before_and_after(trainings, last_year, draws, seed)
table = structural_change_tables.before_and_after(periods)
numbers = {"dataset": dataset_label(folders, dataset), "last_year": str(last_year), "draws": f"{draws:,}"}
show_table("tab-structural-change", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           variant=dataset, numbers=numbers)

# %%
show_text(structural_change_sentence(periods, last_year), persons=int(periods["workers"].min()))

# %%
years = performance_by_year(trainings, last_year, draws, seed)
show_figure("fig-structural-change", study_figures.performance_by_year(years, last_year), folders.exhibits,
            persons=years["workers"], variant=dataset, numbers=numbers)
