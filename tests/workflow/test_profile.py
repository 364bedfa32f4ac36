"""Profiles: the packaged one fits the notebooks, and a fault is one message with the file and the field."""

from __future__ import annotations

import copy
import functools
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
import yaml

from labor_llm.errors import InputError
from labor_llm.finetuning.settings import FineTuningSettings
from labor_llm.settings import SettingError
from labor_llm.store.results import open_results, project_root
from labor_llm.workflow.parameters import GROUPS, checked_parameters, declared_parameters, group_of_settings
from labor_llm.workflow.profile import Profile, load_profile
from labor_llm.workflow.runs import notebook_runs

PACKAGED = (
    "demo",
    "nlsy79",
    "nlsy79_part",
    "nlsy97",
    "own_careers",
    "paper",
    "psid81",
    "rehearsal",
)
GOOD: dict[str, Any] = {
    "description": "Invented",
    "split_seed": 1,
    "datasets": {
        "wage_panel": {"label": "NLSY79 men"},
        "own": {"label": "Ours", "survey": "ACME", "panel": "data/careers.csv", "titles": "data/titles.csv"},
        "survey": {
            "label": "Survey", "reader": "nlsy79", "raw": "data/raw/x", "crosswalks": "data/raw/crosswalks",
            "column_map": "data/raw/map.csv", "options": {"first_age": 16}, "other_crosswalks": True,
        },
        "simulated": {"label": "Simulated", "reader": "psid", "simulated_workers": 120, "all_titles_workers": 11},
    },
    "language_models": {
        "small": {"label": "Small", "base": "smollm2-135m-instruct", "all_titles_workers": 12},
        "small-fine-tuned": {
            "label": "Small, fine-tuned", "base": "smollm2-135m-instruct",
            "fine_tuning": {"epochs": 2, "learning_rate": 5e-5, "precision": "float32"},
        },
    },
    "baselines": ["empirical-transitions"],
    "fine_tuned": "small-fine-tuned",
    "off_the_shelf": "small",
    "draws": 200,
    "bootstrap_seed": 3,
}  # fmt: skip
STUDIED = {
    "language_models.numeric": {"label": "Numeric", "resumes": {"titles": "numeric", "seed": 7}},
    "language_models.pooled": {
        "label": "Pooled", "training": {"workers": 50, "others": ["survey"], "share": 0.5}
    },
    "language_models.early": {"label": "Early", "training": {"last_year": 1984}},
    "language_models.as-many": {"label": "As many", "training": {"as_many_as_until": 1984}},
    "language_models.told": {
        "label": "Told", "fine_tuning": None, "prompt": {"form": "titles"}, "test_workers": 24
    },
}  # fmt: skip
STUDIES = {
    "titles": ["small-fine-tuned", "numeric"],
    "pooled_data": ["small-fine-tuned", "pooled"],
    "prompts": ["told"],
    "last_year": 1984,
    "until_last_year": {"early": "small-fine-tuned"},
    "as_many_records": {"early": "as-many"},
}
# A model of other titles, one of other careers, one that stops early, and the chapters on them.
VARIANTS = {
    **{path: GOOD["language_models"]["small-fine-tuned"] | model for path, model in STUDIED.items()},
    "studies": STUDIES,
}
SMALL, TUNED = "language_models.small", "language_models.small-fine-tuned"


def profile_file(folder: Path, changes: dict[str, Any] | None = None) -> Path:
    """A good profile with other values at some paths, such as `datasets.own.panel`; those with None are left out."""
    content = copy.deepcopy(GOOD)
    for path, value in copy.deepcopy(changes or {}).items():
        *groups, field = path.split(".")
        group = functools.reduce(lambda inner, key: inner.setdefault(key, {}), groups, content)
        group[field] = value
        if value is None:
            del group[field]
    (folder / "mine.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder / "mine.yaml"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        load_profile(str(path))
    message = str(refused.value)
    assert "\n" not in message
    return message.replace(str(path), path.name)


def test_a_good_profile_is_loaded_with_its_defaults(tmp_path: Path) -> None:
    got = load_profile(str(profile_file(tmp_path)))

    assert (got.name, got.results, got.draws, got.minutes) == ("mine", "results/mine", 200, {})
    assert (got.datasets["wage_panel"].panel, got.datasets["own"].survey) == ("", "ACME")
    small, fine_tuned = got.language_models.values()
    assert (small.fine_tuning, small.dtype, small.quantization, small.all_titles_workers) == (
        None, "float32", "none", 12,
    )  # fmt: skip
    assert fine_tuned.all_titles_workers == -1
    assert fine_tuned.fine_tuning == FineTuningSettings(epochs=2, learning_rate=5e-5, precision="float32")


@pytest.fixture(scope="module", params=[*PACKAGED, "every kind of entry"])
def profile(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """Every packaged profile, and one with own files and several data sets."""
    if request.param in PACKAGED:
        return load_profile(request.param)
    return load_profile(str(profile_file(tmp_path_factory.mktemp("profiles"))))


def test_every_run_passes_what_its_notebook_declares(profile: Profile) -> None:
    runs = notebook_runs(profile)
    for run in runs:
        path = project_root() / "notebooks" / f"{run.notebook}.ipynb"
        checked_parameters(nbformat.read(path, as_version=4), run.parameters, str(path))
    notebooks = {path.stem for path in (project_root() / "notebooks").glob("[0-9]*.ipynb")}
    left_out = notebooks - {run.notebook for run in runs}
    # These need models of their own.
    assert left_out - {*profile.leave_out} <= {"10_titles", "11_pooled_data", "15_structural_change"}
    assert not left_out or profile.name != "demo", "the demo runs every notebook"
    assert len({run.name for run in runs}) == len(runs)


def test_the_rehearsal_differs_from_the_paper_in_data_base_models_and_sizes_alone() -> None:
    paper, rehearsal = (load_profile(name) for name in ("paper", "rehearsal"))
    sizes = {"sizes", "career", "refits", "draws", "cores_per_run"}
    differing = {name for name, value in paper if getattr(rehearsal, name) != value}
    assert differing == {"name", "description", "results", "datasets", "language_models", *sizes}
    assert list(rehearsal.datasets) == list(paper.datasets)
    for name, entry in rehearsal.language_models.items():
        assert entry.base.startswith("invented")
        assert (
            entry.model_copy(update={"base": paper.language_models[name].base}) == paper.language_models[name]
        )
    of_paper, of_rehearsal = (notebook_runs(profile) for profile in (paper, rehearsal))
    assert [run.name for run in of_paper] == [run.name for run in of_rehearsal]
    for one, other in zip(of_paper, of_rehearsal, strict=True):
        assert one.parameters.keys() == other.parameters.keys(), one.name
        # What is simulated has its true probabilities beside the models'.
        makes = [path for path in other.makes if "oracle" not in path.parts]
        assert [path.name for path in one.makes] == [path.name for path in makes]


def test_profiles_of_surveys_run_every_chapter_that_one_survey_bears() -> None:
    for name in ("psid81", "nlsy79", "nlsy97"):
        notebooks = {run.notebook for run in notebook_runs(load_profile(name))}
        assert len(notebooks) == 21 and "11_pooled_data" not in notebooks, name


def test_sizes_scale_all_of_a_profile(tmp_path: Path) -> None:
    told = {"sizes": {"share": 0.5, "steps": 3, "arithmetic": "float32", "all_titles_workers": 11},
            "datasets.own.share": 0.4, f"{SMALL}.dtype": "bfloat16"}  # fmt: skip
    runs = {
        run.name: run.parameters for run in notebook_runs(load_profile(str(profile_file(tmp_path, told))))
    }
    shares = {
        name: runs[f"01_data_conversion-{name}"]["source"].get("share", 1.0) for name in GOOD["datasets"]
    }
    assert shares == {"wage_panel": 0.5, "own": 0.2, "survey": 0.5, "simulated": 1.0}
    trained = runs["04_fine_tuning-own-small-fine-tuned"]["fine_tuning"]
    assert (trained["steps"], trained["precision"]) == (3, "float32")
    for name in ("small", "small-fine-tuned"):
        scoring = runs[f"05_next_job_scoring-wage_panel-{name}"]["scoring"]
        assert (scoring["all_titles_workers"], scoring["dtype"]) == (11, "float32")


def test_a_profile_like_another_has_its_fields_but_for_its_own(tmp_path: Path) -> None:
    (tmp_path / "tenth.yaml").write_text(
        "like: nlsy79\nsizes: {share: 0.1}\nbases: {smollm2-135m-instruct: a/b}\n"
    )
    # Which is itself like the other one.
    got, theirs, first = (load_profile(n) for n in (str(tmp_path / "tenth.yaml"), "nlsy79", "psid81"))
    assert (got.datasets, got.studies) == (theirs.datasets, first.studies)
    assert (got.name, got.results, got.sizes.share) == ("tenth", "results/tenth", 0.1)
    assert {entry.base for entry in got.language_models.values()} == {"a/b"}


def test_profiles_that_are_like_each_other_are_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("labor_llm.workflow.profile._PACKAGED", tmp_path)
    for name, other in (("one", "two"), ("two", "three"), ("three", "two")):
        (tmp_path / f"{name}.yaml").write_text(f"like: {other}\n")
    assert refusal(tmp_path / "one.yaml").endswith(
        "three.yaml: like is 'two', which is itself like this one."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like: nothing\n", "like is 'nothing', which is no packaged profile"),
        ("like: psid81\nbases: {gpt2: a/b}\n", "bases: 'gpt2' is the base of no model there"),
        ("like: psid81\nbases: a/b\n", "bases: give one for another"),
        ("like: psid81\nsizes: {shares: 0.1}\n", "sizes.shares: no such field; did you mean 'share'"),
        ("like: psid81\nsizes: {share: 0}\n", "sizes.share: 0 should be greater than 0"),
        ("bases: {gpt2: a/b}\n", "bases stands for base models of the profile that it is `like`"),
    ],
)
def test_what_a_profile_cannot_be_like_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert message in refusal(tmp_path / "mine.yaml")


def test_parameters_are_of_a_notebook_or_a_run_and_do_not_stand_for_other_fields() -> None:
    def runs(parameters: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        profile = load_profile("demo").model_copy(update={"parameters": parameters})
        return {run.name: run.parameters for run in notebook_runs(profile)}

    found = runs({"13_horizons": {"bins": 5}, "13_horizons-wage_panel": {"language_model_questions": 14}})
    assert {name: found[name]["bins"] for name in found if name.startswith("13")} == {
        "13_horizons-wage_panel": 5, "13_horizons-simulated_psid": 5,
    }  # fmt: skip
    assert found["13_horizons-wage_panel"]["questions"] == 50, "as sizes say"
    assert found["13_horizons-wage_panel"]["language_model_questions"] == 14
    # The language model was not fine-tuned on these careers.
    assert found["13_horizons-simulated_psid"]["language_model_questions"] == 0
    with pytest.raises(InputError, match="'language_model_questions' of 13_horizons follows from"):
        runs({"13_horizons": {"language_model_questions": 12}})
    with pytest.raises(InputError, match="'13_horizon' is no notebook"):
        runs({"13_horizon": {"bins": 5}})


def test_a_chapter_waits_for_all_that_it_reads() -> None:
    """Runs may go on side by side, so that the order of the list alone does not make one wait for another."""

    def needs(parameters: dict[str, dict[str, Any]]) -> dict[str, set[str]]:
        profile = load_profile("demo").model_copy(update={"parameters": parameters})
        folder = open_results(profile.results).root
        return {
            run.name: {
                str(path.parent.relative_to(folder)) for path in run.needs if path.is_relative_to(folder)
            }
            for run in notebook_runs(profile)
        }

    usual = needs({})
    for number in ("12_history_length", "13_horizons", "14_demographics", "16_embeddings"):
        chapter = f"{number}-wage_panel"
        assert usual[chapter] >= {
            "wage_panel/panel", "wage_panel/models/career", "wage_panel/models/smollm2-fine-tuned",
            "wage_panel/predictions/smollm2-fine-tuned", "wage_panel/predictions/career",
        }  # fmt: skip
        assert not any(name.startswith("simulated_psid") for name in usual[chapter])
    assert "wage_panel/models/smollm2-numeric-titles" in usual["10_titles-wage_panel"]
    # What a profile says in place of what follows from its fields may make a chapter read anything.
    chapter = "14_demographics-wage_panel"
    told = needs({chapter: {"datasets": ["wage_panel", "simulated_psid"]}})
    assert told[chapter] >= usual[chapter] | {"simulated_psid/predictions/career"}


def test_a_run_that_is_told_otherwise_still_needs_the_files_of_its_user(tmp_path: Path) -> None:
    told = {"parameters": {"01_data_conversion-own": {"split_seed": 9}}}
    usual, other = (
        {run.name: run for run in notebook_runs(load_profile(str(profile_file(tmp_path, changes))))}
        for changes in ({}, told)
    )
    needed = usual["01_data_conversion-own"].needs
    assert needed
    assert set(other["01_data_conversion-own"].needs) >= set(needed)


@pytest.mark.parametrize(("own", "threads"), [(None, 4), (1, 1), (2, 2), (8, 4)])
def test_a_run_takes_all_cores_unless_the_profile_says_how_many(
    tmp_path: Path, own: int, threads: int
) -> None:
    assert load_profile(str(profile_file(tmp_path, {"cores_per_run": own}))).threads(4) == threads


@pytest.mark.parametrize("notebook", ["04_fine_tuning", "05_next_job_scoring"])
def test_a_notebook_can_be_told_everything_that_a_profile_can_say(notebook: str) -> None:
    path = project_root() / "notebooks" / f"{notebook}.ipynb"
    declared = set(declared_parameters(nbformat.read(path, as_version=4)))
    runs = [run for run in notebook_runs(load_profile("demo")) if run.notebook == notebook]
    assert {name for run in runs for name in run.parameters} == declared
    for name in declared & set(GROUPS):
        fields = set(group_of_settings(name).model_fields)
        assert all(set(run.parameters[name]) == fields for run in runs), name


def test_notebooks_alone_run_the_demo() -> None:
    """papermill without parameters gives the demo, in a folder of its own that leaves its results alone."""
    demo = load_profile("demo")
    for path in (project_root() / "notebooks").glob("[0-9]*.ipynb"):
        declared = declared_parameters(nbformat.read(path, as_version=4))
        values = {name: parameter.default for name, parameter in declared.items()}
        assert values["results"] == "results/by-hand" != demo.results, path
        assert values.get("dataset", "wage_panel") in demo.datasets, path
        assert values.get("datasets", ["wage_panel"])[0] == next(iter(demo.datasets)), path
        assert values.get("fine_tuned", demo.fine_tuned) == demo.fine_tuned, path
        assert values.get("off_the_shelf", demo.off_the_shelf) == demo.off_the_shelf, path
        bootstrap = {"draws": demo.draws, "seed": demo.bootstrap_seed}
        assert values.get("bootstrap", bootstrap) == bootstrap, path


def test_chapters_are_run_on_all_data_sets_that_their_models_are_run_on(tmp_path: Path) -> None:
    on_two = {f"{path}.datasets": ["wage_panel", "survey"] for path in ("language_models.numeric", TUNED)}
    told = {**VARIANTS, **on_two, f"{SMALL}.datasets": ["wage_panel", "survey"]}
    names = {run.name: run for run in notebook_runs(load_profile(str(profile_file(tmp_path, told))))}
    for dataset in ("wage_panel", "survey"):
        for chapter in ("10_titles", "12_history_length", "13_horizons", "14_demographics", "16_embeddings"):
            parameters = names[f"{chapter}-{dataset}"].parameters
            assert dataset in (parameters.get("dataset"), parameters.get("permuted_dataset"))
    assert names["12_history_length-survey"].parameters["model"].endswith("survey/models/small-fine-tuned")
    # Pooled data and years are compared on the first, where those models are; a simulated survey has its truth.
    assert [name for name in names if name.startswith(("11", "15"))] == [
        "11_pooled_data-wage_panel", "15_structural_change-wage_panel",
    ]  # fmt: skip
    assert "13_horizons-simulated" in names and "12_history_length-simulated" not in names


def test_models_of_a_study_are_run_and_compared_in_its_chapter_alone(tmp_path: Path) -> None:
    got = load_profile(str(profile_file(tmp_path, VARIANTS)))
    runs = {run.name: run.parameters for run in notebook_runs(got)}

    assert got.compared_models == ["small", "small-fine-tuned"]
    assert "numeric" not in runs["07_main_comparison"]["models"]
    assert runs["10_titles-wage_panel"]["variants"] == ["numeric"]
    assert runs["10_titles-wage_panel"]["title_seed"] == 7
    assert runs["11_pooled_data-wage_panel"]["reference"] == "small-fine-tuned"
    assert runs["08_value_of_fine_tuning"]["prompted"] == ["told"]
    assert runs["15_structural_change-wage_panel"]["models_until"] == ["early"]
    assert runs["15_structural_change-wage_panel"]["models_as_many"] == ["as-many"]
    tuned = runs["04_fine_tuning-wage_panel-pooled"]
    assert {"workers": 50, "others": ["survey"], "share": 0.5}.items() <= tuned["training"].items()
    assert runs["05_next_job_scoring-wage_panel-numeric"]["resumes"]["titles"] == "numeric"
    assert "05_next_job_scoring-own-numeric" not in runs
    panels = {path for run in notebook_runs(got) if run.name.startswith("04_fine_tuning-wage_panel-pooled")
              for path in run.needs}  # fmt: skip
    assert {path.parent.parent.name for path in panels} == {"wage_panel", "survey"}


REFUSED = [
    # Fields alone.
    ({"drawss": 100}, "drawss", "no such field"),
    ({"draws": None}, "draws", "is missing"),
    ({"draws": "200"}, "draws", "integer"),
    ({"draws": 200.5}, "draws", "integer"),
    ({"draws": True}, "draws", "integer"),
    ({"draws": 99}, "draws", "100"),
    ({"description": ""}, "description", "1 character"),
    ({"split_seed": "one"}, "split_seed", "integer"),
    ({"cores_per_run": 0}, "cores_per_run", "greater than or equal to 1"),
    ({"baselines": "multinomial-logit"}, "baselines", "list"),
    ({"baselines": ["logit"]}, "baselines.0", "multinomial-logit"),
    # The comparison of the landing page is with the best of them.
    ({"baselines": []}, "baselines"),
    ({"baselines": ["multinomial-logit", "multinomial-logit"]}, "baselines"),
    ({"refitted": ["small"]}, "refitted names 'small', which is neither among baselines nor"),
    # Data sets.
    ({"datasets": {}}, "datasets", "at least 1"),
    ({"datasets": {"My Data": {"label": "x"}}}, "datasets.My Data", "must be lower-case letters"),
    ({"datasets": {1980: {"label": "x"}}}, "datasets.1980", "so it needs files"),
    ({"datasets.x": {"label": "x"}}, "datasets.x", "so it needs files"),
    ({"datasets.own.titles": None}, "datasets.own", "both of its files: panel (careers) and titles"),
    ({"datasets.own.file": "y"}, "datasets.own.file", "no such field"),
    ({"datasets.own.language_models": ["absent"]}, "datasets.own names 'absent'"),
    ({"datasets.own.all_titles_workers": 3}, "datasets.own.all_titles_workers", "at least 11, -1 for all or 0 for"),
    ({"datasets": {"wage_panel": {"label": "x", "all_titles_workers": 0}}}, "datasets", "is 0 everywhere"),
    ({"datasets.simulated.simulated_workers": 20}, "datasets.simulated.simulated_workers", "give at least 110"),
    ({"datasets.survey.crosswalks": None}, "datasets.survey", "needs raw and crosswalks"),
    ({"datasets.simulated.options": {"aged": 3}}, "datasets.", "'aged' is no option of psid"),
    # Language models.
    ({"fine_tuned": "other"}, "fine_tuned", "'other', which is not among language_models"),
    ({"off_the_shelf": "other"}, "off_the_shelf", "'other', which is not among language_models"),
    ({f"{SMALL}.all_titles_workers": -2}, f"{SMALL}.all_titles_workers", "-1"),
    ({f"{SMALL}.line_ends": "needed"}, "language_models: line_ends must be the same for all", "compared"),
    ({f"{SMALL}.memory_mib": 0}, f"{SMALL}.memory_mib", "1"),
    ({f"{SMALL}.dtype": "float16"}, f"{SMALL}.dtype", "'float32' or 'bfloat16'"),
    ({f"{SMALL}.quantization": "2bit"}, f"{SMALL}.quantization", "'8bit'"),
    ({f"{SMALL}.bsae": "x"}, f"{SMALL}.bsae", "no such field"),
    ({f"{SMALL}.base": 7}, f"{SMALL}.base", "string"),
    # Neither packaged, nor a folder, nor of the form of a hub id.
    ({f"{SMALL}.base": "smollm2-135m-instrct"}, f"{SMALL}.base", "'smollm2-135m-instrct'", "smollm2-135m-instruct"),
    ({f"{SMALL}.test_workers": 5}, f"{SMALL}.test_workers: 5 is too few; published numbers rest on 11 persons"),
    ({f"{SMALL}.training": {"workers": 50}}, "training says what a model is fine-tuned on"),
    ({f"{SMALL}.datasets": ["own"]}, f"{SMALL} must be run on wage_panel, the first data set"),
    ({f"{SMALL}.datasets": ["elsewhere"]}, "'elsewhere', which is not among datasets"),
    ({f"{SMALL}.fine_tuning": "full"}, f"{SMALL}.fine_tuning", "dictionary"),
    ({f"{TUNED}.fine_tuning.epoch": 1}, f"{TUNED}.fine_tuning.epoch: no such field"),
    ({f"{TUNED}.fine_tuning.epochs": 0}, f"{TUNED}.fine_tuning.epochs", "greater than or equal to 1"),
    ({f"{TUNED}.fine_tuning.epochs": True}, "epochs", "integer"),
    ({f"{TUNED}.fine_tuning.method": "adapter"}, "method", "'full' or 'lora'"),
    ({f"{TUNED}.fine_tuning.learning_rate": 2.0}, "learning_rate", "less than 1"),
    # Predictions are stored by these names, so a language model would overwrite a baseline.
    ({"language_models.empirical-transitions": {"label": "x", "base": "smollm2-135m-instruct"}},
     "empirical-transitions"),
    # Tables and bootstrap tell models by their labels.
    ({f"{SMALL}.label": "small,  FINE-tuned"}, f"{TUNED}.label: the label", "stands for another one too"),
    ({f"{SMALL}.label": "Bag of jobs"}, f"{SMALL}.label: the label"),
    ({f"{SMALL}.label": "Logit on embeddings"}, f"{SMALL}.label: the label"),
    ({f"{SMALL}.label": "Test workers"}, f"{SMALL}.label: the label"),
    ({"datasets.own.label": "Characteristic"}, "datasets.own.label: the label"),
    ({"datasets.own.label": "Survey"}, "datasets.survey.label: the label"),
    ({"language_models.oracle": {"label": "x", "base": "smollm2-135m-instruct"}}, "oracle has the name of"),
    # Baselines are scored on all test workers.
    ({f"{TUNED}.test_workers": 24}, f"{TUNED}.test_workers is 24, but the main comparison is of the same"),
    ({"minutes": {"04_fine_tuning": float("inf")}}, "minutes.04_fine_tuning", "finite number"),
    # The two models of the text: one base with and without fine-tuning.
    ({f"{TUNED}.resumes": {"birth_year": False}}, f"{TUNED}.resumes", "in studies.titles"),
    ({f"{TUNED}.prompt": {"form": "titles"}}, f"{TUNED}.prompt", "another model", "in studies.titles"),
    ({"fine_tuned": "small", "off_the_shelf": "small-fine-tuned"}, "fine_tuned must name a model with fine_tuning"),
    ({"fine_tuned": "small"}, "fine_tuned must name a model with fine_tuning"),
    ({f"{SMALL}.base": "tests"}, "fine_tuned must name a model with fine_tuning"),
    # Sizes that notebooks would refuse hours later.
    *(({f"sizes.{field}": 10}, f"sizes.{field}: 10 is too few; give at least 11, or -1 for all")
      for field in ("all_titles_workers", "mixture_workers", "history_workers", "permuted_workers")),
    ({"sizes.mixture_workers": 0}, "sizes.mixture_workers: 0 is too few"),
    # Studies that could not be run.
    (VARIANTS | {"studies.titles": ["small-fine-tuned", "absent"]}, "'absent', which is not among language_models"),
    (VARIANTS | {"studies.titles": ["small-fine-tuned"]}, "studies.titles must name two models at least"),
    (VARIANTS | {"studies.last_year": 1990}, "training.last_year of early must be studies.last_year, 1990"),
    *((VARIANTS | {f"language_models.early.{field}": value}, "early must be", "as small-fine-tuned is; they differ in "
       + field.split(".")[0]) for field, value in {
        "base": "someone/model", "training.seed": 2, "resumes": {"birth_year": False}, "dtype": "bfloat16",
        "prompt": {"form": "titles"}, "fine_tuning": {"epochs": 1},
    }.items()),
    (VARIANTS | {f"{TUNED}.training": {"last_year": 1986}}, "they differ in training"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "parts"),
    [(case[0], case[1:]) for case in REFUSED],
    ids=[" ".join(case[1:]) for case in REFUSED],
)
def test_what_would_fail_or_mislead_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], parts: tuple[str, ...]
) -> None:
    message = refusal(profile_file(tmp_path, changes))
    assert re.match(r"mine\.yaml(, line \d+)?: ", message)
    assert [part for part in parts if part not in message] == []


@pytest.mark.parametrize("short", ["survey-small", "wage-panel"])
def test_two_runs_of_one_name_are_refused(tmp_path: Path, short: str) -> None:
    """What is of `survey` and `small-x` would be written over by what is of `survey-small` and `x`."""
    changes: dict[str, Any] = {f"datasets.{short}": GOOD["datasets"]["survey"] | {"label": "Other"}}
    for name in ("x", "small-x"):
        changes[f"language_models.{name}"] = GOOD["language_models"]["small"] | {"label": name}
    with pytest.raises(InputError, match="two runs of one name"):
        notebook_runs(load_profile(str(profile_file(tmp_path, changes))))


@pytest.mark.parametrize("base", ["meta-llama/Llama-2-7b-hf", "smollm2-135m-instruct", "tests"])
def test_a_hub_id_a_packaged_model_and_a_folder_are_base_models(tmp_path: Path, base: str) -> None:
    both = {f"{SMALL}.base": base, f"{TUNED}.base": base}
    assert load_profile(str(profile_file(tmp_path, both))).language_models["small"].base == base


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", ": expected `field: value` lines. Compare with the packaged demo profile."),
        (b"- a\n", ": expected `field: value` lines"),
        (b"description: x\nsplit_seed: 1\ndatasets: {wage_panel: {label: x}}\nlanguage_models:\n  off: {label: Off}\n",
         ", line 5: language_models.off.base: is missing."),
        (b"name: Mine\n", ", line 1: name: 'Mine' must be lower-case letters and digits, joined by single - or _."),
        (b"description: 7\nfine_tuned: {}\n", ", line 1: description: 7 should be a valid string."),
    ],
)  # fmt: skip
def test_a_file_that_is_no_profile_is_refused_with_the_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert refusal(path).startswith(f"mine.yaml{message}")


def test_fields_taken_over_from_another_entry_may_be_given_anew(tmp_path: Path) -> None:
    path = profile_file(tmp_path)
    text = path.read_text(encoding="utf-8").replace("  small:\n", "  small: &small\n")
    other = "  other:\n    <<: *small\n    label: Other\n  small-fine-tuned:\n"
    path.write_text(text.replace("  small-fine-tuned:\n", other), encoding="utf-8")
    assert load_profile(str(path)).language_models["other"].label == "Other"


@pytest.mark.parametrize("name", ["dmeo", "absent.yaml", "../profiles/demo/x"])
def test_an_unknown_profile_names_the_packaged_ones(name: str) -> None:
    with pytest.raises(InputError) as refused:
        load_profile(name)
    assert str(refused.value) == (
        f"{name}: no such profile. Packaged are: {', '.join(PACKAGED)}; or give the path of a .yaml file."
    )


@pytest.mark.parametrize(
    "results", [".", "..", "/", "results/..", "notebooks/x", "labor_llm", "./book", ".git/x"]
)
def test_results_apart_from_the_checkout(results: str) -> None:
    """Snakemake would else take the checkout's own files for results, and end with exit status 0."""
    with pytest.raises(SettingError, match=r"results: .* the checkout; name a folder apart"):
        Profile(**{"name": "x", **GOOD, "results": results})
