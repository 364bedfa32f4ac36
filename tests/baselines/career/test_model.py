import dataclasses

import numpy as np
import pytest
import torch

from labor_llm.baselines.career.model import CareerTransformer, Levels, encode, levels_of, padded
from labor_llm.baselines.form import FIRST
from labor_llm.baselines.two_stage import two_stage_log_probs


@pytest.fixture(scope="module")
def model_and_careers(simulated, tiny):
    levels = levels_of([simulated["train"]], tiny.covariates)
    torch.manual_seed(1)
    model = CareerTransformer(len(simulated["train"].outcomes), levels, tiny).eval()
    return model, encode(simulated["test"], levels)[:20], levels


def test_two_stages_by_hand():
    utilities = torch.log(torch.tensor([[1.0, 2.0, 5.0], [1.0, 2.0, 5.0]]))
    got = two_stage_log_probs(utilities, torch.tensor([0.0, 0.0]), torch.tensor([FIRST, 2])).exp()
    np.testing.assert_allclose(got, [[1 / 8, 2 / 8, 5 / 8], [0.5 / 3, 1 / 3, 0.5]], rtol=1e-6)


def test_stay_log_odds_alone_decide_the_previous_occupation_and_extremes_stay_finite():
    utilities = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)) * 30
    stay = torch.linspace(-80, 80, 50)
    previous = torch.arange(50) % 7 - 1
    log_probs = two_stage_log_probs(utilities, stay, previous)
    assert torch.isfinite(log_probs).all()
    later = previous != FIRST
    stayed = log_probs[later].gather(1, previous[later][:, None])[:, 0]
    np.testing.assert_allclose(stayed, torch.nn.functional.logsigmoid(stay[later]), rtol=1e-6)
    np.testing.assert_allclose(log_probs.exp().sum(1), 1.0, atol=1e-5)


def test_probabilities_add_up_to_one_and_padding_changes_nothing(model_and_careers):
    model, careers, _ = model_and_careers
    together = padded(careers)
    with torch.no_grad():
        log_probs = model(together.previous, together.covariates)
        alone = model(careers[0].previous[None], careers[0].covariates[None])
    np.testing.assert_allclose(log_probs.exp().sum(-1), 1.0, atol=1e-5)
    np.testing.assert_allclose(log_probs[0, : len(careers[0])], alone[0], atol=1e-5)


def test_a_later_record_changes_nothing_before_it(model_and_careers):
    model, careers, _ = model_and_careers
    career = max(careers, key=len)
    cut = len(career) // 2
    changed_previous, changed_covariates = career.previous.clone(), career.covariates.clone()
    changed_previous[cut:] = (changed_previous[cut:] + 1) % 9
    changed_covariates[cut:] = 1
    with torch.no_grad():
        before = model(career.previous[None], career.covariates[None])
        after = model(changed_previous[None], changed_covariates[None])
    assert torch.equal(before[0, :cut], after[0, :cut])
    assert not torch.allclose(before[0, cut:], after[0, cut:])


def test_the_realised_occupation_of_a_record_is_not_read_at_it(simulated, model_and_careers):
    _, _, levels = model_and_careers
    panel = simulated["test"]
    flipped = panel.frame.assign(
        occupation=["10" if code != "10" else "11" for code in panel.frame["occupation"]]
    )
    last = ~panel.frame["worker_id"].duplicated(keep="last")
    frame = panel.frame.assign(occupation=flipped["occupation"].where(last, panel.frame["occupation"]))
    for one, other in zip(
        encode(panel, levels), encode(dataclasses.replace(panel, frame=frame), levels), strict=True
    ):
        assert torch.equal(one.previous, other.previous)
        assert torch.equal(one.covariates, other.covariates)


def test_what_is_not_known_adds_nothing_and_years_beyond_training_count_as_the_nearest(simulated, tiny):
    panel = simulated["test"].restrict(simulated["test"].workers[:2])
    levels = levels_of([simulated["train"]], tiny.covariates)
    assert Levels(**levels.model_dump()) == levels
    frame = panel.frame.assign(
        gender="unknown", region="the moon", birth_year=None, year=panel.frame["year"] + 500
    )
    careers = encode(dataclasses.replace(panel, frame=frame.astype({"birth_year": "Int64"})), levels)
    column = {name: careers[0].covariates[:, place] for place, name in enumerate(levels.names)}
    for name in ("gender", "region", "age"):
        assert (column[name] == 0).all()
    assert (column["year"] == levels.size("year") - 1).all()
    model = CareerTransformer(9, levels, tiny)
    assert all((embedding.weight[0] == 0).all() for embedding in model.covariates.values())
