"""The benchmarks run to their end at a tiny size; what they compare and check is tested, times are not."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import multiprocessing
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import ArtefactError, InputError, MismatchError
from labor_llm.evaluation.perplexity import bootstrap_differences, bootstrap_perplexity
from labor_llm.exhibits import models
from labor_llm.exhibits.report import read_comparison
from labor_llm.scoring.bounded import bounded_title_log_probs
from labor_llm.scoring.reference import reference_log_prob
from labor_llm.simulation.files.writing import CROSSWALKS, RAW, write_simulated_survey
from labor_llm.text.templates import continuation

FOLDER = Path(__file__).parents[1] / "benchmarks"
PEERS = {
    "lm_eval": "lm-eval==0.4.13", "minicons": "minicons==0.3.39", "llama_cpp": "llama-cpp-python==0.3.36"
}  # fmt: skip
UNITS = {
    "s", "s/transition", "tokens/transition", "nodes/transition", "nats", "nats/token", "probability", "GB", "GB read",
    "threads", "processes", "titles", "tokens", "nodes", "transitions", "workers", "records", "persons",
}  # fmt: skip
WORKERS, COLUMNS, SAMPLE = 40, 5000, 15
CONVERSION = ["--quick", "--workers", WORKERS, "--line-length", 300, "--cohort-columns", COLUMNS]
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def script() -> Any:
    """Return a benchmark as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        yield importlib.import_module


@pytest.fixture
def run(script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a benchmark as the command line does."""

    def main(name: str, *arguments: object) -> None:
        monkeypatch.setattr("sys.argv", [f"{name}.py", *map(str, arguments)])
        script(name).main()

    return main


@pytest.fixture
def rows_of(run: Callable[..., None], tmp_path: Path) -> Callable[..., Rows]:
    """Run a benchmark; return its rows, which are of one form, by name and unit."""

    def rows(name: str, *arguments: object) -> Rows:
        run(name, *arguments, "--json", tmp_path / "rows.json")
        found = json.loads((tmp_path / "rows.json").read_text())
        for row in found:
            assert list(row) == ["name", "value", "unit", "peer", "ratio"]
            assert (row["ratio"] is None) == (row["peer"] is None)
        by_name = {f"{row['name']}, {row['unit']}": row for row in found}
        assert len(by_name) == len(found)
        return by_name

    return rows


def test_the_table_says_what_the_rows_say_with_machine_and_versions(script) -> None:
    measurement = script("measurement")
    same = [measurement.Measurement(2.0, 1.0, {"rows": rows}) for rows in (3, 3, 4)]
    rows = measurement.step_rows("x; peer y", *same[:2])
    assert rows[0] == {"name": "x; peer y", "value": 2.0, "unit": "s", "peer": 2.0, "ratio": 1.0}
    lines = measurement.report(rows, {("x", "s"): 1.0}, ["pandas"]).splitlines()
    assert lines[0].split() == ["name", "value", "unit", "peer", "ratio"]
    assert [line.split()[:4] for line in lines[1:3]] == [
        ["x;", "peer", "y", value] for value in ("2.0", "1.0")
    ]
    assert lines[3] == "limit of 1 s EXCEEDED: x; peer y, 2.0 s"
    assert lines[-2].startswith("machine: ")
    assert f"pandas {pd.__version__}" in lines[-1]
    with pytest.raises(MismatchError, match="do not read the same values"):
        measurement.step_rows("x", *same[1:])
    rows = [measurement.row("x; peer y", 1.0, "s", peer) for peer in (59.0, 60.0, None)]
    assert measurement.ratio_verdicts(rows, {"x": 60.0, "z": 1.0}) == [
        "ratio of 60 MISSED: x; peer y, 59",
        "ratio of 60 reached: x; peer y, 60",
    ]


def test_steps_take_turns_and_memory_above_what_is_held_is_seen(script) -> None:
    measurement, order = script("measurement"), []
    steps = {name: lambda item, name=name: order.append((name, item)) for name in ("a", "b")}
    seconds = measurement.interleaved(steps, [1, 2], 2)
    assert order == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 1), ("a", 1), ("b", 2), ("a", 2)]
    assert {name: each.shape for name, each in seconds.items()} == {"a": (2, 2), "b": (2, 2)}
    with measurement.memory_above_present() as measured:
        np.ones(40_000_000)
    assert 0.3 < measured.gigabytes < 0.4


# Scoring.


@pytest.mark.slow
def test_all_parts_of_scoring_run_to_their_end(
    rows_of, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = rows_of(
        "scoring", "--quick", "--base", tiny_model_folder, "--years", 3, "--growth", 3, 4, "--careers", 4
    )
    assert {row["unit"] for row in names.values()} <= UNITS
    for start in (
        "all titles; peer the plain reference", "realised titles; peer", "fine-tuning on 4",
        "all titles, unresolved 0.01; peer exact", "all titles, unresolved 0.001;", "one career of 4 years",
        "careers of 3 years: 4", "memory beside the model, career of 4 years", "all titles, bfloat16; peer float32",
        "all titles, bfloat16: largest error",
    ):  # fmt: skip
        assert any(name.startswith(start) for name in names), start
    printed = capsys.readouterr().out
    for module, requirement in PEERS.items():
        installed = importlib.util.find_spec(module) is not None
        assert any(module in name for name in names) == installed
        assert (f"{module}: not installed: pip install {requirement}" in printed) != installed
    # What a full run is meant to reach says nothing about a tiny one.
    assert "machine: " in printed and "MISSED" not in printed


def test_scored_careers_have_the_lengths_asked_for_and_are_not_those_trained_on(script) -> None:
    workload, lengths = script("scoring_workload"), [5, 15, 25]
    scored, trained = (
        workload.simulated_panel(lengths, seed).frame for seed in (workload.SCORED, workload.TRAINING)
    )
    for frame in (scored, trained):
        careers = frame.groupby("worker_id")["year"]
        assert sorted(careers.size()) == lengths
        assert (careers.max() - careers.min() == careers.size() - 1).all()
    assert scored["occupation"].tolist() != trained["occupation"].tolist()


@pytest.fixture(scope="module")
def work(script, tiny_model_folder: Path):
    return script("scoring_workload").make_workload(tiny_model_folder, [5, 6], rounds=2, sample=2)


@pytest.mark.parametrize("module", PEERS)
def test_a_peer_gives_the_log_probabilities_of_the_reference(script, work, module: str) -> None:
    pytest.importorskip(module)
    peers, missing = script("scoring_peers").available_peers(work.language_model, [module])
    career = work.careers[0]
    prompt, titles = career.resume.prompt(career.middle), list(work.titles[:33])
    expected = [reference_log_prob(work.language_model, prompt, title) for title in titles]
    batches = [None, None] if module == "llama_cpp" else [1, script("scoring_peers").BATCH]
    assert not missing and [peer.batch for peer in peers[1:]] == batches
    texts = [continuation(title) for title in titles]
    for peer in peers[1:]:
        assert peer.name.startswith(module)
        assert peer.score(prompt, texts) == pytest.approx(expected, abs=peer.rounding)
        # It keeps what it has read: a longer prompt, the shortest, the one of the record before.
        for record in (career.transitions - 1, 0, career.middle - 1) if peer.prepare else ():
            peer.prepare(career.resume.prompt(record), prompt, texts)
            assert peer.score(prompt, texts) == pytest.approx(expected, abs=peer.rounding)


def test_weights_written_for_llama_cpp_are_those_of_the_model(script, tiny_model, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    write_gguf = script("llama_cpp_peer").write_gguf
    write_gguf(tiny_model.model, tmp_path / "model.gguf")
    # Read back by transformers, which knows the layout of the format by itself.
    back = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32)
    assert back.config.rope_parameters["rope_theta"] == tiny_model.model.config.rope_parameters["rope_theta"]
    for name, weights in tiny_model.model.state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], weights, atol=0, rtol=0)
    other = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16, n_positions=8))
    refused = r"GPT2LMHeadModel: llama\.cpp is compared on models of the Llama kind only"
    with pytest.raises(InputError, match=refused):
        write_gguf(other, tmp_path / "other.gguf")


def test_a_peer_or_a_bound_that_is_wrong_is_an_error_and_a_sample_is_scaled(script, work) -> None:
    comparisons, peers = script("scoring_comparisons"), script("scoring_peers")
    score = peers.available_peers(work.language_model)[0][0].score
    wrong = peers.Peer("wrong", 1, lambda prompt, titles: [0.01 + each for each in score(prompt, titles)])
    one = dataclasses.replace(work, careers=work.careers[:1], rounds=1)
    with pytest.raises(MismatchError, match=r"wrong gives other log-probabilities: by up to 0\.01 nats"):
        comparisons.all_titles(one, [wrong])
    career = work.careers[0]
    log_probs = comparisons.exact(work, career)
    scores = bounded_title_log_probs(work.language_model, career.encoded, work.trie, 1e-3)
    comparisons._check_bounds(scores, log_probs, 1e-3)
    for fault in ({"lower": scores.lower + 0.01}, {"unresolved": scores.unresolved + 1e-3}):
        with pytest.raises(MismatchError, match="do not hold"):
            comparisons._check_bounds(dataclasses.replace(scores, **fault), log_probs, 1e-3)
    # One second for two of 333 titles of one record, in each of two careers.
    seconds = np.ones((3, 2))
    assert comparisons._scaled(work, wrong, seconds) == pytest.approx(333 / 2)
    # The median over rounds, not the mean.
    seconds[1] = 100.0
    assert work.per_transition(seconds * work.transitions) == pytest.approx(2.0)


# Conversion.


@pytest.mark.slow  # some twenty steps, each in a process of its own
def test_every_step_of_conversion_is_measured_on_the_same_values(rows_of, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    rows = rows_of("survey_conversion", *CONVERSION, "--sample-rows", SAMPLE, "--folder", folder)
    for name, row in rows.items():
        assert row["value"] > 0 and row["unit"] in UNITS
        assert (row["peer"] is not None) == ("; peer pandas." in name)
        expected = None if row["peer"] is None else pytest.approx(row["peer"] / row["value"], rel=1e-3)
        assert row["ratio"] == expected
    surveys = ("psid", "nlsy79", "nlsy97")
    values = {name: row["value"] for name, row in rows.items()}
    careers = [pd.read_parquet(folder / f"{survey}.parquet") for survey in surveys]
    assert values["simulated records, records"] == sum(map(len, careers))
    assert values["simulated workers, workers"] == sum(frame["worker_id"].nunique() for frame in careers)
    seconds, memory = ([values[f"simulate {survey}, {unit}"] for survey in surveys] for unit in ("s", "GB"))
    assert values["simulate all three, s"] == pytest.approx(sum(seconds), rel=1e-3)
    assert values["simulate all three, GB"] == max(memory)
    steps = ["convert psid", "convert nlsy79", "convert nlsy97", "convert psid, lines of 300 characters",
             *(f"convert nlsy79_cohort, {COLUMNS:,} columns{form}" for form in ("", ", from its zip"))]  # fmt: skip
    assert {f"{name}, {unit}" for name in steps for unit in ("s", "GB")} <= values.keys()
    assert [sum(reader in name for name in values) for reader in ("read_fwf", "read_csv")] == [6, 4]
    # The cohort has the columns, and the sample its first rows.
    cohort, sample = (
        pd.read_csv(folder / name / f"{name}.csv") for name in ("nlsy79_cohort", "nlsy79_sample")
    )
    assert cohort.shape == (WORKERS, COLUMNS)
    pd.testing.assert_frame_equal(sample, cohort.iloc[:SAMPLE])
    own = [name for name in cohort if not name.startswith("Z")]
    assert pd.read_csv(folder / "nlsy79" / "raw" / "simulated.csv").equals(cohort[own])


def test_a_panel_that_differs_from_the_careers_and_a_folder_with_files_are_refused(
    script, run, tmp_path: Path
) -> None:
    benchmark, raw = script("survey_conversion"), tmp_path / "nlsy97" / "raw"
    benchmark.simulate(tmp_path, "nlsy97", 20)
    assert benchmark.convert(tmp_path, "nlsy97", raw).seconds > 0
    careers = pd.read_parquet(tmp_path / "nlsy97.parquet")
    careers.loc[7, "occupation"] = "unemployed" if careers.loc[7, "occupation"] != "unemployed" else "4"
    careers.to_parquet(tmp_path / "nlsy97.parquet")
    with pytest.raises(MismatchError, match="is not what was simulated"):
        benchmark.convert(tmp_path, "nlsy97", raw)
    with pytest.raises(InputError, match=r"not empty\. Give a folder that is empty or does not exist"):
        run("survey_conversion", *CONVERSION, "--folder", tmp_path)


# Fine-tuning, and the comparison on a survey.


@pytest.mark.slow
def test_fine_tuning_is_compared_with_the_peers_on_the_same_careers(
    script, rows_of, tiny_model_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    benchmark = script("fine_tuning")
    monkeypatch.setattr(benchmark, "PEAK_SIZE", 256)
    given = ["--base", tiny_model_folder, "--careers", 2, "--batch-size", 1, "--rounds", 1, "--clock", "cpu"]
    rows = {row["name"]: row for row in rows_of("fine_tuning", *given).values()}
    assert rows["careers"]["value"] == 2
    assert rows["padding of Trainer's batches"]["value"] == 0  # one career a batch
    start = rows["loss at the start, float32; peer Trainer"]
    assert start["value"] == pytest.approx(start["peer"], rel=1e-3)
    for peer in ("Trainer, defaults", "Trainer, bf16"):
        speed = rows[f"ours; peer {peer}"]
        assert speed["ratio"] == pytest.approx(speed["value"] / speed["peer"], rel=1e-3)
        # The same careers from the same weights, in another order.
        loss = rows[f"loss after the epoch, 16 other careers; peer {peer}"]
        assert loss["value"] == pytest.approx(loss["peer"], rel=0.02)
        assert f"{peer}: share of the" in " ".join(rows)
    printed = capsys.readouterr().out
    assert "transformers" in printed
    assert ("left out: trl" in printed) == (not any("SFTTrainer" in name for name in rows))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # each of ten parts has a limit of its own
def test_all_parts_of_the_benchmark_of_a_card_run_to_their_end(
    rows_of, script, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr("signal.signal", lambda *_: None)
    asked = ["--device", "cpu", "--quick", "--minutes", 60, "--work", tmp_path / "work"]
    rows_of("gpu", *asked, "--parts", "card")
    assert not list((tmp_path / "work").iterdir())  # what has ended as a whole is measured anew
    rows = {row["name"]: row for row in rows_of("gpu", *asked, "--store", tmp_path / "stored").values()}
    lines = capsys.readouterr().out.splitlines()
    parts = script("gpu").SHARES
    said = [line for line in lines if line.partition(":")[0] in parts]
    vllm = importlib.util.find_spec("vllm") is None
    assert (
        said == ["vllm: vllm is not installed, so its log-probabilities of prompts were not measured"] * vllm
    )
    for start in (
        "memory of ", "memory bandwidth", "realised titles, float32: largest difference from the CPU",
        "all titles, float32: largest error", "tests on the card: skipped", "fine-tuning, smollm2-135m-first-4-layers",
        "fine-tuning, random Llama 128 wide, 2 of 2 layers", "realised titles, smollm2-135m-first-4-layers, float32,",
        "all titles, smollm2-135m-first-4-layers, float32; peer every prompt", "realised titles, random Llama",
        "all titles, random Llama 128 wide, 2 of 2 layers, float32; peer every prompt", "weights, smollm2",
        "all titles, smollm2-135m-first-4-layers, 8bit; peer",
        "realised titles, random Llama 128 wide, 2 of 2 layers, 4bit;",
    ):  # fmt: skip
        assert any(name.startswith(start) for name in rows), start
    assert rows["tests on the card: failed"]["value"] == 0
    rate = rows["matrix products in bfloat16"]["value"]
    arithmetic = [row for row in rows.values() if row["unit"] == "TFLOP/s" and row["peer"] is not None]
    assert len(arithmetic) == 7
    assert all(row["ratio"] == pytest.approx(row["value"] / rate, rel=2e-3) for row in arithmetic)
    assert len(models.benchmark_table("tab-speed-gpu", tmp_path / "stored").frame) == len(rows)


def test_parts_of_the_benchmark_of_a_card_go_on_where_they_stopped_and_half_the_size_is_tried_once(
    script, tmp_path: Path
) -> None:
    gpu, row = script("gpu"), {"name": "a", "value": 1.0, "unit": "s", "peer": None, "ratio": None}

    def given(run: Any, part: str, *items: object) -> bool:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        for item in items:
            sender.send(item)
        sender.close()
        return bool(run._follow(part, receiver))

    plan, parts = script("gpu_models").QUICK, ["card", "exactness", "tests"]
    run = gpu.Run(parts, plan, 1.0, tmp_path, "one")
    assert given(run, "card", row, "said", None)
    assert not given(run, "exactness", row, MemoryError("all is taken"))
    assert run.found["exactness"].ended == "" and run._plans["exactness"].tokens == plan.tokens // 2
    assert not given(run, "exactness", row, MemoryError("all is taken"))
    assert not given(run, "tests", row)  # its process was killed
    assert run.lines() == [
        "card: said", "exactness: memory did not suffice (all is taken): measured at half the size",
        "exactness: all is taken", "tests: its process was killed",
    ]  # fmt: skip
    assert run.rows() == [row] * 3
    again = gpu.Run(parts, plan, 0.0, tmp_path, "one")
    assert [again.found[part].rows for part in parts] == [[row], [], []]
    again.measure()
    assert again.lines()[1:] == [f"{part}: not reached in the time" for part in parts[1:]]
    other = gpu.Run(parts, plan, 0.0, tmp_path, "another card")
    assert not any(found.rows for found in other.found.values())


def test_without_a_card_the_benchmark_of_one_says_so(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"PyTorch sees no card\. .*--device cpu --quick"):
        run("gpu")


def test_careers_to_be_trained_on_are_always_the_same_and_padding_is_counted(
    script, tiny_model_folder: Path
) -> None:
    benchmark = script("fine_tuning")
    one, two = (benchmark.simulated_resumes(12, str(tiny_model_folder)) for _ in range(2))
    assert [career.ids.tolist() for career in one] == [career.ids.tolist() for career in two]
    assert len(one) == 12 and all(1 <= len(career.spans) <= 25 for career in one)
    assert len({len(career.ids) for career in one}) > 6
    # Lengths 1 and 3 in one batch fill four of six places.
    assert [benchmark.padding([1, 3], size) for size in (2, 1)] == [pytest.approx(1 / 3), 0]


def test_a_comparison_is_read_as_it_was_stored_and_none_of_few_workers_is(
    script, tmp_path: Path, chain_panel: CareerPanel, chain_model: type
) -> None:
    store = script("survey_comparison").store_comparison
    panels = [chain_panel, chain_panel.restrict(chain_panel.workers[:10])]
    models = (chain_model(name="first"), chain_model(heat=2.0, name="second"))
    enough, few = ([model.predict(panel) for model in models] for panel in panels)
    store(tmp_path / "run", enough, "second", {"survey": "ACME"}, 100)
    read = read_comparison(tmp_path / "run")
    assert read.about == {"survey": "ACME", "reference": "second", "draws": 100}
    expected = (
        bootstrap_perplexity(enough, 100, 1), bootstrap_perplexity(enough, 100, 1, by="transition_type"),
        bootstrap_differences(enough, "second", 100, 1),
    )  # fmt: skip
    for got, table in zip(read, expected, strict=False):
        pd.testing.assert_frame_equal(got, table, check_dtype=False)
    changed = tmp_path / "run" / "perplexity.csv"
    changed.write_text(changed.read_text().replace("first", "other"))
    with pytest.raises(ArtefactError, match=r"perplexity\.csv"):
        read_comparison(tmp_path / "run")
    with pytest.raises(InputError, match="rests on 10 workers"):
        store(tmp_path / "few", few, "second", {}, 100)
    assert not (tmp_path / "few").exists()


@pytest.mark.slow  # eight models, one of them fine-tuned
def test_all_models_are_compared_on_the_same_workers_of_a_survey(
    script, run, tmp_path: Path, tiny_model_folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    comparison = script("survey_comparison")
    small = comparison.CAREER.model_copy(update={"layers": 1, "width": 16, "inner_width": 32, "epochs": 2})
    monkeypatch.setattr(comparison, "CAREER", small)
    write_simulated_survey(tmp_path / "survey", "nlsy79", 150, 1)
    model = Path(shutil.copytree(tiny_model_folder, tmp_path / "model"))
    config = json.loads((model / "config.json").read_text())
    # Careers of a simulated survey are longer than the other tests'.
    (model / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    asked = [
        "--raw", tmp_path / "survey" / RAW, "--crosswalks", tmp_path / "survey" / CROSSWALKS, "--other-crosswalks",
        "--work", tmp_path / "work", "--store", tmp_path / "stored", "--train", 20, "--validation", 11, "--test", 20,
        "--simulated", 60, "--draws", 100, "--base", model, "--label", "Tiny",
    ]  # fmt: skip
    run("survey_comparison", *asked)
    assert "Multinomial logit" in capsys.readouterr().err
    found = read_comparison(tmp_path / "stored")
    models = found.perplexity["model"].tolist()
    assert models[-3:] == ["CAREER", "CAREER, transfer", "Tiny, fine-tuned"] and len(models) == 8
    assert set(found.perplexity["workers"]) == {20}
    assert set(found.differences["model"]) == set(models[:-1])
    assert found.about["train"] == 20
    # Nothing of it is done twice, and a request for something else is not answered with what is there.
    run("survey_comparison", *asked)
    assert "Multinomial logit" not in capsys.readouterr().err
    with pytest.raises(SystemExit, match="made with other arguments"):
        run("survey_comparison", *asked, "--train", 21)
