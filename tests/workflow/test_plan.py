"""What a replication would run, by hand where the arithmetic is that of the memory's own tests."""

from __future__ import annotations

import pytest

from labor_llm.workflow.forecast import Work
from labor_llm.workflow.plan import plan_lines
from labor_llm.workflow.profile import load_profile
from labor_llm.workflow.replication import replicate
from labor_llm.workflow.runs import notebook_runs


def test_every_run_of_the_paper_has_its_hours_and_memory_before_any_data_are_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    paper = load_profile("paper")
    replicate(paper, "paper", cores=2, dry_run=True)
    said = capsys.readouterr().out.splitlines()
    assert "Not there yet" in said[-1] and "psid" in said[-1]
    lines = {line.split()[0]: line for line in said if line and not line.startswith(" ")}
    for run in notebook_runs(paper):
        assert run.name in lines
    tuned = lines["04_fine_tuning-psid81-llama-2-7b-fine-tuned"]
    # One card of 80 GB, which float32 weights with AdamW would not fit into.
    assert tuned.endswith("39 GiB (weights bfloat16, adamw-8bit)")
    larger = lines["04_fine_tuning-psid81-llama-2-13b-fine-tuned"]
    assert larger.endswith("75 GiB (weights bfloat16, adamw-8bit)")
    # Ten refits are as many fine-tunings by one of the two schedules, of 5 epochs and not of 3 and 5.
    refitted, plain = (
        float(lines[f"05_next_job_scoring-psid81-llama-2-7b-{name}"].split()[2])
        for name in ("fine-tuned", "off-the-shelf")
    )
    assert refitted > 10 * plain
    assert float(tuned.split()[2]) * 5 / 8 == pytest.approx((refitted - plain) / 12, rel=0.2)
    parameters = said[said.index(tuned) + 1]
    assert '"learning_rate": 1e-05' in parameters and '"epochs": 3' in parameters


def test_a_card_is_as_fast_as_was_measured() -> None:
    """Tokens trained in an hour, three passes each: 26,200 a second at 135 million weights, 8,000 at 7 billion."""
    for weights, tokens in ((1.35e8, 26_200), (6.74e9, 8_000)):
        assert Work("", weights, 3 * 3600 * tokens).gpu_hours == pytest.approx(1.0, rel=0.1)


def test_own_models_have_at_least_their_weights() -> None:
    lines = list(plan_lines(load_profile("demo")))
    [tuned] = [line for line in lines if line.startswith("04_fine_tuning-wage_panel-smollm2-fine-tuned")]
    assert tuned.endswith("3.0 GiB")
    assert lines[-1].startswith("together")
