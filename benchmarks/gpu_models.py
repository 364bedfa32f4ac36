"""What the benchmark of a card works with: how much is measured, by which clock, and the models."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence

import torch
from fine_tuning import faster
from measurement import Row, row
from scoring_peers import BATCH
from scoring_workload import Workload, careers_of
from transformers import AutoModelForCausalLM, LlamaConfig

from labor_llm.careers.occupations import outcome_space
from labor_llm.errors import ResourceError
from labor_llm.models.folders import quiet_libraries
from labor_llm.models.loading import DTYPES, LanguageModel, load_tokenizer
from labor_llm.models.memory import BESIDE, GIB, LLAMA_2, Llama
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.tokenization import encode_titles

RATE = "matrix products in bfloat16"
BESIDE_RATE = f"; peer {RATE}"  # ends the name of a row whose peer is that rate
Item = Row | str
LARGE = dataclasses.replace(LLAMA_2["7b"], vocabulary=49_152)  # of SmolLM2's tokenizer


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        small: a packaged model, whose tokenizer the large one has too.
        large: the sizes of the other model, which has random weights.
        matrices: rows of the square matrices whose product shows the card's rate.
        copied: bytes of the tensor whose copy shows the memory's.
        rounds: how often, after once that is not counted.
        exact: lengths of the careers that are compared with the CPU, years.
        years: lengths of those of which all titles are scored.
        scored: careers of 5 to 25 years whose realised titles are scored.
        trained, trained_large: careers of an epoch of fine-tuning.
        batch_size: careers a step.
        tokens: of a pass in fine-tuning.
        dtype: of the arithmetic in fine-tuning and scoring.
    """

    small: str = "smollm2-135m-instruct"
    large: Llama = LARGE
    matrices: Sequence[int] = (4096, 8192, 16_384)
    copied: int = 2 * GIB
    rounds: int = 2
    exact: Sequence[int] = (3, 8)
    years: Sequence[int] = (5, 15, 25)
    scored: int = 160
    trained: int = 512
    trained_large: int = 96
    batch_size: int = 32
    tokens: int = 8192
    dtype: str = "bfloat16"

    def halved(self) -> Plan:
        """Return what to try where memory did not suffice."""
        halves = {
            name: max(1, getattr(self, name) // 2) for name in ("tokens", "batch_size", "copied", "scored")
        }
        return dataclasses.replace(self, **halves, matrices=[size // 2 for size in self.matrices])


# In float32, as a processor may emulate bfloat16 at a hundredth of the speed.
QUICK = Plan(
    "smollm2-135m-first-4-layers", Llama(128, 2, 344, 49_152), matrices=(256,), copied=2**24, rounds=1, exact=(2,),
    years=(3,), scored=3, trained=2, trained_large=2, batch_size=2, tokens=512, dtype="float32",
)  # fmt: skip


def now() -> float:
    """Return a clock's seconds when the card has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def workload(language_model: LanguageModel, years: Sequence[int], rounds: int) -> Workload:
    """Return careers of so many years each, to be scored so often by a model that is loaded."""
    outcomes = outcome_space()
    trie = build_title_trie(encode_titles(language_model.tokenizer, outcomes))
    return Workload(language_model, careers_of(language_model, years), outcomes.titles, trie, rounds, BATCH)


def fitting(plan: Plan, need: Callable[[Llama], float]) -> Llama:
    """Return the large shape with as many of its layers as the free memory holds.

    Raises:
        ResourceError: if not one of them fits.
    """
    if not torch.cuda.is_available():
        return plan.large
    available = torch.cuda.mem_get_info()[0] - BESIDE
    for layers in range(plan.large.layers, 0, -1):
        sizes = dataclasses.replace(plan.large, layers=layers)
        if need(sizes) <= available:
            return sizes
    raise ResourceError(
        "Not one layer of the large model fits into the card's free memory. End other programs."
    )


def invented(plan: Plan, sizes: Llama) -> LanguageModel:
    """Return a model of some sizes with random weights, made on the card."""
    quiet_libraries()
    config = LlamaConfig(
        vocab_size=sizes.vocabulary, hidden_size=sizes.width, intermediate_size=sizes.inner,
        num_hidden_layers=sizes.layers, num_attention_heads=sizes.width // 128, max_position_embeddings=sizes.context,
        rms_norm_eps=1e-5, tie_word_embeddings=False,
    )  # fmt: skip
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = AutoModelForCausalLM.from_config(config, dtype=DTYPES[plan.dtype])
    name = f"random Llama {sizes.width:,} wide, {sizes.layers} of {plan.large.layers} layers"
    return LanguageModel(name, model.eval(), load_tokenizer(plan.small))


def products(language_model: LanguageModel) -> tuple[int, int]:
    """Return how many weights the products of the layers and of the output layer have."""
    linear = sum(
        part.weight.numel() for part in language_model.model.modules() if isinstance(part, torch.nn.Linear)
    )
    head = language_model.model.get_output_embeddings().weight.numel()
    return linear - head, head


def arithmetic(name: str, operations: float) -> Row:
    """Return the row of operations a second, which stands beside the card's rate when that is known."""
    return row(f"{name}{BESIDE_RATE}", operations / 1e12, "TFLOP/s")


def beside_rate(rows: Sequence[Row]) -> list[Row]:
    """Return rows in which all arithmetic has the card's rate as its peer, and its share of that as the ratio."""
    rate = next((each["value"] for each in rows if each["name"] == RATE), None)
    if rate is None:
        return list(rows)
    return [
        faster(each["name"], each["value"], rate, each["unit"])
        if each["name"].endswith(BESIDE_RATE)
        else each
        for each in rows
    ]
