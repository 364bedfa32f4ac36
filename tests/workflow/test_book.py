import re
import shutil
from pathlib import Path
from typing import get_args, get_type_hints

import nbformat
import pandas as pd
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labor_llm.careers import occupations
from labor_llm.crosswalks.mapping import patch_table
from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import read_catalogue
from labor_llm.exhibits.expected import machine
from labor_llm.exhibits.figures import learning_curve
from labor_llm.exhibits.formatting import DisplayTable, Reference
from labor_llm.exhibits.publishing import Exhibits
from labor_llm.exhibits.stored_runs import read_stored, write_stored
from labor_llm.store.results import Results
from labor_llm.surveys.conversion import SURVEYS
from labor_llm.surveys.nls.codebooks import read_column_map
from labor_llm.surveys.rules import STEPS, RecordOptions
from labor_llm.workflow.book import build_book, check_executed, stage_book
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.records import record_of, write_record
from labor_llm.workflow.storing import outputs_of, table_in

BOOK = Path(__file__).parents[2] / "book"
TITLES = {"07_main_comparison": "", "04_fine_tuning-d-two": "two =1+1 <b>", "04_fine_tuning-d-one": "one"}
LANGUAGE = {"name": "python", "pygments_lexer": "ipython3"}
CURVE = pd.DataFrame({"step": [1, 2], "split": "train", "loss": [2.0, 1.0]})


def executed(display=None, title="# A title", **metadata):
    outputs = []
    if display is not None:
        outputs = [new_output("execute_result", data=display._repr_mimebundle_(), execution_count=1)]
    cells = [new_markdown_cell(title), new_code_cell("show()", execution_count=1, outputs=outputs)]
    return new_notebook(
        cells=cells, metadata={"language_info": LANGUAGE, "papermill": {"exception": None, **metadata}}
    )


def write(results, name, notebook, exhibits):
    """Store an executed notebook with the record of its run."""
    results.notebooks.mkdir(parents=True, exist_ok=True)
    path = results.notebooks / f"{name}.ipynb"
    nbformat.write(notebook, path)
    write_record(record_of(path), "identity", [path, *results.exhibits.glob(exhibits)])


@pytest.fixture
def results(tmp_path, hostile):
    """A run of two notebooks with invented numbers, one of them run for two models."""
    run = Results(tmp_path / "results")
    frame = pd.DataFrame({"Model": [hostile], "Perplexity": [8.5]})
    frame["Shown in"] = pd.Series([Reference("tab-main-comparison")], dtype=object)
    show = Exhibits(run, words={"draws": 100, "refits": "none"})
    table = show(DisplayTable("tab-main-comparison", frame, 20))
    show.record("07_main_comparison", {"best": 8.5, "name": hostile}, persons=20)
    write(run, "07_main_comparison", executed(table), "*main*")
    for model in ("one", "two"):
        of_model = Exhibits(run, "", f"d-{model}", {"dataset": hostile, "model": model})
        figure = of_model(learning_curve(CURVE, persons=20))
        parameters = {"dataset": "d", "label": f"{model} {hostile}"}
        notebook = executed(figure, parameters=parameters, input_path="/secret/place")
        write(run, f"04_fine_tuning-d-{model}", notebook, f"*{model}*")
    return run


@pytest.fixture
def source(tmp_path):
    """The project's own configuration and style with one short page."""
    folder = tmp_path / "book"
    shutil.copytree(
        BOOK, folder, ignore=lambda _, names: [name for name in names if name.endswith(".md")] + ["_build"]
    )
    page = "# Landing\n\nBest: {{ best }} by {{ name }} in *{{ profile }}*, {numref}`tab-main-comparison`, $x^2$.\n"
    (folder / "index.md").write_text(page, encoding="utf-8")
    toc = yaml.safe_load((folder / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc["parts"]:
        part["chapters"] = [entry for entry in part["chapters"] if "notebooks" in entry]
    (folder / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    return folder


def texts_of(page, kind):
    """The texts of a kind of elements, typographic quotes and dashes as they were typed."""
    soup = BeautifulSoup(page.translate(str.maketrans("“”‘’–", "\"\"''-")), "html.parser")
    return [" ".join(found.get_text().split()) for found in soup.find_all(kind)]


@pytest.fixture
def stored(results, tmp_path, hostile):
    """The same run as a stored one, with a leading sentence."""
    executed = nbformat.read(results.notebooks / "07_main_comparison.ipynb", as_version=4)
    [(_, table, _)] = outputs_of(executed)
    files = {f"data/raw/{hostile}": {"bytes": 1_000, "sha256": "0" * 64}}
    about = {
        "description": f"A tenth of {hostile}", "command": "labor-llm replicate --profile x.yaml", "hours": 1.25,
        "code": {"commit": "abc", "changed": False}, "machine": machine(), "finished": "2026-11-28",
        "datasets": {"d": {"label": "D", "files": files}},
    }  # fmt: skip
    shown = {table_in(table): [table.replace("{numref}", "")], "07_main_comparison": ["It was better."]}
    return read_stored([write_stored(results, tmp_path / "kept", about, shown)])


def test_a_book_is_built_offline_and_a_warning_keeps_the_old_one(results, source, stored, tmp_path, hostile):
    hostile = hostile.replace("--", "-")  # set as a dash
    html = tmp_path / "html"
    toc = yaml.safe_load((source / "_toc.yml").read_text(encoding="utf-8"))
    toc["parts"][-1]["chapters"].append({"file": "stored"})
    (source / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    staged = stage_book(source, results, "demo", tmp_path / "staged", TITLES, stored=stored)
    assert build_book(staged, html) == html / "index.html"
    landing = (html / "index.html").read_text(encoding="utf-8")
    assert "in <em>demo</em>" in landing
    assert '<span class="std std-numref">Table 1.1</span>' in landing
    comparison = (html / "notebooks" / "07_main_comparison.html").read_text(encoding="utf-8")
    tuning = (html / "notebooks" / "04_fine_tuning.html").read_text(encoding="utf-8")
    assert any(text.startswith(f"Best: 8.500 by {hostile} in") for text in texts_of(landing, "p"))
    # Of its row, in the stored run and in this one, of which only the last is numbered.
    assert texts_of(comparison, "th").count(hostile) == 2 and texts_of(comparison, "label") == [
        f"A tenth of {hostile}, stored"
    ]
    assert set(re.findall(r"Table \d\.\d", comparison)) == {"Table 1.1"}
    assert "about.json" in (stored_page := (html / "stored.html").read_text(encoding="utf-8"))
    assert any(f"data/raw/{hostile}: 1,000 bytes" in item for item in texts_of(stored_page, "li"))
    assert {path.name for path in (html / "_downloads").rglob("*.csv")} == {"tab-main-comparison.csv"}
    assert "Table 1.1" in texts_of(comparison, "td")  # a cell that is a link
    assert texts_of(tuning, "h2")[-2:] == ["2.1. two =1+1 <b>#", "2.2. one#"]
    assert any(f"of two on {hostile}" in caption for caption in texts_of(tuning, "span"))
    for page in html.rglob("*.html"):
        assert not any("alert" in script for script in texts_of(page.read_text("utf-8"), "script"))
    assert "Fig. 2.1" in tuning and "Fig. 2.2" in tuning
    assert (
        landing.index("Findings") < landing.index("Appendix: all runs") and "Data and method" not in landing
    )
    assert requests_of(html) == []

    (source / "index.md").write_text("# Landing\n\nSee {numref}`tab-that-nobody-made`.\n", encoding="utf-8")
    staged = stage_book(source, results, "demo", tmp_path / "staged", TITLES)
    with pytest.raises(ArtefactError, match=r"index.md:3: WARNING.*tab-that-nobody-made"):
        build_book(staged, html)
    assert (html / "index.html").read_text(encoding="utf-8") == landing
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def requests_of(html):
    """What a page would load from elsewhere: scripts, styles, images and frames (links to follow are none)."""
    patterns = {
        "*.html": r"<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=\"((?:https?:)?//[^\"]+)",
        "*.css": r"(?:@import|url\()\s*[\"']?((?:https?:)?//[^\"')]+)",
    }
    return [
        hit
        for files, pattern in patterns.items()
        for path in html.rglob(files)
        for hit in re.findall(pattern, path.read_text(encoding="utf-8"))
    ]


def test_staged_are_pages_pictures_and_notebooks_without_paths_of_the_machine_and_with_folded_code(
    results, source, tmp_path
):
    (source / "picture.png").write_bytes(b"PNG")
    staged = stage_book(source, results, "demo", tmp_path / "staged", TITLES, {"files.md": "# Files\n"})
    assert (staged / "files.md").read_text(encoding="utf-8") == "# Files\n"
    assert (staged / "picture.png").read_bytes() == b"PNG"
    path = staged / "notebooks" / "04_fine_tuning.ipynb"
    assert "/secret/place" not in path.read_text(encoding="utf-8")
    code = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.metadata["tags"] for cell in code] == [["hide-input"], ["remove-input"]]
    config = yaml.safe_load((staged / "_config.yml").read_text(encoding="utf-8"))
    substitutions = config["parse"]["myst_substitutions"]
    assert (substitutions["best"], substitutions["profile"]) == ("8.500", "demo")
    assert substitutions["name"].startswith("\\=1+1 \\<script\\>")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda nb: nb.metadata.papermill.update(exception=True), "exception"),
        (lambda nb: nb.cells[1].update(execution_count=None), "cell 2: it was not executed"),
        (lambda nb: nb.cells[1].outputs.append(new_output("error", ename="E", evalue="", traceback=[])), "cell 2"),
        (lambda nb: nb.cells[0].metadata.update(tags=["papermill-error-cell-tag"]), "cell 1"),
    ],
)  # fmt: skip
def test_an_unfinished_notebook_is_refused(change, named):
    notebook = executed()
    check_executed(notebook, "07_a.ipynb")
    change(notebook)
    with pytest.raises(ArtefactError, match=rf"07_a.ipynb.*{named}"):
        check_executed(notebook, "07_a.ipynb")


def test_staging_names_what_is_missing_and_leaves_the_old_stage(results, source, tmp_path):
    out = tmp_path / "staged"
    with pytest.raises(ArtefactError, match=r"08_value_of_fine_tuning\.ipynb"):
        stage_book(source, results, "demo", out, TITLES | {"08_value_of_fine_tuning": ""})
    (results.notebooks / "09_cut.ipynb").write_text('{"cells": [', encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"09_cut\.ipynb: not readable"):
        stage_book(source, results, "demo", out, {"09_cut": ""})
    (source / "index.md").write_text("# Landing\n\n{{ nobody_knows }}\n", encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"index.md.*'nobody_knows'"):
        stage_book(source, results, "demo", out, TITLES)
    assert not out.exists()


@pytest.mark.parametrize(
    "name", ["tab-main-comparison.csv", "07_main_comparison.numbers.json", "07_main_comparison.ipynb"]
)
def test_a_number_that_was_altered_does_not_get_into_the_book(results, source, tmp_path, name):
    [path] = results.root.rglob(name)
    path.write_text(path.read_text(encoding="utf-8").replace("8.5", "7.5"), encoding="utf-8")
    with pytest.raises(ArtefactError, match=rf"{name}: it was changed.*labor-llm replicate"):
        stage_book(source, results, "demo", tmp_path / "staged", TITLES)


def test_what_no_run_has_made_does_not_get_into_the_book(results, source, tmp_path):
    (results.exhibits / "tab-foreign.csv").write_text("1")
    (results.exhibits / "99_foreign.numbers.json").write_text('{"foreign": {"text": "1"}}')
    staged = stage_book(source, results, "demo", tmp_path / "staged", TITLES)
    assert "tab-foreign.csv" not in {path.name for path in staged.rglob("*")}
    assert "foreign" not in (staged / "_config.yml").read_text(encoding="utf-8")


def test_every_number_of_the_prose_pages_is_one_that_the_notebooks_are_asked_for():
    """The notebooks record these; a page that asks for another one would stop the book."""
    pages = "".join(path.read_text(encoding="utf-8") for path in BOOK.glob("*.md"))
    assert set(re.findall(r"\{\{ (\w+) \}\}", pages)) == {
        "best_baseline_label", "best_baseline_perplexity", "best_baseline_test_se", "claims_summary",
        "fine_tuned_label", "fine_tuned_perplexity", "fine_tuned_test_se", "fine_tuned_valid_mass", "finding",
        "headline_dataset", "headline_records", "headline_test_transitions", "headline_test_workers", "headline_titles",
        "headline_workers", "larger_finding", "stored_finding", "larger_train", "mass_workers", "off_the_shelf_label",
        "off_the_shelf_perplexity", "off_the_shelf_test_se", "off_the_shelf_valid_mass", "profile", "survey_years",
        "trained_on", "training_workers",
    }  # fmt: skip


def test_pages_refer_only_to_exhibits_of_chapters_that_no_profile_leaves_out():
    pages = "".join(path.read_text(encoding="utf-8") for path in BOOK.glob("*.md"))
    [optional] = get_args(get_type_hints(Profile)["leave_out"])
    shown_in = {read_catalogue()[name].notebook for name in re.findall(r"\{numref\}`([^`]+)`", pages)}
    assert shown_in
    assert not shown_in & set(get_args(optional))


def section(heading):
    """What the page on the conversion of surveys says under a heading."""
    return (BOOK / "surveys.md").read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n#")[0]


@pytest.mark.parametrize("survey", [None, *SURVEYS])
def test_every_option_of_the_conversion_stands_with_its_default_and_all_its_values(survey):
    options = SURVEYS[survey].options if survey else RecordOptions
    of = f"Options of the {SURVEYS[survey].name}" if survey else "Options of all surveys"
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \| ([^|]+) \|", section(of), re.M)
    defaults = {name: str(value) for name, value in vars(options()).items()}
    assert {name: default for name, default, _ in rows} == defaults
    for name, _, values in rows:
        assert re.findall(r"`([^`]+)`", values) == list(get_args(get_type_hints(options)[name])), name


def test_the_page_on_surveys_has_every_step_and_what_is_known_of_the_crosswalks(tmp_path):
    steps = re.findall(r"^\| `([^`]+)` \|", section("From interviews to records"), re.M)
    assert steps == list(STEPS)
    patched = re.findall(r"^\| `(\w+)` \| (\d+) \|$", section("Rows that the crosswalks lack"), re.M)
    assert {name: int(rows) for name, rows in patched} == patch_table()["frame"].value_counts().to_dict()
    doubts = section("Titles of occ1990dd")
    titles = pd.read_csv(Path(occupations.__file__).with_name("occ1990dd.csv"), dtype=str)
    noted = titles.dropna(subset="note")["occupation"]
    assert set(re.findall(r"\b\d{3}\b", doubts)) - {"330"} == set(noted)
    (example,) = re.findall(r"^```text\n(.*?)^```$", section("Column maps"), re.DOTALL | re.MULTILINE)
    (tmp_path / "map.csv").write_text(example, encoding="utf-8")
    named = [(row.question, row.year) for row in read_column_map(tmp_path / "map.csv")]
    assert named == [("CASEID", 0), ("CPSOCC80", 1982), ("CPSOCC80", 1983)]
