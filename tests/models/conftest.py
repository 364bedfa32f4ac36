"""Models that a test may spoil."""

import shutil
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model

from labor_llm.models.folders import write_base
from labor_llm.models.loading import load_language_model


@pytest.fixture
def copied(tiny_model_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))


@pytest.fixture(scope="session")
def whole_adapter(tiny_model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter without a manifest, as somebody may hand it on."""
    folder = tmp_path_factory.mktemp("adapters") / "adapter"
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    get_peft_model(load_language_model(tiny_model_folder).model, config).save_pretrained(folder)
    write_base(folder, str(tiny_model_folder), folder)
    return folder


@pytest.fixture
def adapter(whole_adapter: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole_adapter, tmp_path / "adapter"))
