"""The benchmark of scoring runs to its end on a tiny model; peers and bounds are checked, times are not."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from labor_llm.errors import InputError, MismatchError
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.text.templates import continuation

FOLDER = Path(__file__).parents[1] / "benchmarks"
YEARS = [5, 6]
STARTS = [
    "all titles; peer the plain reference", "realised titles; peer", "fine-tuning on 4",
    "all titles, unresolved 0.01; peer exact", "all titles, unresolved 0.001;", "one career of 4 years",
    "careers of 3 years: 4", "memory beside the model, career of 4 years", "all titles, bfloat16; peer float32",
    "all titles, bfloat16: largest error",
]  # fmt: skip
UNITS = {
    "s", "s/transition", "tokens/transition", "nodes/transition", "nats", "nats/token", "probability", "GB",
    "threads", "processes", "titles", "tokens", "nodes", "transitions",
}  # fmt: skip


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules of the benchmark."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = (
        "measurement",
        "scoring",
        "scoring_workload",
        "scoring_peers",
        "scoring_comparisons",
        "llama_cpp_peer",
    )
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


@pytest.fixture
def work(modules: SimpleNamespace, tiny_model_folder: Path):
    return modules.scoring_workload.make_workload(tiny_model_folder, YEARS, rounds=2, sample=2)


@pytest.mark.slow
def test_all_parts_run_to_their_end_and_their_rows_are_of_one_form(
    modules: SimpleNamespace, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    command = [
        "scoring.py", "--quick", "--base", tiny_model_folder, "--years", 3, "--growth", 3, 4, "--careers", 4,
        "--json", tmp_path / "rows.json",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", list(map(str, command)))
    modules.scoring.main()
    rows = json.loads((tmp_path / "rows.json").read_text())
    assert len({(row["name"], row["unit"]) for row in rows}) == len(rows)
    for row in rows:
        assert list(row) == ["name", "value", "unit", "peer", "ratio"]
        assert row["unit"] in UNITS
        assert (row["ratio"] is None) == (row["peer"] is None)
    names = {row["name"] for row in rows}
    assert all(any(name.startswith(start) for name in names) for start in STARTS)
    printed = capsys.readouterr().out
    for module, requirement in (
        ("lm_eval", "lm-eval==0.4.13"), ("minicons", "minicons==0.3.39"), ("llama_cpp", "llama-cpp-python==0.3.36"),
    ):  # fmt: skip
        installed = importlib.util.find_spec(module) is not None
        assert any(module in name for name in names) == installed
        assert (f"{module}: not installed: pip install {requirement}" in printed) != installed
    assert "machine: " in printed
    # What a full run is meant to reach says nothing about a tiny one.
    assert "MISSED" not in printed


def test_careers_have_the_lengths_asked_for_and_are_not_those_that_are_trained_on(
    modules: SimpleNamespace,
) -> None:
    workload = modules.scoring_workload
    lengths = [5, 15, 25]
    scored, trained = (
        workload.simulated_panel(lengths, seed).frame for seed in (workload.SCORED, workload.TRAINING)
    )
    for frame in (scored, trained):
        careers = frame.groupby("worker_id")["year"]
        assert sorted(careers.size()) == lengths
        assert (careers.max() - careers.min() == careers.size() - 1).all()
    assert scored["occupation"].tolist() != trained["occupation"].tolist()


@pytest.mark.parametrize("module", ["lm_eval", "minicons", "llama_cpp"])
def test_a_peer_gives_the_log_probabilities_of_the_reference(
    modules: SimpleNamespace, work, module: str
) -> None:
    pytest.importorskip(module)
    peers, missing = modules.scoring_peers.available_peers(work.language_model, [module])
    career = work.careers[0]
    prompt, titles = career.resume.prompt(career.middle), list(work.titles[:33])
    expected = [reference_log_prob(work.language_model, prompt, title) for title in titles]
    assert not missing
    assert [peer.batch for peer in peers[1:]] == (
        [None, None] if module == "llama_cpp" else [1, modules.scoring_peers.BATCH]
    )
    texts = [continuation(title) for title in titles]
    for peer in peers[1:]:
        assert peer.name.startswith(module)
        assert peer.score(prompt, texts) == pytest.approx(expected, abs=peer.rounding)
        if peer.prepare:
            # It keeps what it has read: a longer prompt, the shortest, the one of the record before.
            for record in (career.transitions - 1, 0, career.middle - 1):
                peer.prepare(career.resume.prompt(record), prompt, texts)
                assert peer.score(prompt, texts) == pytest.approx(expected, abs=peer.rounding)


def test_weights_written_for_llama_cpp_are_those_of_the_model(
    modules: SimpleNamespace, tiny_model, tmp_path: Path
) -> None:
    modules.llama_cpp_peer.write_gguf(tiny_model.model, tmp_path / "model.gguf")
    # Read back by transformers, which knows the layout of the format by itself.
    back = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    assert back.config.rope_parameters["rope_theta"] == tiny_model.model.config.rope_parameters["rope_theta"]
    for name, weights in tiny_model.model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weights, atol=0, rtol=0)


def test_a_model_of_another_kind_is_named_and_not_compared(modules: SimpleNamespace, tmp_path: Path) -> None:
    other = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16, n_positions=8))
    with pytest.raises(
        InputError, match=r"GPT2LMHeadModel: llama\.cpp is compared on models of the Llama kind only"
    ):
        modules.llama_cpp_peer.write_gguf(other, tmp_path / "model.gguf")


def test_a_sample_is_scaled_to_all_titles_and_records(modules: SimpleNamespace, work) -> None:
    peer = modules.scoring_peers.Peer("x", 1, lambda prompt, titles: [0.0] * len(titles))
    # One second for two of 333 titles of one record, in each of two careers.
    seconds = np.ones((3, 2))
    assert modules.scoring_comparisons._scaled(work, peer, seconds) == pytest.approx(333 / 2)
    # The median over rounds, not the mean.
    seconds[1] = 100.0
    assert work.per_transition(seconds * work.transitions) == pytest.approx(2.0)


def test_a_peer_that_gives_other_log_probabilities_is_an_error(modules: SimpleNamespace, work) -> None:
    score = modules.scoring_peers.available_peers(work.language_model)[0][0].score
    wrong = modules.scoring_peers.Peer(
        "wrong", 1, lambda prompt, titles: [0.01 + each for each in score(prompt, titles)]
    )
    one = dataclasses.replace(work, careers=work.careers[:1], rounds=1)
    with pytest.raises(MismatchError, match=r"wrong gives other log-probabilities: by up to 0\.01 nats"):
        modules.scoring_comparisons.all_titles(one, [wrong])


@pytest.mark.parametrize("fault", ["lower", "unresolved"])
def test_a_bound_that_does_not_hold_is_an_error(modules: SimpleNamespace, work, fault: str) -> None:
    comparisons, career = modules.scoring_comparisons, work.careers[0]
    log_probs = comparisons.exact(work, career)
    scores = bounded_title_log_probs(work.language_model, career.encoded, work.trie, 1e-3)
    comparisons._check_bounds(scores, log_probs, 1e-3)
    wrong = {"lower": scores.lower + 0.01, "unresolved": scores.unresolved + 1e-3}
    with pytest.raises(MismatchError, match="do not hold"):
        comparisons._check_bounds(dataclasses.replace(scores, **{fault: wrong[fault]}), log_probs, 1e-3)


def test_steps_take_turns_and_memory_above_what_is_held_is_seen(modules: SimpleNamespace) -> None:
    order: list[tuple[str, int]] = []
    steps = {name: lambda item, name=name: order.append((name, item)) for name in ("a", "b")}
    seconds = modules.measurement.interleaved(steps, [1, 2], 2)
    assert order == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 1), ("a", 1), ("b", 2), ("a", 2)]
    assert {name: each.shape for name, each in seconds.items()} == {"a": (2, 2), "b": (2, 2)}
    with modules.measurement.memory_above_present() as measurement:
        np.ones(40_000_000)
    assert 0.3 < measurement.gigabytes < 0.4


def test_a_ratio_that_is_not_reached_is_told(modules: SimpleNamespace) -> None:
    rows = [modules.measurement.row("x; peer y", 1.0, "s", peer) for peer in (59.0, 60.0, None)]
    assert modules.measurement.ratio_verdicts(rows, {"x": 60.0, "z": 1.0}) == [
        "ratio of 60 MISSED: x; peer y, 59",
        "ratio of 60 reached: x; peer y, 60",
    ]
