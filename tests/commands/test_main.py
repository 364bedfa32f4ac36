"""The command as a user meets it: exit status, one message without a traceback, and results that are there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer

from labor_llm import __version__
from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, split_workers, transitions, write_panel
from labor_llm.careers.predictions import read_predictions
from labor_llm.commands import main as cli
from labor_llm.store.artefacts import verify


@pytest.fixture
def careers(tmp_path: Path, records: pd.DataFrame, outcomes: OutcomeSpace) -> Path:
    """A user's careers with the titles beside them."""
    records.to_csv(tmp_path / "careers.csv", index=False)
    outcomes.frame().to_csv(tmp_path / "titles.csv", index=False)
    return tmp_path / "careers.csv"


@pytest.fixture(scope="module")
def panel_folder(tmp_path_factory: pytest.TempPathFactory, panel: CareerPanel) -> Path:
    folder = tmp_path_factory.mktemp("artefacts") / "panel"
    write_panel(folder, panel, split_workers(panel, seed=1))
    return folder


@pytest.fixture
def places(tmp_path: Path, careers: Path, panel_folder: Path, tiny_model_folder: Path) -> dict[str, Path]:
    """What words in capital letters stand for in the arguments of a command."""
    damaged = Path(shutil.copytree(panel_folder, tmp_path / "damaged"))
    with open(damaged / "titles.csv", "a") as file:
        file.write("999,Spies\n")
    return {
        "CSV": careers, "PANEL": panel_folder, "DAMAGED": damaged, "MODEL": tiny_model_folder, "OUT": tmp_path / "out",
        "NOTEBOOK": Path(__file__).parents[2] / "notebooks" / "02_data_description.ipynb",
    }  # fmt: skip


def one_message(error_stream: str) -> str:
    """The last line of the error stream, before which only bars of progress may stand."""
    *before, message = error_stream.splitlines()
    assert message.startswith("labor-llm: ")
    assert [line for line in before if line and "%|" not in line] == []
    return message


def test_validate_says_what_a_good_panel_holds(run, careers, panel):
    assert run("--version") == (0, f"labor-llm {__version__}\n", "")
    code, out, err = run("validate", careers, "--titles", careers.with_name("titles.csv"))
    moves = (transitions(panel)["transition_type"] == "moving").sum()
    assert (code, err) == (0, "")
    assert out == (
        f"{careers}: 160 workers, 640 records from 1980 to 1987, 8 of 8 occupations, {moves} moves. "
        "The panel is valid.\n"
    )


def test_the_installed_command_names_the_row_without_a_traceback(careers):
    careers.write_text(careers.read_text().replace("w000,1980,", "w000,,", 1))
    command = [sys.executable, "-m", "labor_llm.commands.main", "validate", careers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    start = f"labor-llm: {careers}, row 2, column year: '' is not a calendar year"
    assert done.stderr.startswith(start) and done.stderr.count("\n") == 1


GIVEN = "--panel PANEL --model MODEL --out OUT"
REFUSED = [
    ("scoer", 2, "No such command 'scoer'"),
    ("score --pannel x", 2, "No such option"),
    ("score --titles some", 2, "Invalid value for '--titles'"),
    ("score --split tset", 2, "Invalid value for '--split'"),
    ("validate", 2, "Missing argument"),
    ("replicate --cores 0", 2, "Invalid value for '--cores'"),
    ("finetune --panel x --model y --out z --epochs 1.5", 2, "Invalid value for '--epochs'"),
    ("finetune GIVEN --learning-rate 0", 3, "learning_rate: 0.0 should be greater"),
    ("finetune GIVEN --quantization 4bit", 3, "cannot be trained in full; use method lora"),
    ("score --panel PANEL --model smolm --out OUT", 3,
     "smolm: no such model. Name a packaged one (smollm2-135m-instruct, "),
    ("score GIVEN --named stay", 3, "--named goes with --titles named"),
    ("score GIVEN --titles named --named spy", 3, "'spy' is no title that can be asked"),
    ("score --panel PANEL --model MODEL --out MODEL --replace", 3, "which is read"),
    ("score --panel CSV --model MODEL --out OUT --survey <b>", 3, "The survey's name '<b>' holds markup"),
    ("score --panel DAMAGED --model MODEL --out OUT", 4, "damaged/titles.csv: "),
    *((f"notebook NOTEBOOK OUT --parameters {given}", 3, "--parameters ") for given in ("{", "[1]", "1", '"seed"')),
    ('notebook NOTEBOOK OUT --parameters {"dataset":"x"}', 3, "no parameter 'dataset' (did you mean 'datasets'?)"),
    *((f"{command} --profile dmeo", 3, "dmeo: no such profile. Packaged are: demo")
      for command in ("predict", "replicate", "book", "archive --out OUT")),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "status", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_a_refusal_is_one_message_and_leaves_nothing(run, tmp_path, places, arguments, status, message):
    before = sorted(tmp_path.rglob("*")), places["NOTEBOOK"].read_bytes()
    code, out, err = run(*(places.get(word, word) for word in arguments.replace("GIVEN", GIVEN).split()))
    assert (code, out) == (status, "")
    assert message in (err if status == 2 else one_message(err))
    assert "Traceback" not in err
    assert (sorted(tmp_path.rglob("*")), places["NOTEBOOK"].read_bytes()) == before


def test_every_option_has_help_and_only_files_to_be_read_or_written_must_be_given():
    commands = typer.main.get_command(cli.app).commands
    assert sorted(commands) == [
        "archive", "book", "check", "convert", "fetch", "finetune", "notebook", "predict", "replicate", "score",
        "store", "validate", "variables",
    ]  # fmt: skip
    parameters = {
        (name, option.name): option for name, command in commands.items() for option in command.params
    }
    assert [key for key, option in parameters.items() if not option.help] == []
    assert {key for key, option in parameters.items() if option.required} == {
        ("validate", "panel"), ("notebook", "source"), ("notebook", "executed"), ("variables", "survey"),
        ("convert", "survey"), ("convert", "raw"), ("convert", "crosswalks"), ("convert", "out"), ("archive", "out"),
    }  # fmt: skip
    assert all(command.help for command in commands.values())


def test_score_all_titles_of_the_test_workers_of_a_csv(run, tmp_path, careers, panel, tiny_model_folder):
    """The survey's name is part of the prompt, so it changes the scores."""
    scoring = ["score", "--panel", careers, "--model", tiny_model_folder, "--out"]
    code, out, _ = run(*scoring, tmp_path / "scores" / "tiny", "--titles", "all")
    assert code == 0
    table = read_predictions(tmp_path / "scores" / "tiny").table
    test_workers = {worker for worker, split in split_workers(panel, 1).items() if split == "test"}
    expected = panel.restrict(test_workers).frame
    assert table[["worker_id", "year", "occupation"]].equals(expected[["worker_id", "year", "occupation"]])
    assert set(table["dataset"]) == {"careers"} and table["log_valid_mass"].notna().all()
    assert out == (
        f"{tmp_path / 'scores' / 'tiny'}: {len(table)} transitions of 32 workers, "
        f"perplexity {np.exp(-table['log_prob'].mean()):.3f}.\n"
    )
    assert os.listdir(tmp_path / "scores") == ["tiny"]
    assert run(*scoring, tmp_path / "other", "--survey", "PSID")[0] == 0
    assert not np.allclose(read_predictions(tmp_path / "other").table["log_prob"], table["log_prob"])


def test_titles_by_name_and_bounded_titles(run, tmp_path, panel_folder, tiny_model_folder):
    scoring = ["score", "--panel", panel_folder, "--model", tiny_model_folder, "--out"]
    code, out, _ = run(*scoring, tmp_path / "named", "--titles", "named", "--named", "stay", "--named", "006")
    table = read_predictions(tmp_path / "named").table
    assert code == 0
    assert out.splitlines()[1:] == [
        f"{name}: mean probability {np.exp(table[f'log_prob_{name}']).mean():.3f}."
        for name in ("stay", "006")
    ]
    bounds = ["--titles", "all", "--tolerance", 0.2, "--memory-mib", 64]
    assert run(*scoring, tmp_path / "bounded", *bounds)[0] == 0
    bounded = read_predictions(tmp_path / "bounded")
    assert (bounded.table["unresolved"] <= 0.2).all() and bounded.upper is not None
    assert run(*scoring, tmp_path / "some", "--test-workers", 12)[0] == 0
    some = read_predictions(tmp_path / "some").table["worker_id"]
    assert some.nunique() == 12 and set(some) < set(table["worker_id"])


def test_a_finished_result_is_replaced_only_if_asked(run, tmp_path, panel_folder, tiny_model_folder):
    """Neither by other options nor by a result of another kind."""
    scoring = ["score", "--panel", panel_folder, "--model", tiny_model_folder]
    assert run(*scoring, "--out", tmp_path / "out")[0] == 0
    before = verify(tmp_path / "out")
    for other in (
        [*scoring, "--split", "everyone"],
        ["finetune", "--panel", panel_folder, "--model", tiny_model_folder, "--epochs", 1],
    ):
        code, _, err = run(*other, "--out", tmp_path / "out")
        assert code == 3 and "holds a finished result that other options" in one_message(err)
    assert verify(tmp_path / "out") == before
    assert run(*scoring, "--out", tmp_path / "out")[0] == 0
    assert run(*scoring, "--split", "everyone", "--out", tmp_path / "out", "--replace")[0] == 0
    assert verify(tmp_path / "out") != before


def test_one_worker_can_be_scored_and_coarser_arithmetic_tells_its_error(
    run, tmp_path, panel, tiny_model_folder
):
    one = panel.restrict(panel.workers[:1])
    one.frame.to_csv(tmp_path / "one.csv", index=False)
    one.outcomes.frame().to_csv(tmp_path / "titles.csv", index=False)
    scoring = ["score", "--panel", tmp_path / "one.csv", "--model", tiny_model_folder, "--split", "everyone"]
    code, out, _ = run(*scoring, "--out", tmp_path / "out", "--dtype", "bfloat16")
    assert code == 0 and "transitions of 1 workers" in out
    assert re.search(r"The arithmetic is bfloat16: .* differ from those in float32 by \S+ nats at most", out)


def test_finetune_then_score_the_result(run, tmp_path, panel_folder, tiny_model_folder):
    tuned, panel = tmp_path / "tuned", ["--panel", panel_folder]
    schedule = ["--epochs", 1, "--learning-rate", 5e-3, "--batch-size", 8, "--precision", "float32"]
    code, out, _ = run("finetune", *panel, "--model", tiny_model_folder, "--out", tuned, *schedule)
    assert (code, out) == (0, f"{tuned}: fine-tuned model stored.\n")
    assert verify(tuned)["parameters"]["learning_rate"] == 5e-3
    for model, name in ((tiny_model_folder, "off"), (tuned, "fine")):
        assert run("score", *panel, "--model", model, "--out", tmp_path / name)[0] == 0
    before, after = (read_predictions(tmp_path / name) for name in ("off", "fine"))
    assert (before.log_probs, after.model) == (None, "tuned")
    assert after.table["log_prob"].mean() > before.table["log_prob"].mean() + 1
    assert sorted(os.listdir(tmp_path)) == ["fine", "off", "tuned"]


@pytest.mark.parametrize(
    ("before", "status", "message"),
    [
        ("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (4, 4))", 6, "The system grants no more"),
        ("os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')", 3, "The folder in which you are has been removed"),
    ],
)  # fmt: skip
def test_a_place_or_system_that_gives_nothing_is_one_message(tmp_path, before, status, message):
    program = f"import os\nfrom labor_llm.commands import main as cli\n{before}\ncli.main()"
    command = [sys.executable, "-c", program, "variables", "psid"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == status
    assert message in one_message(done.stderr)


PLACES = (
    "convert psid --raw CSV --crosswalks NOTEBOOK --out", "finetune --panel PANEL --model MODEL --out",
    "score --panel PANEL --model MODEL --out", "variables nlsy97 --out", "notebook NOTEBOOK",
    "archive --out",
)  # fmt: skip


@pytest.mark.parametrize("arguments", PLACES)
def test_no_command_writes_over_what_is_no_file_of_its_own(run, tmp_path, places, arguments):
    os.mkfifo(out := tmp_path / "place")
    listed = sorted(tmp_path.rglob("*"))
    code, _, err = run(*(places.get(word, word) for word in arguments.split()), out)
    assert code == 3 and re.search("left alone|is a file", one_message(err))
    assert out.is_fifo() and sorted(tmp_path.rglob("*")) == listed


@pytest.mark.parametrize(
    ("name", "message"),
    [("in.ipynb", "itself"), ("x/../in.ipynb", "itself"), ("hard.ipynb", "itself"), ("link.ipynb", "symbolic link"),
     ("another.ipynb", "no executed notebook"), ("thesis.txt", "no executed notebook")],
)  # fmt: skip
def test_a_notebook_is_not_written_over(run, tmp_path, places, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    for copy in ("in.ipynb", "another.ipynb"):
        shutil.copyfile(places["NOTEBOOK"], copy)
    os.link("in.ipynb", "hard.ipynb")
    os.symlink("in.ipynb", "link.ipynb")
    Path("thesis.txt").write_text("thesis")
    Path("x").mkdir()
    before = {path: path.read_bytes() for path in Path().glob("*.*") if path.is_file()}
    code, _, err = run("notebook", "in.ipynb", name)
    assert code == 3 and message in one_message(err)
    assert {path: path.read_bytes() for path in Path().glob("*.*") if path.is_file()} == before
