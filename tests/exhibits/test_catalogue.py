import re
from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.exhibits.catalogue import find_exhibit, parse_catalogue, read_catalogue

ENTRY = "- {id: tab-a, kind: table, notebook: 01_a, caption: A caption}\n"


def test_every_exhibit_names_a_notebook_that_exists():
    notebooks = Path(__file__).parents[2] / "notebooks"
    for exhibit in read_catalogue().values():
        assert (notebooks / f"{exhibit.notebook}.py").is_file(), exhibit.id


def test_the_code_shows_every_exhibit_of_the_catalogue_and_no_other():
    """Which chapter makes each is for the workflow to check, which expects its files."""
    root = Path(__file__).parents[2]
    files = [*(root / "labor_llm" / "exhibits").glob("*.py"), *(root / "notebooks").glob("*.py")]
    named = {
        name for path in files for name in re.findall(r'"((?:tab|fig)-[a-z-]+)"', path.read_text("utf-8"))
    }
    assert named - {"tab-", "fig-"} == set(read_catalogue())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (ENTRY + ENTRY, "occurs twice"),
        (ENTRY.replace("caption:", "captoin:"), "caption: Field required"),
        (ENTRY.replace("tab-a", "fig-a"), "starts with 'tab-'"),
        (ENTRY.replace("A caption", "A caption."), "caption: String should match"),
        ("- {id: fig-a, kind: figure, notebook: 01_a, caption: A caption}", "alt"),
        ("{}", "expected a list"),
        ("- [", "not readable as YAML"),
    ],
)
def test_a_faulty_catalogue_is_refused_with_the_place(text, named):
    with pytest.raises(InputError, match=re.escape(named)):
        parse_catalogue(text, "catalogue.yaml")


def test_the_label_of_a_variant():
    exhibit = find_exhibit("fig-learning-curve", "figure")
    assert exhibit.label("nlsy79-smollm2") == "fig-learning-curve-nlsy79-smollm2"
    for variant in ("", "../up", "a b", "A", "a--b"):
        with pytest.raises(InputError, match="fig-learning-curve"):
            exhibit.label(variant)
    with pytest.raises(InputError, match="has no variants"):
        find_exhibit("tab-main-comparison", "table").label("nlsy79")


def test_an_unknown_exhibit_lists_those_there_are():
    with pytest.raises(InputError, match=r"No table 'tab-x'.*tab-main-comparison"):
        find_exhibit("tab-x", "table")
