"""What a language model makes of a history: its last hidden state at the end of each record's prompt.

The prompts of a career are prefixes of one text, so one forward pass over it gives the states of all its records.
"""

from __future__ import annotations

import numpy as np
import torch

from labor_llm.careers import CareerPanel
from labor_llm.language_models import LanguageModel
from labor_llm.progress import progress
from labor_llm.scoring.career_pass import bare_model
from labor_llm.scoring.prepared import prepare_careers
from labor_llm.tokenization import EncodedResume


@torch.inference_mode()
def prompt_states(language_model: LanguageModel, resume: EncodedResume) -> np.ndarray:
    """Return the state at the last token of each record's prompt, float32 [records, width].

    It is the state that the output layer turns into the probabilities of the title's first token; it has seen the
    header, all records before, and the year and the education of the record itself.
    """
    ids = torch.as_tensor(resume.ids[: resume.spans[-1][0]], device=language_model.device)
    # The transformer without its output layer: the vocabulary is most of the cost, and is not needed.
    output = bare_model(language_model).base_model(input_ids=ids[None], use_cache=False)
    ends = torch.tensor([start - 1 for start, _ in resume.spans], device=ids.device)
    return output.last_hidden_state[0, ends].float().cpu().numpy()


def history_embeddings(language_model: LanguageModel, panel: CareerPanel) -> np.ndarray:
    """Return the state of every record of a panel, in its order: float32 [records, width].

    Careers that are longer than the model can read are shortened as in scoring.

    Raises:
        As `labor_llm.scoring.prepared.prepare_careers`.
    """
    prepared = prepare_careers(language_model, panel)
    found = []
    with progress("embedding histories", len(prepared.careers), "career") as advance:
        for career in prepared.careers:
            found += [prompt_states(language_model, part) for part in career.parts]
            advance(1, "")
    return np.concatenate(found)
