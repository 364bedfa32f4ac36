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
#     - panel
#     parameters: checked
#     part: data
#     place: 10
#     reads:
#     - files
#     run: each data set
# ---

# %% [markdown]
# # Data conversion
#
# Every survey ends in the same form: the *career panel*, one row per worker and survey year, with the occupation as
# a code, the education at the time, and gender, ethnicity, region and year of birth. This notebook converts one data set,
# checks every rule of the panel, splits the workers into training, validation and test, and stores the result.
# All other notebooks start from what is stored here.

# %% tags=["parameters"]
dataset: str = "wage_panel"  # packaged data set, or a short name for careers of your own
source: dict = {}  # where it comes from, if it is not packaged: files of your own, a survey's, or simulated ones
split_seed: int = 1  # seed of the split of workers
results: str = "results/by-hand"  # folder of the results; results/demo are those of `make replicate`

# %%
from labor_llm.careers.panel import read_panel
from labor_llm.exhibits import models, publishing
from labor_llm.workflow import datasets, parameters

folders, show = publishing.open_chapter(results, dataset)

# %% [markdown]
# Three kinds of data are converted here. A survey's own files (PSID, NLSY79, NLSY97) are read as they are downloaded: the main
# job at each interview becomes one of the 330 occupations of occ1990dd through the crosswalk of its Census frame, and who
# does not work is in education, unemployed or out of the labor force; the next chapter counts what each of these steps leaves.
# A simulated survey goes the same way, from files in the official formats, but its workers come from a labor market whose
# transition probabilities are known. And careers of your own are taken as they are.
#
# The packaged data set is real: the 545 men of the National Longitudinal Survey of Youth 1979 that
# {cite:t}`vella1998whose` study, observed in every year from 1980 to 1987. Their occupation is recorded in nine groups
# and their industry in twelve, and the pair in words is the job title, such as *Craftsmen and foremen in construction*.
# All 108 pairs form the outcome space, whether they occur or not: it must not be read off the data that is to be predicted.
# The order of the nine groups is checked against their documented frequencies. The year of birth follows from the data's
# own definition of potential experience, which is age minus six minus years of schooling. The region is that of the first record.

# %%
chosen = parameters.settings_of(source=source)
folder = datasets.convert_dataset(folders, dataset, chosen.source, split_seed)
careers, splits = read_panel(folder)

# %% [markdown]
# Whole workers are assigned to a split, never single records: 70 percent to training, 10 to validation (where smoothing,
# penalties and the checkpoint are chosen) and 20 to the test, on which nothing is fitted or chosen.

# %%
show(models.split_description(careers, splits))

# %%
show.text(
    f"The panel has {len(careers.frame):,} records of {len(careers.workers):,} workers and is stored with the checksum of "
    "each of its files.",
    persons=len(careers.workers),
)
