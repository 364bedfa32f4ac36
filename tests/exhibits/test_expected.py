"""Expected outputs: the same digits, digits within what machines differ by, and all else that may be wrong."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from labor_llm.commands.main import app
from labor_llm.errors import ArtefactError
from labor_llm.exhibits import expected
from labor_llm.exhibits.expected import compare_with_expected, machine
from labor_llm.exhibits.stored_runs import write_stored
from labor_llm.store.results import Results, open_results

TABLE = """Model,Perplexity,Workers
fine-tuned,8.5,109
CAREER,12.0,109
off the shelf,74443.0,12
no such title,inf,12
"""


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = open_results(str(tmp_path / "results"))
    results.exhibits.mkdir(parents=True)
    for name in ("tab-main", "tab-other", "tab-environment"):
        (results.exhibits / f"{name}.csv").write_text(TABLE)
    write_stored(results, tmp_path / "expected", {"machine": machine()}, {})
    return results


def compared(results: Results) -> dict[str, tuple[str, str]]:
    found = compare_with_expected(results, results.root.parent / "expected")
    return {row.exhibit: (row.verdict, row.where) for row in found.itertuples()}


@pytest.mark.parametrize(
    ("changed", "here", "elsewhere", "where"),
    [
        (("8.5", "8.5"), "same", "same", ""),
        # A part in a million or less, three hundredths, a tenth of the number.
        (("8.5", "8.500001"), "within tolerance", "within tolerance", "Perplexity, row 2"),
        (("12.0", "12.3"), "different", "within tolerance", "Perplexity, row 3"),
        (("12.0", "13.2"), "different", "different", "Perplexity, row 3"),
        # What another row has in thousands hides nothing.
        (("8.5", "80.5"), "different", "different", "Perplexity, row 2"),
        (("CAREER", "Career"), "different", "different", "Model, row 3: 'Career', not 'CAREER'"),
        (("inf", "9.0"), "different", "different", "Perplexity, row 5"),
        (("109", "110"), "different", "different", "Workers, row 2"),
        (("CAREER,12.0,109\n", ""), "different", "different", "3 rows of 4, or other columns"),
        (("fine-tuned,", "fine-tuned,1,2,"), "different", "different", "no table"),
    ],
)
def test_a_table_is_compared_by_its_columns(results, monkeypatch, changed, here, elsewhere, where) -> None:
    (results.exhibits / "tab-main.csv").write_text(TABLE.replace(*changed))
    (results.exhibits / "tab-environment.csv").write_text("another machine")
    verdict, at = compared(results)["tab-main"]
    assert (verdict, at[: len(where)], compared(results)["tab-other"]) == (here, where, ("same", ""))
    monkeypatch.setattr(expected, "processor", lambda: "another")
    assert compared(results)["tab-main"][0] == elsewhere


def test_what_is_missing_or_new_is_named_and_the_command_says_so(results) -> None:
    folder = str(results.root.parent / "expected")
    run = ["check", "--results", str(results.root), "--expected", folder]
    said = CliRunner().invoke(app, run)
    assert (said.exit_code, said.output.splitlines()[-1]) == (0, "2 same")
    (results.exhibits / "tab-main.csv").rename(results.exhibits / "tab-new.csv")
    assert compared(results) == {
        "tab-main": ("missing", ""), "tab-new": ("not expected", ""), "tab-other": ("same", ""),
    }  # fmt: skip
    said = CliRunner().invoke(app, run)
    assert said.exit_code == 1
    assert said.output.splitlines()[-1] == "1 missing, 1 not expected, 1 same"
    assert '"verdict":"missing"' in (results.root / "check.json").read_text().replace(" ", "")


def test_tables_that_a_run_lacks_are_not_forgotten(results) -> None:
    (results.exhibits / "tab-main.csv").unlink()
    with pytest.raises(ArtefactError, match=r"lacks tab-main\.csv"):
        write_stored(results, results.root.parent / "expected", {}, {})


def test_rows_of_other_stored_runs_are_not_compared(tmp_path: Path) -> None:
    results = open_results(str(tmp_path / "results"))
    results.exhibits.mkdir(parents=True)
    file = results.exhibits / "tab-claims.csv"
    text = "Claim,Data set,Difference\nBetter,Mine,1.5\nLonger,,\n"
    file.write_text(text)
    about = {"machine": machine(), "datasets": {"a": {"label": "Mine"}}}
    folder = write_stored(results, tmp_path / "expected", about, {})
    for told, verdict in ((text + "Better,Another,9\n", "same"), (text.replace("1.5", "2.5"), "different")):
        file.write_text(told)
        [row] = compare_with_expected(results, folder).itertuples()
        assert row.verdict == verdict or (verdict == "same" and row.largest == 0), row


def test_expected_tables_that_were_changed_are_refused(results) -> None:
    (results.root.parent / "expected" / "tab-main.csv").write_text(TABLE + "\n")
    with pytest.raises(ArtefactError, match=r"tab-main\.csv"):
        compared(results)
