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
#     place: 30
#     reads:
#     - benchmarks
#     run: once
# ---

# %% [markdown]
# # A larger run
#
# The other chapters show what the run that made this book found. What takes a machine of this size hours is done apart: each
# comparison was stored, as aggregates with checksums, by the program that its note names, and anyone who holds the survey can
# run that program again.

# %% tags=["parameters"]
stored: str = "benchmarks/measured/nlsy79_comparison"  # folder of the stored comparison, from the top of the repository
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.evaluation.resampling import turned
from labor_llm.exhibits import figures, findings, formatting, publishing, report, tables

comparison = report.read_comparison(stored)
folders, show = publishing.open_chapter(results, **comparison.about)
names = {comparison.about["dataset"]: comparison.about["survey"]}
of_model = turned(comparison.differences)
show(findings.against_baselines(of_model, names))

# %% [markdown]
# ## Careers of the NLSY79
#
# All models are trained on the same workers. CAREER is trained on them alone, and once more from weights that were first
# trained on simulated workers of the other two surveys; those follow a market that was made up, so the transfer can teach it
# no more than what careers look like in general.

# %%
show(tables.main_comparison(comparison.perplexity, names), "tab-larger-main")

# %% [markdown]
# Differences are those of the fine-tuned language model from each other model, on the same samples of test workers; where one
# is negative, the fine-tuned model predicts better.

# %%
differences = tables.difference_labels(of_model, names)
show(formatting.table("tab-paired-differences", differences), "tab-larger-differences")

# %%
show(figures.paired_differences(differences), "fig-larger-differences")

# %%
show(tables.transition_types(comparison.by_type, names), "tab-larger-transition-types")
