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
#     place: 80
#     reads:
#     - fitted
#     run: data sets of the text or with a truth
#     values:
#       label: fine_tuned_label
#       name: fine_tuned
#       paths: horizon_paths
#       questions: horizon_questions
# ---

# %% [markdown]
# # Two years ahead: direct and compounded predictions
#
# What will a worker do the year after next? A model that predicts the record of a stated year can be asked *directly*, the year
# between left out of the history. Or its predictions one year ahead are *compounded*:
#
# $$P(y_{t+2} = k \mid h_t) = \sum_j P(y_{t+1} = j \mid h_t)\, P(y_{t+2} = k \mid h_t, y_{t+1} = j).$$
#
# Every possible next year is put behind the worker's history and the model is asked again, as a model that looks at more than the
# last record is not a matrix to be squared. Both ways know the same: the education of the years between is the last known one. With
# one year between the sum is exact where it is over no more titles than paths are asked for. Else the most likely histories stand as
# they are, and of the others some are drawn that stand for the rest; five independent runs tell the Monte Carlo error.
#
# A model that is right agrees with itself: the two ways then give the same distribution. How far they differ, and which is nearer
# to what happens, says how well a model has learned what a gap of two years means, which careers with a record every year never
# show. A question is a pair of a worker's records so many years apart, whatever lies between. A step is a year, or two years in a
# survey that asks every second year, where the horizons are four and six.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
horizons: list[int] = []  # years ahead; two and three steps if none is given
step: int = 0  # years from one record to the next; 0 for the most frequent distance in the panel
baselines: list[str] = ["empirical-transitions", "second-order-transitions", "career"]  # models that are fitted again
questions: int = 150  # questions to each model and horizon, drawn at random; -1 for all
paths: int = 70  # histories that each of five runs keeps where the sum is not exact
language_model: str = "results/demo/wage_panel/models/smollm2-fine-tuned"  # folder of a (fine-tuned) model, or as in 05
name: str = "smollm2-fine-tuned"  # short name of its predictions
label: str = "SmolLM2-135M, fine-tuned"  # what tables call it
language_model_questions: int = 100  # questions to the language model, first horizon; at least 11 workers; 0 leaves it out
language_model_paths: int = 20  # histories that each of five runs keeps for each of them
dtype: str = "float32"  # arithmetic of the language model: float32 or bfloat16
quantization: str = "none"  # of its weights: none, 8bit or 4bit
bins: int = 10  # of the figure
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of questions and paths
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.evaluation import horizons as ahead
from labor_llm.exhibits import figures, publishing, studies, tables
from labor_llm.scoring import last_records, settings
from labor_llm.workflow.datasets import open_dataset

# %%
folders, show = publishing.open_chapter(results, dataset, **bootstrap)
careers, splits = open_dataset(folders, dataset)
test = careers.split(splits, "test")
asked, years_between, left_out = ahead.drawn_questions(test, horizons, questions, bootstrap["seed"], step)
show(tables.left_out_in_words(left_out, folders.labels([dataset])))

# %% [markdown]
# For a simulated data set the market's own probabilities are the truth: they sum out what lies between, and stand beside the models
# as those of an oracle. It agrees with itself but where education has risen between, of which the direct prediction weighs all years
# and the compounded one takes the last. The language model answers fewer questions, as each takes the probabilities of all titles
# after every history; what it has answered is stored. Its perplexity is among valid titles, and as its questions are others, comparable within its row alone.

# %%
answered = last_records.language_model_pair(
    test, asked, language_model_questions, language_model, label, folders.horizons(dataset, name),
    settings.ScoringSettings(dtype=dtype, quantization=quantization), paths=language_model_paths,
    seed=bootstrap["seed"], step=years_between, inputs={"panel": folders.panel(dataset)},
)

# %%
pairs = ahead.baseline_pairs(baselines, careers, splits, folders, asked, paths, bootstrap["seed"], years_between) + answered

# %%
agreement = ahead.agreement_by_model(pairs, **bootstrap)
show(studies.horizon_perplexities(agreement))

# %% tags=["leading"]
show(studies.horizon_sentence(agreement))

# %% [markdown]
# That two sets of predictions correlate says little of how far apart they are: the occupation at the origin is the most probable one
# in nearly all of them. Total variation is the largest difference in the probability of any event; the Kullback-Leibler divergence
# is the log-probability that is lost on average if the direct prediction holds and the compounded one is used. Where paths are drawn,
# their scatter adds to both, by about what stands beside them, and the logarithm of an average over them is too low on average. For
# that reason the table above leaves their difference empty: direct predictions would win even where the two ways are the same.

# %%
show(studies.horizon_agreement(agreement, ahead.truth_by_model(pairs, **bootstrap)))

# %%
show(figures.horizon_bins(ahead.stay_bins(pairs, asked, bins)))
