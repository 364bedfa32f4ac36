"""The statements for SAS, SPSS and Stata that the PSID delivers with a fixed-width file, for simulated ones.

The words, headers and columns of text are those of the genuine files; the labels say that the file is simulated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

_STARS = "*" * 73
# One date for all, so that the same simulation gives the same bytes.
_DATE = "January 1, 2026"
_WIDEST_INT = 4


@dataclass(frozen=True)
class Field:
    """A variable in a fixed-width file.

    Attributes:
        name: its name.
        label: what it is, in at most 40 characters.
        width: characters that it takes.
    """

    name: str
    label: str
    width: int


@dataclass(frozen=True)
class FileDescription:
    """What the statements say of a data file.

    Attributes:
        stem: name of the file without .txt.
        label: what it is.
        rows: number of its lines.
        fields: its variables in order, one next to the other.
        job: number of the Data Center's job; empty for a packaged file.
    """

    stem: str
    label: str
    rows: int
    fields: Sequence[Field]
    job: str = ""

    @property
    def ends(self) -> list[int]:
        """The last column of each variable, counted from 1."""
        return list(accumulate(field.width for field in self.fields))

    @property
    def record_length(self) -> int:
        """The length of a line without its end."""
        return self.ends[-1]


def layout_text(file: FileDescription, form: str) -> str:
    """Return the statements of one form, `sas`, `sps` or `do`, that read a file."""
    return WRITERS[form](file)


def _sas(file: FileDescription) -> str:
    attributes = "".join(
        f'      {field.name:<10}LABEL="{field.label}"{"":{42 - len(field.label)}}format=f{field.width}.\n'
        for field in file.fields
    )
    where, infile = "", f"'[PATH]\\{file.stem}.txt'"
    if file.job:
        where, infile = f'FILENAME myfile "[path]\\{file.stem}.txt" ;\n\n', "myfile"
    return (
        f"\n/{_header(file, 'SAS Statements')}/\n\n{where}DATA {file.stem} ; \n   ATTRIB \n{attributes}   ;\n"
        f"   INFILE {infile} LRECL = {file.record_length} ; \n   INPUT \n{_columns(file)}   ;\nRUN ;\n"
    )


def _spss(file: FileDescription) -> str:
    handle, line = (file.stem, "\n") if file.job else ("PSID", "")
    labels = "".join(f'      {field.name:<13}"{field.label}"\n' for field in file.fields)
    return (
        f"\n{_header(file, 'sps')}{line}.\n\nFILE HANDLE {handle} / NAME = '[PATH]\\{file.stem}.TXT' "
        f"LRECL = {file.record_length} .\nDATA LIST FILE = {handle} FIXED /\n{_columns(file)}   .\n   EXECUTE .\n"
        f"   VARIABLE LABELS \n{labels}   .\n"
    )


def _stata(file: FileDescription) -> str:
    line = "\n" if file.job else ""
    labels = "".join(f'label variable  {field.name:<12} "{field.label}" ;\n' for field in file.fields)
    return (
        f"\n#delimit ;\n\n{_header(file, 'do')}{line};\n\n\ninfix \n{_columns(file, typed=True)}"
        f"using [path]\\{file.stem}.txt, clear \n;\n{labels}"
    )


WRITERS: dict[str, Callable[[FileDescription], str]] = {"sas": _sas, "sps": _spss, "do": _stata}


def _header(file: FileDescription, statements: str) -> str:
    if not file.job:
        return (
            f"{_STARS}\n   Label           : {file.label}\n   Rows            : {file.rows}\n"
            f"   Columns         : {len(file.fields)}\n   ASCII File Date : {_DATE}\n{_STARS}"
        )
    entries = {
        "JOBID": file.job,
        "DATA_DOMAIN": "IND",
        "USER_WHERE": "NULL",
        "FILE_TYPE": "All Individuals Data",
        "OUTPUT_DATA_TYPE": "ASCII",
        "STATEMENTS": statements,
        "CODEBOOK_TYPE": "PDF",
        "N_OF_VARIABLES": len(file.fields),
        "N_OF_OBSERVATIONS": file.rows,
        "MAX_REC_LENGTH": file.record_length,
        "DATE & TIME": f"{_DATE} @ 00:00:00",
    }
    lines = "".join(f"   {name:<17}: {value!s:<34}\n" for name, value in entries.items())
    return f"*  PSID DATA CENTER {'*' * 53}\n{lines}{_STARS}"


def _columns(file: FileDescription, typed: bool = False) -> str:
    """Return NAME first - last of all variables, three a line."""
    items = []
    for field, end in zip(file.fields, file.ends, strict=True):
        # In two bytes Stata keeps four digits for certain.
        kind = "long" if typed and field.width > _WIDEST_INT else ""
        items.append(f" {kind:<4} {field.name:<13}{end - field.width + 1:>5} - {end:<5}")
    return "".join("".join(items[place : place + 3]) + "\n" for place in range(0, len(items), 3))
