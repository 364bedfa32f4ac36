"""Invented models: of Llama's kind in model and tokenizer, and the same from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from labor_llm.careers.panel import CareerPanel
from labor_llm.models.folders import PACKAGED_MODELS, model_source, weights_checksum
from labor_llm.models.invented import InventedModel, write_invented
from labor_llm.text.templates import invented_resume, resumes
from labor_llm.text.tokenization import encode_resume


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("invented")
    write_invented(InventedModel(layers=1, width=16, seed=3), made)
    return made


def test_the_tokenizer_is_of_llamas_kind(folder: Path, panel: CareerPanel) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pieces = tokenizer.convert_ids_to_tokens(tokenizer("1984 (college): Cooks, 5\u00e9\n").input_ids)
    # A token before each text, a blank before its first word, digits one by one, bytes for what is no piece.
    assert pieces[:6] == ["<s>", "\u2581", "1", "9", "8", "4"]
    assert pieces[-4:] == ["5", "<0xC3>", "<0xA9>", "<0x0A>"]
    for resume in (invented_resume(panel), next(resumes(panel))):
        encoded = encode_resume(tokenizer, resume)
        assert tokenizer.decode(encoded.ids, skip_special_tokens=True) == resume.text
        first = tokenizer.decode(encoded.continuation_ids(0))
        assert first.strip() == resume.text[slice(*resume.spans[0])].strip()


def test_the_same_seed_makes_the_same_model(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("again", 3), ("other", 4)):
        write_invented(InventedModel(layers=1, width=16, seed=seed), tmp_path / name)
    same, again, other = (weights_checksum(path) for path in (folder, tmp_path / "again", tmp_path / "other"))
    assert same == again != other
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(model, LlamaForCausalLM)
    assert sum(weight.numel() for weight in model.parameters()) < 1e5


def test_invented_models_go_by_their_names() -> None:
    small, larger = (model_source(name) for name in ("invented-llama", "invented-larger-llama"))
    assert small != larger
    assert (small / "manifest.json").is_file()
    # One tokenizer for both, as Llama-2 has.
    assert (small / "tokenizer.json").read_bytes() == (larger / "tokenizer.json").read_bytes()
    model = AutoModelForCausalLM.from_pretrained(small)
    stated = PACKAGED_MODELS["invented-llama"].weights
    assert sum(weight.numel() for weight in model.parameters()) == pytest.approx(2 * stated, rel=0.5)
