"""What is shown and written: in full and rounded, escaped, the same in every run, and never of too few persons."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.evaluation.binary_tasks import CHANGE, BinaryEvents, bootstrap_auc, differences_to_best
from labor_llm.evaluation.calibration import calibration_errors, recalibration, reliability_curves
from labor_llm.evaluation.distribution_calibration import distribution_calibration
from labor_llm.evaluation.groups import COLUMNS
from labor_llm.exhibits import data, data_figures, figures, gains, studies, tables
from labor_llm.exhibits.catalogue import read_catalogue
from labor_llm.exhibits.figures import learning_curve
from labor_llm.exhibits.formatting import DisplayTable, DisplayText, table
from labor_llm.exhibits.models import benchmark_table
from labor_llm.exhibits.publishing import Display, Exhibits, fill, open_chapter, read_numbers
from labor_llm.store.artefacts import writing
from labor_llm.store.results import Results

FRAME = pd.DataFrame({"Model": ["A_1", "B|2"], "Perplexity": [8.1849, np.nan], "TestSE": [0.1, 0.25]})
FORMATS = {"Perplexity": ".2f", "TestSE": "({:.2f})"}
CURVE = pd.DataFrame({"step": [1, 2, 2], "split": ["train", "train", "validation"], "loss": [2.0, 1.0, 1.5]})


@pytest.fixture
def show(tmp_path: Path) -> Callable[..., Display]:
    """Shows the table with some of its parts changed."""

    def shown(**changes: object) -> Display:
        numbers = changes.pop("numbers", {"refits": "none"})
        parts = {"frame": FRAME, "persons": 11, "formats": FORMATS} | changes
        exhibits = Exhibits(Results(tmp_path), words={"draws": 1000, "of another exhibit": 1})
        return exhibits(DisplayTable("tab-main-comparison", **parts), **numbers)

    return shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Results(tmp_path).exhibits


def test_a_table_is_written_in_full_and_shown_rounded_and_escaped(show, folder: Path) -> None:
    bundle = show()._repr_mimebundle_()
    got = (folder / "tab-main-comparison.csv").read_text(encoding="utf-8")
    assert got == "Model,Perplexity,TestSE\nA_1,8.1849,0.1\nB|2,,0.25\n"
    latex = (folder / "tab-main-comparison.tex").read_text(encoding="utf-8")
    assert "A\\_1 & 8.18 & (0.10) \\\\\nB\\textbar{}2 & n/a & (0.25) \\\\\n\\bottomrule" in latex
    assert "\\begin{tabular}{lrr}" in latex
    markdown = bundle["text/markdown"]
    head = ":::{table} Next-job prediction, perplexity on held-out workers\n:name: tab-main-comparison\n"
    assert markdown.startswith(head)
    assert "| Model | Perplexity | TestSE |\n| :--- | ---: | ---: |\n| A\\_1 | 8.18 | (0.10) |\n" in markdown
    assert "\n| B\\|2 | n/a | (0.25) |\n" in markdown
    assert "1,000 bootstrap samples" in markdown
    assert re.search(r"<td[^>]*>B\|2</td>", bundle["text/html"])
    assert "8.18" in bundle["text/plain"]


def test_a_hostile_text_is_text_in_every_output(show, folder: Path, hostile: str) -> None:
    name = f"{hostile} C"
    frame = pd.DataFrame({"Model": [hostile, "b"], name: [hostile, "c"], "Perplexity": [1.5, 2.0]})
    got = show(frame=frame, formats={}, numbers={"refits": hostile})
    read = pd.read_csv(folder / "tab-main-comparison.csv")
    assert [*read["Model"], *read.columns] == [f"'{hostile}", "b", "Model", f"'{name}", "Perplexity"]
    latex = (folder / "tab-main-comparison.tex").read_text(encoding="utf-8")
    assert (
        latex.count(
            r"=1+1 \textless{}script\textgreater{}alert(1)\textless{}/script\textgreater{} \{careers\}"
        )
        == 4
    )
    assert got.html.count("&lt;script&gt;alert(1)&lt;/script&gt; {careers} $x$") == 4
    assert got.markdown.count(r"\=1+1 \<script\>alert(1)\</script\> \{careers\} \$x\$") == 3
    assert "<script>" not in got.html


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"persons": 7}, "row 1 (A_1): fewer than 11 persons stand behind it, so it cannot"),
        ({"persons": pd.Series([11, 10])}, "row 2 (B|2)"),
        ({"persons": pd.Series([11])}, "1 counts of persons for 2 rows"),
        ({"persons": float("nan")}, "whole number"),
        ({"persons": True}, "whole number"),
        ({"persons": "all"}, "'none'"),
        ({"formats": {"Perplexty": ".2f"}}, "'Perplexty'"),
        ({"numbers": {}}, "{refits}"),
        ({"numbers": {"refits": "none", "extra": 2}}, "'extra'"),
        ({"frame": FRAME.set_index("Model")}, "reset_index"),
        ({"frame": FRAME.iloc[:0]}, "empty"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(show, folder: Path, changes, named) -> None:
    with pytest.raises(InputError) as error:
        show(**changes)
    assert named in str(error.value)
    assert not folder.exists()


def test_numbers_among_empty_cells_are_flush_right(show) -> None:
    errors = pd.Series(["", "", 0.5], dtype=object)
    frame = pd.DataFrame({"Model": ["a", "b", "c"], "TestSE": errors, "Word": "x"})
    assert "| :--- | ---: | :--- |" in show(frame=frame, formats={}).markdown


def test_a_figure_is_the_same_file_in_every_run_and_is_named_after_its_chapter(tmp_path: Path) -> None:
    with writing(tmp_path / "d" / "panel", {"label": "Data D"}):
        pass
    folders, show = open_chapter(tmp_path, "d", "m", model="Model M", draws=100)
    files = []
    for _ in range(2):
        shown = show(learning_curve(CURVE, persons=54))
        files.append(
            [path.read_bytes() for path in sorted(folders.exhibits.glob("fig-learning-curve-d-m.p*"))]
        )
    assert len(files[0]) == 2
    assert files[0] == files[1]
    named = ":::{figure} /exhibits/fig-learning-curve-d-m.png\n:name: fig-learning-curve-d-m\n"
    assert named in shown.markdown
    assert "Loss during the fine-tuning of Model M on Data D" in shown.markdown
    assert 'src="data:image/png;base64,' in shown.html


def test_a_name_that_a_notebook_is_given_passes_the_check_of_texts(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model: .* control or an invisible character"):
        open_chapter(tmp_path, "d", "m", model="\x1b[31m")


def test_a_figure_of_too_few_persons_is_refused(folder: Path) -> None:
    show = Exhibits(Results(folder.parent), "", "m", {"dataset": "d", "model": "m"})
    with pytest.raises(InputError, match="point 2"):
        show(learning_curve(CURVE, persons=pd.Series([20, 5])))
    assert not folder.exists()


def test_what_has_nothing_to_show_says_so_in_its_place(tmp_path: Path) -> None:
    events: list[BinaryEvents] = []
    groups = pd.DataFrame(columns=list(COLUMNS))
    areas, differences = bootstrap_auc(events), differences_to_best(events, ["b"])
    with writing(tmp_path / "d" / "panel", {"label": "Data D"}):
        pass
    folders, show = Results(tmp_path), Exhibits(Results(tmp_path), "d", words={"draws": 100})
    none = pd.DataFrame()
    empty = [
        tables.task_events(events), tables.areas(areas), table("tab-auc-differences", differences),
        tables.task_calibration(recalibration(events), calibration_errors(events)),
        table("tab-distribution-calibration", distribution_calibration([], {})), studies.group_perplexity(groups),
        studies.group_tasks(groups), data.believed_sizes([], {}), data.unmapped_codes([], {}),
        figures.reliability_curves(reliability_curves(events, CHANGE)), data_figures.coverage(none),
        data_figures.movers_by_age(none), data_figures.transition_type_shares(none),
        table("tab-value-of-covariates", none), studies.history_lengths(none),
        studies.history_available(none), figures.history_lengths(none), studies.horizon_perplexities(none),
        studies.horizon_agreement(none, none), figures.horizon_bins(none), studies.before_and_after(none),
        figures.performance_by_year(none, 1980), tables.household_errors(none, none, none),
        table("tab-gain-by-part", none), figures.gain_by_part(none), gains.returns(none),
        table("tab-group-level", none), gains.mixtures(none), tables.title_frequency("tab-title-frequency", none),
        tables.title_frequency("tab-titles-by-frequency", none),
        studies.pooled_pairs([], pd.DataFrame({"model": ["own"], "others": [0]})),
        benchmark_table("tab-speed-gpu", tmp_path / "none"),
    ]  # fmt: skip
    shown = {each.exhibit: show(each) for each in empty}
    shown["fig-value-of-covariates"] = show(figures.paired_differences(none), "fig-value-of-covariates")
    sentences = {name: entry.empty for name, entry in read_catalogue().items() if entry.empty}
    assert set(sentences) == set(shown)
    for name, display in shown.items():
        assert sentences[name] in display.plain
        assert "Note." not in display.markdown
        assert any(path.stat().st_size for path in folders.exhibits.glob(f"{name}*"))
    for words in (
        studies.covariates_in_words(none, "m"), studies.history_sentence(none, "m"), studies.horizon_sentence(none),
        studies.structural_change_sentence(none, 1980),
    ):  # fmt: skip
        assert show(words) is None
    with pytest.raises(InputError, match=r"fig-paired-differences: .*there is nothing to draw"):
        show(figures.paired_differences(none))
    got = shown["tab-group-tasks"].markdown
    assert got.startswith(
        ":::{table} Change of occupation by gender, ethnicity and education\n:name: tab-group-tasks"
    )
    assert (
        "\n| Group |\n| :--- |\n| No group is large enough: AUC and calibration error need 11 scored workers"
        in got
    )
    file = folders.exhibits / "tab-group-tasks-d.csv"
    assert file.read_text("utf-8").startswith("Group,Model,AUC,TestSE,95 % from,95 % to,Calibration error,")
    assert pd.read_csv(file).empty
    assert "No group is large enough" in file.with_suffix(".tex").read_text("utf-8")
    assert tables.model_in_words(differences, "m").words == "No task is evaluated, so there is no AUC of m."


def test_a_table_may_be_shown_as_another_exhibit(show, folder: Path) -> None:
    Exhibits(Results(folder.parent))(DisplayTable("tab-prompts", FRAME, 11), "tab-value-of-fine-tuning")
    assert [path.stem for path in folder.glob("*.csv")] == ["tab-value-of-fine-tuning"]


def test_a_sentence_is_escaped_and_captions_take_numbers(tmp_path: Path) -> None:
    sentence = Exhibits(Results(tmp_path))
    few = sentence(DisplayText("of 39", 39))
    assert few.plain == (
        "of 39 A number here rests on fewer than 40 workers, which is too few for a verdict."
    )
    got = sentence(DisplayText("of {a_b}", 40))
    assert (got.markdown, got.plain) == ("of \\{a\\_b\\}", "of {a_b}")
    with pytest.raises(InputError, match="fewer than 11"):
        sentence.text("of few", persons=10)
    assert fill("{a} of {b:.1f}", {"a": 5000, "b": -1.23}, "here") == "5,000 of \u22121.2"
    with pytest.raises(InputError, match=re.escape("here: no number for {other}")):
        fill("{other}", {"a": 1}, "here")


def test_numbers_for_prose_keep_full_precision_and_are_read_back_as_text(tmp_path: Path) -> None:
    show, folder = Exhibits(results := Results(tmp_path)), results.exhibits
    numbers = {"perplexity": 15.38249, "workers": np.int64(4360)}
    show.record("07_a", numbers, persons=109, decimals=2)
    show.record("08_b", {"label": "SmolLM2"}, persons="none")
    assert json.loads((folder / "07_a.numbers.json").read_text()) == {
        "perplexity": {"value": 15.38249, "text": "15.38"},
        "workers": {"value": 4360, "text": "4,360"},
    }
    assert read_numbers(folder.iterdir()) == {"perplexity": "15.38", "workers": "4,360", "label": "SmolLM2"}
    show.record("09_c", {"workers": 1}, persons="none")
    with pytest.raises(ArtefactError, match=r"09_c.*'workers'.*07_a"):
        read_numbers(folder.iterdir())


@pytest.mark.parametrize("numbers", [{"a": float("nan")}, {"a": None}, {"Bad-Key": 1}, {"a": float("inf")}])
def test_missing_numbers_and_malformed_keys_are_refused(tmp_path: Path, numbers) -> None:
    with pytest.raises(InputError, match=next(iter(numbers))):
        Exhibits(Results(tmp_path)).record("07_a", numbers, persons=20)
