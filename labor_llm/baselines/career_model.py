"""CAREER: careers as numbers, and the transformer that reads them.

At record t the model reads the occupation of record t-1 (a start symbol at the first), and the calendar year and
covariates of record t itself, as the authors' code does and as a resume line states them before the title.

Every covariate has levels that training shows, numbered from 1; 0 is "not known" and adds nothing to the input.
It stands for the word 'unknown', a missing year of birth, a level that training did not show, and a covariate
that a model was not given. Years and ages are consecutive numbers; one outside of those that training shows counts
as the nearest (the authors copy the last year's embedding when they forecast). The sum of embeddings

    x_t = sqrt(d) E_occupation(y_{t-1}) + position_t + E_year(year_t) + sum over covariates E(covariate_t)

goes through causal pre-norm layers and a last norm; a linear map without bias gives the utility of every
occupation and, as its last column, the log-odds of staying, which `labor_llm.baselines.two_stage` combines.

Source: keyonvafa/career-code, architecture `career` (dropout is here also within the feed-forward layers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from labor_llm.baselines.form import FIRST, occupation_columns
from labor_llm.baselines.settings import CareerSettings
from labor_llm.baselines.two_stage import two_stage_log_probs
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.settings import Settings

UNKNOWN = "unknown"
YEAR, AGE = "year", "age"
# Realised occupation beyond the end of a career.
PADDING = -100
_LONGEST_WAVE = 10000.0
# All occupations begin about equally likely. The authors' spread, one over the root of the width, gives each a random
# preference, which rare occupations have too few records to unlearn (with it perplexity was higher by 0.1 to 0.2 on
# 2,000 simulated workers).
_OUTPUT_SPREAD = 0.01


class Levels(Settings):
    """The levels of the calendar year and of each covariate, as training shows them."""

    texts: dict[str, list[str]]
    """Levels of each covariate in words, in ascending order."""
    spans: dict[str, list[int]]
    """First and last calendar year, and first and last age if it enters."""

    @property
    def names(self) -> list[str]:
        """The year and the covariates, in the order of the columns of `EncodedCareer.covariates`."""
        return [*self.spans, *self.texts]

    def size(self, name: str) -> int:
        """Return the number of levels, 'not known' included."""
        if name in self.texts:
            return len(self.texts[name]) + 1
        first, last = self.spans[name]
        return last - first + 2

    def joined(self, known: Levels) -> Levels:
        """Return the levels of these year and covariates that either knows."""
        texts = {name: sorted({*found, *known.texts.get(name, [])}) for name, found in self.texts.items()}
        spans = {}
        for name, (first, last) in self.spans.items():
            known_first, known_last = known.spans.get(name, (first, last))
            spans[name] = [min(first, known_first), max(last, known_last)]
        return Levels(texts=texts, spans=spans)


@dataclass(frozen=True)
class EncodedCareer:
    """A career as the model reads it, in int64.

    Attributes:
        previous: column of the previous occupation, `FIRST` at the first record, [records].
        covariates: number of the level of each of `Levels.names`, [records, names].
        realised: column of the occupation, [records].
    """

    previous: torch.Tensor
    covariates: torch.Tensor
    realised: torch.Tensor

    def __len__(self) -> int:
        return len(self.realised)


def levels_of(panels: Sequence[CareerPanel], covariates: Sequence[str]) -> Levels:
    """Return the levels that the records of training workers show of the year and these covariates."""
    frame = pd.concat([panel.frame for panel in panels], ignore_index=True)
    numbers = {YEAR: frame["year"]}
    if AGE in covariates:
        numbers[AGE] = (frame["year"] - frame["birth_year"]).dropna()
    spans = {name: [int(values.min()), int(values.max())] for name, values in numbers.items() if len(values)}
    texts = {name: sorted(set(frame[name]) - {UNKNOWN}) for name in covariates if name != AGE}
    return Levels(texts=texts, spans=spans)


def encode(panel: CareerPanel, levels: Levels) -> list[EncodedCareer]:
    """Return each worker's career, in panel order."""
    table = transitions(panel)
    numbers = {YEAR: table["year"], AGE: table["year"] - table["birth_year"]}
    columns = []
    for name in levels.names:
        if name in levels.spans:
            first, last = levels.spans[name]
            values = numbers[name].astype("Float64").to_numpy(float, na_value=np.nan)
            place = np.where(np.isnan(values), 0, np.clip(values, first, last) - first + 1)
        else:
            place = pd.Index(levels.texts[name]).get_indexer(table[name]) + 1
        columns.append(place.astype(np.int64))
    covariates = np.column_stack(columns)
    previous, realised = (
        occupation_columns(table, panel.outcomes, name) for name in ("previous", "occupation")
    )
    starts = np.flatnonzero(previous == FIRST)
    return [
        EncodedCareer(*(torch.from_numpy(values[start:end]) for values in (previous, covariates, realised)))
        for start, end in zip(starts, [*starts[1:], len(table)], strict=True)
    ]


def padded(careers: Sequence[EncodedCareer]) -> EncodedCareer:
    """Return careers below each other, padded on the right: every field has a leading dimension [careers]."""
    return EncodedCareer(
        pad_sequence([career.previous for career in careers], batch_first=True),
        pad_sequence([career.covariates for career in careers], batch_first=True),
        pad_sequence([career.realised for career in careers], batch_first=True, padding_value=PADDING),
    )


class CareerTransformer(nn.Module):
    """CAREER over a number of occupations, with the sizes, dropout and bound of logits that the settings tell."""

    def __init__(self, occupations: int, levels: Levels, settings: CareerSettings) -> None:
        super().__init__()
        width = settings.width
        # The last row is the start symbol.
        self.occupation = nn.Embedding(occupations + 1, width)
        # Level 0, not known, adds nothing.
        self.covariates = nn.ModuleDict(
            {name: nn.Embedding(levels.size(name), width, padding_idx=0) for name in levels.names}
        )
        layer = nn.TransformerEncoderLayer(
            width, settings.heads, settings.inner_width, settings.dropout, "gelu", batch_first=True, norm_first=True
        )  # fmt: skip
        self.layers = nn.TransformerEncoder(
            layer, settings.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.output = nn.Linear(width, occupations + 1, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.levels, self.bound, self.start = levels, settings.logit_bound, occupations
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        for embedding in (self.occupation, *self.covariates.values()):
            nn.init.normal_(embedding.weight, std=width**-0.5)
        with torch.no_grad():
            for embedding in self.covariates.values():
                embedding.weight[0].zero_()
        nn.init.normal_(self.output.weight, std=_OUTPUT_SPREAD)

    def forward(self, previous: torch.Tensor, covariates: torch.Tensor) -> torch.Tensor:
        """Return the log-probability of every occupation at every record; what follows a record has no part in it.

        Args:
            previous: column of the previous occupation, `FIRST` at a first record; int64 [careers, records].
            covariates: numbers of levels, int64 [careers, records, names].

        Returns:
            Nats, float32 [careers, records, occupations].
        """
        width, records = self.occupation.embedding_dim, previous.shape[1]
        tokens = torch.where(previous == FIRST, self.start, previous)
        states = math.sqrt(width) * self.occupation(tokens) + _positions(records, width, previous.device)
        for column, embedding in enumerate(self.covariates.values()):
            states = states + embedding(covariates[..., column])
        mask = nn.Transformer.generate_square_subsequent_mask(records, previous.device)
        states = self.layers(self.dropout(states), mask, is_causal=True)
        logits = self.output(states).float().clamp(-self.bound, self.bound)
        return two_stage_log_probs(logits[..., :-1], logits[..., -1], previous)

    @torch.no_grad()
    def begin_from(self, start: CareerTransformer) -> None:
        """Take the weights of a fitted model of the same size and occupations, embeddings level by level.

        A level that the fitted model does not know keeps the weights it has. A year or an age outside of those that it
        knows begins as the nearest.
        """
        kept = {name: w for name, w in start.state_dict().items() if not name.startswith("covariates.")}
        self.load_state_dict(self.state_dict() | kept)
        for name, embedding in self.covariates.items():
            if name not in start.levels.names:
                continue
            weights = start.covariates[name].weight
            if name in self.levels.spans:
                (first, last), known = self.levels.spans[name], start.levels.spans[name]
                places = np.clip(np.arange(first, last + 1), *known) - known[0] + 1
                embedding.weight[1:] = weights[torch.from_numpy(places).to(weights.device)]
            else:
                known = start.levels.texts[name]
                for place, text in enumerate(self.levels.texts[name], start=1):
                    if text in known:
                        embedding.weight[place] = weights[known.index(text) + 1]


def _positions(records: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the sinusoids of Vaswani et al. (2017), [records, width]: sines, then cosines."""
    waves = torch.exp(
        torch.arange(width // 2, device=device) * (-math.log(_LONGEST_WAVE) / max(width // 2 - 1, 1))
    )
    angles = torch.arange(records, device=device)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)
