"""Fetching from a real server on this machine: verified, kept, and nothing left behind when it fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from labor_llm.crosswalks.files import VINTAGES, fetch_crosswalks, write_crosswalks
from labor_llm.crosswalks.mapping import load_crosswalks
from labor_llm.errors import InputError


class Server:
    """Serves `pages` by path: bytes, or a function of the handler; counts what was asked."""

    def __init__(self, pages: dict[str, object]) -> None:
        self.pages = pages
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                page = outer.pages.get(self.path)
                if callable(page):
                    page(self)
                elif page is None:
                    self.send_error(404)
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", str(len(page)))
                    self.end_headers()
                    self.wfile.write(page)

            def log_message(self, *args: object) -> None:
                """Keep the test's output free of the server's log."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/data/"
        threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()


@pytest.fixture
def server(invented: dict, zipped: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    pages = {f"/data/{vintage}_occ1990dd.zip": zipped(invented[vintage]) for vintage in VINTAGES}
    running = Server(pages)
    yield running
    running.server.shutdown()
    running.server.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


ALL = [f"{vintage}_occ1990dd.zip" for vintage in VINTAGES]


def test_six_files_are_downloaded_verified_and_then_kept(
    tmp_path: Path, server: Server, versions: dict, invented: dict
) -> None:
    done = fetch_crosswalks(tmp_path / "new", server.address, versions)
    assert [(item.action, item.file.known_version) for item in done] == [("downloaded", True)] * 6
    assert names(tmp_path / "new") == ALL
    assert (
        load_crosswalks(tmp_path / "new", versions=versions).files["occ2005"].targets.to_dict()
        == (invented["occ2005"])
    )
    assert len(server.asked) == 6

    again = fetch_crosswalks(tmp_path / "new", server.address, versions)
    assert [item.action for item in again] == ["kept"] * 6
    assert len(server.asked) == 6


def test_a_damaged_file_is_fetched_anew_and_the_others_kept(
    tmp_path: Path, server: Server, versions: dict
) -> None:
    fetch_crosswalks(tmp_path, server.address, versions)
    (tmp_path / ALL[3]).write_bytes(b"PK cut off")
    done = fetch_crosswalks(tmp_path, server.address, versions)
    assert [item.action for item in done] == ["kept"] * 3 + ["downloaded"] + ["kept"] * 2


def cut_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    handler.wfile.write(b"PK half a file")


def far_too_large(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(bytes(21 * 2**20))


def silent(handler: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(0.6)


def elsewhere(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "file:///etc/hostname")
    handler.end_headers()


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (None, "could not be downloaded .*404"),
        (cut_off, "could not be downloaded .*broke off after 14 of 5,000 bytes"),
        (far_too_large, "could not be downloaded .*far larger"),
        (silent, "could not be downloaded .*timed out"),
        (elsewhere, "could not be downloaded .*file"),
        (b"<html>Please log in</html>", "what came is refused: not readable as a crosswalk"),
    ],
)
def test_a_failed_download_names_address_and_remedy_and_leaves_nothing(
    tmp_path: Path, server: Server, versions: dict, page: object, reason: str
) -> None:
    server.pages["/data/occ1990_occ1990dd.zip"] = page
    with pytest.raises(InputError, match=reason) as error:
        fetch_crosswalks(tmp_path, server.address, versions, timeout=0.3)
    message = str(error.value)
    assert message.startswith(f"{server.address}occ1990_occ1990dd.zip: ")
    assert message.endswith(
        f"Download {ALL[2]} by hand from https://www.ddorn.net/data.htm and put it into {tmp_path}."
    )
    assert names(tmp_path) == ALL[:2]


def test_another_version_is_refused_unless_allowed(
    tmp_path: Path, server: Server, versions: dict, zipped: Callable[..., bytes]
) -> None:
    server.pages["/data/occ2010_occ1990dd.zip"] = zipped({10: 4, 20: 7})
    with pytest.raises(
        InputError, match="refused: not a version of occ2010 that is known: 2 source codes found, 5 ex"
    ):
        fetch_crosswalks(tmp_path, server.address, versions)
    assert names(tmp_path) == ALL[:5]
    done = fetch_crosswalks(tmp_path, server.address, versions, other_versions=True)
    assert [item.action for item in done] == ["kept"] * 5 + ["downloaded"]


def test_no_server_is_one_clear_error(tmp_path: Path, server: Server, versions: dict) -> None:
    address = server.address
    server.server.shutdown()
    server.server.server_close()
    with pytest.raises(InputError, match=r"occ1970_occ1990dd\.zip: could not be downloaded"):
        fetch_crosswalks(tmp_path, address, versions)
    assert names(tmp_path) == []


def test_a_folder_serves_as_a_source(tmp_path: Path, versions: dict, invented: dict) -> None:
    write_crosswalks(tmp_path / "mine", invented)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ALL[0]).write_bytes(b"PK cut off")
    done = fetch_crosswalks(tmp_path / "out", tmp_path / "mine", versions)
    assert [(item.action, item.file.path.name) for item in done] == [
        ("copied", f"{vintage}_occ1990dd.csv") for vintage in VINTAGES
    ]
    assert len(load_crosswalks(tmp_path / "out", versions=versions).frames) == 6
    (tmp_path / "mine" / "occ1990_occ1990dd.csv").unlink()
    with pytest.raises(InputError, match=r"mine: no occ1990_occ1990dd\.zip there"):
        fetch_crosswalks(tmp_path / "other", tmp_path / "mine", versions)


@pytest.mark.parametrize("source", ["file:///tmp", "ftp://www.ddorn.net/data/", "no/such/folder"])
def test_only_the_web_or_a_folder_is_a_source(tmp_path: Path, source: str) -> None:
    with pytest.raises(InputError, match="neither an address"):
        fetch_crosswalks(tmp_path, source)
