"""Records of runs: what is current is told by content, and what was altered is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nbformat
import nbformat.v4
import pytest

from labor_llm.errors import ArtefactError, LaborLLMError
from labor_llm.store.artefacts import MANIFEST, writing
from labor_llm.workflow.execution import execute_notebook
from labor_llm.workflow.records import identity_of, is_current, record_of, recorded_files, write_record


def test_a_run_is_made_again_when_anything_that_it_reads_has_changed_but_not_when_it_was_touched(
    tmp_path: Path,
) -> None:
    source, executed = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    notebook.metadata["kernelspec"] = {"name": "python3", "language": "python", "display_name": "Python 3"}
    nbformat.write(notebook, source)
    # Manifests of several artefacts have one name.
    needs = [tmp_path / name / "manifest.json" for name in ("panel", "model")]
    for path in needs:
        path.parent.mkdir()
        path.write_text("first")

    def run(*makes: Path) -> bool:
        return execute_notebook(source, executed, {}, needs, makes)

    assert run()
    needs[0].touch()
    assert not run()
    needs[0].write_text("second")
    assert run()
    with pytest.raises(LaborLLMError, match=r"in\.ipynb.*has not made .*absent"):
        run(tmp_path / "absent")


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The record of a run that read a file and made a table and an artefact."""
    (tmp_path / "careers.csv").write_text("first")
    (tmp_path / "table.csv").write_text("4.63")
    with writing(tmp_path / "predictions") as aside:
        (aside / "log_probs.txt").write_text("-1")
    path = record_of(tmp_path / "notebooks" / "07.ipynb")
    write_record(path, identity(tmp_path), [tmp_path / "table.csv", tmp_path / "predictions" / MANIFEST])
    return path


def identity(folder: Path) -> str:
    return identity_of(Path(__file__), {"seed": 1}, [folder / "careers.csv"])


@pytest.mark.parametrize("altered", ["careers.csv", "table.csv", "predictions/log_probs.txt"])
def test_other_contents_count_whatever_their_time_says(record: Path, tmp_path: Path, altered: str) -> None:
    assert is_current(record, identity(tmp_path), [tmp_path / "table.csv"])
    os.utime(tmp_path / altered)
    assert is_current(record, identity(tmp_path), [tmp_path / "table.csv"])
    before = (tmp_path / altered).stat()
    (tmp_path / altered).write_text("3.63x"[: before.st_size])
    os.utime(tmp_path / altered, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not is_current(record, identity(tmp_path), [tmp_path / "table.csv"])


def test_a_run_that_was_to_make_more_is_not_current(record: Path, tmp_path: Path) -> None:
    assert not is_current(record, identity(tmp_path), [tmp_path / "absent.csv"])


def test_what_was_altered_or_is_gone_is_named_with_what_to_do(record: Path, tmp_path: Path) -> None:
    assert recorded_files(record) == [tmp_path / "table.csv", tmp_path / "predictions" / MANIFEST]
    said = json.loads(record.read_text())
    record.write_text(json.dumps(said | {"identity": "other"}))
    with pytest.raises(ArtefactError, match=r"07\.record\.json: it was changed.*labor-llm replicate"):
        recorded_files(record)
    record.write_text(json.dumps(said))
    (tmp_path / "table.csv").write_text("3.63")
    with pytest.raises(ArtefactError, match=r"table\.csv: it was changed.*labor-llm replicate"):
        recorded_files(record)
    (tmp_path / "table.csv").unlink()
    with pytest.raises(ArtefactError, match=r"table\.csv: made by a run, but not there"):
        recorded_files(record)
    record.unlink()
    with pytest.raises(ArtefactError, match=r"07\.record\.json: not there"):
        recorded_files(record)


def test_results_can_be_moved(record: Path, tmp_path: Path) -> None:
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}-moved"))
    assert is_current(moved / record.relative_to(tmp_path), identity(moved))
