"""Layouts of the PSID in their three languages: the forms of packaged files and of jobs, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.psid.layouts import Layout, read_layout

FILE = Path("FAM1981.sas")
STARS = "*" * 73
PACKAGED = (
    f"{STARS}\n   Label           : 1981 Family Data: Final Release\n   Rows            : 6,742\n"
    f"   Columns         : 4\n   ASCII File Date : December 5, 2013\n{STARS}"
)
JOB = (
    "*  PSID DATA CENTER *****************************************************\n"
    "   JOBID            : 123456                            \n"
    "   DATA_DOMAIN      : IND                               \n"
    "   N_OF_VARIABLES   : 4                                 \n"
    "   N_OF_OBSERVATIONS: 77223                             \n"
    "   MAX_REC_LENGTH   : 1004                              \n"
    f"   DATE & TIME      : May 22, 2018 @ 15:15:12\n{STARS}"
)
# The INPUT of a label and the commented column must not be taken for the real ones.
SAS = (
    f"\n/{PACKAGED}/\n\nDATA FAM1981 ; \n   ATTRIB \n"
    '      V7501     LABEL="INPUT NUMBER"                                     format=f1.\n'
    '      V8105     LABEL="TYPICAL UNSKL WAGE RATE"                          format=f5.2\n   ;\n'
    "   INFILE '[PATH]\\FAM1981.txt' LRECL = 1004 ; \n   INPUT \n"
    "      V7501           1 - 1         V7502           2 - 5   /* V9 6 - 6 */      v8105  998 - 1002 .2\n"
    "      V3115_A      1004 - 1004 \n   ;\nRUN ;\n"
)
SPSS = (
    f"\n{PACKAGED}.\n\nFILE HANDLE PSID / NAME = '[PATH]\\FAM1981.TXT' LRECL = 1004 .\nDATA LIST FILE = PSID FIXED /\n"
    "      V7501           1 - 1         V7502           2 - 5  (F)        V8105  998 - 1002 (2)\n"
    "      V3115_A      1004 - 1004 (F,0)\n   .\n   EXECUTE .\n   FORMATS \n      V8105        (F5.2)\n   .\n"
    '   VARIABLE LABELS \n      V7501        "RELEASE NUMBER"\n   .\n'
)
STATA = (
    f"\n#delimit ;\n\n{PACKAGED};\n\n\ninfix \n"
    "      V7501           1 - 1         V7502           2 - 5     double V8105  998 - 1002 \n"
    ' byte V3115_A      1004 - 1004 \nusing [path]\\FAM1981.txt, clear \n;\nlabel variable  V7501   "RELEASE" ;\n'
)
COLUMNS = {"V7501": (1, 1), "V7502": (2, 5), "V8105": (998, 1002), "V3115_A": (1004, 1004)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAS, Layout(COLUMNS, 1004, 6742)),
        (SPSS, Layout(COLUMNS, 1004, 6742)),
        (STATA, Layout(COLUMNS, None, 6742)),
        (SAS.replace(PACKAGED, JOB), Layout(COLUMNS, 1004, 77223)),
        (SPSS.replace(PACKAGED, JOB + "\n"), Layout(COLUMNS, 1004, 77223)),
        (STATA.replace(PACKAGED, JOB + "\n"), Layout(COLUMNS, 1004, 77223)),
    ],
    ids=["sas", "sps", "do", "sas of a job", "sps of a job", "do of a job"],
)
def test_each_language_says_the_same(text: str, expected: Layout) -> None:
    got = read_layout(text, FILE)
    assert got == expected
    assert list(got.columns) == list(COLUMNS)


@pytest.mark.parametrize(
    "text",
    [
        "infix V1 1 long V2 2-5 str4 V3 6 - 9 using 'x.txt'",
        "quietly infix ///\n  V1 1-1 ///\n  V2 2-5 V3 6-9 ///\nusing x.txt, clear",
        "infix dictionary using x.raw {\n byte V1 1 - 1\n V2 2 - 5\n V3 6 - 9\n}",
        'dictionary {\n_lrecl(9)\n_column(1) byte V1 %1f "RELEASE {1}"\n_column(2) V2 %4.0f\n_column(6) str4 V3 %4s\n}',
        "infile dictionary using x.txt {\n _column(1) V1 %1f\n _column(2) V2 %4f\n _column(6) V3 %4f\n}",
        "DATA LIST FILE='C:/psid/x.txt' FIXED RECORDS=1 /1 V1 1 V2 2-5 (F,2) V3 6-9(A)\n.",
        "INPUT V1 1 V2 2-5 V3 $ 6-9;",
    ],
)
def test_other_ways_to_write_the_same_columns_are_read(text: str) -> None:
    assert read_layout(text, FILE).columns == {"V1": (1, 1), "V2": (2, 5), "V3": (6, 9)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            SAS.replace("998 - 1002", "998 : 1002"),
            "line 16: ': 1002 .2' is not of the form NAME first - last",
        ),
        (SAS.split("1004 - 1004")[0], "line 15: begins the list of columns, which never ends"),
        (SPSS.replace("V7502 ", "V7501 "), "line 11: V7501 is there twice"),
        (SPSS.replace("2 - 5", "5 - 2"), "line 11: V7502 cannot reach from column 5 to column 2"),
        (STATA.split("using")[0], "line 12: begins the list of columns, which never ends"),
        (SAS.replace("LRECL = 1004", "LRECL = 1003"), "reach beyond the line length of 1003"),
        ("PROC FORMAT ; VALUE V7501F 1='One' ;", "no layout was found in it"),
    ],
)
def test_a_layout_that_is_cut_or_changed_is_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_layout(text, FILE)
    assert str(refused.value).startswith("FAM1981.sas: ")
    assert message in str(refused.value)
