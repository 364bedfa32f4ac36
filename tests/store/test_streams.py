"""The bytes of people's files: one form whatever they come in, every line counted, and no end of a bomb awaited."""

import gzip
import io
import zipfile
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import pytest
from hypothesis import example, given

from labor_llm.errors import InputError
from labor_llm.store import streams
from labor_llm.store.streams import CountedText, check_rows, opened, whole

LETTERS = st.text("aé\n\r ", max_size=40)


@given(LETTERS, st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from([1, 3, 1 << 16]))
@example("a\r", "utf-8", 1)
@example("\r\n\r\n", "utf-16", 1)
def test_lines_are_counted_whatever_the_code_and_however_they_come(text, encoding, chunk):
    lines = io.StringIO(text, newline=None).read()
    with mock.patch.object(streams, "_CHUNK", chunk):
        counted = CountedText(io.BytesIO(text.encode(encoding)), Path("x.csv"))
        assert io.BufferedReader(counted).read().decode() == lines
    each = lines.removesuffix("\n").split("\n") if lines else []
    assert (counted.lines, counted.filled) == (len(each), sum(map(bool, each)))


def packed(path: Path, content: bytes, kind: str) -> str:
    """Write a file of a kind; return the member's name."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.csv", content)
        return "x.csv"
    path.write_bytes(gzip.compress(content) if kind == "gzip" else content)
    return ""


@pytest.mark.parametrize("kind", ["plain", "gzip", "zip"])
def test_packed_files_are_read_as_plain_ones_and_named_if_cut(tmp_path, kind):
    path = tmp_path / "x"
    member = packed(path, b"\xef\xbb\xbfa\n" * 500, kind)
    with opened(path, member) as stream:
        assert stream.read() == b"a\n" + b"\xef\xbb\xbfa\n" * 499
    if kind != "plain":
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(InputError, match=r"x: the archive is damaged"), opened(path, member) as stream:
            stream.read()


@pytest.mark.parametrize("kind", ["gzip", "zip"])
@pytest.mark.parametrize("content", [b"\0", b"1,2\n"], ids=["one line", "rows"])
def test_what_unpacks_without_end_is_refused_before_it_is_read(tmp_path, kind, content, monkeypatch):
    monkeypatch.setattr(streams, "_ALWAYS_UNPACKED", 1 << 16)
    member = packed(tmp_path / "x", content * (1 << 20), kind)
    with (
        pytest.raises(InputError, match=r"bytes unpack to .* which no data do"),
        opened(tmp_path / "x", member),
    ):
        pass


@pytest.mark.parametrize("before", [b"", b"a\n"])
def test_a_line_without_end_is_refused(tmp_path, before, monkeypatch):
    monkeypatch.setattr(streams, "LONGEST_LINE", 1 << 18)
    (tmp_path / "x").write_bytes(before + b"1" * (1 << 20))
    with pytest.raises(InputError, match=r"x: a line of more than"), opened(tmp_path / "x") as stream:
        stream.readline()
        stream.readline()


def test_a_count_that_differs_and_a_file_that_is_too_large_are_refused():
    check_rows(Path("x"), 3, 3)
    with pytest.raises(InputError, match=r"x: it holds 3 rows, of which 2 can be read\. A line end within"):
        check_rows(Path("x"), 3, 2)
    assert whole(io.BytesIO(b"12"), Path("x"), 2) == b"12"
    with pytest.raises(InputError, match=r"x: larger than"):
        whole(io.BytesIO(b"123"), Path("x"), 2)
