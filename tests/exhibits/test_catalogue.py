import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import Exhibit, find_exhibit, read_catalogue

ROOT = Path(__file__).parents[2]
ENTRY = {"id": "tab-a", "notebook": "01_a", "caption": "A caption"}


def test_every_exhibit_has_a_notebook_and_is_shown_by_the_code_and_no_other() -> None:
    """Which chapter makes each is for the workflow to check, which expects its files."""
    files = [*(ROOT / "labor_llm" / "exhibits").glob("*.py"), *(ROOT / "notebooks").glob("*.py")]
    named = {
        name for path in files for name in re.findall(r'"((?:tab|fig)-[a-z-]+)"', path.read_text("utf-8"))
    }
    assert named - {"tab-"} == set(read_catalogue())
    for exhibit in read_catalogue().values():
        assert (ROOT / "notebooks" / f"{exhibit.notebook}.py").is_file(), exhibit.id
    entries = yaml.safe_load((ROOT / "labor_llm" / "exhibits" / "catalogue.yaml").read_text("utf-8"))
    assert len(entries) == len(read_catalogue())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"captoin": "A caption"}, "captoin"),
        ({"id": "table-a"}, "id"),
        ({"caption": "A caption."}, "caption"),
        ({"id": "fig-a"}, "alt"),
    ],
)
def test_a_faulty_entry_is_refused_with_its_field(changes, named) -> None:
    assert Exhibit(**ENTRY).kind == "table"
    with pytest.raises(ValidationError, match=named):
        Exhibit(**ENTRY | changes)


def test_the_label_of_a_variant() -> None:
    exhibit = find_exhibit("fig-learning-curve", "figure")
    assert exhibit.label("nlsy79-smollm2") == "fig-learning-curve-nlsy79-smollm2"
    for variant in ("", "../up", "a b", "A", "a--b"):
        with pytest.raises(InputError, match="fig-learning-curve"):
            exhibit.label(variant)
    with pytest.raises(InputError, match="has no variants"):
        find_exhibit("tab-main-comparison", "table").label("nlsy79")
    with pytest.raises(InputError, match=r"No table 'tab-x'.*tab-main-comparison"):
        find_exhibit("tab-x", "table")
