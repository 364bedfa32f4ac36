"""The figure of reliability curves: a panel a model, its points, its band and the diagonal."""

from __future__ import annotations

import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.exhibits.tasks import reliability_curves


def curves(models: list[str], dataset: str = "d", bins: int = 3) -> pd.DataFrame:
    rows = [
        {
            "dataset": dataset, "model": model, "predicted": (bin_ + 1) / 5, "observed": (bin_ + 1) / 4,
            "ci_low": 0.1, "ci_high": 0.9, "perfect_low": bin_ / 5, "perfect_high": (bin_ + 2) / 5,
        }
        for model in models
        for bin_ in range(bins)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_one_panel_a_model_with_its_points_and_band() -> None:
    frame = pd.concat([curves(["a", "b", "c", "e"]), curves(["a"], "other", bins=1)])
    figure = reliability_curves(frame, {"other": "Other data"})
    panels = [axes for axes in figure.get_axes() if axes.get_visible()]
    assert [axes.get_title(loc="left") for axes in panels] == ["a", "b", "c", "e", "a"]
    assert [part.get_suptitle() for part in figure.subfigs] == ["d", "Other data"]
    diagonal, points = panels[0].get_lines()[:2]
    assert diagonal.get_xydata().tolist() == [[0, 0], [1, 1]]
    assert points.get_xdata().tolist() == [0.2, 0.4, 0.6]
    assert points.get_ydata().tolist() == [0.25, 0.5, 0.75]
    band = panels[0].collections[0].get_paths()[0].get_extents()
    assert (band.x0, band.x1) == (0.2, pytest.approx(0.6))
    assert band.y1 == pytest.approx(0.8)


def test_a_frame_without_a_column_or_rows_is_refused() -> None:
    for faulty in (curves(["a"]).drop(columns="perfect_low"), curves(["a"]).head(0)):
        with pytest.raises(InputError, match="the frame needs rows with the columns"):
            reliability_curves(faulty)
