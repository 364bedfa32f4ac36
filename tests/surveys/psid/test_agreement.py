"""Files of the PSID that are joined wrongly are refused: on sixty couples, and on the files of a simulated survey."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.simulation.careers import PSID81, simulate_careers
from labor_llm.simulation.files.psid_answers import expressible_in_psid, psid_answers
from labor_llm.simulation.files.writing import simulated_codes, write_psid
from labor_llm.simulation.market import Market
from labor_llm.surveys.psid.careers import check_agreement, psid_interviews
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.psid.waves import psid_variable
from labor_llm.surveys.variables import RawSurvey, variables_of

COUPLES = 60


def key(concept: str, role: str, year: int = 1990) -> tuple[str, str, int]:
    return psid_variable(concept, role, year).key


def couples(of_head: list[int], of_spouse: list[int], year: int = 1990) -> RawSurvey:
    """Couples in one wave with the same status in both files; who works has an occupation."""
    spouse = np.repeat([False, True], len(of_head))
    statuses = {"head": np.tile(of_head, 2), "spouse": np.tile(of_spouse, 2)}
    columns = {
        key("relation_to_head", "person", year): np.where(spouse, 20, 10),
        key("sequence_number", "person", year): 1 + spouse,
        key("employment_status", "person", year): np.where(spouse, statuses["spouse"], statuses["head"]),
    }
    for role, status in statuses.items():
        columns[key("employment_status", role, year)] = status
        columns[key("occupation_1970", role, year)] = np.where(status == 1, 245, 0)
    values = pd.DataFrame(columns).astype("Int32").rename_axis("person")
    values.columns = pd.MultiIndex.from_tuples(values.columns, names=["concept", "role", "year"])
    return RawSurvey(values, {}, (), ())


@pytest.mark.parametrize("role", ["head", "spouse"])
@pytest.mark.parametrize(
    ("members", "differing", "refused"), [(60, 12, False), (60, 13, True), (50, 11, True), (49, 49, False)]
)
def test_statuses_that_differ_in_a_fifth_of_enough_members_are_refused(
    role: str, members: int, differing: int, refused: bool
) -> None:
    raw = couples([4] * members, [4] * members)
    of_role = raw.values["relation_to_head", "person", 1990] == (10 if role == "head" else 20)
    raw.values.loc[of_role[of_role].index[:differing], [key("employment_status", "person")]] = 6
    if not refused:
        check_agreement(raw, [1990])
        return
    family = {"head": "V18093", "spouse": "V18395"}[role]
    with pytest.raises(InputError) as message:
        check_agreement(raw, [1990])
    assert str(message.value) == (
        f"PSID 1990: ER30653 (employment status, IND2023ER) and {family} (employment status of the {role}, FAM1990) "
        f"are the same for {members - differing} of {members} {role}s only, though both come from one interview. "
        "Layouts or releases are mixed up, or head and spouse are swapped: take IND2023ER and FAM1990 of one release, "
        "with the .sas, .sps or .do file of each, as downloaded. If they are, the option consistency=ignore reads them "
        "as they are."
    )
    if role == "spouse":
        check_agreement(raw, [1990], spouses=False)


def test_a_status_that_one_file_does_not_have_is_no_difference() -> None:
    raw = couples([4] * COUPLES, [6] * COUPLES)
    raw.values[key("employment_status", "person")] = 0
    check_agreement(raw, [1990])
    for missing in (0, 9, 98, pd.NA):
        raw = couples([4] * COUPLES, [6] * COUPLES)
        raw.values[key("employment_status", "spouse")] = pd.array([missing] * 2 * COUPLES, dtype="Int32")
        check_agreement(raw, [1990])
    # Persons who moved out keep a relation and a status of their own.
    raw.values[key("sequence_number", "person")] = 71
    raw.values[key("employment_status", "person")] = 1
    check_agreement(raw, [1990])


@pytest.mark.parametrize("role", ["head", "spouse"])
@pytest.mark.parametrize(
    ("working", "without", "refused"), [(60, 12, False), (60, 13, True), (50, 11, True), (49, 49, False)]
)
def test_workers_without_an_occupation_are_refused(
    role: str, working: int, without: int, refused: bool
) -> None:
    statuses = [1] * working + [3] * 20
    raw = couples(*([statuses, [6] * len(statuses)] if role == "head" else [[4] * len(statuses), statuses]))
    of_role = raw.values["relation_to_head", "person", 1990] == (10 if role == "head" else 20)
    raw.values.loc[of_role[of_role].index[:without], [key("occupation_1970", role)]] = 0
    if not refused:
        check_agreement(raw, [1990])
        return
    occupation, status = {"head": ("V18101", "V18093"), "spouse": ("V18403", "V18395")}[role]
    with pytest.raises(InputError) as message:
        check_agreement(raw, [1990])
    assert str(message.value).startswith(
        f"PSID 1990: {occupation} (occupation 1970 of the {role}, FAM1990) is 0, inapplicable, for {without} of the "
        f"{working} {role}s who work by {status} (employment status of the {role}, FAM1990). "
    )
    # Without the family's status that of the individual file tells who works.
    if role == "spouse":
        del raw.values[key("employment_status", "spouse")]
        with pytest.raises(InputError, match=r"who work by ER30653 \(employment status, IND2023ER\)"):
            check_agreement(raw, [1990])


def test_occupations_that_are_not_known_are_no_contradiction() -> None:
    raw = couples([1] * COUPLES, [1] * COUPLES)
    raw.values[key("occupation_1970", "head")] = 999
    check_agreement(raw, [1990])


@cache
def simulated() -> pd.DataFrame:
    """The answers of some hundred families in each wave."""
    careers = expressible_in_psid(simulate_careers(Market(1), 700, PSID81, seed=3))
    return psid_answers(careers, simulated_codes(), seed=3)[0]


def test_simulated_answers_agree() -> None:
    psid_interviews(RawSurvey(simulated(), {}, (), ()))


SWAPS = [
    [(("employment_status", "head", 1990), ("employment_status", "spouse", 1990))],
    [(("occupation_1970", "head", 1990), ("occupation_1970", "spouse", 1990))],
    [(("occupation_2000", "head", 2005), ("occupation_2000", "spouse", 2005))],
    [(("ind_interview_number", "person", 1990), ("ind_interview_number", "person", 1991))],
    [(variable.key, other.key) for variable in variables_of("psid") for other in variables_of("psid")
     if (variable.key[:2], variable.year, other.year) == (other.key[:2], 1990, 1991) and variable.role != "person"],
]  # fmt: skip


@pytest.mark.parametrize("swaps", SWAPS, ids=lambda swaps: f"{swaps[0][0]}-{swaps[0][1]}")
def test_names_swapped_in_a_layout_are_refused(tmp_path: Path, swaps: list) -> None:
    """Each file is written under its own names, then the layouts of the two waves exchange them."""
    years = {year for swap in swaps for _, _, year in swap}
    values = simulated().loc[:, [year in years | {0} for _, _, year in simulated().columns]]
    write_psid(tmp_path, values, variables_of("psid"))
    names = {}
    for one, other in swaps:
        names |= {psid_variable(*one).name: psid_variable(*other).name}
        names |= {psid_variable(*other).name: psid_variable(*one).name}
    psid_interviews(read_psid(tmp_path, variables_of("psid")))
    for layout in tmp_path.glob("*.sas"):
        words = layout.read_text().split(" ")
        layout.write_text(" ".join(names.get(word, word) for word in words))
    with pytest.raises(InputError, match=r"^PSID (1990|2005): .*\.txt\).* (heads|spouses) "):
        psid_interviews(read_psid(tmp_path, variables_of("psid")))
