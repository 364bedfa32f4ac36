"""The archive of a made-up run: what is in it, what never is, its checksums, and what is refused."""

import csv
import datetime
import hashlib
import io
import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from labor_llm import __version__
from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import MANIFEST, writing
from labor_llm.store.results import Results, project_root
from labor_llm.workflow.archive import write_archive
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.records import book_identity, identity_of, record_of, write_record
from labor_llm.workflow.runs import notebook_file, notebook_runs

CANARY = b"worker 4711 was a cook"
CITATION = project_root() / "CITATION.cff"
CODE = {
    "README.md": b"# A package\n", "CITATION.cff": CITATION.read_bytes(), ".gitignore": b"/results/\n/book/_build/\n",
    ".ci/setup": b"#!/bin/sh\n", "labor_llm/a name.py": b'"""Adds."""\n', "data/expected/demo/tab-a.csv": b"a\n",
    "benchmarks/measured/scoring/rows.json": b"[]",
}  # fmt: skip
BOOK = "book/_build/html"
THREADS = "7"  # of the run, not of this process


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Profile]:
    """A repository with one commit, and in it the run of a profile and its book; every artefact holds a person."""
    root = tmp_path_factory.mktemp("repository")
    for name, content in CODE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / ".ci/setup").chmod(0o755)
    git = ["git", "-C", root, "-c", "user.name=a", "-c", "user.email=a@b"]
    day = "2026-01-02T03:04:06Z"
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "All of it", "--date", day]):
        subprocess.run([*git, *words], check=True, env={**os.environ, "GIT_COMMITTER_DATE": day})
    profile = load_profile("demo").model_copy(update={"results": str(root / "results" / "demo")})
    results = Results(Path(profile.results))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", THREADS)
        for run in notebook_runs(profile):
            for path in (run.executed, *run.makes):
                path.parent.mkdir(parents=True, exist_ok=True)
                if path.name != MANIFEST:
                    path.write_text(f'{{"name": "{path.name}"}}')
                    continue
                with writing(path.parent) as aside:
                    (aside / "careers.parquet").write_bytes(CANARY)
            identity = identity_of(notebook_file(run.notebook), run.parameters, run.needs)
            write_record(record_of(run.executed), identity, [run.executed, *run.makes])
        with writing(root / BOOK) as aside:
            (aside / "_static").mkdir()
            (aside / "index.html").write_text("the book")
            (aside / "_static" / "style.css").write_text("")
        names = [run.name for run in notebook_runs(profile)]
        identity = book_identity(results, profile.name, names)
        write_record(record_of(results.notebooks / "book"), identity, [root / BOOK / MANIFEST])
    # What no run has made.
    (results.exhibits / "by-hand.csv").write_bytes(CANARY)
    (results.notebooks / "01_data_conversion.failed.ipynb").write_bytes(CANARY)
    return root, profile


@pytest.fixture(scope="module")
def packed(finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, profile = finished
    out = tmp_path_factory.mktemp("deposit") / "demo.zip"
    number = write_archive(profile, "demo", out, root)
    with zipfile.ZipFile(out) as archive:
        assert len(archive.namelist()) == number
    return out


def test_it_holds_code_and_what_runs_have_shown_and_no_person(finished, packed):
    _, profile = finished
    exhibits = {
        f"results/demo/{path.parent.name}/{path.name}"
        for run in notebook_runs(profile)
        for path in (run.executed, *run.makes)
        if path.name != MANIFEST
    }
    added = {"COMMIT.txt", "MANIFEST.csv", "CHECKSUMS.sha256", "codecheck.yml"}
    book = {f"{BOOK}/{name}" for name in ("index.html", "_static/style.css", MANIFEST)}
    with zipfile.ZipFile(packed) as archive:
        assert set(archive.namelist()) == {*CODE, *exhibits, *added, *book}
        assert [name for name in archive.namelist() if CANARY in archive.read(name)] == []
        assert archive.read("labor_llm/a name.py") == CODE["labor_llm/a name.py"]
        modes = {
            name: archive.getinfo(name).external_attr >> 16 & 0o777 for name in (".ci/setup", "README.md")
        }
    assert modes == {".ci/setup": 0o755, "README.md": 0o644}


def test_its_checksums_are_true_and_its_list_says_what_each_file_is(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(tmp_path)
        rows = {
            row["path"]: row for row in csv.DictReader(io.StringIO(archive.read("MANIFEST.csv").decode()))
        }
        names = set(archive.namelist())
    checked = ["sha256sum", "--check", "--strict", "--quiet", "CHECKSUMS.sha256"]
    subprocess.run(checked, cwd=tmp_path, check=True)
    assert len((tmp_path / "CHECKSUMS.sha256").read_text().splitlines()) == len(names) - 1
    assert names - rows.keys() == {"MANIFEST.csv", "CHECKSUMS.sha256"}
    for name, row in rows.items():
        content = (tmp_path / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (int(row["bytes"]), row["sha256"])
    what = {name: row["what"] for name, row in rows.items()}
    assert (
        what["results/demo/exhibits/tab-splits-wage_panel.csv"]
        == "table: Split of the workers of NLSY79 men, 1980-87"
    )
    assert what["results/demo/notebooks/07_main_comparison.ipynb"] == "executed notebook"
    assert what["results/demo/exhibits/07_main_comparison.numbers.json"] == "numbers of the book's text"
    assert what["benchmarks/measured/scoring/rows.json"] == "stored measurement"
    assert what[f"{BOOK}/index.html"] == "the book"


def test_a_codechecker_finds_every_exhibit_with_its_caption_and_the_paper(packed):
    with zipfile.ZipFile(packed) as archive:
        text = archive.read("codecheck.yml").decode()
        names = archive.namelist()
    said = yaml.safe_load(text)
    assert text.startswith("---\n") and [*said] == ["version", "paper", "manifest", "codechecker"]
    assert said["codechecker"] == [] and all(entry["comment"] for entry in said["manifest"])
    shown = [name for name in names if "/exhibits/" in name and not name.endswith(".json")]
    assert sorted(entry["file"] for entry in said["manifest"]) == sorted(shown)
    assert said["paper"]["authors"][0] == {"name": "Susan Athey"}
    assert said["paper"]["reference"] == "https://arxiv.org/abs/2406.17972"


def test_the_same_commit_and_run_give_the_same_bytes_with_the_date_of_the_commit(finished, packed, tmp_path):
    root, profile = finished
    write_archive(profile, "demo", tmp_path / "again.zip", root)
    assert (tmp_path / "again.zip").read_bytes() == packed.read_bytes()
    commit = subprocess.run(
        ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, check=True, text=True
    )
    with zipfile.ZipFile(packed) as archive:
        assert {info.date_time for info in archive.infolist()} == {(2026, 1, 2, 3, 4, 6)}
        assert archive.namelist() == sorted(archive.namelist())
        assert archive.read("COMMIT.txt").decode() == f"{commit.stdout}2026-01-02T03:04:06+00:00\n"
        assert archive.comment.decode() == commit.stdout.strip()


def test_what_is_missing_altered_or_of_other_code_is_said_with_its_command(finished, tmp_path, monkeypatch):
    root, profile = finished
    out = tmp_path / "out.zip"

    def refused(error, message, profile=profile, root=root):
        with pytest.raises(error, match=message):
            write_archive(profile, "mine.yaml", out, root)
        assert [*tmp_path.glob("*out.zip*")] == []

    absent = profile.model_copy(update={"results": str(tmp_path / "absent")})
    replicate = r"Run `labor-llm replicate --profile mine\.yaml` first"
    refused(ArtefactError, f"not run to its end.*{replicate}", absent)
    for name in ("exhibits/tab-main-comparison.csv", "wage_panel/panel/manifest.json"):
        path = root / "results" / "demo" / name
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        refused(ArtefactError, replicate)
        path.write_bytes(content)
    more_draws = profile.model_copy(update={"draws": profile.draws + 1})
    refused(ArtefactError, rf"not run to its end, or by other code.*{replicate}", more_draws)
    page = root / BOOK / "index.html"
    page.write_text("another book")
    refused(ArtefactError, r"no book of this run.* Run `labor-llm book --profile mine\.yaml` first")
    page.write_text("the book")
    (root / "README.md").write_text("changed")
    refused(InputError, r"README\.md: differs from the commit")
    (root / "README.md").write_bytes(CODE["README.md"])
    # No commit outside of a repository, nor above one.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    refused(InputError, "git tells no commit", root=tmp_path)


def test_the_citation_file_says_version_and_day():
    cited = yaml.safe_load(CITATION.read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors", "license"} <= cited.keys()
    assert cited["version"] == __version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", cited["date-released"])
    assert datetime.date.fromisoformat(cited["date-released"]) >= datetime.date(2024, 1, 1)
    assert all(author.keys() & {"name", "family-names"} for author in cited["authors"])
