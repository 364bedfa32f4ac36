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
#     place: 70
#     reads:
#     - fitted
#     run: data sets of the text
#     values:
#       label: fine_tuned_label
#       lengths: history_lengths
#       name: fine_tuned
#       workers: history_workers
#       years: history_years
# ---

# %% [markdown]
# # How much history is needed
#
# Long careers are costly to collect. How well is the next job predicted if a model sees only the last $k$ records of a worker's
# history, or those of the last $k$ calendar years? Each record that is to be predicted is given to the model behind these records
# alone, as if the career had begun with them. Where interviews are annual and none is missed the two are one; of biennial ones $k$
# years hold half as many records, and none after a longer gap. Gender, ethnicity, region, year of birth and the education of each record are shown as ever. The models are those of
# the other chapters, fitted on whole careers, and are not told that anything was left out.
#
# Records late in a career tend to be easier to predict, and only they have long histories. All lengths are therefore compared on
# the same transitions: those with more records, and more years, before them than the largest $k$ of each. A second table shows the
# others by how many records they have.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "results/demo/wage_panel/models/smollm2-fine-tuned"  # folder of a (fine-tuned) language model, or as in 05
name: str = "smollm2-fine-tuned"  # short name of its predictions
label: str = "SmolLM2-135M, fine-tuned"  # what tables call it
baselines: list[str] = ["second-order-transitions", "bag-of-jobs", "career"]  # baselines to be shown the same
lengths: list[int] = [1, 2, 4]  # numbers of records shown, beside all of them
years: list[int] = [3]  # numbers of calendar years shown, likewise; none for lengths by records alone
workers: int = 40  # how many test workers with enough history, drawn at random; -1 for all
dtype: str = "float32"  # arithmetic of the language model: float32 or bfloat16
quantization: str = "none"  # of its weights: none, 8bit or 4bit
bootstrap: dict = {"draws": 1000, "seed": 1}  # samples of test workers, and their seed, also of the draw of workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers import histories
from labor_llm.evaluation import history_length
from labor_llm.exhibits import figures, publishing, studies, tables
from labor_llm.scoring import last_records, settings
from labor_llm.workflow import datasets

folders, show = publishing.open_chapter(results, dataset, **bootstrap)
careers, splits = datasets.open_dataset(folders, dataset)
asked = histories.lengths_of(lengths, years)
test, borne, left_out = history_length.drawn_workers(careers.split(splits, "test"), asked, workers, bootstrap["seed"])
show(tables.left_out_in_words(left_out, folders.labels([dataset])))

# %% [markdown]
# The language model scores the titles that occurred. What it has scored is stored, and read when the chapter is run again.

# %%
realised = settings.ScoringSettings(titles="realised", dtype=dtype, quantization=quantization)
scored = last_records.score_windows(test, borne, model, label, folders.history(dataset, name), realised,
                                    inputs={"panel": folders.panel(dataset)})
others = history_length.baselines_by_length(baselines, careers, splits, folders, test, borne)
predictions = {label: scored} | others

# %%
compared = history_length.history_lengths(predictions, test, **bootstrap)
show(studies.history_lengths(compared))

# %% tags=["leading"]
show(studies.history_sentence(compared, label))

# %%
show(figures.history_lengths(compared))

# %% [markdown]
# A model that looks at the last two records only, such as second-order transitions, cannot gain from a third: it tells that the
# comparison does what it says. What a longer history adds for a fixed number of records available is a column of the next table;
# down its rows the careers are later ones, so perplexity changes for other reasons too.

# %%
show(studies.history_available(history_length.history_lengths_by_available(predictions, test, **bootstrap)))
