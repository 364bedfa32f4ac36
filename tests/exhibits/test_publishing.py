import json
import re

import numpy as np
import pandas as pd
import pytest

from labor_llm.errors import ArtefactError, InputError
from labor_llm.exhibits.figures import learning_curve
from labor_llm.exhibits.publishing import read_numbers, record_numbers, show_figure, show_table, show_text

FRAME = pd.DataFrame({"Model": ["A_1", "B|2"], "Perplexity": [8.1849, np.nan], "TestSE": [0.1, 0.25]})
FORMATS = {"Perplexity": ".2f", "TestSE": "({:.2f})"}
CURVE = pd.DataFrame({"step": [1, 2, 2], "split": ["train", "train", "validation"], "loss": [2.0, 1.0, 1.5]})
WORDS = {"model": "m", "dataset": "d"}


def show(folder, **changes):
    arguments = {"persons": 11, "formats": FORMATS, "numbers": {"draws": 1000, "refits": "none"}} | changes
    return show_table("tab-main-comparison", arguments.pop("frame", FRAME), folder, **arguments)


def test_a_table_is_written_in_full_and_shown_rounded_and_escaped(tmp_path):
    bundle = show(tmp_path)._repr_mimebundle_()
    got = (tmp_path / "tab-main-comparison.csv").read_text(encoding="utf-8")
    assert got == "Model,Perplexity,TestSE\nA_1,8.1849,0.1\nB|2,,0.25\n"
    latex = (tmp_path / "tab-main-comparison.tex").read_text(encoding="utf-8")
    assert "A\\_1 & 8.18 & (0.10) \\\\\nB\\textbar{}2 & n/a & (0.25) \\\\\n\\bottomrule" in latex
    assert "\\begin{tabular}{lrr}" in latex
    markdown = bundle["text/markdown"]
    assert markdown.startswith(
        ":::{table} Next-job prediction, perplexity on held-out workers\n:name: tab-main-comparison\n"
    )
    assert (
        "| Model | Perplexity | TestSE |\n| :--- | ---: | ---: |\n| A\\_1 | 8.18 | (0.10) |\n| B\\|2 | n/a | (0.25) |"
        in markdown
    )
    assert "1,000 bootstrap samples" in markdown
    assert '<td style="text-align:left">B|2</td>' in bundle["text/html"]
    assert "8.18" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"persons": 10}, "row 1 (A_1)"),
        ({"persons": pd.Series([11, 10])}, "row 2 (B|2)"),
        ({"persons": {"A_1": 11, "B|2": 3}}, "row 2 (B|2)"),
        ({"persons": {"A_1": 11}}, "no count of persons for row 'B|2'"),
        ({"persons": pd.Series([11])}, "1 counts of persons for 2 rows"),
        ({"persons": float("nan")}, "whole number"),
        ({"persons": True}, "whole number"),
        ({"persons": "all"}, "'none'"),
        ({"formats": {"Perplexty": ".2f"}}, "'Perplexty'"),
        ({"numbers": {}}, "{draws}"),
        ({"numbers": {"draws": 1, "refits": "none", "extra": 2}}, "'extra'"),
        ({"frame": FRAME.set_index("Model")}, "reset_index"),
        ({"frame": FRAME.iloc[:0]}, "empty"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(tmp_path, changes, named):
    with pytest.raises(InputError) as error:
        show(tmp_path, **changes)
    assert named in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_numbers_among_empty_cells_are_flush_right(tmp_path):
    frame = pd.DataFrame(
        {"Model": ["a", "b", "c"], "TestSE": pd.Series(["", "", 0.5], dtype=object), "Word": "x"}
    )
    shown = show_table(
        "tab-main-comparison", frame, tmp_path, persons=30, numbers={"draws": 100, "refits": "none"}
    )
    assert "| :--- | ---: | :--- |" in shown.markdown


def test_the_refusal_does_not_tell_the_small_count(tmp_path):
    with pytest.raises(InputError) as error:
        show(tmp_path, persons=7)
    assert "7" not in str(error.value)


def test_a_figure_is_the_same_file_in_every_run(tmp_path):
    files = []
    for run in ("a", "b"):
        shown = show_figure(
            "fig-learning-curve",
            learning_curve(CURVE),
            tmp_path / run,
            persons=54,
            variant="d-m",
            numbers=WORDS,
        )
        files.append(
            [(tmp_path / run / f"fig-learning-curve-d-m.{end}").read_bytes() for end in ("png", "pdf")]
        )
    assert files[0] == files[1]
    bundle = shown._repr_mimebundle_()
    assert (
        ":::{figure} /exhibits/fig-learning-curve-d-m.png\n:name: fig-learning-curve-d-m\n"
        in bundle["text/markdown"]
    )
    assert 'src="data:image/png;base64,' in bundle["text/html"]


def test_a_figure_of_too_few_persons_is_refused(tmp_path):
    with pytest.raises(InputError, match="point 2"):
        show_figure(
            "fig-learning-curve",
            learning_curve(CURVE),
            tmp_path,
            persons=pd.Series([20, 5]),
            variant="d-m",
            numbers=WORDS,
        )
    assert list(tmp_path.iterdir()) == []


def test_a_sentence_with_numbers():
    got = show_text(
        "**{name}** has {value:.2f} of {count}.", persons=20, name="a_b", value=-1.234, count=5000
    )
    assert got.markdown == "**a\\_b** has \u22121.23 of 5,000."
    with pytest.raises(InputError, match=re.escape("{other}")):
        show_text("{other}", persons=20, value=1)


def test_numbers_for_prose_keep_full_precision_and_are_read_back_as_text(tmp_path):
    record_numbers(
        "07_a",
        {"perplexity": 15.38249, "workers": np.int64(4360)},
        tmp_path,
        persons=109,
        formats={"perplexity": ".2f"},
    )
    record_numbers("08_b", {"label": "SmolLM2"}, tmp_path, persons="none")
    assert json.loads((tmp_path / "07_a.numbers.json").read_text()) == {
        "perplexity": {"value": 15.38249, "text": "15.38"},
        "workers": {"value": 4360, "text": "4,360"},
    }
    assert read_numbers(tmp_path) == {"perplexity": "15.38", "workers": "4,360", "label": "SmolLM2"}


@pytest.mark.parametrize("numbers", [{"a": float("nan")}, {"a": None}, {"Bad-Key": 1}, {"a": float("inf")}])
def test_missing_numbers_and_malformed_keys_are_refused(tmp_path, numbers):
    with pytest.raises(InputError, match=next(iter(numbers))):
        record_numbers("07_a", numbers, tmp_path, persons=20)


def test_the_same_key_from_two_notebooks_is_refused(tmp_path):
    for name in ("07_a", "08_b"):
        record_numbers(name, {"perplexity": 1.0}, tmp_path, persons=20)
    with pytest.raises(ArtefactError, match=r"08_b.*'perplexity'.*07_a"):
        read_numbers(tmp_path)
