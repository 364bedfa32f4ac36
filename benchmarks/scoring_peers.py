"""Other software that gives the log-probability of a title after a prompt, called the way its users call it.

None of it is a dependency of the package: what is not installed is named, with the command that installs it.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
from collections.abc import Callable, Sequence

from llama_cpp_peer import LlamaCpp

from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.reference import text_log_prob

# What each is imported and installed as.
PEERS = {
    "lm_eval": "lm-eval==0.4.13",
    "minicons": "minicons==0.3.39",
    "llama_cpp": "llama-cpp-python==0.3.36",
}
BATCH = 32
# What float32 may differ by from one way of computing to another, and with llama.cpp's flash attention, nats.
ROUNDING, FLASH_ROUNDING = 1e-3, 0.1


@dataclasses.dataclass(frozen=True)
class Peer:
    """Something else that scores titles.

    Attributes:
        name: what tables call it.
        batch: texts in one forward pass, or None if the prompt is shared by all of them.
        score: takes a prompt and texts that follow it, and returns their log-probabilities, nats.
        rounding: the most that these may differ by from those of others.
        prepare: what it has done before in a run over a whole career, and is not timed: takes the prompt of the
            record before, and what `score` will be given.
    """

    name: str
    batch: int | None
    score: Callable[[str, Sequence[str]], list[float]]
    rounding: float = ROUNDING
    prepare: Callable[[str, str, Sequence[str]], None] | None = None


def available_peers(
    language_model: LanguageModel, modules: Sequence[str] = tuple(PEERS)
) -> tuple[list[Peer], list[str]]:
    """Return the peers that are installed, on the weights of a model, and a line for each that cannot take part.

    The plain reference scorer of the package comes first and is always there.

    Args:
        language_model: the model.
        modules: of `PEERS`, who is asked.
    """
    peers = [Peer("the plain reference", 1, _reference(language_model))]
    makers = {
        "lm_eval": lambda: [_lm_eval(language_model, batch) for batch in (1, BATCH)],
        "minicons": lambda: [_minicons(language_model, batch) for batch in (1, BATCH)],
        "llama_cpp": lambda: [_llama_cpp(language_model, flash) for flash in (True, False)],
    }
    missing = []
    for module in modules:
        if importlib.util.find_spec(module) is None:
            missing.append(f"{module}: not installed: pip install {PEERS[module]}")
            continue
        try:
            peers += makers[module]()
        except InputError as error:
            missing.append(f"{module}: {error}")
    return peers, missing


def _reference(language_model: LanguageModel) -> Callable[[str, Sequence[str]], list[float]]:
    return lambda prompt, texts: [text_log_prob(language_model, prompt, text) for text in texts]


def _lm_eval(language_model: LanguageModel, batch: int) -> Peer:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    # The tokenizer is copied: a peer may set the padding of the one that it is given.
    harness = HFLM(
        pretrained=language_model.model,
        tokenizer=copy.deepcopy(language_model.tokenizer),
        batch_size=batch,
        device=str(language_model.device),
    )

    def score(prompt: str, texts: Sequence[str]) -> list[float]:
        asked = [Instance("loglikelihood", {}, (prompt, text), number) for number, text in enumerate(texts)]
        return [log_prob for log_prob, _ in harness.loglikelihood(asked, disable_tqdm=True)]

    return Peer(f"lm_eval, batch size {batch}", batch, score)


def _minicons(language_model: LanguageModel, batch: int) -> Peer:
    from minicons.scorer import IncrementalLMScorer

    scorer = IncrementalLMScorer(
        language_model.model, str(language_model.device), tokenizer=copy.deepcopy(language_model.tokenizer)
    )

    def score(prompt: str, texts: Sequence[str]) -> list[float]:
        found = []
        for start in range(0, len(texts), batch):
            # It puts the blank between the two itself.
            stimuli = [text.removeprefix(" ") for text in texts[start : start + batch]]
            prompts = [prompt] * len(stimuli)
            found += scorer.conditional_score(
                prompts, stimuli, reduction=lambda tokens: tokens.double().sum().item()
            )
        return found

    return Peer(f"minicons, batch size {batch}", batch, score)


def _llama_cpp(language_model: LanguageModel, flash: bool) -> Peer:
    model = LlamaCpp(language_model, flash)
    if flash:
        return Peer("llama_cpp, prompt shared", None, model.score, FLASH_ROUNDING, model.prepare)
    return Peer("llama_cpp, prompt shared, float32", None, model.score, prepare=model.prepare)
