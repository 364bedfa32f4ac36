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
#     - numbers
#     parameters: checked
#     part: findings
#     place: 5
#     reads:
#     - notebooks
#     - benchmarks
#     - stored runs
#     run: once
#     values:
#       datasets: datasets_of_the_text
#       in_full: datasets_in_full
# ---

# %% [markdown]
# # Claims and verdicts
#
# What does the paper claim, and what does this run say of it? Each row is a claim and a data set with a number that bears on it. The
# numbers are those of the chapters that follow, and where several bear on a claim, the least favorable one stands here. All verdicts
# are given by one rule:
#
# - *replicated*: the 95 % interval of the difference does not hold zero, the sign is the one that is claimed, and 40 or more test workers
#   stand behind it;
# - *not replicated*: the same, but for the sign, which is the other one;
# - *undecided*: all else. The interval holds zero, or fewer than 40 workers stand behind it, of whom a bootstrap gives intervals that are too narrow.
#
# That no difference can be told is no evidence that there is none. A claim that two things are equal, as of calibration, can
# therefore be refuted here and never be replicated. An interval is that of other test workers: another sample of training
# workers, or another seed of fine-tuning, is not in it.

# %% tags=["parameters"]
datasets: list[str] = ["wage_panel"]  # data sets that the fine-tuned model is run on
in_full: list[str] = ["wage_panel"]  # those of them for which it scored all titles
fine_tuned: str = "smollm2-fine-tuned"  # the fine-tuned model
off_the_shelf: str = "smollm2-off-the-shelf"  # the same model without fine-tuning
larger: list[str] = []  # larger models that were fine-tuned on the same careers
prompted: list[str] = []  # predictions of the model off the shelf with other prompts
reported: dict = {"fine_tuned_numeric_titles": []}  # models by published quantity
stored: str = "benchmarks/measured/nlsy79_comparison"  # folder of a larger run that is one more data set
stored_beside: list[str] = []  # folders of stored runs of real surveys, likewise
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.exhibits import claims, publishing, report
from labor_llm.exhibits.stored_runs import stored_claims
from labor_llm.workflow.parameters import settings_of

folders, show = publishing.open_chapter(results)
models = {
    "fine_tuned": [fine_tuned], "off_the_shelf": [off_the_shelf], "prompted": prompted, "larger": larger,
    "numeric": settings_of(reported=reported).reported.fine_tuned_numeric_titles,
}
larger_run = report.read_comparison(stored)
rows = claims.judged(folders, models, datasets, in_full, larger_run, stored_claims(stored_beside))

# %%
summary = claims.summary(rows)
show(summary)

# %%
show(claims.verdicts(rows))

# %%
show(claims.evidence(rows))

# %% tags=["remove-cell"]
show.record("19_claims_and_verdicts", {"claims_summary": summary.words}, persons=summary.persons)
