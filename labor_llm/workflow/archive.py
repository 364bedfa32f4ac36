"""One zip file for a deposit: code, executed notebooks, exhibits and book of a finished run, with checksums.

Of the results only what the records of runs list among exhibits and executed notebooks goes in: careers, predictions,
models and whatever else tells of persons stay where they are. The code is that of the commit, and the run must be of
that code. The same commit and run give the same bytes.
"""

from __future__ import annotations

import csv
import io
import stat
import zipfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import yaml

from labor_llm.errors import ArtefactError
from labor_llm.exhibits.catalogue import NUMBERS_ENDING
from labor_llm.exhibits.formatting import escape_csv
from labor_llm.store.artefacts import MANIFEST, atomic_path, sound
from labor_llm.store.places import check_file
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.profile import Profile
from labor_llm.workflow.records import book_identity, is_current, record_of, recorded_files
from labor_llm.workflow.reference import exhibits_in_order
from labor_llm.workflow.runs import notebook_runs
from labor_llm.workflow.storing import finished_runs
from labor_llm.workflow.versions import committed

_BOOK = "book/_build/html"
# What files are, by the beginning of their paths; the first that fits.
_WHAT = {
    f"{_BOOK}/": "the book", "results/": "executed notebook", "labor_llm/": "code of the package",
    "notebooks/": "notebook as it is before a run", "benchmarks/measured/": "stored measurement",
    "benchmarks/": "benchmark", "data/expected/": "table that those of a run are compared with",
    "data/stored/": "stored measurement", "data/": "sources and columns of the data", "book/": "source of the book",
    "tests/": "test", ".ci/": "set-up and continuous integration", "": "top folder of the repository",
}  # fmt: skip


def write_archive(profile: Profile, source: str, out: Path, root: Path | None = None) -> int:
    """Write the archive of a profile that has been run, and return the number of files in it.

    Args:
        profile: the profile.
        source: name or path that it was loaded from.
        out: the zip file; an earlier one is replaced.
        root: top folder of the repository; the one that this package lies in if not given.

    Raises:
        InputError: if there is no version control, or files differ from the commit.
        ArtefactError: if the run or its book is missing, was altered or is of other code; says how to make it.
    """
    check_file(out)
    root = root or project_root()
    commit, results = committed(root), f"results/{profile.name}"
    made = {f"{results}/{path.parent.name}/{path.name}": path for path in _of_run(profile, source)}
    made |= {
        f"{_BOOK}/{path.relative_to(root / _BOOK)}": path for path in _of_book(profile, source, root / _BOOK)
    }
    shown = {
        f"{results}/exhibits/{label}.{ending}": f"{exhibit.kind}: {caption}"
        for _, exhibit, label, caption in exhibits_in_order(profile)
        for ending in exhibit.endings
    }
    files = commit.files | {name: path.read_bytes() for name, path in made.items()}
    files["COMMIT.txt"] = f"{commit.hash}\n{commit.date.isoformat()}\n".encode()
    files["codecheck.yml"] = _codecheck(shown, commit.files.get("CITATION.cff", b""))
    files["MANIFEST.csv"] = _manifest(files, shown)
    sums = (f"{sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    files["CHECKSUMS.sha256"] = "".join(sums).encode()
    with atomic_path(out) as aside, zipfile.ZipFile(aside, "w") as archive:
        archive.comment = commit.hash.encode()
        for name, content in sorted(files.items()):
            member = zipfile.ZipInfo(name, commit.date.timetuple()[:6])
            # Unix, which has permissions.
            member.create_system, member.compress_type = 3, zipfile.ZIP_DEFLATED
            member.external_attr = (stat.S_IFREG | (0o755 if name in commit.executable else 0o644)) << 16
            archive.writestr(member, content)
    return len(files)


def _of_run(profile: Profile, source: str) -> list[Path]:
    """Return the exhibits and executed notebooks of a finished run, by its records."""
    results = open_results(profile.results)
    records = (record_of(run.executed) for run in finished_runs(profile, source))
    files = [path for record in records for path in recorded_files(record)]
    return [path for path in files if path.parent in (results.exhibits, results.notebooks)]


def _of_book(profile: Profile, source: str, html: Path) -> list[Path]:
    """Return the files of the book, which must show this run and the pages that are here."""
    results, names = open_results(profile.results), [run.name for run in notebook_runs(profile)]
    if made := sound(html):
        identity = book_identity(results, profile.name, names, made["environment"]["threads"])
        if is_current(record_of(results.notebooks / "book"), identity, [html / MANIFEST]):
            return [html / name for name in (MANIFEST, *made["files"])]
    raise ArtefactError(
        f"{html}: no book of this run, or of other pages or code than are here. "
        f"Run `labor-llm book --profile {source}` first."
    )


def _codecheck(shown: Mapping[str, str], citation: bytes) -> bytes:
    """Return the configuration of a codecheck; whoever checks adds name, report and certificate."""
    paper = next(iter((yaml.safe_load(citation) or {}).get("references", [])), {})
    parts = ("given-names", "family-names", "name")
    names = [" ".join(each[part] for part in parts if part in each) for each in paper.get("authors", [])]
    content = {
        "version": "https://codecheck.org.uk/spec/config/1.0/",
        "paper": {
            "title": paper.get("title", ""),
            "authors": [{"name": name} for name in names],
            "reference": paper.get("url", ""),
        },
        "manifest": [{"file": name, "comment": comment} for name, comment in shown.items()],
        "codechecker": [],
    }
    said = yaml.safe_dump(content, explicit_start=True, sort_keys=False, allow_unicode=True, width=1000)
    return said.encode()


def _manifest(files: Mapping[str, bytes], shown: Mapping[str, str]) -> bytes:
    """Return the list of files: path, bytes, sha256 and what it is."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("path", "bytes", "sha256", "what"))
    for name, content in sorted(files.items()):
        what = next(said for begin, said in _WHAT.items() if name.startswith(begin))
        what = "numbers of the book's text" if name.endswith(NUMBERS_ENDING) else shown.get(name, what)
        rows.writerow((name, len(content), sha256(content).hexdigest(), escape_csv(what)))
    return table.getvalue().encode()
