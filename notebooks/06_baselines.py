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
#     - baselines
#     parameters: checked
#     part: appendix
#     place: 30
#     reads:
#     - panel
#     run: each data set
#     values:
#       refitted: refitted_baselines
# ---

# %% [markdown]
# # Baselines
#
# Models that know nothing of the words in a title. *No change* has one share of stayers for all. *Empirical transition
# frequencies* ask only for the previous occupation, *second-order transitions* for the last two. The *multinomial logit* adds
# years in the occupation, gaps and number of earlier records, schooling, gender, ethnicity, region, calendar year and age, and
# *staying shared* a term of staying that all titles have in common; the *two-stage logit* asks first whether a worker stays,
# and then where a mover goes, with the features of the regressions that CAREER was compared with; the *bag of jobs* sees the whole
# history, but not its order, and *boosted trees* split what the two-stage logit weighs. *CAREER* is a transformer over
# occupations with the same two stages. Smoothing, penalties, sizes and stopping are chosen on the validation workers from wide
# grids, so that the baselines are as strong as they can be made.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
baselines: list[str] = ["empirical-transitions", "multinomial-logit"]  # which baselines are fitted
career: dict = {}  # size and training of CAREER
refitted: list[str] = []  # baselines that are fitted again on resampled training workers, for TrainSE
refits: int = 10  # how often
refit_seed: int = 1  # of the samples, which are the same for all models
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines import oracle, registry
from labor_llm.exhibits import models, publishing
from labor_llm.workflow import datasets, parameters

folders, show = publishing.open_chapter(results, dataset)
careers, splits = datasets.open_dataset(folders, dataset)

# %%
settings = parameters.settings_of(career=career).career
options = {"career": {"settings": settings, "folder": folders.model(dataset, "career")}}
fitted = registry.fit_baselines(baselines, careers, splits, options)

# %%
show(models.baseline_tuning(fitted, validation_workers=list(splits.values()).count("validation")))

# %% [markdown]
# For a simulated data set the true probabilities are known, and are stored beside the baselines' as those of an oracle.

# %%
test = careers.split(splits, "test")
predictions = {key: baseline.predict(test) for key, baseline in fitted.items()}
known = oracle.known_probabilities(folders.panel(dataset), test)
registry.store_predictions(fitted, predictions | known, dataset, folders)

# %%
show.text(
    f"{len(predictions)} predictions for {len(test.frame):,} transitions of {len(test.workers):,} test workers are stored.",
    persons=len(test.workers),
)

# %% [markdown]
# How much would a result change with other training workers? Some baselines are fitted again, with all that they choose on
# the validation workers, on training workers drawn with replacement. The main comparison shows the spread as TrainSE.

# %%
places = {name: folders.refits(dataset, name) for name in refitted}
made = registry.refit_baselines(places, careers, splits, refits, options, refit_seed)
