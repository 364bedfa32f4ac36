"""Folders, zips and single files: what belongs together, and zips that cannot be read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.columns import file_groups
from labor_llm.surveys.nls.extracts import read_nls
from labor_llm.surveys.variables import Variable

SEX = Variable("sex", 0, "R0214800", "SAMPLE_SEX")
ROWS = "".join(f"{person},{person % 2 + 1}\r\n" for person in range(1, 2001))
CSV = f'"R0000100","R0214800"\r\n{ROWS}'


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), text)
    return path


def test_files_of_one_name_and_folder_belong_together(tmp_path: Path) -> None:
    for name in ("a.csv", "a.SDF", "b.cdb", "below/a.dat", ".hidden.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    zipped(tmp_path / "z.zip", a_csv="x", inner__a_sdf="x", inner__b_sdf="x")

    groups = file_groups(tmp_path)

    got = {tuple(str(file.path.relative_to(tmp_path)) for file in group.files.values()) for group in groups}
    assert got == {
        ("a.SDF", "a.csv"), ("b.cdb",), ("below/a.dat",), ("z.zip/a.csv",), ("z.zip/inner/a.sdf",),
        ("z.zip/inner/b.sdf",),
    }  # fmt: skip
    beside = {next(iter(g.files.values())).path.name: [b.path.name for b in g.neighbours] for g in groups[:2]}
    assert beside == {"a.SDF": ["b.cdb"], "b.cdb": ["a.SDF"]}


def test_a_single_file_brings_the_codebooks_of_its_folder(tmp_path: Path) -> None:
    for name in ("a.csv", "a.sdf", "b.sdf", "b.csv", "b.dct"):
        (tmp_path / name).write_text("x")
    names = [sorted(group.files) for group in file_groups(tmp_path / "a.csv")]
    assert names == [[".csv", ".sdf"], [".sdf"]]


def test_a_zip_is_read_as_its_members_are_unless_it_is_damaged(tmp_path: Path) -> None:
    path = zipped(tmp_path / "all.zip", nls__x_csv=CSV)
    got = read_nls(tmp_path, "nlsy79", [SEX])
    assert got.read == (path / "nls" / "x.csv",)
    assert got.get("sex").tolist() == [person % 2 + 1 for person in range(1, 2001)]
    assert read_nls(path, "nlsy79", [SEX]).values.equals(got.values)
    content = path.read_bytes()
    middle = len(content) // 2
    for damaged in (content[:middle], content[:middle] + bytes(40) + content[middle + 40 :]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"all\.zip.*damaged or incomplete\. Download it again"):
            read_nls(path, "nlsy79", [SEX])


def unreadable(path: Path) -> None:
    """Take away the right to read, and leave out the test where that stops nobody (a superuser)."""
    path.chmod(0)
    try:
        list(path.iterdir()) if path.is_dir() else path.read_bytes()
    except PermissionError:
        return
    pytest.skip("a superuser reads everything")


@pytest.mark.parametrize("name", ["x.csv", "x.sdf", "x.zip", "below"])
def test_what_may_not_be_read_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.csv").write_text(CSV)
    (tmp_path / "x.sdf").write_text("")
    (tmp_path / "below").mkdir()
    zipped(tmp_path / "x.zip", y_csv=CSV)
    unreadable(tmp_path / name)
    with pytest.raises(
        InputError, match=rf"{name}: cannot be read \(Permission denied\)\. Give yourself the right"
    ):
        read_nls(tmp_path, "nlsy79", [SEX])
    (tmp_path / name).chmod(0o700)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file whose reading always fails")
def test_a_file_whose_reading_fails_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.csv").symlink_to("/proc/self/mem")
    with pytest.raises(InputError, match=r"x\.csv: cannot be read \(Input/output error\)"):
        read_nls(tmp_path, "nlsy79", [SEX])


def test_nothing_to_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no such file or folder"):
        file_groups(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no file in it"):
        file_groups(tmp_path)
