"""The two-stage form of CAREER (Vafa et al. 2024): whether a worker stays, and where one who leaves goes.

With s the log-odds of staying and u_j the utility of occupation j, both functions of the history,

    P(previous) = 1 / (1 + exp(-s)),
    P(j) = (1 - P(previous)) exp(u_j) / sum_{k != previous} exp(u_k)   for every other occupation j.

A first record has no previous occupation: nobody can stay, and P(j) is proportional to exp(u_j) for all j.
(In the authors' code a first record can "stay" in the start symbol, and the softmax has room for symbols that
are no occupations; the mass there is lost. Here all mass is on the outcome space.)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import logsigmoid

from labor_llm.occupations import OutcomeSpace

# In place of the previous occupation's column where there is none.
FIRST = -1


def previous_columns(table: pd.DataFrame, outcomes: OutcomeSpace) -> np.ndarray:
    """Return the column of the previous occupation of each transition, int64 [transitions]; `FIRST` if none."""
    columns = [FIRST if code is None else outcomes.index(code) for code in table["previous"]]
    return np.asarray(columns, dtype=np.int64)


def two_stage_log_probs(utilities: torch.Tensor, stay: torch.Tensor, previous: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of every occupation.

    Args:
        utilities: u, [..., occupations]; that of the previous occupation is not read.
        stay: s, log-odds of staying, [...]; not read at a first record.
        previous: column of the previous occupation, int64 [...], `FIRST` at a first record.

    Returns:
        Nats, [..., occupations]; each row's probabilities add up to one.
    """
    first = (previous == FIRST)[..., None]
    # A first record points at column 0, and is left as it is there.
    column = previous.clamp(min=0)[..., None]
    here = torch.zeros_like(utilities, dtype=torch.bool).scatter_(-1, column, True) & ~first
    moves = torch.log_softmax(utilities.masked_fill(here, -torch.inf), dim=-1)
    stay = stay[..., None]
    leave = logsigmoid(-stay).masked_fill(first, 0.0)
    return torch.where(here, logsigmoid(stay), leave + moves)
