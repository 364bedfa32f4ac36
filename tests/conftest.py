"""Fixtures: invented careers with known transition probabilities, and a tiny language model that fits them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, career_panel

# PyTorch and transformers take ten seconds to import, so that only the tests that need a model pay for them.
if TYPE_CHECKING:
    from labor_llm.models.loading import LanguageModel

# A busy machine is no fault of the code: no example may fail because it took long.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest begin first, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: "slow" not in item.keywords)


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
