"""A panel made ready for a language model, and one forward pass over each of its careers, or over several.

Texts, tokens and titles are checked before anything is scored. The prompts of a career are prefixes of one text, and a
causal model's output at a token depends on what precedes it alone, so one pass over a career gives what all its records
need: the log-probability of each realised title, what the tree of titles hangs on, or the last state of each prompt.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel, transitions
from labor_llm.errors import InputError, MismatchError
from labor_llm.models.loading import LanguageModel, causal_model
from labor_llm.progress import progress
from labor_llm.scoring.settings import ScoringSettings
from labor_llm.scoring.title_trie import TitleTrie
from labor_llm.text.shortening import ReadableCareer, Shortened, readable_career
from labor_llm.text.templates import resumes
from labor_llm.text.tokenization import EncodedResume, check_split, encode_titles, without_needless_line_ends

# Tokens that all careers begin with: fewer are sooner read again.
_WORTH_READING_ONCE = 64
# Of a pass over several texts: some 80 careers of twenty records, for which Llama-2-7b has 3 GB in flight by its sizes.
_TOKENS_ON_A_GPU = 32_768
# Positions whose logits are turned into float32 at once.
_ROWS = 1024


@dataclass(frozen=True)
class PreparedCareers:
    """What is to be scored, and by which model."""

    language_model: LanguageModel
    outcomes: OutcomeSpace
    table: pd.DataFrame  # rows of `labor_llm.careers.panel.transitions`, in the order of the careers
    careers: tuple[ReadableCareer, ...]  # as texts that the model can read
    occupations: tuple[tuple[int, ...], ...]  # for each career, the column of each record's title
    titles: tuple[tuple[int, ...], ...]  # token ids of every title, as far as they are scored

    @property
    def texts(self) -> list[EncodedResume]:
        """The texts of all careers, in their order."""
        return [part for career in self.careers for part in career.parts]

    @property
    def shortened(self) -> Shortened:
        """How many careers do not fit the model, and what was left out of them."""
        return Shortened.of(self.careers)


def prepare_careers(
    language_model: LanguageModel, panel: CareerPanel, settings: ScoringSettings, preamble: str = ""
) -> PreparedCareers:
    """Return the careers of a panel as the model reads them.

    Args:
        language_model: the model.
        panel: the workers.
        settings: whether long careers are shortened, and which ends of lines are scored.
        preamble: text before each resume.

    Raises:
        InputError: if the panel has no career, a career is too long and not to be shortened, or titles cannot be
            told apart.
        MismatchError: if the tokenizer does not fit the template or the titles.
    """
    if panel.frame.empty:
        raise InputError(
            "There is no career to score: the panel has no worker. Give a panel or split with workers."
        )
    tokenizer = language_model.tokenizer
    titles = encode_titles(tokenizer, panel.outcomes)
    check_split(tokenizer, next(resumes(panel, preamble)), titles, panel.outcomes.titles)
    longest = max(map(len, titles))
    careers = tuple(
        readable_career(tokenizer, resume, language_model.context, longest, settings.too_long)
        for resume in resumes(panel, preamble)
    )
    table = transitions(panel)
    columns = iter(panel.outcomes.indices(table["occupation"]))
    occupations = tuple(tuple(next(columns) for _ in career.dropped) for career in careers)
    for career, realised in zip(careers, occupations, strict=True):
        found = [part.continuation_ids(record) for part in career.parts for record in range(len(part.spans))]
        for tokens, title in zip(found, realised, strict=True):
            if tokens != titles[title]:
                raise MismatchError(
                    f"{language_model.name}: the tokenizer encodes the title {panel.outcomes.titles[title]!r} "
                    "differently from one line to another, so one tree of titles cannot serve all records. Use "
                    "another tokenizer."
                )
    if settings.line_ends == "needed":
        titles = without_needless_line_ends(tokenizer, titles)
        careers = tuple(
            _ending_with(career, [len(titles[title]) for title in realised])
            for career, realised in zip(careers, occupations, strict=True)
        )
    return PreparedCareers(language_model, panel.outcomes, table, careers, occupations, tuple(titles))


def _ending_with(career: ReadableCareer, lengths: Sequence[int]) -> ReadableCareer:
    """Return a career of whose realised titles so many tokens are scored."""
    left = iter(lengths)
    parts = (
        replace(part, spans=tuple((start, start + next(left)) for start, _ in part.spans))
        for part in career.parts
    )
    return replace(career, parts=tuple(parts))


@dataclass(frozen=True)
class Beginning:
    """The tokens that all careers begin with, int64 [tokens], and their keys and values."""

    ids: np.ndarray
    cache: DynamicCache


@torch.inference_mode()
def read_beginning(
    language_model: LanguageModel, texts: Sequence[EncodedResume], fewest: int = _WORTH_READING_ONCE
) -> Beginning | None:
    """Read what all texts begin with, such as the list of titles, once; None where it is of fewer tokens."""
    # Short of the token before the first one to be predicted.
    most = min(text.spans[0][0] for text in texts) - 1
    beginnings = np.stack([text.ids[:most] for text in texts])
    ids = beginnings[0, : int(np.argmin([*(beginnings == beginnings[0]).all(axis=0), False]))]
    if len(ids) < fewest:
        return None
    model, cache = causal_model(language_model.model), DynamicCache()
    tokens = torch.as_tensor(ids, device=language_model.device)
    model(input_ids=tokens[None], use_cache=True, past_key_values=cache, logits_to_keep=1)
    # A model that does not keep it would leave it out without a word.
    return Beginning(ids, cache) if cache.get_seq_length() == len(ids) else None


def tokens_at_once(language_model: LanguageModel) -> int:
    """Return how many tokens a pass over several texts has at most, padding included; with 1 each text goes alone.

    A career has some hundred tokens, which leave a GPU idle, so that there a pass has some tens of thousands. On a CPU
    one career is work enough: passes of 2,048 tokens took 1.09 times as long, of 8,192 1.10 times, and of 32,768 1.6
    times (four layers of SmolLM2-135M, one core, careers of 10 to 30 records). Texts also go alone with 8-bit weights,
    because their rounding depends on what else is in the pass.
    """
    alone = any(weight.dtype == torch.int8 for weight in language_model.model.parameters())
    return 1 if alone or language_model.device.type == "cpu" else _TOKENS_ON_A_GPU


@torch.inference_mode()
def realised_log_probs(
    language_model: LanguageModel, resume: EncodedResume, beginning: Beginning | None = None
) -> np.ndarray:
    """Return the log-probability of each record's realised title, float64 [records], nats.

    Args:
        language_model: the model.
        resume: the career.
        beginning: what it begins with, if that was read before.
    """
    last = resume.spans[-1][1]  # what follows the last title, and its own last token, need no pass
    known = len(beginning.ids) if beginning else 0
    ids = torch.as_tensor(resume.ids[:last], device=language_model.device)
    title_tokens = torch.cat([torch.arange(start, end) for start, end in resume.spans]).to(ids.device)
    # Logits are taken only where the next token belongs to a title: the vocabulary is most of the cost.
    logits = language_model.model(
        input_ids=ids[None, known:-1], logits_to_keep=title_tokens - 1 - known, **_after(beginning, 1)
    ).logits[0]
    return _of_titles(logits, ids[title_tokens], [resume])


@torch.inference_mode()
def batch_log_probs(
    language_model: LanguageModel, texts: Sequence[EncodedResume], beginning: Beginning | None = None
) -> np.ndarray:
    """Return what `realised_log_probs` gives for each of several texts, one after the other, in one pass over all.

    Texts are padded on the right, which needs no mask, as a token sees only what precedes it. Where a model does
    otherwise, or takes no positions, its scores differ or it fails (`labor_llm.scoring.trials.tried_tokens`). Where
    memory does not suffice, the texts go in several passes.
    """
    if len(texts) == 1:
        return realised_log_probs(language_model, texts[0], beginning)
    with contextlib.suppress(torch.OutOfMemoryError):
        return _padded_log_probs(language_model, texts, beginning)
    # Here, where the error is gone, it holds no more of what that pass had made.
    half = len(texts) // 2
    halves = (batch_log_probs(language_model, some, beginning) for some in (texts[:half], texts[half:]))
    return np.concatenate(list(halves))


def _padded_log_probs(
    language_model: LanguageModel, texts: Sequence[EncodedResume], beginning: Beginning | None
) -> np.ndarray:
    device, known = language_model.device, len(beginning.ids) if beginning else 0
    read = [torch.as_tensor(text.ids[: text.spans[-1][1]]) for text in texts]
    ids = pad_sequence(read, batch_first=True).to(device)
    places = [(row, token) for row, text in enumerate(texts) for span in text.spans for token in range(*span)]
    rows, tokens = torch.tensor(places, device=device).T
    positions = torch.arange(known, ids.shape[1] - 1, device=device).expand(len(texts), -1)
    # `logits_to_keep` chooses alike for all rows; each has places of its own, whose states alone the head is given.
    head = causal_model(language_model.model).get_output_embeddings()
    chosen = head.register_forward_pre_hook(lambda _, states: states[0][rows, tokens - 1 - known][None])
    try:
        logits = language_model.model(
            input_ids=ids[:, known:-1], position_ids=positions, **_after(beginning, len(texts))
        ).logits[0]
    finally:
        chosen.remove()
    return _of_titles(logits, ids[rows, tokens], texts)


def _after(beginning: Beginning | None, number: int) -> dict[str, object]:
    """Return how a model is asked to read so many texts after a beginning, which stays as it is."""
    if beginning is None:
        return {"use_cache": False}
    cache = DynamicCache()
    for place, layer in enumerate(beginning.cache.layers):
        cache.update(*(kept.expand(number, -1, -1, -1) for kept in (layer.keys, layer.values)), place)
    return {"use_cache": True, "past_key_values": cache}


def _of_titles(logits: torch.Tensor, targets: torch.Tensor, texts: Sequence[EncodedResume]) -> np.ndarray:
    """Add up the log-probabilities of titles' tokens, from the logits [tokens, vocabulary] before each of them."""
    found = []
    for some, wanted in zip(logits.split(_ROWS), targets.split(_ROWS), strict=True):
        in_full = some.float()  # of all positions at once it would take the most memory
        found.append(in_full.gather(1, wanted[:, None])[:, 0] - in_full.logsumexp(dim=-1))
    lengths = [end - start for text in texts for start, end in text.spans]
    begin = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return np.add.reduceat(torch.cat(found).double().cpu().numpy(), begin)


@dataclass(frozen=True)
class CareerPass:
    """What one pass over a career gives."""

    model: PreTrainedModel  # with its head, out of any adapter's wrapper
    starts: list[int]  # length of each record's prompt, ascending
    keys: list[torch.Tensor]  # of the career, per layer [key heads, tokens, width]
    values: list[torch.Tensor]  # likewise
    root: np.ndarray  # log-probability of the edges at the root, float64 [records, edges at the root]
    head: torch.nn.Linear | None  # the output layer, if the logits are its output and no more

    def only(self, rows: np.ndarray) -> CareerPass:
        """Return the same for some of the records, ascending."""
        return replace(self, starts=[self.starts[row] for row in rows], root=self.root[rows])


def read_career(language_model: LanguageModel, resume: EncodedResume, trie: TitleTrie) -> CareerPass:
    """Run the model over a career up to the end of its last prompt.

    Args:
        language_model: the model.
        resume: a career of at least one record.
        trie: the tree of titles.
    """
    model = causal_model(language_model.model)
    starts = [start for start, _ in resume.spans]
    ids = torch.as_tensor(resume.ids[: starts[-1]], device=language_model.device)
    output = model(
        input_ids=ids[None],
        use_cache=True,
        # Every layer keeps the whole career, also one that looks back a few hundred tokens only.
        past_key_values=DynamicCache(),
        logits_to_keep=torch.tensor(starts, device=ids.device) - 1,
        output_hidden_states=True,
    )
    log_probs = torch.log_softmax(output.logits[0].float(), dim=-1)
    at_root = torch.as_tensor(trie.edge_tokens[trie.edge_nodes == 0], device=ids.device)
    return CareerPass(
        model=model,
        starts=starts,
        keys=[layer.keys[0] for layer in output.past_key_values.layers],
        values=[layer.values[0] for layer in output.past_key_values.layers],
        root=log_probs[:, at_root].double().cpu().numpy(),
        head=_plain_head(model, output.hidden_states[-1][0, starts[0] - 1][None], output.logits[0, :1]),
    )


def _plain_head(model: PreTrainedModel, hidden: torch.Tensor, logits: torch.Tensor) -> torch.nn.Linear | None:
    """Return the output layer if it alone leads from the last hidden states [1, width] to the logits."""
    head = model.get_output_embeddings()
    # Not a subclass: the weights of a quantised layer cannot be cut into blocks.
    if type(head) is not torch.nn.Linear or head.weight.device != hidden.device:
        return None
    return head if torch.allclose(head(hidden).float(), logits.float(), rtol=1e-3, atol=1e-3) else None


@torch.inference_mode()
def history_embeddings(language_model: LanguageModel, panel: CareerPanel) -> np.ndarray:
    """Return the last hidden state at the end of each record's prompt, in the panel's order: float32 [records, width].

    It is the state that the output layer turns into the probabilities of the title's first token; it has seen the
    header, all records before, and the year and the education of the record itself. Careers that are longer than the
    model can read are shortened as in scoring.

    Raises:
        As `prepare_careers`.
    """
    prepared, found = prepare_careers(language_model, panel, ScoringSettings()), []
    # The transformer without its output layer: the vocabulary is most of the cost, and is not needed.
    body = causal_model(language_model.model).base_model
    with progress("embedding histories", len(prepared.careers), "career") as advance:
        for career in prepared.careers:
            for part in career.parts:
                ids = torch.as_tensor(part.ids[: part.spans[-1][0]], device=language_model.device)
                ends = torch.tensor([start - 1 for start, _ in part.spans], device=ids.device)
                states = body(input_ids=ids[None], use_cache=False).last_hidden_state[0, ends]
                found.append(states.float().cpu().numpy())
            advance(1, "")
    return np.concatenate(found)
