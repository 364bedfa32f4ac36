"""What a user writes in YAML: texts stay texts, and no file takes longer than a moment."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from labor_llm.errors import InputError
from labor_llm.workflow.yaml_files import Document, read_yaml


def read(folder: Path, text: str | bytes) -> Document:
    path = folder / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"), ("on", "on"), ("yes", "yes"), ("No", "No"), ("y", "y"), ("1:30", "1:30"),
        ("2020-13-45", "2020-13-45"), ("1981-01-01", "1981-01-01"), ("1_000", "1_000"), ("=", "="), ("<<", "<<"),
        ("true", True), ("FALSE", False), ("", None), ("~", None), ("Null", None), ("010", 10), ("0o10", 8),
        ("0x1F", 31), ("+7", 7), ("5e-5", 5e-5), ("1.", 1.0), ("-.5E3", -500.0), ("-.INF", -float("inf")),
        ("'7'", "7"), ("!!str 7", "7"), ("!!int '7'", 7), ("|\n  a\n  b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_values_are_those_of_the_core_schema(tmp_path: Path, text: str, value: Any) -> None:
    got = read(tmp_path, f"a: {text}\n").content["a"]
    assert (got, type(got)) == (value, type(value))


def test_fields_are_texts_as_written_and_know_their_lines(tmp_path: Path) -> None:
    text = "off: {1987: x}\nbase: &base {a: 1, b: 2}\nmore:\n  <<: [*base, {c: 3, a: 4}]\n  b: 5\n  list: [u, v]\n"
    got = read(tmp_path, text)
    assert got.content == {
        "off": {"1987": "x"}, "base": {"a": 1, "b": 2}, "more": {"a": 1, "b": 5, "c": 3, "list": ["u", "v"]},
    }  # fmt: skip
    places = ["off.1987", "more.b", "more.list.1", "more.absent", "absent"]
    assert [got.place(name) for name in places] == [", line 1", ", line 5", ", line 6", ", line 3", ""]


# Ten levels, each of which repeats the one before ten times.
BOMB = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", ", line 3: not readable as YAML (the field 'a' stands twice, first in line 1)."),
        ("g:\n  on: 1\n  'on': 2\n", ", line 3: not readable as YAML (the field 'on' stands twice, first in line 2"),
        ("a: [\n", ", line 2: not readable as YAML (while parsing a flow node, "),
        ("a: " + "9" * 5000, ", line 1: not readable as YAML ('9999"),
        ("[" * 5000, ": not readable as YAML (more than 20 levels)."),
        ("".join(f"k{n}: 1\n" for n in range(4_000)), ", line 3000: not readable as YAML (more than 3,000 values)."),
        (BOMB, ": not readable as YAML (more than 3,000 values)."),
        (BOMB.replace("<<", "y"), ": not readable as YAML (more than 3,000 values)."),
        ("a: &a [*a]", ", line 1: not readable as YAML (more than 20 levels)."),
        ("a: [*a]", ", line 1: not readable as YAML (found undefined alias"),
        ("a: {<<: [1]}", ", line 1: not readable as YAML (<< takes over groups of fields, by *name)."),
        ("? [a]\n: 1", ", line 1: not readable as YAML (the name of a field is no text)."),
        ('"a\\nb": 1', ", line 1: not readable as YAML (the name of a field holds a line end, "),
        ("a: !!timestamp 2020-13-45", ", line 1: not readable as YAML ('2020-13-45' can be no timestamp here)."),
        ("a: !!bool yes", ", line 1: not readable as YAML ('yes' can be no bool here)."),
        ("x: !!python/object/apply:os.getcwd []", ": not readable as YAML ('tag:yaml.org,2002:python/object/apply:os"),
        ("a: 1\n---\nb: 2", ", line 2: not readable as YAML (expected a single document"),
        (b"\xff\xfe", ": not readable as YAML ('utf-8' codec"),
        (b"# " + b"x" * 2**16, ": larger than 65,536 bytes, which no such file is."),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_one_message_at_once(tmp_path: Path, text: str | bytes, message: str) -> None:
    began = time.process_time()
    with pytest.raises(InputError) as refused:
        read(tmp_path, text)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert time.process_time() - began < 3
