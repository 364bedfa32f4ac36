"""Where notebooks stand in the book, and pages that are composed of several runs."""

from __future__ import annotations

import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, upgrade
from nbformat.validator import validate

from labor_llm.errors import InputError
from labor_llm.store.results import project_root
from labor_llm.workflow.pages import PARTS, contents, page_of_runs, run_titles
from labor_llm.workflow.profile import load_profile
from labor_llm.workflow.runs import chapters


def test_runs_are_called_by_labels_and_real_careers_come_first() -> None:
    profile = load_profile("demo")
    real, simulated = ({name: profile.datasets[name]} for name in ("wage_panel", "simulated_psid"))
    turned = run_titles(profile.model_copy(update={"datasets": simulated | real}))
    of_horizons = [name for name in turned if name.startswith("13_")]
    assert of_horizons == ["13_horizons-wage_panel", "13_horizons-simulated_psid"]
    titles = run_titles(profile)
    assert titles["13_horizons-simulated_psid"] == "Simulated PSID"
    assert titles["05_next_job_scoring-wage_panel-smollm2-pooled"] == (
        "NLSY79 men, 1980-87: 4 layers, 60 workers and simulated PSID"
    )
    assert next(iter(titles.items())) == ("19_claims_and_verdicts", "")


def test_every_notebook_has_a_place_of_its_own_in_a_part_of_the_contents() -> None:
    places = [(chapter.part, chapter.place) for chapter in chapters()]
    assert len(set(places)) == len(places) and {part for part, _ in places} == set(PARTS)
    toc = yaml.safe_load((project_root() / "book" / "_toc.yml").read_text(encoding="utf-8"))
    placed = contents(toc, [chapter.notebook for chapter in chapters()])
    files = [entry["file"] for part in placed["parts"] for entry in part["chapters"]]
    assert files[:2] == ["notebooks/19_claims_and_verdicts", "notebooks/07_main_comparison"]
    assert files[-1] == "notebooks/06_baselines"
    assert files.index("surveys") + 1 == files.index("notebooks/01_data_conversion")
    asked = [
        entry["notebooks"] for part in toc["parts"] for entry in part["chapters"] if "notebooks" in entry
    ]
    assert asked == list(PARTS)  # pages of exhibits are listed in this order


def test_contents_without_a_place_for_a_notebook_are_refused_and_empty_parts_left_out() -> None:
    toc = {"parts": [{"caption": "Data", "chapters": [{"notebooks": "data"}]}]}
    assert contents(toc, [])["parts"] == []
    with pytest.raises(InputError, match="no `notebooks: findings`, where 07_main_comparison would stand"):
        contents(toc, ["03_resumes", "07_main_comparison"])


def run(number: int) -> object:
    shown = [new_output("display_data", data={"text/plain": f"output {number}"})]
    cells = [
        new_markdown_cell("# Title\n\nProse.", id="a"), new_code_cell("x = 0", id="b"),
        new_code_cell(f"x = {number}", id="c", metadata={"tags": ["injected-parameters"]}),
        new_markdown_cell("## Part\n\nOf the part.", id="d"), new_markdown_cell("More.", id="e"),
        new_code_cell("show(x)", id="f", outputs=shown),
    ]  # fmt: skip
    return new_notebook(cells=cells)


def test_of_several_runs_prose_and_code_stand_once_and_parameters_and_outputs_each_time() -> None:
    runs = {"First": run(1), "Second *": run(2)}
    page = page_of_runs(runs)
    assert [cell["source"] for cell in page["cells"]] == [
        "# Title\n\nProse.",
        "## First", "x = 0", "x = 1", "### Part\n\nOf the part.", "More.", "show(x)",
        "## Second \\*", "x = 2", "### Part", "show(x)",
    ]  # fmt: skip
    assert "remove-input" in page["cells"][-1]["metadata"]["tags"]
    assert page["cells"][-1]["outputs"][0]["data"]["text/plain"] == "output 2"
    validate(upgrade(page))
    assert len({cell["id"] for cell in page["cells"]}) == len(page["cells"])
    # What was executed stays as it is, and a single run is its page.
    assert runs == {"First": run(1), "Second *": run(2)}
    assert page_of_runs({"": run(1)}) == run(1)
