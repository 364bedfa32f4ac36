"""One check for every text of a user: what is printed is allowed, what is not seen or looks like another is not."""

from __future__ import annotations

import pytest

from labor_llm.careers.panel import career_panel
from labor_llm.errors import InputError
from labor_llm.plain_text import comparable, path_problem, text_problem
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.workflow.sources import DatasetSource

UNSEEN = "\n\x1b\x85\u202e\u2066\u200b\u00ad\u00a0\u2028\ud800\ue000\U000e0fff\u3164\U000e0041\ufe0f\u034f"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        *((f"a{sign}b", f"a control or an invisible character (U+{ord(sign):04X})") for sign in UNSEEN),
        ("", "is empty"), (" a", "begins or ends with a blank"), ("a\u3000", "begins or ends with a blank"),
        ("a" * 201, "has 201 characters, more than 200"), ("Cafe\u0301", "Unicode's form NFC"),
    ],
)  # fmt: skip
def test_what_cannot_be_seen_or_told_apart_is_refused(text: str, problem: str) -> None:
    assert problem in str(text_problem(text))


def test_whatever_is_printed_is_fit(hostile: str) -> None:
    words = "Caf\u00e9 \u5de5\u4f5c \u0645\u0647\u0646\u0629 \U0001f600"
    assert not any(map(text_problem, (hostile, "My {careers} & <co> #1", words, "a" * 200)))
    assert comparable("Stra\u00dfe  \uff21") == comparable("STRASSE a")
    assert path_problem("/e\u0301/{x} #2: $(a) 'b'/" + "long/" * 50) is None
    assert all(path_problem(path) for path in ("a\nb", "a\x00", "\udcff", "a/" * 2049))


@pytest.mark.parametrize("group", [
    lambda bad: DatasetSource(label=bad), lambda bad: DatasetSource(panel=bad),
    lambda bad: ScoringSettings(titles="named", named=[bad]),
])  # fmt: skip
def test_every_group_of_settings_checks_its_texts(group) -> None:
    with pytest.raises(InputError, match=r"^\w+(\.0)?: 'a\\x1b\[31m' holds a line end"):
        group("a\x1b[31m")


@pytest.mark.parametrize("column", ["worker_id", "education", "gender", "ethnicity", "region"])
def test_covariates_and_ids_of_a_panel_pass_it(column: str, records, outcomes) -> None:
    with pytest.raises(InputError, match=f"column {column}: 'Cafe\u0301' .*NFC"):
        career_panel(records.assign(**{column: "Cafe\u0301"}), outcomes, "own")
