"""What memory a fine-tuning may take decides what its weights and moments are stored in."""

import pytest

from labor_llm.errors import ResourceError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.models.memory import GIB, LLAMA_2, fine_tuning_need

EIGHT, PAGED = (("bfloat16", f"adamw-8bit{paged}", "always") for paged in ("", "-paged"))


def chosen(size: str, gib: float | None, **said: str) -> tuple[str, str, str]:
    got = FineTuningSettings(**said).within_memory(LLAMA_2[size], gib and gib * GIB)
    return got.weights, got.optimizer, got.activation_checkpointing


@pytest.mark.parametrize(
    ("size", "gib", "said", "expected"),
    [
        ("7b", None, {}, ("float32", "adamw", "never")),
        ("7b", 140, {}, ("float32", "adamw", "never")),
        ("7b", 116, {}, ("float32", "adamw", "always")),
        ("7b", 80, {}, ("float32", "adamw-8bit", "always")),
        ("7b", 76, {}, EIGHT),
        ("13b", 76, {}, EIGHT),
        ("7b", 38, {}, ("bfloat16", "adamw-8bit-paged", "always")),
        ("7b", 76, {"activation_checkpointing": "never"}, ("bfloat16", "adamw-8bit", "never")),
        ("7b", 140, {"weights": "bfloat16"}, ("bfloat16", "adamw", "never")),
        ("7b", 31, {"method": "lora"}, ("float32", "adamw", "never")),
    ],
)
def test_the_first_choice_that_memory_allows(size, gib, said, expected) -> None:
    assert chosen(size, gib, **said) == expected


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    least = sum(fine_tuning_need(LLAMA_2["13b"], 2048, None, 1, *PAGED).values()) / GIB
    with pytest.raises(
        ResourceError, match=f"takes {least:.1f} GiB .* 40.0 GiB .* Set tokens_at_once below 2,048"
    ):
        chosen("13b", 40)
    with pytest.raises(ResourceError, match=r"takes 30\.2 GiB"):
        chosen("7b", 30, method="lora")
    with pytest.raises(ValueError, match="weights are those that are trained"):
        FineTuningSettings(method="lora", weights="bfloat16")
