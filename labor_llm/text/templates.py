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

(header lines are broken here only to fit). The prompt of a transition is the text up to and including the
colon of its line; the continuation is a space, the title and the end of the line. The prompts of successive
records are prefixes of one text, so a career is rendered once and cut, never rendered again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pandas as pd

from labor_llm.careers.occupations import title_problem
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError

END_OF_LINE = "\n"


def continuation(title: str) -> str:
    """Return the text that follows a prompt if `title` is the next job: space, title, end of line.

    The end of the line closes the title, so that no title is the beginning of another and the titles'
    probabilities cannot add up to more than one.
    """
    return f" {title}{END_OF_LINE}"


@dataclass(frozen=True)
class Resume:
    """One worker's career as text.

    Attributes:
        worker_id: the worker.
        text: the template's preamble if it has one, header, one line a record, closing line.
        spans: for each record in order, the characters [start, end) of its continuation in `text`:
            the space, the title and the end of the line. `text[:start]` is the prompt.
    """

    worker_id: str
    text: str
    spans: tuple[tuple[int, int], ...]

    def prompt(self, record: int) -> str:
        """Return the prompt of one record: all that is known before its title."""
        return self.text[: self.spans[record][0]]


@dataclass(frozen=True)
class ResumeTemplate:
    """How careers become text; each field is a variant of the paper.

    Attributes:
        birth_year: whether the header states the year of birth (the paper's main model does); the
            line is left out for a worker whose year of birth is not known.
        preamble: whole lines that stand before the header, the same for every worker (`labor_llm.text.prompts`); a part
            of every prompt. It may hold resumes of persons, so it is never shown with the template.

    Raises:
        InputError: if the preamble does not end with the end of a line.
    """

    birth_year: bool = True
    preamble: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.preamble and not self.preamble.endswith(END_OF_LINE):
            raise InputError("The text before a resume must end with the end of a line.")

    def header(self, survey: str, worker: pd.Series) -> str:
        """Return the lines before the first record.

        Args:
            survey: the survey's name.
            worker: `gender`, `ethnicity`, `region` and `birth_year` of the worker.
        """
        born = ""
        if self.birth_year and not pd.isna(worker["birth_year"]):
            born = f"The worker was born in {int(worker['birth_year'])}.\n"
        return (
            f"<A worker from the {survey} dataset>\n"
            "The following information is available about the work history of a "
            f"{worker['gender']} {worker['ethnicity']} US worker residing in the {worker['region']} region.\n"
            f"{born}"
            "The worker has the following records of work experience, one entry per line, "
            "including year, education level, and the job title:\n"
        )

    def line_start(self, year: int, education: str) -> str:
        """Return a record's line up to and including the colon."""
        return f"{year} ({education}):"

    @property
    def closing(self) -> str:
        """The last line."""
        return "<END OF DATA>\n"

    def resume(self, survey: str, career: pd.DataFrame, titles: Iterable[str]) -> Resume:
        """Return the resume of one worker.

        Args:
            survey: the survey's name.
            career: the worker's records in order (columns of a career panel).
            titles: the title of each record.

        Raises:
            InputError: if the career has no record.
        """
        if career.empty:
            raise InputError("A career without records has no resume; leave the worker out of the panel.")
        text = self.preamble + self.header(survey, career.iloc[0])
        spans = []
        for year, education, title in zip(career["year"], career["education"], titles, strict=True):
            text += self.line_start(year, education)
            start = len(text)
            text += continuation(title)
            spans.append((start, len(text)))
        return Resume(str(career["worker_id"].iloc[0]), text + self.closing, tuple(spans))


def invented_resume(panel: CareerPanel, template: ResumeTemplate | None = None) -> Resume:
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
    return (template or ResumeTemplate()).resume(panel.survey, career, titles)


def resumes(panel: CareerPanel, template: ResumeTemplate | None = None) -> Iterator[Resume]:
    """Yield the resume of each worker of a panel, in the order of the panel.

    Raises:
        InputError: if the survey's name does not fit one line of text.
    """
    template = template or ResumeTemplate()
    if problem := title_problem(panel.survey):
        raise InputError(f"The survey's name {panel.survey!r} {problem}; give it as one line of plain text.")
    titles = dict(zip(panel.outcomes.codes, panel.outcomes.titles, strict=True))
    for _, career in panel.frame.groupby("worker_id", sort=False):
        yield template.resume(panel.survey, career, career["occupation"].map(titles))
