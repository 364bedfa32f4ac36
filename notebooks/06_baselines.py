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
# # Baselines
#
# Models that know nothing of the words in a title. *Empirical transition frequencies* ask only for the previous occupation,
# *second-order transitions* for the last two. The *multinomial logit* adds years in the occupation, gaps and number of earlier
# records, schooling, gender, ethnicity, region, calendar year and age; the *two-stage logit* asks first whether a worker stays,
# and then where a mover goes, with the features of the regressions that CAREER was compared with; the *bag of jobs* sees the whole
# history, but not its order. *CAREER* is a transformer over occupations with the same two stages. Smoothing, penalties and
# stopping are chosen on the validation workers from wide grids, so that the baselines are as strong as they can be made.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
baselines: list[str] = ["empirical-transitions", "multinomial-logit"]  # which baselines are fitted
career_layers: int = 12  # layers of CAREER
career_width: int = 192  # width of its stream
career_heads: int = 3  # heads of its attention
career_inner_width: int = 768  # width of its feed-forward layers
career_dropout: float = 0.1  # its dropout
career_logit_bound: float = 10.0  # its logits are held within plus and minus this
career_covariates: list[str] = ["education", "gender", "ethnicity", "region", "age"]  # what enters beside occupations and years
career_epochs: int = 100  # the most passes over the training careers
career_patience: int = 5  # it stops after so many evaluations without gain
career_evaluations_per_epoch: int = 1  # how often it is evaluated
career_batch_size: int = 32  # careers a step
career_learning_rate: float = 5e-4  # peak of its learning rate
career_warmup_steps: int = 500  # steps in which it rises
career_weight_decay: float = 0.01  # of AdamW
career_precision: str = "float32"  # float32 or bfloat16
career_seed: int = 1  # of its weights, order of careers and dropout
refitted: list[str] = []  # baselines that are fitted again on resampled training workers, for TrainSE
refits: int = 10  # how often
refit_seed: int = 1  # of the samples, which are the same for all models
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.baselines import oracle, refits as resampling, registry
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.careers.predictions import write_all_predictions
from labor_llm.exhibits import models, publishing
from labor_llm.workflow.datasets import open_dataset

folders, show = publishing.open_chapter(results, dataset)
careers, splits = open_dataset(folders, dataset)

# %%
settings = CareerSettings(
    layers=career_layers, width=career_width, heads=career_heads, inner_width=career_inner_width, dropout=career_dropout,
    logit_bound=career_logit_bound, covariates=tuple(career_covariates), epochs=career_epochs, patience=career_patience,
    evaluations_per_epoch=career_evaluations_per_epoch, batch_size=career_batch_size, learning_rate=career_learning_rate,
    warmup_steps=career_warmup_steps, weight_decay=career_weight_decay, precision=career_precision, seed=career_seed,
)
options = {"career": {"settings": settings, "folder": folders.model(dataset, "career")}}
fitted = registry.fit_baselines(baselines, careers, splits, options)

# %%
show(models.baseline_tuning(fitted, validation_workers=list(splits.values()).count("validation")))

# %% [markdown]
# For a simulated data set the true probabilities are known, and are stored beside the baselines' as those of an oracle.

# %%
test = careers.split(splits, "test")
predictions = {key: baseline.predict(test) for key, baseline in fitted.items()}
write_all_predictions(folders, dataset, predictions | oracle.known_probabilities(folders.panel(dataset), test))

# %%
show.text(
    "{models} predictions for {transitions:,} transitions of {workers:,} test workers are stored.",
    persons=len(test.workers), models=len(predictions), transitions=len(test.frame), workers=len(test.workers),
)

# %% [markdown]
# How much would a result change with other training workers? Some baselines are fitted again, with all that they choose on
# the validation workers, on training workers drawn with replacement. The main comparison shows the spread as TrainSE.

# %%
places = {name: folders.refits(dataset, name) for name in refitted}
made = resampling.refit_baselines(places, careers, splits, refits, options, refit_seed)
