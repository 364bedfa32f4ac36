"""Codes of another frame are told by which numbers occur; codes of the right frame raise no alarm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from labor_llm.crosswalks.files import write_crosswalks
from labor_llm.crosswalks.mapping import FRAME_FILES, Crosswalks, load_crosswalks

FRAMES = tuple(FRAME_FILES)


@pytest.fixture(scope="module")
def lists() -> dict[str, np.ndarray]:
    """Invented lists that overlap as the true ones do: 1970 and 2000 by two thirds, 1980 and 1990 all but ten codes."""
    generator = np.random.default_rng(20260101)
    first = np.sort(generator.permutation(np.arange(1, 980))[:450])
    second = np.sort(generator.permutation(np.arange(3, 890))[:500])
    third = np.union1d(second[10:], np.setdiff1d(np.arange(3, 890), second)[:10])
    fourth = np.union1d(first[::3], np.sort(generator.permutation(np.arange(1, 980))[:300]))
    fifth = np.union1d(fourth[::2] * 10, np.setdiff1d(np.arange(15, 9800, 10), [])[::9])
    return dict(zip(FRAMES, (first, second, third, fourth, fourth * 10, fifth), strict=True))


@pytest.fixture(scope="module")
def crosswalks(lists: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Crosswalks:
    folder = tmp_path_factory.mktemp("crosswalks")
    own = {frame: dict.fromkeys(codes.tolist(), 4) for frame, codes in lists.items() if frame != "census2002"}
    write_crosswalks(folder, own)
    return load_crosswalks(folder, other_versions=True, patched=False)


def draw(codes: np.ndarray, size: int, stray: float, seed: int) -> pd.Series:
    """Draw records: occupations of very unequal size, some stray codes, some answers missing or not reported."""
    generator = np.random.default_rng(seed)
    weights = generator.pareto(1.5, len(codes)) + 0.2
    values = generator.choice(codes, size, p=weights / weights.sum())
    values = np.where(generator.random(size) < stray, generator.integers(1, codes.max() + 20, size), values)
    drawn = pd.Series(values, dtype="Int64")
    drawn[generator.random(size) < 0.1] = pd.NA
    drawn[generator.random(size) < 0.1] = 0
    return drawn


@pytest.mark.parametrize("true", FRAMES)
@pytest.mark.parametrize("size", [40, 400, 20_000])
def test_the_right_frame_raises_no_alarm(
    crosswalks: Crosswalks, lists: dict[str, np.ndarray], true: str, size: int
) -> None:
    for seed in range(5):
        assert crosswalks.wrong_frame(true, draw(lists[true], size, 0.04, seed)) is None


@pytest.mark.parametrize("true", FRAMES)
def test_another_frame_is_named(crosswalks: Crosswalks, lists: dict[str, np.ndarray], true: str) -> None:
    alike = {"census1980", "census1990"}
    for seed in range(3):
        drawn = draw(lists[true], 20_000, 0.02, seed)
        for given in FRAMES:
            if given != true and {given, true} != alike:
                assert f"look like {true} codes" in str(crosswalks.wrong_frame(given, drawn)), given


def test_1980_and_1990_are_told_apart_by_the_few_codes_that_differ(
    crosswalks: Crosswalks, lists: dict[str, np.ndarray]
) -> None:
    drawn = pd.Series(np.tile(lists["census1980"], 4), dtype="Int64")
    assert "look like census1980 codes" in str(crosswalks.wrong_frame("census1990", drawn))
    assert crosswalks.wrong_frame("census1980", drawn) is None


def test_codes_of_no_frame_are_told(crosswalks: Crosswalks, tmp_path: Path) -> None:
    groups = pd.Series(np.tile(np.arange(1100, 1120), 5), dtype="Int64")
    write_crosswalks(tmp_path, {"census1970": dict.fromkeys(range(1, 400), 4)})
    alone = load_crosswalks(tmp_path, other_versions=True, patched=False)
    assert alone.wrong_frame("census1970", groups) == (
        "0.0% of 100 codes are in the list of census1970, and no other frame at hand knows more of them: "
        "they have four digits, not three"
    )


def test_a_handful_of_codes_or_none_says_nothing(crosswalks: Crosswalks) -> None:
    for values in ([1234] * 19, [], [None] * 50, [-4] * 50, [0] * 50, [999] * 50):
        assert crosswalks.wrong_frame("census1970", pd.Series(values, dtype="Int64")) is None


def test_the_share_known_leaves_out_missing_and_not_reported_codes(
    crosswalks: Crosswalks, lists: dict[str, np.ndarray]
) -> None:
    known = int(lists["census1980"][0])
    drawn = pd.Series([known, known, known, 5000, None, 0, -4, 998, 9999], dtype="Int64")
    assert crosswalks.share_known("census1980", drawn) == 0.75
    assert np.isnan(crosswalks.share_known("census1980", drawn[4:]))
