"""Log-probability of single titles: of those that occurred, and of some by name.

The prompts of a worker's records are prefixes of one text, and a causal model's output at a token depends on what
precedes it alone, so a single pass over the career gives what one pass a record would give. A title by name (to stay,
to become unemployed, to leave the labor force) needs a tree of the named titles and not of all: exactly the same
numbers for a small part of the work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.predictions import STAY
from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.passes import PreparedCareers
from labor_llm.scoring.title_trie import build_title_trie
from labor_llm.text.tokenization import EncodedResume

_NONE = -1


@torch.inference_mode()
def realised_log_probs(language_model: LanguageModel, resume: EncodedResume) -> np.ndarray:
    """Return the log-probability of each record's realised title, float64 [records], nats."""
    last = resume.spans[-1][1]  # what follows the last title, and its own last token, need no pass
    ids = torch.as_tensor(resume.ids[:last], device=language_model.device)
    title_tokens = torch.cat([torch.arange(start, end) for start, end in resume.spans]).to(ids.device)
    # Logits are taken only where the next token belongs to a title: the vocabulary is most of the cost.
    output = language_model.model(input_ids=ids[None, :-1], use_cache=False, logits_to_keep=title_tokens - 1)
    logits = output.logits[0].float()
    per_token = logits.gather(1, ids[title_tokens, None])[:, 0] - logits.logsumexp(dim=-1)
    lengths = [end - start for start, end in resume.spans]
    return np.add.reduceat(per_token.double().cpu().numpy(), np.concatenate([[0], np.cumsum(lengths)[:-1]]))


def check_names(names: Sequence[str], outcomes: OutcomeSpace) -> None:
    """Refuse a name that is neither 'stay' nor an occupation code.

    Raises:
        InputError: if a name is not known, or stands twice.
    """
    if STAY in names and STAY in outcomes.codes:
        raise InputError(
            f"{STAY!r} is an occupation code of this panel and the name of the previous title too; rename the code."
        )
    for name in names:
        if name != STAY and name not in outcomes.codes:
            raise InputError(
                f"{name!r} is no title that can be asked for: give {STAY!r} or an occupation code."
            )
    if len(set(names)) < len(names):
        raise InputError(f"The named titles are {', '.join(names)}; name each once.")


def named_title_log_probs(
    language_model: LanguageModel,
    prepared: PreparedCareers,
    row: int,
    names: Sequence[str],
    realised: np.ndarray,
    memory: int,
) -> np.ndarray:
    """Return the log-probability of named titles, float64 [records, names], nats; NaN where there is none.

    A named title that occurred is known already. The others of a text make one tree, which hangs on the records
    that lack some of them.

    Args:
        language_model: the model.
        prepared: careers that fit the model.
        row: which of them.
        names: 'stay' (the previous record's title; the first record has none) or occupation codes.
        realised: log-probability of each realised title [records], nats.
        memory: as in `all_title_log_probs`.
    """
    occupations = np.asarray(prepared.occupations[row])
    wanted = np.full((len(occupations), len(names)), _NONE, dtype=np.int64)
    for column, name in enumerate(names):
        if name == STAY:
            wanted[1:, column] = occupations[:-1]
        else:
            wanted[:, column] = prepared.outcomes.index(name)
    happened = wanted == occupations[:, None]
    log_probs = np.where(happened, realised[:, None], np.nan)
    unknown = (wanted != _NONE) & ~happened
    begin = 0
    for part in prepared.careers[row].parts:
        end = begin + len(part.spans)
        rows = begin + np.flatnonzero(unknown[begin:end].any(axis=1))
        if len(rows):
            columns = np.unique(wanted[rows][unknown[rows]])
            trie = build_title_trie([prepared.titles[column] for column in columns])
            asked = EncodedResume(part.worker_id, part.ids, tuple(part.spans[row - begin] for row in rows))
            matrix = all_title_log_probs(language_model, asked, trie, memory)
            row_numbers, name_numbers = np.nonzero(unknown[rows])
            found = np.searchsorted(columns, wanted[rows[row_numbers], name_numbers])
            log_probs[rows[row_numbers], name_numbers] = matrix[row_numbers, found]
        begin = end
    return log_probs
