"""Expected outputs: the same digits, digits within what machines differ by, and all else that may be wrong."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from labor_llm.commands.main import app
from labor_llm.errors import ArtefactError
from labor_llm.exhibits import expected
from labor_llm.exhibits.expected import compare_with_expected, store_expected
from labor_llm.store.results import Results, open_results

TABLE = "Model,Perplexity\nfine-tuned,8.0\nCAREER,12.0\nno such title,inf\n"


@pytest.fixture
def results(tmp_path: Path) -> Results:
    results = open_results(str(tmp_path / "results"))
    results.exhibits.mkdir(parents=True)
    for name in ("tab-main", "tab-other", "tab-environment"):
        (results.exhibits / f"{name}.csv").write_text(TABLE)
    store_expected(results, tmp_path / "expected")
    return results


def compared(results: Results) -> dict[str, tuple[str, str]]:
    found = compare_with_expected(results, results.root.parent / "expected")
    return {row.exhibit: (row.verdict, row.where) for row in found.itertuples()}


@pytest.mark.parametrize(
    ("changed", "here", "elsewhere", "where"),
    [
        (("8.0", "8.0"), "same", "same", ""),
        # The column's mean is ten: a part in ten million, three hundredths, a tenth.
        (("8.0", "8.000001"), "within tolerance", "within tolerance", "Perplexity, row 2"),
        (("12.0", "12.3"), "different", "within tolerance", "Perplexity, row 3"),
        (("12.0", "13.0"), "different", "different", "Perplexity, row 3"),
        (("CAREER", "Career"), "different", "different", "Model, row 3: 'Career', not 'CAREER'"),
        (("inf", "9.0"), "different", "different", "Perplexity, row 4"),
        (("CAREER,12.0\n", ""), "different", "different", "2 rows of 3, or other columns"),
    ],
)
def test_a_table_is_compared_by_its_columns(results, monkeypatch, changed, here, elsewhere, where) -> None:
    (results.exhibits / "tab-main.csv").write_text(TABLE.replace(*changed))
    (results.exhibits / "tab-environment.csv").write_text("another machine")
    assert compared(results) == {"tab-main": (here, where), "tab-other": ("same", "")}
    monkeypatch.setattr(expected, "processor", lambda: "another")
    assert compared(results)["tab-main"] == (elsewhere, where)


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


def test_expected_tables_that_were_changed_are_refused(results) -> None:
    (results.root.parent / "expected" / "tab-main.csv").write_text(TABLE + "\n")
    with pytest.raises(ArtefactError, match=r"tab-main\.csv"):
        compared(results)
