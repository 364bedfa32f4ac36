import nbformat.v4 as nbf
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labor_llm.errors import InputError
from labor_llm.workflow.parameters import check_parameters, declared_parameters, parameter_table

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
    got = parameter_table(notebook())

    expected = pd.DataFrame(
        [
            ("seed", "int", "1", "seed of the split"),
            ("rate", "float", "0.0002", "learning rate"),
            ("verbose", "bool", "False", ""),
            ("dataset", "str", "'nlsy79'", "data set, with a # in its help"),
            ("datasets", "list[str]", "['nlsy79', 'psid']", "in the order of the tables"),
            ("horizons", "list[int]", "[1, 2]", ""),
            ("shares", "list[float]", "[0.7, 1]", ""),
            ("note", "str", "''", ""),
        ],
        columns=["name", "type", "default", "help"],
    )
    pd.testing.assert_frame_equal(got, expected)


def test_a_notebook_without_the_cell_declares_nothing():
    assert declared_parameters(nbf.new_notebook(cells=[nbf.new_code_cell("seed: int = 1")])) == {}


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"seed": -3, "rate": 1, "verbose": True, "datasets": [], "shares": [1, 0.5]},
        {"note": "x"},
    ],
)
def test_fitting_values_pass(given):
    check_parameters(notebook(), given, "x.ipynb")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": 3}, "no parameter 'sed' (did you mean 'seed'?), it has seed, rate, verbose, dataset,"),
        ({"zzz": 3}, "no parameter 'zzz', it has seed"),
        ({"seed = 1; import os": 3}, "'seed = 1; import os' is not a parameter name"),
        ({"seed": "3"}, "seed is int, not '3' (str)"),
        ({"seed": True}, "seed is int, not True (bool)"),
        ({"seed": 1.0}, "seed is int, not 1.0 (float)"),
        ({"seed": None}, "seed is int, not None (NoneType)"),
        ({"rate": float("nan")}, "rate is float, not nan (float)"),
        ({"verbose": 1}, "verbose is bool, not 1 (int)"),
        (
            {"dataset": 79},
            "dataset is str, not 79 (int), pass text that looks like a number by -r dataset 79",
        ),
        ({"note": 1e5}, "note is str, not 100000.0 (float), pass text that looks like a number by -r"),
        ({"datasets": "psid"}, "pass a list by -y 'datasets: [psid]'"),
        ({"datasets": ["psid", 1]}, "datasets is list[str], not ['psid', 1] (list)"),
        ({"horizons": [True]}, "horizons is list[int], not [True] (list)"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(given, message):
    with pytest.raises(InputError) as refused:
        check_parameters(notebook(), given, "notebooks/06_baselines.ipynb")

    assert message in str(refused.value)
    assert str(refused.value).startswith("notebooks/06_baselines.ipynb: ")


def test_one_message_names_every_problem():
    with pytest.raises(InputError, match=r"(?s)'sed'.*rate is float.*Nothing was run"):
        check_parameters(notebook(), {"sed": 3, "rate": "fast", "verbose": True}, "x.ipynb")


@pytest.mark.parametrize(
    ("line", "message"),
    [
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
    ],
)
def test_a_line_that_is_no_declaration_is_refused(line, message):
    with pytest.raises(InputError) as refused:
        check_parameters(notebook(line), {}, "x.ipynb")

    assert message in str(refused.value)


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
