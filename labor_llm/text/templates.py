"""The resume template: a worker's career history as text, with the place of every job title in it.

The wording follows what is known of the paper's Appendix B (punctuation partly reconstructed):

    <A worker from the PSID dataset>
    The following information is available about the work history of a female hispanic US worker
    residing in the west region.
    The worker was born in 1963.
    The worker has the following records of work experience, one entry per line, including year,
    education level, and the job title:
    1984 (college): Cooks
    1985 (college): Secretaries and stenographers
    <END OF DATA>

(header lines are broken here only to fit). The prompt of a transition is the text up to and including the colon of its
line. The prompts of successive records are prefixes of one text, so a career is rendered once and cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from labor_llm.careers.occupations import title_problem
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError

END_OF_LINE = "\n"
CLOSING = f"<END OF DATA>{END_OF_LINE}"


def continuation(title: str) -> str:
    """Return the text that follows a prompt if `title` is the next job: space, title, end of line.

    The end of the line closes the title, so that none is the beginning of another and their probabilities cannot add
    up to more than one.
    """
    return f" {title}{END_OF_LINE}"


@dataclass(frozen=True)
class Resume:
    """One worker's career as text.

    Attributes:
        worker_id: the worker.
        text: the preamble if there is one, header, one line a record, closing line.
        spans: for each record in order, the characters [start, end) of its continuation in `text`.
    """

    worker_id: str
    text: str
    spans: tuple[tuple[int, int], ...]

    def prompt(self, record: int) -> str:
        """Return the prompt of one record: all that is known before its title."""
        return self.text[: self.spans[record][0]]


def line_start(year: int, education: str) -> str:
    """Return a record's line up to and including the colon."""
    return f"{year} ({education}):"


def career_resume(survey: str, career: pd.DataFrame, titles: Iterable[str], preamble: str = "") -> Resume:
    """Return the resume of one worker; the line of the year of birth is left out where it is not known.

    Args:
        survey: the survey's name.
        career: the worker's records in order (columns of a career panel).
        titles: the title of each record.
        preamble: whole lines that stand before the header (`labor_llm.text.settings.Preamble`); a part of every prompt.

    Raises:
        InputError: if the career has no record, or the preamble does not end with the end of a line.
    """
    if career.empty:
        raise InputError("A career without records has no resume; leave the worker out of the panel.")
    if preamble and not preamble.endswith(END_OF_LINE):
        raise InputError("The text before a resume must end with the end of a line.")
    worker = career.iloc[0]
    year = worker["birth_year"]
    born = "" if pd.isna(year) else f"The worker was born in {int(year)}.\n"
    text = (
        f"{preamble}<A worker from the {survey} dataset>\n"
        "The following information is available about the work history of a "
        f"{worker['gender']} {worker['ethnicity']} US worker residing in the {worker['region']} region.\n"
        f"{born}"
        "The worker has the following records of work experience, one entry per line, "
        "including year, education level, and the job title:\n"
    )
    spans = []
    for year, education, title in zip(career["year"], career["education"], titles, strict=True):
        text += line_start(year, education)
        start = len(text)
        text += continuation(title)
        spans.append((start, len(text)))
    return Resume(str(worker["worker_id"]), text + CLOSING, tuple(spans))


def invented_resume(panel: CareerPanel) -> Resume:
    """Return the resume of a worker who does not exist, with titles of a panel's outcome space.

    For examples and checks that can be shown to anybody: nothing in it comes from a person's record.
    """
    titles = [panel.outcomes.titles[number % len(panel.outcomes)] for number in (0, 0, 37, 38)]
    career = pd.DataFrame(
        {
            "worker_id": "invented",
            "year": [1984, 1985, 1986, 1988],
            "education": ["high school", "high school", "some college", "some college"],
            "gender": "female",
            "ethnicity": "hispanic",
            "region": "west",
            "birth_year": pd.array([1963] * 4, dtype="Int64"),
        }
    )
    return career_resume(panel.survey, career, titles)


def resumes(panel: CareerPanel, preamble: str = "") -> Iterator[Resume]:
    """Yield the resume of each worker of a panel, in the order of the panel.

    Args:
        panel: the workers.
        preamble: as in `career_resume`.

    Raises:
        InputError: as `career_resume`, or if the survey's name does not fit one line of text.
    """
    if problem := title_problem(panel.survey):
        raise InputError(f"The survey's name {panel.survey!r} {problem}; give it as one line of plain text.")
    titles = dict(zip(panel.outcomes.codes, panel.outcomes.titles, strict=True))
    for _, career in panel.frame.groupby("worker_id", sort=False):
        yield career_resume(panel.survey, career, career["occupation"].map(titles), preamble)
