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
# # Next-job scoring
#
# The probability of a job title as the next job is that of its tokens, one after the other, given the prompt:
#
# $$\log P(\text{title} \mid \text{prompt}) = \sum_k \log P(\text{token}_k \mid \text{prompt}, \text{token}_1, \dots, \text{token}_{k-1}),$$
#
# over the tokens of the title and of the end of its line. For the realised titles one pass over a whole career suffices.
# For all titles the career is read once, and the tree of titles hangs on each prompt, so nothing is computed twice. With a
# tolerance above zero the tree is followed where the probability is, until what is left of it is below the tolerance; then
# every title has a certified interval instead of a number.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # data set
model: str = "smollm2-135m-instruct"  # packaged model, folder of a (fine-tuned) model or adapter, or hub id
name: str = ""  # short name of the predictions; that of the model if empty
label: str = ""  # what tables call the model; its short name if empty
titles: str = "all"  # titles to be scored: realised, named (those listed next) or all
named: list[str] = ["stay"]  # stay (the previous record's title) and occupation codes
all_titles_workers: int = 12  # for how many test workers every title is scored; -1 for all
tolerance: float = 0.0  # probability that may remain unresolved in a record; 0 is exact
too_long: str = "shorten"  # careers longer than the model can read: shorten by whole records, or refuse
line_ends: str = "all"  # score the end of the line with all titles, or where needed (one title begins another)
memory_mib: int = 1024  # memory in MiB that scoring all titles may take beside the model
dtype: str = "float32"  # arithmetic: float32 or bfloat16
quantization: str = "none"  # of the weights: none, 8bit or 4bit
seed: int = 1  # of the draw of workers for whom every title is scored
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from pathlib import Path

from labor_llm.datasets import dataset_label, open_dataset
from labor_llm.exhibits.model_tables import scored_transitions
from labor_llm.exhibits.publishing import show_table, show_text
from labor_llm.language_models import load_language_model
from labor_llm.results import open_results
from labor_llm.scoring.agreement import largest_disagreement
from labor_llm.scoring.careers import score_panel
from labor_llm.scoring.rounding import measured_error

folders = open_results(results)
careers, splits = open_dataset(folders, dataset)
name = name or Path(model).name.lower()
label = label or name

# %%
predictions = score_panel(
    careers.split(splits, "test"), model, label, folders.predictions(dataset, name), all_titles_workers,
    dtype, quantization, inputs={"panel": folders.panel(dataset)}, seed=seed, ask=titles, named=named,
    too_long=too_long, tolerance=tolerance, line_ends=line_ends, memory_mib=memory_mib,
)

# %%
table = scored_transitions(predictions)
show_table("tab-scored-transitions", table.frame, folders.exhibits, persons=table.persons, formats=table.formats,
           variant=f"{dataset}-{name}", numbers={"dataset": dataset_label(folders, dataset), "model": label})

# %% [markdown]
# The fast scorer is held against the plain one, which runs the model once for every prompt and title, on an invented worker.

# %%
scorer = load_language_model(model, dtype, quantization)
difference = largest_disagreement(scorer, careers)
show_text("The largest difference between the two is {difference:.1e} nats.", persons="none", difference=difference)

# %%
show_text(measured_error(scorer, careers).sentence(), persons="none")
