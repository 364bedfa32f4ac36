import json

import pytest

from labor_llm.errors import ArtefactError
from labor_llm.exhibits.report import environment_table, run_times


def test_run_times_and_memory_of_finished_notebooks(tmp_path):
    for name, duration in {"02_b": 60.0, "01_a": 90.0, "09_running": None}.items():
        record = {"metadata": {"papermill": {"duration": duration}}}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(record))
    (tmp_path / "01_a.tsv").write_text("s\th:m:s\tmax_rss\n90\t0:01:30\t1000\n")
    got = run_times(tmp_path, tmp_path)
    assert got.columns.tolist() == ["Notebook", "Minutes", "Peak memory, GB"]
    assert got["Notebook"].tolist() == ["01_a", "02_b", "Total"]
    assert got["Minutes"].tolist() == [1.5, 1.0, 2.5]
    assert got["Peak memory, GB"].tolist() == pytest.approx([1.048576, float("nan"), 1.048576], nan_ok=True)


def test_no_notebook_and_a_cut_one_are_refused(tmp_path):
    with pytest.raises(ArtefactError, match="no executed notebook"):
        run_times(tmp_path, tmp_path)
    (tmp_path / "01_a.ipynb").write_text('{"metadata"')
    with pytest.raises(ArtefactError, match=r"01_a\.ipynb"):
        run_times(tmp_path, tmp_path)


def test_the_environment_is_laid_flat():
    got = environment_table({"python": "3.11", "versions": {"numpy": "2.4"}}).values.tolist()
    assert got == [["python", "3.11"], ["numpy", "2.4"]]
