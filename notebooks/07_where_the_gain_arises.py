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
#     place: 20
#     reads:
#     - fitted
#     run: data sets of the text
# ---

# %% [markdown]
# # Where the gain arises
#
# A model of the next job has to know whether the worker stays, into which kind of work one who leaves goes, and which occupation
# there. The log-likelihood of the next job is the sum of these, by the chain rule: with $y'$ the last job and $g$ the major group,
#
# $$\log P(y) = \log P(\text{valid title}) + \log P(\text{stay or move}) + \log P(g \mid \text{move}) + \log P(y \mid g, \text{move}).$$
#
# So the difference between two models is split exactly. The first part is what a language model loses on text that is no job title;
# the others are taken among the valid titles. A group is a major group of occupations; where titles are made of an occupation and
# an industry, it is the occupation, and what is within it the industry.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
baselines: list[str] = ["empirical-transitions", "multinomial-logit"]  # in the order of the tables
fine_tuned: str = "smollm2-fine-tuned"  # the model that the text is about
model: str = ""  # its folder; if empty, that in the results
partners: list[str] = ["multinomial-logit"]  # baselines that it is pooled with
mixture_workers: int = -1  # validation workers by whom the weights are chosen; -1 for all
dtype: str = "float32"  # arithmetic of the language model, as it was scored with
quantization: str = "none"  # of its weights, likewise
line_ends: str = "all"  # scoring of the end of the line, likewise
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of the draw of workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.predictions import read_all_predictions
from labor_llm.evaluation import comparison, gains, mixtures, title_frequency
from labor_llm.exhibits import data, figures, formatting, gains as found, publishing, tables
from labor_llm.scoring import careers as scoring, settings
from labor_llm.workflow.datasets import drawn_workers, open_dataset

# %%
folders, show = publishing.open_chapter(results, dataset, **bootstrap)
careers, splits = open_dataset(folders, dataset)
compared = read_all_predictions(folders, [dataset], baselines)
(own,) = read_all_predictions(folders, [dataset], [fine_tuned])
best, predictions = gains.best_of(compared), [*compared, own]
words = {"model": own.model, "reference": best.model}

# %%
groups = data.occupation_groups(careers)
parts = gains.gain_by_part(own, best, careers, groups, **bootstrap)
show(formatting.table("tab-gain-by-part", parts), **words)

# %% tags=["leading"]
show(found.gain_sentence(parts))

# %%
show(figures.gain_by_part(parts), **words)

# %% [markdown]
# (major-groups)=
# ## Major groups, and errors of coding
#
# Who is asked every year what work they do may be given another code for the same work. Such an error looks like a move, and its
# correction in the next interview like a move back. No model can foresee the error, while the move back is foreseen by one that
# remembers the job before the last. Across major groups fewer errors reach.

# %%
in_full, left_out = comparison.with_all_titles(predictions)
levels = gains.group_level_perplexity(in_full, groups, **bootstrap)
show(formatting.table("tab-group-level", levels), groups=len(set(groups.values())))

# %%
show(tables.left_out_in_words(left_out, folders.labels([dataset])))

# %%
show(found.returns(gains.returns(predictions, careers, **bootstrap)))

# %% [markdown]
# ## Rare and frequent titles
#
# A model of codes learns of a title from its own records alone, a language model also from what the words of other titles tell, so
# it should gain most on titles with few records. The groups are of the title that occurred: they tell where a gain arises, while
# which model is better is told by all transitions together.

# %%
by_frequency = title_frequency.perplexity_by_frequency(predictions, careers.split(splits, "train"), best.model, **bootstrap)
show(tables.title_frequency("tab-title-frequency", by_frequency), reference=best.model)

# %% [markdown]
# (pooled)=
# ## Pooled with an econometric model
#
# Two models that err in different ways can be better together than each alone. What the pool gains on the econometric model is at
# most what the language model knows beyond it, and the other way round, as errors of estimation average out too.

# %%
held = drawn_workers(careers, splits, mixture_workers, bootstrap["seed"], split="validation")
realised = settings.ScoringSettings(titles="realised", dtype=dtype, quantization=quantization, line_ends=line_ends)
validation = scoring.score_panel(
    held, model or str(folders.model(dataset, fine_tuned)), own.model, folders.validation(dataset, fine_tuned), realised,
    inputs={"panel": folders.panel(dataset)},
)

# %%
fitted = mixtures.validation_predictions(partners, careers, splits, folders, held)
pairs = [(fitted[each.model], each) for each in predictions if each.model in fitted]
pooled, apart = mixtures.mixtures(validation, own, pairs, **bootstrap)
show(found.mixtures(pooled), model=own.model)

# %%
show(found.mixture_sentence(pooled))

# %%
show(tables.left_out_in_words(apart, folders.labels([dataset])))
