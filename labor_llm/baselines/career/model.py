"""The transformer of CAREER: sums of embeddings in, log-odds of staying and utilities of occupations out.

    x_t = sqrt(d) E_occupation(y_{t-1}) + position_t + E_year(year_t) + sum over covariates E(covariate_t)

goes through causal pre-norm layers and a last norm; a linear map without bias gives the utility of every
occupation and, as its last column, the log-odds of staying, which `labor_llm.baselines.two_stage` combines.

Source: keyonvafa/career-code, architecture `career` (dropout is here also within the feed-forward layers).
"""

from __future__ import annotations

import math

import torch
from torch import nn

from labor_llm.baselines.career.encoding import Levels
from labor_llm.baselines.career.settings import CareerSettings
from labor_llm.baselines.two_stage import FIRST, two_stage_log_probs

_LONGEST_WAVE = 10000.0
# All occupations begin about equally likely. The authors' spread, one over the root of the width, gives each a random
# preference, which rare occupations have too few records to unlearn (with it perplexity was higher by 0.1 to 0.2 on
# 2,000 simulated workers).
_OUTPUT_SPREAD = 0.01


class CareerTransformer(nn.Module):
    """CAREER over an outcome space of a number of occupations.

    Args:
        occupations: in the outcome space.
        levels: of year and covariates.
        settings: sizes, dropout and the bound of logits.
    """

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
            width,
            settings.heads,
            settings.inner_width,
            settings.dropout,
            "gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(
            layer, settings.layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.output = nn.Linear(width, occupations + 1, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.bound, self.start = settings.logit_bound, occupations
        self._initialise(width)

    def _initialise(self, width: int) -> None:
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
        """Return the log-probability of every occupation at every record.

        Args:
            previous: column of the previous occupation, `FIRST` at a first record; int64 [careers, records].
            covariates: numbers of levels, int64 [careers, records, names].

        Returns:
            Nats, float32 [careers, records, occupations]; what follows a record has no part in it.
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


def _positions(records: int, width: int, device: torch.device) -> torch.Tensor:
    """Return the sinusoids of Vaswani et al. (2017), [records, width]: sines, then cosines."""
    waves = torch.exp(
        torch.arange(width // 2, device=device) * (-math.log(_LONGEST_WAVE) / max(width // 2 - 1, 1))
    )
    angles = torch.arange(records, device=device)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)
