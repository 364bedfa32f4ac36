"""The loss and its gradient equal those of the plain form, and no career has a part in another's."""

import copy
import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode
from transformers import Lfm2Config, Lfm2ForCausalLM

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import MismatchError
from labor_llm.finetuning import loss as module
from labor_llm.finetuning.batches import TrainingCareer, packed, padded, training_career
from labor_llm.finetuning.loss import (
    PACKED_ATTENTION,
    NextTokenLoss,
    linear_cross_entropy,
    pack_careers,
    packed_attention,
)
from labor_llm.models.loading import LanguageModel
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, encode_resume

CPU = torch.device("cpu")


@pytest.fixture
def language_model(tiny_model: LanguageModel) -> torch.nn.Module:
    """A copy of the tiny model with its own attention."""
    return copy.deepcopy(tiny_model.model)


@pytest.fixture(scope="module", params=["all tokens", "titles"])
def careers(
    request: pytest.FixtureRequest, tiny_model: LanguageModel, panel: CareerPanel
) -> list[TrainingCareer]:
    """Careers of two to six records."""
    encoded = [encode_resume(tiny_model.tokenizer, resume) for resume in itertools.islice(resumes(panel), 5)]
    return [training_career(resume, request.param) for resume in encoded]


def plain_loss(model: torch.nn.Module, careers: list[TrainingCareer]) -> torch.Tensor:
    """Career by career, with all logits, as transformers computes it."""
    total = torch.zeros(())
    for career in careers:
        ids, targets = career.ids[None], career.targets[None]
        total = total + model(input_ids=ids, shift_labels=targets, labels=ids).loss * career.predicted
    return total


def gradients(model: torch.nn.Module, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("layout", [packed, padded])
def test_loss_and_gradient_are_those_of_the_plain_form(language_model, careers, layout, monkeypatch):
    # Many blocks of attention a career, and many of logits.
    for name, value in (("_ROWS", 16), ("_LOGIT_BYTES", 100_000), ("_LOGIT_ROWS", 7)):
        monkeypatch.setattr(module, name, value)
    expected = plain_loss(language_model, careers)
    expected_gradients = gradients(language_model, expected)
    if layout is packed:
        pack_careers(language_model, careers[0])
    got = NextTokenLoss(language_model)(**layout(careers, CPU))
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, gradient in gradients(language_model, got).items():
        difference = (gradient - expected_gradients[name]).norm()
        assert difference <= 1e-5 * expected_gradients[name].norm(), name


def test_bfloat16_is_near_float32(language_model, careers):
    pack_careers(language_model, careers[0])
    loss, batch = NextTokenLoss(language_model), packed(careers, CPU)
    exact = gradients(language_model, loss(**batch))
    with torch.autocast("cpu", torch.bfloat16):
        rounded_loss = loss(**batch)
    assert rounded_loss.item() == pytest.approx(loss(**batch).item(), rel=5e-3)
    assert rounded_loss.dtype == torch.float32
    for name, gradient in gradients(language_model, rounded_loss).items():
        assert gradient.dtype == torch.float32
        assert functional.cosine_similarity(gradient.flatten(), exact[name].flatten(), 0) > 0.98, name


@pytest.mark.parametrize(
    ("hidden", "weight", "targets", "loss", "gradient"),
    [
        # Logits (20, 0, 0) and (0, 0, 0): the gradient by hidden is the expected weight less that of the target.
        ([20.0, 0.0], [1.0, 0.0, 0.0], [0, 1], np.log(3), [0.0, 1 / 3]),
        # Extreme logits give finite losses.
        ([1e4, -1e4], [1.0, 0.0], [1, 0], 2e4, [1.0, -1.0]),
    ],
)
def test_losses_and_gradients_by_hand(hidden, weight, targets, loss, gradient):
    states, frozen = torch.tensor(hidden, requires_grad=True), torch.tensor(weight)
    got = linear_cross_entropy(states[:, None], frozen[:, None], torch.tensor(targets))
    assert got.item() == pytest.approx(loss, rel=1e-6)
    got.backward()
    assert states.grad.tolist() == pytest.approx(gradient, abs=1e-6)
    assert frozen.grad is None


def test_a_validation_costs_one_product_and_a_step_three():
    hidden, targets = torch.ones(5, 3), torch.arange(5)
    weight = torch.ones(7, 3, requires_grad=True)
    products = {}
    for learns in (False, True):
        with FlopCounterMode(display=False) as counted, torch.set_grad_enabled(learns):
            linear_cross_entropy(hidden.requires_grad_(learns), weight, targets)
        products[learns] = counted.get_total_flops() / (2 * 5 * 3 * 7)
    assert products == {False: 1.0, True: 3.0}


@pytest.mark.parametrize(
    ("scale", "bias", "message"),
    [
        (0.5, False, "the model's loss is not its own"),
        (0.999, False, "the model's loss is not its own"),
        # A bias of zero, as in a new model, changes no loss, but would never learn.
        (1.0, True, "output layer has a bias"),
    ],
)
def test_a_model_that_does_more_after_its_last_layer_cannot_be_packed(
    language_model, careers, scale, bias, message
):
    head = language_model.lm_head
    head.register_forward_hook(lambda head, inputs, logits: scale * logits)
    head.bias = torch.nn.Parameter(torch.zeros(head.out_features)) if bias else None
    with pytest.raises(MismatchError, match=f"{message}.*Set layout to 'padded'"):
        pack_careers(language_model, careers[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layers", [["conv", "full_attention"], ["full_attention", "full_attention"]])
def test_a_model_that_carries_one_career_into_the_next_cannot_be_packed(layers, dtype):
    torch.manual_seed(1)
    config = Lfm2Config(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, layer_types=layers, pad_token_id=0, bos_token_id=None, eos_token_id=0,
        initializer_range=0.2,
    )  # fmt: skip
    career = training_career(EncodedResume("a", np.arange(1, 41), ((1, 2),)), "all tokens")
    model = Lfm2ForCausalLM(config).to(dtype)
    if "conv" in layers:
        with pytest.raises(MismatchError, match=r"one packed career into the next.*Set layout to 'padded'"):
            pack_careers(model, career)
    else:
        pack_careers(model, career)


@pytest.mark.parametrize("special", [{"softcap": 50.0}, {"sliding_window": 3}, {"dropout": 0.1}])
def test_attention_of_another_kind_cannot_be_packed(special):
    states, ends = torch.zeros(1, 2, 4, 8), torch.tensor([0, 4], dtype=torch.int32)
    with pytest.raises(MismatchError, match="not plain causal attention"):
        packed_attention(
            torch.nn.Identity(), states, states, states, None, cu_seq_lens_q=ends, max_length_q=4, **special
        )


def test_the_name_of_the_attention_is_not_stored_with_a_model(language_model, careers, tmp_path):
    pack_careers(language_model, careers[0])
    language_model.save_pretrained(tmp_path)
    assert PACKED_ATTENTION not in (tmp_path / "config.json").read_text()
