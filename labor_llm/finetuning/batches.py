"""The batches of a fine-tuning: which careers, how many in one pass, and how they lie beside each other.

Careers are packed: they follow each other without padding, and attention (`labor_llm.finetuning.loss`) is taken
within each of them. For models whose attention cannot be exchanged they can be padded on the right instead, which
needs no mask, as a token sees only what precedes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from labor_llm.text.tokenization import EncodedResume

IGNORED = -100
_BATCHES_SORTED_TOGETHER = 16


@dataclass(frozen=True)
class TrainingCareer:
    """A career as the loss needs it.

    Attributes:
        ids: token ids, int64 [tokens].
        targets: for each token the one to be predicted after it, or `IGNORED`; int64 [tokens].
    """

    ids: torch.Tensor
    targets: torch.Tensor

    @property
    def predicted(self) -> int:
        """The number of tokens that count in the loss."""
        return int((self.targets != IGNORED).sum())

    @classmethod
    def whole(cls, ids: torch.Tensor) -> TrainingCareer:
        """Return a career of which all tokens but the first count."""
        return cls(ids, torch.cat([ids[1:], ids.new_full((1,), IGNORED)]))


def training_career(resume: EncodedResume, loss: str) -> TrainingCareer:
    """Return a career of which 'all tokens' count, or those of the 'titles' with their end of line."""
    whole = TrainingCareer.whole(torch.as_tensor(resume.ids))
    if loss != "titles":
        whole.targets[: max(0, resume.learned_from - 1)] = IGNORED
        return whole
    counts = torch.zeros(len(whole.ids), dtype=torch.bool)
    for start, end in resume.spans:
        counts[start - 1 : end - 1] = True
    return TrainingCareer(whole.ids, torch.where(counts, whole.targets, IGNORED))


def batches(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """Return one epoch's batches of career numbers, careers of similar length together.

    Careers are shuffled, sorted by length within blocks of sixteen batches (little padding, yet no fixed order), and
    the batches shuffled. The result depends on the arguments alone.
    """
    generator = np.random.default_rng([seed, epoch])
    order, block = generator.permutation(len(lengths)), batch_size * _BATCHES_SORTED_TOGETHER
    careers: list[int] = []
    for start in range(0, len(order), block):
        careers += sorted(order[start : start + block].tolist(), key=lambda career: lengths[career])
    groups = [np.array(careers[start : start + batch_size]) for start in range(0, len(careers), batch_size)]
    return [groups[number] for number in generator.permutation(len(groups))]


def packed(careers: Sequence[TrainingCareer], device: torch.device) -> dict[str, Any]:
    """Return the arguments of the loss for careers one after the other, in one row [1, tokens]."""
    lengths = [len(career.ids) for career in careers]
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
    positions = torch.cat([torch.arange(length) for length in lengths])
    return {
        "input_ids": torch.cat([career.ids for career in careers])[None].to(device),
        "targets": torch.cat([career.targets for career in careers])[None].to(device),
        "position_ids": positions[None].to(device),
        # The names under which transformers hands the ends of packed sequences to an attention function.
        **dict.fromkeys(("cu_seq_lens_q", "cu_seq_lens_k"), ends),
        **dict.fromkeys(("max_length_q", "max_length_k"), max(lengths)),
    }


def padded(careers: Sequence[TrainingCareer], device: torch.device) -> dict[str, Any]:
    """Return the arguments of the loss for careers below each other, padded on the right [careers, longest]."""
    ids = pad_sequence([career.ids for career in careers], batch_first=True)
    targets = pad_sequence([career.targets for career in careers], batch_first=True, padding_value=IGNORED)
    return {"input_ids": ids.to(device), "targets": targets.to(device)}
