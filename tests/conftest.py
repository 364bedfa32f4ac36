"""Fixtures: invented careers with known transition probabilities, and a tiny language model that fits them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel, transitions
from labor_llm.careers.predictions import Predictions, from_matrix
from labor_llm.workflow.forkserver import fork_server
from labor_llm.workflow.start import ADDRESS

# PyTorch and transformers take ten seconds to import, so that only the tests that need a model pay for them.
if TYPE_CHECKING:
    from labor_llm.models.loading import LanguageModel

# A busy machine is no fault of the code: no example may fail because it took long.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin first, so that no worker is left alone with them at the end.

    Of two workers each begins with a half of the list: one with the tests of the workflow, which share a process with
    the libraries, the other with what else is slow.
    """
    long = [item for item in items if "workflow" in item.path.parts]
    slow = [item for item in items if "slow" in item.keywords and item not in long]
    rest = [item for item in items if item not in long and item not in slow]
    half = max(0, len(items) // 2 - len(long))
    long.sort(key=lambda item: "slow" not in item.keywords)
    items[:] = [*long, *rest[:half], *slow, *rest[half:]]


@pytest.fixture(scope="session")
def fork_server_address() -> Iterator[str]:
    """Have notebooks of all tests of this process begin with the libraries in place; return where they get them."""
    environment = {**os.environ, "PYTHONWARNINGS": "ignore:IProgress not found"}
    with fork_server(environment) as added, pytest.MonkeyPatch.context() as patch:
        for _ in range(1200):
            if Path(added[ADDRESS]).exists():
                break
            time.sleep(0.1)
        patch.setenv(ADDRESS, added[ADDRESS])
        yield added[ADDRESS]


@pytest.fixture(scope="session")
def hostile() -> str:
    """Printable text in which every character means something to HTML, Markdown, LaTeX, YAML, a shell or Snakemake."""
    return (
        "=1+1 <script>alert(1)</script> {careers} $x$ %_&#~^\\ {{y}} \"' | ` [a](b) **c** `{d}`e` @f: -- #1"
    )


# "Physicians" begins "Physicians' assistants": without the end of the line the two could not be told apart.
TITLES = (
    "Cooks", "Cooks, short order", "Physicians", "Physicians' assistants", "Sales workers (retail)",
    "Machine operators, n.e.c.", "Unemployed", "Out of the labor force",
)  # fmt: skip
WORKERS = 160
STAY = 0.6


@pytest.fixture(scope="session")
def outcomes() -> OutcomeSpace:
    return OutcomeSpace(tuple(f"{number:03d}" for number in range(len(TITLES))), TITLES)


@pytest.fixture(scope="session")
def records(outcomes: OutcomeSpace) -> pd.DataFrame:
    """Careers of two to six records from a first-order chain: stay with 0.6, else move uniformly."""
    generator = np.random.default_rng(20260101)
    rows = []
    for worker in range(WORKERS):
        job = int(generator.integers(len(outcomes)))
        year, born = 1980, 1950 + worker % 10
        for record in range(2 + worker % 5):
            if record and generator.random() > STAY:
                job = (job + 1 + int(generator.integers(len(outcomes) - 1))) % len(outcomes)
            rows.append(
                {
                    "worker_id": f"w{worker:03d}",
                    "year": str(year),
                    "occupation": outcomes.codes[job],
                    "education": "high school" if worker % 2 else "college",
                    "gender": "female" if worker % 3 else "male",
                    "ethnicity": "hispanic" if worker % 4 == 0 else "white",
                    "region": "south" if worker % 2 else "west",
                    "birth_year": "" if worker % 20 == 0 else str(born),
                }
            )
            year += 1 + record % 2
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def panel(records: pd.DataFrame, outcomes: OutcomeSpace) -> CareerPanel:
    return career_panel(records, outcomes, dataset="invented", survey="invented")


@pytest.fixture(scope="session")
def tiny_model_folder(tmp_path_factory: pytest.TempPathFactory, panel: CareerPanel) -> Path:
    """A random Llama of two layers with a byte-level tokenizer trained on the invented resumes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from labor_llm.text.templates import resumes

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([resume.text for resume in resumes(panel)], trainer)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>").save_pretrained(folder)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512, initializer_range=0.2,
        tie_word_embeddings=True, bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tiny_model_folder: Path) -> LanguageModel:
    from labor_llm.models.loading import load_language_model

    return load_language_model(tiny_model_folder)


# A first-order market over five titles whose probabilities are known, and models that are wrong in known ways.
SPACE = OutcomeSpace(
    ("10", "11", "12", "unemployed", "out_of_labor_force"),
    ("Cooks", "Bakers", "Waiters", "Unemployed", "Out of labor force"),
)
# Row: previous title; last row: first record.
CHAIN = np.array(
    [
        [0.70, 0.08, 0.05, 0.10, 0.07],
        [0.10, 0.60, 0.12, 0.08, 0.10],
        [0.06, 0.14, 0.55, 0.15, 0.10],
        [0.25, 0.20, 0.10, 0.35, 0.10],
        [0.10, 0.08, 0.12, 0.10, 0.60],
        [0.30, 0.25, 0.20, 0.15, 0.10],
    ]
)


class Chain:
    """A next-job model: the same probabilities after every history that ends in the same title.

    Args:
        matrix: [titles + 1, titles], the last row for first records.
        heat: probabilities to the power of 1 / heat, normalised.
    """

    def __init__(self, matrix: np.ndarray = CHAIN, heat: float = 1.0, name: str = "chain") -> None:
        self.name = name
        powered = matrix ** (1.0 / heat)
        self.matrix = powered / powered.sum(axis=1, keepdims=True)

    def predict(self, panel: CareerPanel) -> Predictions:
        table = transitions(panel)
        previous = [len(SPACE) if code is None else SPACE.index(code) for code in table["previous"]]
        with np.errstate(divide="ignore"):
            return from_matrix(self.name, table, panel.outcomes, np.log(self.matrix[previous]))


def draw_panel(workers: int = 400, seed: int = 0, records: tuple[int, int] = (2, 9)) -> CareerPanel:
    """Careers of the chain, one record a year from 1980 on."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(*records, size=workers)
    luck = rng.random((workers, counts.max()))
    cumulated = CHAIN.cumsum(axis=1)
    jobs = np.empty(luck.shape, dtype=int)
    previous = np.full(workers, len(SPACE))
    for record in range(luck.shape[1]):
        previous = (luck[:, record, None] >= cumulated[previous]).sum(axis=1).clip(max=len(SPACE) - 1)
        jobs[:, record] = previous
    worker, record = np.nonzero(np.arange(luck.shape[1]) < counts[:, None])
    frame = pd.DataFrame(
        {
            "dataset": "chain",
            "worker_id": np.char.add("w", np.char.zfill(worker.astype(str), 5)).astype(object),
            "year": 1980 + record,
            "occupation": np.array(SPACE.codes, dtype=object)[jobs[worker, record]],
            "education": np.where(worker % 3 == 0, "college", "high school").astype(object),
            "gender": np.where(worker % 2 == 0, "female", "male").astype(object),
            "ethnicity": np.where(worker % 5 == 0, "hispanic", "white").astype(object),
            "region": np.where(worker % 4 == 0, "west", "south").astype(object),
            "birth_year": pd.array(1950 + worker % 7, dtype="Int64"),
        }
    )
    return CareerPanel(frame, SPACE, "chain")


@pytest.fixture(scope="session")
def chain_panel() -> CareerPanel:
    return draw_panel()


@pytest.fixture(scope="session")
def panel_of_chain() -> Callable[..., CareerPanel]:
    return draw_panel


@pytest.fixture(scope="session")
def chain_model() -> type[Chain]:
    return Chain
