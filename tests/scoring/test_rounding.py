"""The error of coarser arithmetic, measured against float32."""

from __future__ import annotations

from pathlib import Path

import pytest

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel, load_language_model
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
    assert 0 < error.total_variation <= 1
    assert f"{error.largest:.2g} nats at most" in error.sentence()
