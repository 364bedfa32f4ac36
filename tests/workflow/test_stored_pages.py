"""What stored runs have found stands before what a chapter shows, once, and only what is theirs."""

from __future__ import annotations

from pathlib import Path

from nbformat.v4 import new_code_cell, new_notebook, new_output

from labor_llm.exhibits.stored_runs import StoredRun, read_stored, write_stored
from labor_llm.store.results import Results
from labor_llm.workflow.runs import NotebookRun
from labor_llm.workflow.stored_pages import put_before
from labor_llm.workflow.storing import shown_by, table_in


def table(label: str, cell: str) -> str:
    link = f"{{download}}`CSV </exhibits/{label}.csv>` {{download}}`LaTeX </exhibits/{label}.tex>`"
    return f":::{{table}} A caption\n:name: {label}\n:class: exhibit-table\n\n| A |\n|:--|\n| {cell} |\n:::\n\n{link}\n"


def notebook(leading: str, *shown: str, hidden: str = "") -> object:
    cells = [
        new_code_cell("show(x)", outputs=[new_output("display_data", {"text/markdown": text})])
        for text in (leading, *shown)
    ]
    cells[0]["metadata"]["tags"] = ["leading"]
    if hidden:
        cells.append(new_code_cell("show(x)", outputs=[new_output("display_data", {"text/markdown": hidden})],
                                   metadata={"tags": ["remove-cell"]}))  # fmt: skip
    return new_notebook(cells=cells)


def texts(page: object) -> list[str]:
    return [cell["outputs"][0]["data"]["text/markdown"] for cell in page["cells"]]


def stored(folder: Path, shown: dict[str, list[str]]) -> StoredRun:
    results = Results(folder / "results")
    results.exhibits.mkdir(parents=True)
    (results.exhibits / "tab-titles-d.csv").write_text("A\n1\n")
    [run] = read_stored([write_stored(results, folder / "kept", {"description": "A part of it"}, shown)])
    return run


def test_a_run_shows_its_tables_by_exhibit_and_one_sentence_a_notebook(tmp_path: Path) -> None:
    executed = {
        f"10_titles-{name}": notebook(
            "It leads.", table(f"tab-titles-{name}", name), "More.", hidden=table("tab-prompts", "z")
        )
        for name in ("one", "two")
    }
    runs = [NotebookRun(name, "10_titles", tmp_path, {}) for name in executed]
    shown = shown_by(runs, executed)
    assert shown["10_titles"] == ["It leads.", "It leads."]
    assert list(map(table_in, shown["tab-titles"])) == ["tab-titles"] * 2 and shown.keys() == {
        "10_titles",
        "tab-titles",
    }
    assert table_in(":::{figure} /exhibits/fig-x.png\n") == ""


def test_stored_tables_stand_before_the_first_of_an_exhibit_without_a_label(tmp_path: Path) -> None:
    linked = table("tab-claims", "{numref}`tab-titles`")
    run = stored(
        tmp_path,
        {"10_titles": ["It was better."], "tab-titles": [table("tab-titles-d", "7")], "tab-claims": [linked]},
    )
    page = notebook(
        "Now it is not.", table("tab-titles-one", "8"), table("tab-titles-two", "9"), linked, "The end."
    )
    put_before("10_titles", page, [run])
    sentence, first, second, claims, end = texts(page)
    assert sentence == "*A part of it, stored.* It was better.\n\n*This run.* Now it is not."
    tabs, own = first.split("\n:::::\n\n")
    assert (
        "| 7 |" in tabs
        and ":name:" not in tabs
        and "**A caption**" in tabs
        and own == table("tab-titles-one", "8")
    )
    assert "</stored/kept/tab-titles-d.csv>" in tabs and "LaTeX" not in tabs
    assert (second, claims, end) == (table("tab-titles-two", "9"), linked, "The end.")
    untouched = notebook("Now it is not.")
    put_before("11_pooled_data", untouched, [run])
    assert texts(untouched) == ["Now it is not."]
