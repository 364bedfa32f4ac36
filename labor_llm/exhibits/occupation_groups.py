"""Groups of occupations that are few enough to be read in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from labor_llm.careers import CareerPanel

MOST_GROUPS = 16
OTHER_GROUPS = "all other occupations"
# The headings of occ1990dd that are taken together where they are too many for a figure.
_SERVICES = "Service occupations"
_BROADER = {
    "Financial sales and related occupations": "Sales occupations",
    "Retail sales occupations": "Sales occupations",
    "Housekeeping, cleaning, laundry": _SERVICES,
    "Supervisors of guards; guards": _SERVICES,
    "Fire fighting, police, and correctional institutions": _SERVICES,
    "Food preparation and service occupations": _SERVICES,
    "Health service occupations": _SERVICES,
    "Building and grounds cleaning and maintenance occupations": _SERVICES,
    "Personal appearance occupations": _SERVICES,
    "Recreation and hospitality occupations": _SERVICES,
    "Child care workers": _SERVICES,
    "Miscellaneous personal care and service occupations": _SERVICES,
    "Farm operators and managers": "Farm and other agricultural occupations",
    "Other agricultural and related occupations": "Farm and other agricultural occupations",
    "Construction trades": "Construction and extractive occupations",
    "Extractive occupations": "Construction and extractive occupations",
}


def occupation_groups(panel: CareerPanel, major_groups: Mapping[str, str]) -> dict[str, str]:
    """Return the group of every occupation of a panel.

    Args:
        panel: its outcome space, and how often each occupation occurs.
        major_groups: group by occupation code, used where it has every code of the panel. For other codes the
            group is the part of the title before ' in ' ('Managers in trade'), or the title.

    Returns:
        Group by code, in the order of the outcome space. At most `MOST_GROUPS` groups: where there are more,
        occ1990dd's headings of services, sales, agriculture, and construction with extraction are taken
        together each, and if that does not suffice, the groups with the fewest records are one.
    """
    outcomes = panel.outcomes
    if all(code in major_groups for code in outcomes.codes):
        groups = {code: major_groups[code] for code in outcomes.codes}
    else:
        groups = {code: outcomes.title(code).split(" in ")[0] for code in outcomes.codes}
    if len(set(groups.values())) > MOST_GROUPS:
        groups = {code: _BROADER.get(group, group) for code, group in groups.items()}
    if len(set(groups.values())) > MOST_GROUPS:
        records = panel.frame["occupation"].map(groups).value_counts()
        frequent = set(records.index[: MOST_GROUPS - 1])
        groups = {code: group if group in frequent else OTHER_GROUPS for code, group in groups.items()}
    return groups


def groups_by_dataset(
    panels: Sequence[CareerPanel], major_groups: Mapping[str, str]
) -> dict[str, dict[str, str]]:
    """Return `occupation_groups` of several panels, by the name of the data set."""
    return {panel.dataset: occupation_groups(panel, major_groups) for panel in panels}
