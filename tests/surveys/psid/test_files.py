"""PSID files worked by hand: who gets which family's answers, in every form, and what is refused."""

from __future__ import annotations

import gzip
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.psid.files import read_psid
from labor_llm.surveys.variables import Key, RawSurvey, Variable

VARIABLES = [
    Variable("sex", 0, "ER32000", role="person"),
    Variable("ind_interview_number", 1981, "ER30343", role="person"),
    Variable("ind_interview_number", 2003, "ER33701", role="person"),
    Variable("fam_interview_number", 1981, "V7502", role="family"),
    Variable("fam_interview_number", 2003, "ER21002", role="family"),
    Variable("occupation", 1981, "V7712", role="head"),
    Variable("occupation", 1981, "V7885", role="spouse"),
    Variable("occupation", 2003, "ER21145", role="head"),
]
# Release, ER30001, ER30002, interview numbers of 1981 and 2003, sex: 4001 was in no family in 2003, 5002 in 1981.
PERSONS = ["1   5  2  0201", "1   4  1 17 01", "1   4  2 17202"]
# Interview number, head's occupation and, in 1981, the spouse's.
FAMILIES_1981 = ["  9810  0", " 17  5 -1"]
FAMILIES_2003 = ["20600", "99 40"]
FILES = {
    "IND2023ER.txt": PERSONS,
    "IND2023ER.sas": [
        "/*   Rows            : 3 */",
        "INFILE '[PATH]\\IND2023ER.txt' LRECL = 14 ;",
        "INPUT ER30000 1 - 1 ER30001 2 - 5 ER30002 6 - 8 ER30343 9 - 11 ER33701 12 - 13 ER32000 14 - 14 ;",
    ],
    "IND2023ER_formats.sas": ["PROC FORMAT ;"],
    "FAM1981.txt": FAMILIES_1981,
    "fam1981.DO": ["infix long v7502 1 - 3 v7712 4 - 6 v7885 7 - 9", "using [path]\\FAM1981.txt, clear", ";"],
    "FAM2003ER.txt": FAMILIES_2003,
    "FAM2003ER.sps": ["DATA LIST FILE = PSID FIXED /", " ER21002 1 - 2 ER21145 3 - 5", " ."],
    "README.txt": ["Where these files are from."],
}
JOB = {
    "J123.csv": [
        "ER30001,er30002,ER30343,ER33701,V7502,ER21002,V7712,V7885,ER21145,ER32000,V99999",
        "4,1,17,0,17,0,5,-1,0,1,soft",
        "4,2,17,20,17,20,5,-1,600,2,",
        "5,2,0,20,,20,,,600,1,",
    ]
}
EXPECTED = {
    ("sex", "person", 0): [1, 2, 1],
    ("ind_interview_number", "person", 1981): [17, 17, 0],
    ("ind_interview_number", "person", 2003): [0, 20, 20],
    ("fam_interview_number", "family", 1981): [17, 17, None],
    ("fam_interview_number", "family", 2003): [None, 20, 20],
    ("occupation", "head", 1981): [5, 5, None],
    ("occupation", "spouse", 1981): [-1, -1, None],
    ("occupation", "head", 2003): [None, 600, 600],
}


def written(folder: Path, files: dict[str, list[str]], last: str = "\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + last)
    return folder


def table(raw: RawSurvey) -> dict[Key, list[int | None]]:
    """Values by concept, role and year, None for NA."""
    values = raw.values.astype(object)
    return values.where(values.notna(), None).to_dict("list")


def refusal(folder: Path, files: dict[str, list[str]]) -> str:
    written(folder, files)
    with pytest.raises(InputError) as refused:
        read_psid(folder, VARIABLES)
    return str(refused.value).replace(f"{folder}/", "")


def changed(name: str, old: str, new: str, files: dict[str, list[str]] = FILES) -> dict[str, list[str]]:
    text = "\n".join(files[name])
    assert old in text
    return files | {name: text.replace(old, new).split("\n")}


def without(*names: str) -> dict[str, list[str]]:
    return {name: lines for name, lines in FILES.items() if name not in names}


@pytest.mark.parametrize("last", ["\n", "", "\n\x1a"])
def test_each_person_gets_the_answers_of_the_family_of_that_wave(tmp_path: Path, last: str) -> None:
    got = read_psid(written(tmp_path, FILES, last), VARIABLES)

    assert table(got) == EXPECTED
    assert got.values.index.tolist() == [4001, 4002, 5002]
    assert (got.values.index.name, got.values.index.dtype) == ("person", "int64")
    assert got.values.columns.names == ["concept", "role", "year"]
    assert (got.values.dtypes == "Int32").all()
    assert got.missing == ()
    assert got.found["occupation", "head", 1981] == tmp_path / "FAM1981.txt"
    assert [path.name for path in got.skipped] == ["README.txt"]
    assert {path.name for path in got.read} == FILES.keys() - {"README.txt", "IND2023ER_formats.sas"}


def test_archives_and_folders_are_read_alike_and_nothing_is_unpacked(tmp_path: Path) -> None:
    for stem in ("IND2023ER", "FAM1981"):
        with zipfile.ZipFile(tmp_path / f"{stem.lower()}.zip", "w") as archive:
            for name, lines in FILES.items():
                if name.upper().startswith(stem):
                    archive.writestr(f"{stem}/{name}", "\r\n".join(lines) + "\r\n")
                    archive.writestr(f"__MACOSX/{stem}/._{name}", "\0\1")
    written(tmp_path / "deeper/2003", {name: lines for name, lines in FILES.items() if "2003" in name})
    before = sorted(tmp_path.rglob("*"))

    got = read_psid(tmp_path, VARIABLES)

    assert table(got) == EXPECTED
    assert got.found["occupation", "spouse", 1981] == tmp_path / "fam1981.zip/FAM1981/FAM1981.txt"
    read = {"ind2023er.zip", "fam1981.zip", "FAM2003ER.txt", "FAM2003ER.sps"}
    assert {path.name for path in got.read} == read
    assert sorted(tmp_path.rglob("*")) == before


TEXT = "\n".join(JOB["J123.csv"]) + "\n"
FORMS = {
    "J123.CSV": TEXT.replace("\n", "\r\n").encode("utf-8-sig"),
    "J.csv.gz": gzip.compress(TEXT.encode("utf-16")),
    "tab.tsv": TEXT.replace(",", "\t").encode(),
    "excel.csv": ("sep=;\r\n" + TEXT.replace(",17,", ",17.0,").replace(",", ";")).encode(),
    "titles.csv": ('PSID job,,\n\n"made, 2024"\n' + TEXT).encode(),
    # R writes the number of the row, and NA for a blank.
    "R.csv": ("".join(f'"{row}",{line}\n' for row, line in enumerate(JOB["J123.csv"]))).replace(",,", ",NA,").encode(),
    "blanks.csv": TEXT.replace(",", " , ").replace("\n", "\n\n").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_a_job_of_the_data_center_is_enough_in_every_form_that_programs_give_it(
    tmp_path: Path, name: str
) -> None:
    """With blanks or 0 for persons in no family; a file of somebody else's in the same form is passed over."""
    (tmp_path / name).write_bytes(FORMS[name])
    got = read_psid(written(tmp_path, {"notes.csv": ["a", "b", "c"]}), VARIABLES)
    assert table(got) == EXPECTED
    assert [path.name for path in got.skipped] == ["notes.csv"]


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "packed"])
def test_packaged_files_are_read_in_other_codes_and_packed(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    ending = "" if pack is bytes else ".gz"
    for name, lines in FILES.items():
        name = name.replace("FAM1981.txt", "FAM1981.DAT")
        (tmp_path / (name + ending)).write_bytes(pack(("\n".join(lines) + "\n").encode("utf-16")))
    assert table(read_psid(tmp_path, VARIABLES)) == EXPECTED


@pytest.mark.parametrize(
    "text",
    ["/*\n" * 500_000, "*\n" * 500_000, "infix V1 1 - 2\n" + "\n" * 500_000, "infix dictionary\n" * 9_000],
)
def test_a_layout_that_is_none_is_refused_at_once(tmp_path: Path, text: str) -> None:
    began = time.process_time()
    assert "FAM2003ER.sps: " in refusal(tmp_path, FILES | {"FAM2003ER.sps": [text]})
    assert time.process_time() - began < 10


def test_jobs_and_packaged_files_complete_each_other(tmp_path: Path) -> None:
    """The job has one person more, and a wave of which there is no family file."""
    job = changed("J123.csv", "5,2,0", "7,30,0,20,,20,,,600,2,\n5,2,0", JOB)
    got = read_psid(written(tmp_path, without("FAM2003ER.txt") | job), VARIABLES)

    assert got.values.index.tolist() == [4001, 4002, 5002, 7030]
    assert table(got)["occupation", "head", 2003] == [None, 600, 600, 600]
    assert table(got)["occupation", "head", 1981] == [5, 5, None, None]
    assert got.found["occupation", "head", 2003] == tmp_path / "J123.csv"


def test_a_wave_without_its_family_file_is_missing(tmp_path: Path) -> None:
    got = read_psid(written(tmp_path, without("FAM2003ER.txt", "FAM2003ER.sps")), VARIABLES)
    assert [variable.name for variable in got.missing] == ["ER21002", "ER21145"]
    gone = {("fam_interview_number", "family", 2003), ("occupation", "head", 2003)}
    assert table(got) == {key: values for key, values in EXPECTED.items() if key not in gone}


REFUSED = {
    "IND2023ER.sas": [
        ("LRECL = 14", "LRECL = 15",
         "IND2023ER.txt: its layout does not fit: it states lines of 15, line 1 has 14 characters"),
        ("ER33701", "ER99999", "FAM2003ER.txt: the individual file has no interview number of 2003"),
        ("ER30002", "ER99999",
         "IND2023ER.txt: holds variables of persons, but not ER30002; persons are numbered by ER30001 and ER30002"),
    ],
    "fam1981.DO": [
        ("7 - 9", "8 - 10", "FAM1981.txt: its layout does not fit: it reaches to column 10, line 1 has 9 characters"),
    ],
    "FAM2003ER.sps": [
        ("ER21002", "ER99999", "FAM2003ER.txt: holds ER21145 (2003) but neither the family's interview number of that "
         "wave nor ER30001"),
        ("ER21145", "V7502",
         "FAM2003ER.txt: a row a family, with the interview numbers of 2 waves (1981 to 2003)"),
    ],
    "FAM1981.txt": [
        ("  5 ", "5.5 ", "FAM1981.txt: line 2, V7712 (columns 4 to 6): no whole number stands there"),
        ("  5 ", "5 5 ", "FAM1981.txt: line 2, V7712 (columns 4 to 6): no whole number stands there"),
        ("  5 ", "0x5 ", "FAM1981.txt: line 2, V7712 (columns 4 to 6): no whole number stands there"),
        ("\n".join(FAMILIES_1981), "", "FAM1981.txt: is empty"),
    ],
    "FAM2003ER.txt": [
        ("99 40", "99 ", "FAM2003ER.txt: cut off: its last line, 2, has 3 characters"),
        ("99", "20", "FAM2003ER.txt: ER21002 should tell its families apart, but 1 rows repeat one"),
        ("20", "21",
         "FAM2003ER.txt: different releases: it has the family of 0 of the 2 persons whom IND2023ER.txt places"),
    ],
    "IND2023ER.txt": [
        ("  1 17", "  1 7", "IND2023ER.txt: line 2 is longer or shorter than the 14 characters"),
        (f"\n{PERSONS[2]}", "", "IND2023ER.txt: has 2 lines, its layout states 3 records"),
        ("4  2", "4  1", "IND2023ER.txt: 1 rows repeat a person (ER30001 and ER30002)"),
        ("4  2", "4   ", "IND2023ER.txt: row 3 of its data has no person"),
    ],
    "J123.csv": [
        ("er30002", "V30002", "J123.csv: holds variables of persons, but not ER30002; persons are numbered by"),
        ("ER30001,er30002", "V1,V2",
         "J123.csv: holds variables of persons, but not ER30001 and ER30002; persons are numbered by"),
        ("ER30001", '"' + "x" * 200_000,
         "J123.csv: it is not readable as a table. Download it again, or take it out of the folder"),
        ("17,0,5", "17.5,0,5", "J123.csv: row 2, V7502: not a code"),
        (",600,2", ",Cooks,2", "J123.csv: row 3, ER21145: not a code"),
        (",20,,,600,1,", "", "J123.csv: row 4 has 5 columns, its header 11: the file is cut or edited"),
        ("V7885", "v7712", "J123.csv: row 1: column V7712 is there twice"),
        ("soft\n4,2,17,20,17,20,5,-1,600,2,", '"soft\n4,2,17,20,17,20,5,-1,600,2,"',
         "J123.csv: it holds 3 rows, of which 2 can be read. A line end within a cell, or a quotation mark"),
        ("ER30001", "7,1,17,0,17,0,5,-1,0,1,soft\nER30001",
         "J123.csv: row 1 has numbers but stands above the header, row 2. Put the header first"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("files", "message"),
    [
        *(
            (changed(name, old, new, JOB if name in JOB else FILES), message)
            for name, cases in REFUSED.items()
            for old, new, message in cases
        ),
        (without("fam1981.DO"), "FAM1981.txt: its layout is missing. Put FAM1981.sas, FAM1981.sps or FAM1981.do"),
        (without("IND2023ER.txt"), "holds 2 family files (FAM1981.txt first), but no individual file"),
        ({"README.txt": ["x"], "psid.csv": ["TYPE,TYPE", "a,b"]}, "It has psid.csv, README.txt. Download from"),
        (FILES | changed("J123.csv", ",5,", ",6,", JOB),
         "V7712 (1981) differs between J123.csv and FAM1981.txt for 2 of the 2 respondents that both have"),
        ({"FAM1981.zip": ["PK"]}, "FAM1981.zip: the archive is damaged or incomplete. Download it again"),
        ({"J123.xls": ["x"]}, "It has J123.xls. J123.xls is of a kind that is not read: unpack it, or save it as .csv"),
        ({"J123.xlsx": ["PK"]}, "J123.xlsx: it is not readable as an Excel file"),
    ],
)  # fmt: skip
def test_unfit_files_are_refused_by_file_and_place(
    tmp_path: Path, files: dict[str, list[str]], message: str
) -> None:
    assert message in refusal(tmp_path / "psid", files)


def zipped(path: Path, prefixes: dict[str, str]) -> Path:
    """All files in one archive, those of a stem under a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, lines in FILES.items():
            archive.writestr(prefixes.get(name[:7].upper(), "") + name, "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("prefix", ["../", "deeper/../../", "..\\", "/etc/psid/", "C:\\psid\\"])
def test_members_that_lead_out_of_an_archive_are_listed_as_skipped(tmp_path: Path, prefix: str) -> None:
    got = read_psid(zipped(tmp_path / "all.zip", {"FAM2003": prefix}), VARIABLES)
    assert [variable.name for variable in got.missing] == ["ER21002", "ER21145"]
    out = [path for path in got.skipped if path.name.endswith(("FAM2003ER.txt", "FAM2003ER.sps"))]
    assert len(out) == 2 and all(str(path).startswith(str(tmp_path / "all.zip")) for path in out)

    everything = dict.fromkeys(("IND2023", "FAM1981", "FAM2003"), prefix)
    zipped(tmp_path / "psid" / "all.zip", everything)
    with pytest.raises(InputError, match=r"all\.zip has members whose paths lead out of it, .*: unpack it"):
        read_psid(tmp_path / "psid", VARIABLES)


def test_no_message_holds_a_value_of_a_person(tmp_path: Path) -> None:
    """Values that can be told from row numbers: seven digits each."""
    job = [JOB["J123.csv"][0], "4,1,17,0,17,0,7654321,-1,0,1,", "4,2,17,20,17,20,7654321,-1,7777777x,2,"]
    assert "7777" not in refusal(tmp_path / "labels", {"J123.csv": job})
    other = [line.replace("7654321", "1234567").replace("x", "") for line in job]
    message = refusal(tmp_path / "releases", {"J123.csv": [job[0], job[1]], "J124.csv": other})
    assert "of different releases" in message
    assert not any(value in message for value in ("7654321", "1234567", "4001"))
