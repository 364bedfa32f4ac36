"""Files of crosswalks: recognised by their content, refused by name, and fetched from a real server on this machine."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from labor_llm.crosswalks import files
from labor_llm.crosswalks.files import (
    KNOWN_VERSIONS,
    VINTAGES,
    content_checksum,
    fetch_crosswalks,
    find_files,
    read_crosswalk,
    write_crosswalks,
)
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError

SMALL = {30: 7, 3: 4, 12: 436}
# Five codes a vintage, shifted so that no two vintages are alike; 0 is unknown as in some of Dorn's files.
INVENTED = {
    vintage: {0: 999, 10 + step: 4, 20 + step: 436, 30 + step: 313, 40 + step: 7}
    for step, vintage in enumerate(VINTAGES)
}
ALL = [f"{vintage}_occ1990dd.zip" for vintage in VINTAGES]


def stata(targets: Mapping[int, int], column: str = "occ") -> bytes:
    """The bytes of a .dta with a crosswalk's rows."""
    buffer = io.BytesIO()
    rows = pd.DataFrame({column: list(targets), "occ1990dd": list(targets.values())})
    rows.astype("float64").to_stata(buffer, write_index=False)
    return buffer.getvalue()


def zipped(targets: Mapping[int, int], name: str = "occ.dta", **others: bytes) -> bytes:
    """The bytes of a zip with a crosswalk's .dta, and other members if wanted."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, stata(targets))
        for other, content in others.items():
            archive.writestr(other.replace("_dot_", "."), content)
    return buffer.getvalue()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the invented crosswalks the versions that are known."""
    versions = {
        vintage: (files.Version(len(targets), content_checksum(pd.Series(targets))),)
        for vintage, targets in INVENTED.items()
    }
    monkeypatch.setattr(files, "KNOWN_VERSIONS", versions)


def test_a_version_is_known_by_its_rows_sorted_by_source_code() -> None:
    assert content_checksum(pd.Series(SMALL)) == hashlib.sha256(b"3,4\n12,436\n30,7\n").hexdigest()
    assert {vintage: known[0].rows for vintage, known in KNOWN_VERSIONS.items()} == {
        "occ1970": 442, "occ1980": 504, "occ1990": 502, "occ2000": 471, "occ2005": 471, "occ2010": 489,
    }  # fmt: skip


def test_every_form_gives_the_same_crosswalk(tmp_path: Path) -> None:
    forms = {
        "a.zip": zipped(SMALL, "occ1980_occ1990dd.dta", readme_dot_txt=b"cite us"),
        "b.dta": stata(SMALL, "occ1980"),
        "c.csv": b"source_code,occ1990dd\n3,4\n12,436\n30,7\n",
        "d.csv": b"OCC1990DD,occ\r\n7,30\r\n436,12\r\n4,3\r\n436,12\r\n",
    }
    for name, content in forms.items():
        (tmp_path / name).write_bytes(content)
        got = read_crosswalk(tmp_path / name, "occ1980", other_versions=True)
        assert got.targets.to_dict() == SMALL, name
        assert list(got.targets.index) == [3, 12, 30]
        assert not got.known_version


def test_files_are_found_here_and_one_folder_below_in_any_case(tmp_path: Path) -> None:
    below = ("below/occ1980_to_occ1990dd.csv", "below/deeper/occ1980_occ1990dd.dta")
    for place in ("Occ1980_occ1990dd.ZIP", *below):
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / place).write_bytes(b"")
    (tmp_path / ".occ1980_occ1990dd.1f.zip").write_bytes(b"a download that was cut off")
    found = [str(path.relative_to(tmp_path)) for path in find_files(tmp_path, "occ1980")]
    assert found == ["Occ1980_occ1990dd.ZIP", "below/occ1980_to_occ1990dd.csv"]


def test_a_version_that_is_not_known_is_refused_unless_allowed(tmp_path: Path, known: None) -> None:
    path = tmp_path / "occ1980_occ1990dd.zip"
    path.write_bytes(zipped(INVENTED["occ1980"]))
    assert read_crosswalk(path, "occ1980").known_version
    with pytest.raises(InputError, match=r"not a version of occ1990 that is known: 5 .*with other content"):
        read_crosswalk(path, "occ1990")
    path.write_bytes(zipped(SMALL))
    with pytest.raises(InputError, match=r"occ1980_.*\.zip: not a version .* 3 source codes found, 5 exp"):
        load_crosswalks(tmp_path)
    assert load_crosswalks(tmp_path, other_versions=True).frames == ("census1980",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("occ,occ1990dd\n3,4\n3,7\n", r"code 3 stands for two occupations"),
        ("occ,occ1990dd\n3,4\n5,814\n", r"row 3, column occ1990dd: 814 is none of the 330"),
        ("occ,occ1990dd\n3,4\nManagers,22\n", r"row 3, column occ: 'Managers' is no occupation code"),
        ("occ,occ1990dd\n3,4.5\n", r"row 2, column occ1990dd: '4\.5' is no occupation code"),
        ("occ,occ1990dd\n-4,4\n", r"row 2, column occ: '-4'"),
        ("occ,occ1990dd\n3,\n", r"row 2, column occ1990dd: ''"),
        ("occ,title,occ1990dd\n3,Managers,4\n", r"found occ, title, occ1990dd"),
        ("occ,occ1990\n3,4\n", r"and occ1990dd; found occ, occ1990\."),
        ("", r"the file is empty"),
    ],
)
def test_what_is_no_crosswalk_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "occ1980_occ1990dd.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        read_crosswalk(path, "occ1980", other_versions=True)
    assert str(path) in str(error.value)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    whole = zipped(SMALL)
    damaged = {
        "cut.zip": whole[: len(whole) // 2],
        "page.zip": b"<html>Not found</html>",
        "flipped.zip": whole[:60] + bytes(byte ^ 255 for byte in whole[60:80]) + whole[80:],
        "two.zip": zipped(SMALL, other_dot_dta=b""),
        "none.zip": zipped(SMALL, name="readme.txt"),
        "cut.dta": stata(SMALL)[:100],
        "empty.dta": b"",
    }
    for name, content in damaged.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"{name}: (not readable as|holds \d Stata files)"):
            read_crosswalk(path, "occ1980", other_versions=True)


def test_a_name_in_an_archive_is_never_a_path(tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    (folder / "occ1980_occ1990dd.zip").write_bytes(zipped(SMALL, name="../../outside.dta"))
    assert load_crosswalks(folder, other_versions=True).files["occ1980"].targets.to_dict() == SMALL
    assert [path.name for path in tmp_path.rglob("*.dta")] == []


def test_two_files_of_a_crosswalk_must_agree(tmp_path: Path) -> None:
    path = tmp_path / "occ1980_occ1990dd.csv"
    path.write_text("occ,occ1990dd\n3,4\n12,436\n30,7\n")
    path.with_suffix(".dta").write_bytes(stata(SMALL))
    assert load_crosswalks(tmp_path, other_versions=True).frames == ("census1980",)
    path.write_text("occ,occ1990dd\n3,7\n")
    with pytest.raises(InputError, match=r"occ1980_occ1990dd\.dta and .*occ1980_occ1990dd\.csv differ"):
        load_crosswalks(tmp_path, other_versions=True)


def answer(body: bytes | None, status: int = 200, **headers: str) -> tuple:
    """A page: what comes, None for nothing in time, with other headers if wanted."""
    return status, {"Content-Length": str(len(body or b"")), **headers}, body


@pytest.fixture
def server(known: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Serves `pages` by path; `asked` lists the paths."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pages = {f"/data/{vintage}_occ1990dd.zip": answer(zipped(INVENTED[vintage])) for vintage in VINTAGES}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            status, headers, body = pages[self.path]
            if body is None:
                threading.Event().wait(0.6)
                return
            self.send_response(status)
            for header in headers.items():
                self.send_header(*header)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Keep the test's output free of the server's log."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    address = f"http://127.0.0.1:{http.server_port}/data/"
    yield SimpleNamespace(address=address, pages=pages, asked=asked)
    http.shutdown()
    http.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_six_files_are_downloaded_verified_and_kept_but_for_a_damaged_one(
    tmp_path: Path, server: SimpleNamespace
) -> None:
    done = fetch_crosswalks(tmp_path / "new", server.address)
    assert [(item.action, item.file.known_version) for item in done] == [("downloaded", True)] * 6
    assert names(tmp_path / "new") == ALL
    assert load_crosswalks(tmp_path / "new").files["occ2005"].targets.to_dict() == INVENTED["occ2005"]
    (tmp_path / "new" / ALL[3]).write_bytes(b"PK cut off")
    again = fetch_crosswalks(tmp_path / "new", server.address)
    assert [item.action for item in again] == ["kept"] * 3 + ["downloaded"] + ["kept"] * 2
    assert len(server.asked) == 7


SILENT = answer(None)
CUT = answer(b"PK half a file", **{"Content-Length": "5000"})


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (answer(b"", 404), "could not be downloaded .*404"),
        (CUT, "could not be downloaded .*broke off after 14 of 5,000 bytes"),
        (answer(bytes(21 * 2**20)), "could not be downloaded .*far larger"),
        (SILENT, "could not be downloaded .*timed out"),
        (answer(b"", 302, Location="file:///etc/hostname"), "could not be downloaded .*file"),
        (answer(b"<html>Please log in</html>"), "what came is refused: not readable as a crosswalk"),
    ],
)
def test_a_failed_download_names_address_and_remedy_and_leaves_nothing(
    tmp_path: Path, server: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, page: tuple, reason: str
) -> None:
    if page is SILENT:
        monkeypatch.setattr(files, "_TIMEOUT", 0.3)
    server.pages["/data/occ1990_occ1990dd.zip"] = page
    with pytest.raises(InputError, match=reason) as error:
        fetch_crosswalks(tmp_path, server.address)
    assert str(error.value).startswith(f"{server.address}occ1990_occ1990dd.zip: ")
    remedy = f"Download {ALL[2]} by hand from https://www.ddorn.net/data.htm and put it into {tmp_path}."
    assert str(error.value).endswith(remedy)
    assert names(tmp_path) == ALL[:2]


def test_another_version_is_taken_where_allowed(tmp_path: Path, server: SimpleNamespace) -> None:
    server.pages["/data/occ2010_occ1990dd.zip"] = answer(zipped({10: 4, 20: 7}))
    with pytest.raises(InputError, match=r"refused: not a version of occ2010 .* 2 source codes found, 5 ex"):
        fetch_crosswalks(tmp_path, server.address)
    assert names(tmp_path) == ALL[:5]
    done = fetch_crosswalks(tmp_path, server.address, other_versions=True)
    assert [item.action for item in done] == ["kept"] * 5 + ["downloaded"]


def test_a_folder_serves_as_a_source(tmp_path: Path, known: None) -> None:
    write_crosswalks(tmp_path / "mine", INVENTED)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ALL[0]).write_bytes(b"PK cut off")
    done = fetch_crosswalks(tmp_path / "out", tmp_path / "mine")
    assert [(item.action, item.file.path.name) for item in done] == [
        ("copied", f"{vintage}_occ1990dd.csv") for vintage in VINTAGES
    ]
    copied = load_crosswalks(tmp_path / "out").files
    assert {vintage: file.targets.to_dict() for vintage, file in copied.items()} == INVENTED
    (tmp_path / "mine" / "occ1990_occ1990dd.csv").unlink()
    with pytest.raises(InputError, match=r"mine: no occ1990_occ1990dd\.zip there"):
        fetch_crosswalks(tmp_path / "other", tmp_path / "mine")


@pytest.mark.parametrize("source", ["file:///tmp", "ftp://www.ddorn.net/data/", "no/such/folder"])
def test_only_the_web_or_a_folder_is_a_source(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match="neither an address"):
        fetch_crosswalks(tmp_path, source)
