"""The error of coarser arithmetic, measured against float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
from labor_llm.scoring import checks
from labor_llm.scoring.checks import measured_error


def test_float32_has_no_error(tiny_model: LanguageModel, panel: CareerPanel) -> None:
    error = measured_error(tiny_model, panel)
    assert (error.dtype, error.quantization) == ("float32", "none")
    assert error.largest == error.mean == error.total_variation == 0
    assert error.compared == 4 * len(panel.outcomes)
    assert error.seconds == error.float32_seconds > 0
    assert error.sentence().startswith("The arithmetic is float32; all titles of a transition took ")


@pytest.mark.parametrize(
    ("dtype", "quantization", "bound"),
    [("bfloat16", "none", 1.0), ("float32", "8bit", 2.0), ("float32", "4bit", 20.0)],
)
def test_coarser_numbers_have_some(
    tiny_model_folder: Path, panel: CareerPanel, dtype: str, quantization: str, bound: float
) -> None:
    error = measured_error(load_language_model(tiny_model_folder, dtype, quantization), panel)
    assert (error.dtype, error.quantization) == (dtype, quantization)
    assert 0 < error.mean < error.largest < bound
    # Log-probabilities that are off by no more move the probability of any set of titles by no more than this.
    assert 0 < error.total_variation <= np.tanh(error.largest / 2)
    assert f"{error.largest:.2g} nats at most" in error.sentence()


def test_the_error_of_known_numbers(
    tiny_model_folder: Path, panel: CareerPanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two titles of which one gains and one loses; what both records lose alike is no difference between titles."""
    scores = iter([(np.log([[0.3, 0.1], [0.2, 0.2]]), 1.0), (np.log([[0.2, 0.2], [0.4, 0.4]]), 2.0)])
    monkeypatch.setattr(checks, "_log_probs", lambda *_: next(scores))
    error = measured_error(load_language_model(tiny_model_folder, "bfloat16"), panel)
    assert error.largest == pytest.approx(np.log(2))
    assert error.mean == pytest.approx((np.log(1.5) + 3 * np.log(2)) / 4)
    assert error.total_variation == pytest.approx(0.75 - 0.5)
    assert (error.compared, error.seconds, error.float32_seconds) == (4, 1.0, 2.0)
