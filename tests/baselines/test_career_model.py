"""CAREER's transformer: probabilities by hand, no look ahead, what is not known, weights of another model."""

import dataclasses

import numpy as np
import pytest
import torch

from labor_llm.baselines.career_model import CareerTransformer, Levels, encode, levels_of, padded
from labor_llm.baselines.form import FIRST
from labor_llm.baselines.two_stage import two_stage_log_probs


@pytest.fixture(scope="module")
def model(simulated, tiny):
    torch.manual_seed(1)
    return CareerTransformer(9, levels_of([simulated["train"]], tiny.covariates), tiny).eval()


@pytest.fixture(scope="module")
def careers(simulated, model):
    return encode(simulated["test"], model.levels)[:20]


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


@torch.no_grad()
def test_probabilities_add_up_to_one_and_neither_padding_nor_a_later_record_changes_them(model, careers):
    together = padded(careers)
    log_probs = model(together.previous, together.covariates)
    np.testing.assert_allclose(log_probs.exp().sum(-1), 1.0, atol=1e-5)
    place = max(range(len(careers)), key=lambda number: len(careers[number]))
    career, cut = careers[place], len(careers[place]) // 2
    alone = model(career.previous[None], career.covariates[None])[0]
    np.testing.assert_allclose(log_probs[place, : len(career)], alone, atol=1e-5)
    previous, covariates = career.previous.clone(), career.covariates.clone()
    previous[cut:], covariates[cut:] = (previous[cut:] + 1) % 9, 1
    changed = model(previous[None], covariates[None])[0]
    assert torch.equal(alone[:cut], changed[:cut])
    assert not torch.allclose(alone[cut:], changed[cut:])


def test_the_realised_occupation_of_a_record_is_not_read_at_it(simulated, model):
    panel = simulated["test"]
    last = ~panel.frame["worker_id"].duplicated(keep="last")
    other = panel.frame["occupation"].map(lambda code: "10" if code != "10" else "11")
    frame = panel.frame.assign(occupation=panel.frame["occupation"].where(~last, other))
    changed = encode(dataclasses.replace(panel, frame=frame), model.levels)
    for one, other in zip(encode(panel, model.levels), changed, strict=True):
        assert torch.equal(one.previous, other.previous)
        assert torch.equal(one.covariates, other.covariates)


def test_what_is_not_known_adds_nothing_and_years_beyond_training_count_as_the_nearest(simulated, model):
    panel, levels = simulated["test"].restrict(simulated["test"].workers[:2]), model.levels
    assert Levels(**levels.model_dump()) == levels
    strange = {"gender": "unknown", "region": "the moon", "birth_year": None}
    frame = panel.frame.assign(**strange, year=panel.frame["year"] + 500).astype({"birth_year": "Int64"})
    covariates = encode(dataclasses.replace(panel, frame=frame), levels)[0].covariates
    column = dict(zip(levels.names, covariates.T, strict=True))
    for name in ("gender", "region", "age"):
        assert (column[name] == 0).all()
    assert (column["year"] == levels.size("year") - 1).all()
    assert all((embedding.weight[0] == 0).all() for embedding in model.covariates.values())


def test_weights_of_a_fitted_model_are_taken_level_by_level(model, tiny):
    texts, (first, last) = model.levels.texts, model.levels.spans["year"]
    levels = Levels(
        texts={**texts, "region": ["atlantis", *texts["region"]]},
        spans={**model.levels.spans, "year": [first - 2, last]},
    )
    got = CareerTransformer(9, levels, tiny)
    fresh = got.covariates["region"].weight[1].clone()
    got.begin_from(model)
    region, years = (model.covariates[name].weight for name in ("region", "year"))
    assert torch.equal(got.covariates["region"].weight[1:], torch.cat([fresh[None], region[1:]]))
    assert torch.equal(got.covariates["year"].weight[1:], torch.cat([years[[1, 1]], years[1:]]))
    assert torch.equal(got.output.weight, model.output.weight)
