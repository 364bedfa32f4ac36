"""What can be chosen about scoring: refusals that name field and remedy, and no model library loaded."""

import subprocess
import sys

import pytest

from labor_llm.scoring.settings import ScoringSettings
from labor_llm.settings import SettingError


@pytest.mark.parametrize(
    ("given", "field", "rule"),
    [
        ({"named": []}, "named", "at least 1 item"),
        ({"tolerance": 1.0}, "tolerance", "less than 1"),
        ({"titles": "realised", "tolerance": 0.1}, "tolerance", "goes with titles 'all'"),
        (
            {"all_titles_workers": 10},
            "all_titles_workers",
            "11 persons or more, .*, -1 for all or 0 for none",
        ),
        ({"test_workers": 0}, "test_workers", "11 persons or more, .*, or -1 for all"),
    ],
)
def test_what_cannot_be_is_refused(given, field, rule):
    with pytest.raises(SettingError, match=rule) as refused:
        ScoringSettings(**given)
    assert refused.value.field == field


def test_settings_and_names_are_read_without_the_libraries_of_models():
    modules = "labor_llm.scoring.settings, labor_llm.models.folders, labor_llm.text.settings"
    code = f"import sys, {modules}; sys.exit(bool({{'torch', 'transformers', 'sklearn'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
