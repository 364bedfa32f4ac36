"""Tables of what the career panels are and where they come from.

What rests on fewer than `MINIMUM_PERSONS` workers is pooled, left out or shown as '< 11' here, and so is a second
number where the first could be computed from the others. `panels` holds one career panel for each data set,
`conversions` the counts of each one's conversion by its name, None where it has none, and `labels` says how to call
a data set; its name where there is none.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib.resources import files

import pandas as pd

from labor_llm.careers.occupations import major_groups
from labor_llm.careers.panel import SPLITS, TRANSITION_TYPES, CareerPanel, transitions
from labor_llm.disclosure import (
    FEW,
    MINIMUM_PERSONS,
    POOLED,
    nested_counts,
    pooled_groups,
    supported_years,
)
from labor_llm.exhibits.formatting import EN_DASH, DisplayTable, Labels, table
from labor_llm.surveys.report import NO_FRAME, Conversion, UnmappedCode

MOST_GROUPS = 16
OTHER_GROUPS = "all other occupations"

Conversions = Mapping[str, Conversion | None]

# Individuals and transitions that the paper is recalled to have, by the survey's name; never verified, and
# therefore not among the published values of `published.csv`.
BELIEVED_SIZES = {"PSID": (31_056, 313_622), "NLSY79": (12_479, 259_778), "NLSY97": (8_984, 148_795)}
_NO_CODE = "no occupation code"
_MOST_CODES = 5


def occupation_groups(panel: CareerPanel) -> dict[str, str]:
    """Return the group of every occupation of a panel, few enough to be read in one figure.

    Returns:
        Group by code, in the order of the outcome space: its heading in occ1990dd or, of other codes, the part of the
        title before ' in ' ('Managers in trade'), or the title. At most `MOST_GROUPS` groups: where there are more,
        occ1990dd's headings of services, sales, agriculture, and construction with extraction are taken
        together each, and if that does not suffice, the groups with the fewest records are one.
    """
    outcomes, headings = panel.outcomes, major_groups()
    if all(code in headings for code in outcomes.codes):
        groups = {code: headings[code] for code in outcomes.codes}
    else:
        groups = {code: outcomes.title(code).split(" in ")[0] for code in outcomes.codes}
    if len(set(groups.values())) > MOST_GROUPS:
        with (files("labor_llm.exhibits") / "broader_groups.csv").open(encoding="utf-8") as file:
            broader = dict(csv.reader(file))
        groups = {code: broader.get(group, group) for code, group in groups.items()}
    if len(set(groups.values())) > MOST_GROUPS:
        records = panel.frame["occupation"].map(groups).value_counts()
        frequent = set(records.index[: MOST_GROUPS - 1])
        groups = {code: group if group in frequent else OTHER_GROUPS for code, group in groups.items()}
    return groups


def data_description(
    panels: Sequence[CareerPanel], splits: Mapping[str, Mapping[str, str]], labels: Labels = None
) -> DisplayTable:
    """Describe career panels side by side: sizes, splits, and shares in percent, one column a data set.

    `splits` holds for each data set the split of each of its workers.
    """
    titles = [(labels or {}).get(panel.dataset, panel.dataset) for panel in panels]
    parts = []
    for panel in panels:
        rows = _sizes(panel, splits[panel.dataset]) + _shares(panel)
        parts.append(pd.DataFrame(rows, columns=["name", "value", "workers"], dtype=object).set_index("name"))
    values = pd.concat(parts, axis=1, keys=titles)
    # Rows of one characteristic stand together over data sets, in the order of first appearance.
    topics = list(dict.fromkeys(name.split(":")[0] for name in values.index))
    values = values.loc[sorted(values.index, key=lambda name: topics.index(name.split(":")[0]))]
    values, persons = (values.xs(column, axis=1, level=1) for column in ("value", "workers"))
    frame = values.rename_axis("Characteristic").reset_index()
    behind = persons.astype(float).min(axis=1).reset_index(drop=True)
    return DisplayTable("tab-data-description", frame, behind, dict.fromkeys(titles, ".1f"))


def _sizes(panel: CareerPanel, splits: Mapping[str, str]) -> list[tuple[str, object, int]]:
    frame, workers = panel.frame, len(panel.workers)
    first, last = supported_years(frame)
    counted = pd.Series(splits).value_counts()
    values = {
        "Workers": workers,
        **{f"Workers, {name}": int(counted.get(name, 0)) for name in SPLITS},
        "Records": len(frame),
        "Records per worker, mean": len(frame) / workers,
        "Survey years": f"{first}{EN_DASH}{last}",
        "Job titles": len(panel.outcomes),
        "Job titles observed": int(frame["occupation"].nunique()),
    }
    # Splits are made at random, so the size of one tells nothing about a person in it.
    return [(name, value, workers) for name, value in values.items()]


def _shares(panel: CareerPanel) -> list[tuple[str, object, int]]:
    static, rows = panel.frame.drop_duplicates("worker_id"), []
    for frame, column, name in (
        (static, "gender", "Gender"), (static, "ethnicity", "Ethnicity"), (static, "region", "Region"),
        (panel.frame, "education", "Education"), (transitions(panel), "transition_type", "Transition"),
    ):  # fmt: skip
        shown = pooled_groups(frame[column], frame["worker_id"])
        grouped = frame.groupby(shown.rename("group"))["worker_id"].agg(["size", "nunique"])
        by_size = grouped.sort_values("size", ascending=False, kind="stable")
        # Types of transition in their natural order, other groups by size, and the pool last.
        order = [
            *TRANSITION_TYPES,
            *by_size.index.difference([*TRANSITION_TYPES, POOLED], sort=False),
            POOLED,
        ]
        for group, row in grouped.reindex([group for group in order if group in grouped.index]).iterrows():
            share = 100.0 * int(row["size"]) / len(frame)
            rows.append((f"{name}: {group}, %", share, int(row["nunique"])))
    return rows


def attrition(panels: Sequence[CareerPanel], conversions: Conversions, labels: Labels = None) -> DisplayTable:
    """List the workers and records that are left after each step of the conversion of each data set.

    A number that is between 1 and 10 above the next one shown tells of too few workers who were left out; it
    is shown as the next one with '+ < 11'. A panel that was not converted here has the last step alone.
    """
    rows = []
    for panel in panels:
        conversion = conversions[panel.dataset]
        size = (len(panel.workers), len(panel.frame))
        steps = [("kept", "career panel, as it was given", *size)]
        if conversion is not None:
            steps = [(step.step, step.meaning, step.workers, step.records) for step in conversion.steps]
        names, meanings, workers, records = zip(*steps, strict=True)
        shown = zip(names, nested_counts(workers), nested_counts(records), meanings, strict=True)
        rows += [(panel.dataset, *step, size[0]) for step in shown]
    columns = ["dataset", "step", "left", "records", "meaning", "workers"]
    return table("tab-attrition", pd.DataFrame(rows, columns=columns), labels)


def believed_sizes(
    panels: Sequence[CareerPanel], conversions: Conversions, labels: Labels = None
) -> DisplayTable:
    """Put the sizes of converted surveys beside those that the paper is recalled to have.

    Only data sets that were converted from the files of one of the paper's surveys are listed.
    """
    rows = []
    for panel in panels:
        conversion = conversions[panel.dataset]
        # The name of a simulated survey says so, and the packaged panel is no conversion of the whole survey.
        if conversion is None or panel.survey != conversion.survey or panel.survey not in BELIEVED_SIZES:
            continue
        workers, records = BELIEVED_SIZES[panel.survey]
        label = (labels or {}).get(panel.dataset, panel.dataset)
        rows.append((label, len(panel.workers), workers, len(panel.frame), records))
    headings = ["Individuals, here", "Individuals, recalled", "Transitions, here", "Transitions, recalled"]
    frame = pd.DataFrame(rows, columns=["Data set", *headings])
    return DisplayTable("tab-believed-sizes", frame, frame["Individuals, here"])


def unmapped_codes(
    panels: Sequence[CareerPanel], conversions: Conversions, labels: Labels = None
) -> DisplayTable:
    """List, for each Census frame, the share of coded records that was mapped and the frequent unmapped codes.

    The most frequent five codes are shown and the others pooled. Codes of too few workers are in the pool, and
    more codes with them until the pool rests on enough workers. A frame in which no survey year has enough
    workers is left out.
    """
    rows = [
        (panel.dataset, *row)
        for panel in panels
        if (conversion := conversions[panel.dataset]) is not None
        for row in _frame_rows(conversion)
    ]
    columns = ["dataset", "frame", "code", "records", "with_code", "share", "workers"]
    return table("tab-unmapped-codes", pd.DataFrame(rows, columns=columns), labels)


def _frame_rows(conversion: Conversion) -> list[tuple[object, ...]]:
    """Return frame, code, records, workers, share in percent and persons behind, for every row of every frame."""
    rows: list[tuple[object, ...]] = []
    for counts in conversion.frames:
        # Each record of a survey year is of another worker, so the largest year is a lower bound of the workers.
        by_year = [entry.mapped or 0 for entry in conversion.coverage if entry.frame == counts.frame]
        behind = max(by_year, default=0)
        if behind < MINIMUM_PERSONS or not counts.coded or counts.mapped is None:
            continue
        name, percent = frame_name(counts.frame), 100.0 / counts.coded
        unmapped = [entry for entry in conversion.unmapped if entry.frame == counts.frame]
        # Codes that were too rare to be stored are the difference to what is listed.
        total = counts.coded - counts.mapped
        listed, persons = _frequent_codes(unmapped, total)
        rest = total - sum(entry.records for entry in listed)
        enough = not rest or persons >= MINIMUM_PERSONS
        rows.append(
            (name, "all mapped codes", "", "", percent * counts.mapped if enough else "< 100", behind)
        )
        for entry in listed:
            code, records, workers = str(entry.code), entry.records, entry.workers
            rows.append((name, code, records, workers, percent * records, workers))
        if rest and enough:
            rows.append((name, "all other codes", rest, "", percent * rest, persons))
        elif rest:
            rows.append((name, "all other codes", "", FEW, "", behind))
    return rows


def _frequent_codes(unmapped: list[UnmappedCode], total: int) -> tuple[list[UnmappedCode], int]:
    """Return the codes to be listed, and how many workers the others have at least.

    Codes are given up until the others, if there are any, rest on enough workers.
    """
    named = sorted((entry for entry in unmapped if entry.code is not None), key=lambda entry: -entry.records)
    listed, others = named[:_MOST_CODES], named[_MOST_CODES:]
    others += [entry for entry in unmapped if entry.code is None]
    persons = max((entry.workers for entry in others), default=0)
    while listed and persons < MINIMUM_PERSONS and total > sum(entry.records for entry in listed):
        persons = listed.pop().workers
    return listed, persons


def frame_name(frame: str) -> str:
    """Return what tables and figures call a Census frame, or that records have none."""
    return _NO_CODE if frame == NO_FRAME else frame.replace("census", "Census ")
