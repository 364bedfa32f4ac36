"""The surveys by name: their options as text or values, and what is none."""

import pytest

from labor_llm.errors import InputError
from labor_llm.surveys.nls.nlsy79 import Nlsy79Options
from labor_llm.surveys.registry import SURVEYS, survey_named, survey_options
from labor_llm.surveys.rules import RecordOptions


@pytest.mark.parametrize("survey", list(SURVEYS))
def test_the_options_of_all_surveys_have_names_of_their_own(survey):
    records, own = survey_options(survey, [])
    assert not set(vars(records)) & set(vars(own))


def test_an_unknown_survey_is_refused():
    with pytest.raises(InputError, match="'cps' is no survey; known are psid, nlsy79, nlsy97"):
        survey_named("cps")


def test_options_are_taken_by_name_and_read_as_their_type():
    records, own = survey_options("nlsy79", ["first_age=16", "frame_1982_2000 = census1970"])
    assert records == RecordOptions(first_age=16)
    assert own == Nlsy79Options(frame_1982_2000="census1970")
    assert survey_options("nlsy79", {"last_age": 65})[0].last_age == 65


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["age=3"], "'age' is no option of nlsy79; there are .*first_age"),
        (["first_age"], "'first_age' is no option; write NAME=VALUE"),
        (["first_age=1", "first_age=2"], "'first_age' stands twice"),
        (["first_age=young"], "option first_age: .*; given 'young'"),
        (["undetermined=lazy"], "option undetermined: .*'out of the labor force'"),
        (["first_age=50", "last_age=20"], "first_age 50 is above last_age 20"),
    ],
)
def test_options_that_are_none_are_named(settings, message):
    with pytest.raises(InputError, match=message):
        survey_options("nlsy79", settings)
