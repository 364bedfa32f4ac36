"""What can be chosen about scoring: refusals that name field and remedy, and no model library loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from labor_llm.scoring.settings import ScoringSettings
from labor_llm.settings import SettingError


@pytest.mark.parametrize(
    ("given", "field", "rule"),
    [
        ({"titles": "some"}, "titles", "'some' should be 'realised', 'named' or 'all'"),
        ({"named": []}, "named", "at least 1 item"),
        ({"too_long": "cut"}, "too_long", "'cut' should be 'shorten' or 'refuse'"),
        ({"line_ends": "none"}, "line_ends", "'none' should be 'all' or 'needed'"),
        ({"tolerance": 1.0}, "tolerance", "less than 1"),
        ({"tolerance": float("nan")}, "tolerance", "nan should be a finite number"),
        ({"titles": "realised", "tolerance": 0.1}, "tolerance", "goes with titles 'all'"),
        (
            {"all_titles_workers": 10},
            "all_titles_workers",
            "11 persons or more, .*, -1 for all or 0 for none",
        ),
        ({"test_workers": 0}, "test_workers", "11 persons or more, .*, or -1 for all"),
        ({"memory_mib": 0}, "memory_mib", "greater than or equal to 1"),
        ({"quantisation": "8bit"}, "quantisation", "did you mean 'quantization'"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], field: str, rule: str) -> None:
    with pytest.raises(SettingError, match=rule) as refused:
        ScoringSettings(**given)
    assert refused.value.field == field


def test_settings_and_names_are_read_without_the_libraries_of_models() -> None:
    modules = "labor_llm.scoring.settings, labor_llm.models.folders, labor_llm.text.settings"
    code = f"import sys, {modules}; sys.exit(bool({{'torch', 'transformers', 'sklearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
