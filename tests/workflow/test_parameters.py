import re

import nbformat.v4 as nbf
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.errors import InputError
from labor_llm.workflow.parameters import GROUPS, checked_parameters, declared_parameters, group_of_settings

CELL = """\
# what the reader may change
seed: int = 1  # seed of the split
rate: float = 2e-4  # learning rate
verbose: bool = False
dataset: str = "nlsy79"  # data set, with a # in its help
datasets: list[str] = [
    "nlsy79",
    "psid",
]  # in the order of the tables
horizons: list[int] = [1, 2]
shares: list[float] = [0.7, 1]
note: str = ""
"""


def notebook(source=CELL):
    cell = nbf.new_code_cell(source, metadata={"tags": ["parameters"]})
    return nbf.new_notebook(cells=[nbf.new_markdown_cell("# Title"), cell])


def test_reads_name_type_default_and_help():
    got = [(p.name, p.type, p.default, p.help) for p in declared_parameters(notebook()).values()]

    assert got == [
        ("seed", "int", 1, "seed of the split"),
        ("rate", "float", 0.0002, "learning rate"),
        ("verbose", "bool", False, ""),
        ("dataset", "str", "nlsy79", "data set, with a # in its help"),
        ("datasets", "list[str]", ["nlsy79", "psid"], "in the order of the tables"),
        ("horizons", "list[int]", [1, 2], ""),
        ("shares", "list[float]", [0.7, 1], ""),
        ("note", "str", "", ""),
    ]


def test_a_notebook_without_the_cell_declares_nothing():
    assert declared_parameters(nbf.new_notebook(cells=[nbf.new_code_cell("seed: int = 1")])) == {}


GROUPED = """\
dataset: str = "nlsy79"  # data set
fine_tuning: dict = {"epochs": 1, "learning_rate": 2e-4}  # how the model is fine-tuned
resumes: dict = {}  # the form of the resumes
"""


@pytest.mark.parametrize(
    ("source", "given", "injected"),
    [
        *((CELL, given, given) for given in (
            {}, {"note": "x"},
            {"seed": -3, "rate": 1, "verbose": True, "datasets": [], "shares": [1, 0.5]},
        )),
        # Settings are given one by one or as a group, and the others keep the notebook's defaults.
        (GROUPED, {}, {}),
        (GROUPED, {"epochs": 3}, {"fine_tuning": {"epochs": 3, "learning_rate": 2e-4}}),
        (GROUPED, {"fine_tuning": {"epochs": 2}, "batch_size": 4},
         {"fine_tuning": {"epochs": 2, "learning_rate": 2e-4, "batch_size": 4}}),
        (GROUPED, {"dataset": "psid", "resumes.seed": 7, "titles": "numeric"},
         {"dataset": "psid", "resumes": {"seed": 7, "titles": "numeric"}}),
    ],
)  # fmt: skip
def test_fitting_values_pass(source, given, injected):
    assert checked_parameters(notebook(source), given, "x.ipynb") == injected


@pytest.mark.parametrize(
    ("source", "given", "message"),
    [
        *((CELL, *case) for case in (
            ({"sed": 3}, "no parameter 'sed' (did you mean 'seed'?), it has seed, rate, verbose, dataset,"),
            ({"zzz": 3}, "no parameter 'zzz', it has seed"),
            ({"seed = 1; import os": 3}, "'seed = 1; import os' is not a parameter name"),
            ({"seed": "3"}, "seed is int, not '3' (str)"),
            ({"seed": True}, "seed is int, not True (bool)"),
            ({"seed": 1.0}, "seed is int, not 1.0 (float)"),
            ({"seed": None}, "seed is int, not None (NoneType)"),
            ({"rate": float("nan")}, "rate is float, not nan (float)"),
            ({"verbose": 1}, "verbose is bool, not 1 (int)"),
            ({"dataset": 79}, "dataset is str, not 79 (int), pass text that looks like a number by -r dataset 79"),
            ({"note": 1e5}, "note is str, not 100000.0 (float), pass text that looks like a number by -r"),
            ({"datasets": "psid"}, "pass a list by -y 'datasets: [psid]'"),
            ({"datasets": ["psid", 1]}, "datasets is list[str], not ['psid', 1] (list)"),
            ({"horizons": [True]}, "horizons is list[int], not [True] (list)"),
            # One message names every problem.
            ({"sed": 3, "rate": "fast", "verbose": True}, "it has seed, rate, verbose, dataset, datasets, horizons, "
             "shares, note; rate is float, not 'fast' (str). Nothing was run."),
        )),
        *((GROUPED, *case) for case in (
            ({"epochs": 0}, "fine_tuning.epochs: 0 should be greater than or equal to 1"),
            ({"fine_tuning": {"epoch": 2}}, "fine_tuning.epoch: no such field; did you mean 'epochs'?"),
            ({"titles": "words"},
             "resumes.titles: 'words' should be 'literal', 'numeric', 'perturbed' or 'shuffled'"),
            ({"seed": 2},
             "seed is a setting of fine_tuning, resumes: give it as -p fine_tuning.seed or -p resumes.seed"),
            ({"epochz": 2}, "no parameter 'epochz' (did you mean 'epochs'?)"),
            ({"career.epochs": 2}, "no parameter 'career.epochs'"),
            ({"fine_tuning": 3}, "fine_tuning is a group of settings; give it by -y 'fine_tuning: {setting: value}'"),
        )),
        # A line that is no declaration.
        *((line, {}, message) for line, message in (
            ("seed = 1", "line 1: expected `name: type = default  # help`, found 'seed = 1'"),
            ("import os", "line 1: expected `name"),
            ("seed: int", "line 1: expected `name"),
            ("seed: int = 1\nseed: int = 2", "line 2: 'seed' is declared twice"),
            ("x: dict = {}", "x has the type 'dict', which is none of int, float"),
            ("x: list[bool] = []", "x has the type 'list[bool]'"),
            ("x: int | None = None", "x has the type 'int | None'"),
            ("seed: int = 'one'", "the default of seed, 'one', is not of its type, int"),
            ("seed: int = int(1)", "the default of seed, 'int(1)', is not a plain value"),
            ("seed: int =", "line 1: not Python"),
        )),
    ],
)  # fmt: skip
def test_a_value_a_setting_or_a_line_that_does_not_fit_is_refused(source, given, message):
    with pytest.raises(InputError) as refused:
        checked_parameters(notebook(source), given, "notebooks/06_baselines.ipynb")

    assert message in str(refused.value)
    assert str(refused.value).startswith("notebooks/06_baselines.ipynb: ")


@pytest.mark.parametrize(
    ("name", "kind", "fits", "does_not"),
    [
        ("workers", "int", (-1, 11), (10, 0, -2)),
        ("questions", "int", (-1, 1), (0,)),
        ("language_model_questions", "int", (-1, 0, 20), (-2,)),
        ("paths", "int", (2,), (1,)),
        ("refits", "int", (0, 2), (1, -1)),
        ("horizons", "list[int]", ([], [2, 3]), ([1], [2, 2])),
        ("lengths", "list[int]", ([0, 4],), ([], [-1], [2, 2])),
        ("permutation_seeds", "list[int]", ([0],), ([], [1, 1])),
        ("covariates", "list[str]", ([], ["gender", "birth_year"]), (["education"], ["gender", "gender"])),
        ("baselines", "list[str]", ([], ["career"]), (["logit"], ["career", "career"])),
        ("baseline", "str", ("career",), ("",)),
        ("regularisations", "list[float]", ([0.1],), ([], [0.0])),
        ("dtype", "str", ("bfloat16",), ("float16",)),
    ],
)
def test_what_would_end_a_chapter_late_is_refused_before_any_runs(name, kind, fits, does_not):
    cell = notebook(f"{name}: {kind} = {fits[0]!r}  # of no matter")
    for value in fits:
        assert checked_parameters(cell, {name: value}, "n") == {name: value}
    for value in does_not:
        with pytest.raises(
            InputError, match=rf"^n: {name} is {re.escape(repr(value))}; give .*Nothing was run"
        ):
            checked_parameters(cell, {name: value}, "n")


@pytest.mark.parametrize("name", GROUPS)
def test_every_field_of_a_group_says_what_it_is(name):
    for field, about in group_of_settings(name).model_fields.items():
        assert about.description, f"{name}.{field}"


def test_the_cell_is_never_executed(tmp_path):
    touched = tmp_path / "touched"

    with pytest.raises(InputError):
        declared_parameters(notebook(f"x: str = open({str(touched)!r}, 'w').name"))

    assert not touched.exists()


@given(
    st.one_of(
        st.tuples(st.just("int"), st.integers()),
        st.tuples(st.just("float"), st.floats(allow_nan=False, allow_infinity=False)),
        st.tuples(st.just("bool"), st.booleans()),
        st.tuples(st.just("str"), st.text(st.characters(codec="utf-8"))),
        st.tuples(st.just("list[int]"), st.lists(st.integers())),
        st.tuples(st.just("list[str]"), st.lists(st.text(st.characters(codec="utf-8")))),
    )
)
def test_every_written_default_comes_back(typed_value):
    written, value = typed_value

    got = declared_parameters(notebook(f"x: {written} = {value!r}  # help"))["x"]

    assert (got.default, got.help, got.accepts(value)) == (value, "help", True)
