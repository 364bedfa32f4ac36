"""Log-probabilities from blocks of the vocabulary against those from all logits at once."""

import pytest
import torch

from labor_llm.scoring.all_titles import COLUMNS, log_normalisers, token_log_probs


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # at 300 the exponential of a logit is not a float32
def test_blocks_give_what_all_logits_give(bias: bool, scale: float) -> None:
    generator = torch.Generator().manual_seed(1)
    head = torch.nn.Linear(4, 2 * COLUMNS + 3, bias=bias)
    hidden = scale * torch.randn(1030, 4, generator=generator)
    rows = torch.randint(len(hidden), (50,), generator=generator)
    tokens = torch.randint(head.out_features, (50,), generator=generator)
    with torch.inference_mode():
        got = token_log_probs(head, hidden, rows, tokens)
        expected = head(hidden.double().float()).double().log_softmax(dim=-1)[rows, tokens]
    assert (got - expected).abs().max() < 1e-5 * scale


def test_the_last_token_of_the_vocabulary_counts() -> None:
    # One logit of 0 and COLUMNS logits of -log(COLUMNS): the exponentials add up to 1 + 1.
    head = torch.nn.Linear(1, COLUMNS + 1, bias=False)
    with torch.inference_mode():
        head.weight[:] = -torch.log(torch.tensor(float(COLUMNS)))
        head.weight[-1] = 0.0
        assert log_normalisers(head, torch.ones(1, 1)).item() == pytest.approx(
            torch.log(torch.tensor(2.0)).item()
        )
        assert log_normalisers(head, torch.ones(0, 1)).shape == (0,)
