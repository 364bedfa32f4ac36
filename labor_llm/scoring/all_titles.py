"""Log-probability of every title as the next job, for every record of a career, exactly.

The career is read once; its keys and values serve all records. The tree of titles hangs on each record's prompt: its
inner nodes are run once, each seeing the prompt and its own ancestors only. Several records, or parts of the tree, are
run together, as many as positions and memory allow.

Attention to prompt and ancestors is computed as `tree_attention` says. A model that it does not fit gets a dense mask
over prompt and tree, which is slower. Which way is right for a model is tried against the reference scorer, before its
first career and again before longer prompts than were tried.

The logits of the whole vocabulary at all positions are never there at once:

    log P(token | h) = h . w_token + b_token - log sum_v exp(h . w_v + b_v)

The sum is run in blocks that stay in the processor's cache; the wanted logits are dot products of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import DynamicCache

from labor_llm.errors import MismatchError
from labor_llm.models.loading import LanguageModel, causal_model
from labor_llm.scoring.passes import CareerPass, read_career
from labor_llm.scoring.reference import Trial
from labor_llm.scoring.title_trie import TitleTrie, build_title_trie
from labor_llm.scoring.tree_attention import DoesNotFitError, PackedTree, additive_mask, run_tree
from labor_llm.text.tokenization import EncodedResume

# Positions and vocabulary of one block of logits: 8 MB in float32, and matrices large enough to be fast.
_ROWS = 1024
COLUMNS = 2048
# Positions run at once: enough for fast matrix products, few enough to stay near the processor's cache.
_POSITIONS = 2048
# Bytes that a pass may take beside the model and the career's keys: 1 GiB.
MEMORY = 2**30


def token_log_probs(
    head: torch.nn.Linear, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor
) -> torch.Tensor:
    """Return log P(token | position) for wanted pairs, float32 [pairs], nats.

    Args:
        head: the output layer.
        hidden: last hidden states [positions, width].
        rows: the position of each pair, int64 [pairs].
        tokens: the token of each pair, int64 [pairs].
    """
    logits = (hidden[rows].float() * head.weight[tokens].float()).sum(dim=-1)
    if head.bias is not None:
        logits += head.bias[tokens].float()
    return logits - log_normalisers(head, hidden)[rows]


def log_normalisers(head: torch.nn.Linear, hidden: torch.Tensor) -> torch.Tensor:
    """Return the logarithm of the sum of the exponentials of all logits at each position, float32 [positions]."""
    found = []
    for rows in hidden.split(_ROWS):
        largest = hidden.new_full((len(rows),), -torch.inf, dtype=torch.float32)
        total = torch.zeros_like(largest)
        for start in range(0, head.out_features, COLUMNS):
            block = slice(start, start + COLUMNS)
            bias = None if head.bias is None else head.bias[block]
            logits = torch.nn.functional.linear(rows, head.weight[block], bias).float()
            before, largest = largest, torch.maximum(largest, logits.amax(dim=-1))
            # In place: torch.logsumexp makes a copy, and took twelve times as long on a CPU.
            total = total * (before - largest).exp() + logits.sub_(largest[:, None]).exp_().sum(dim=-1)
        found.append(total.log() + largest)
    return torch.cat(found)


@torch.inference_mode()
def all_title_log_probs(
    language_model: LanguageModel, resume: EncodedResume, trie: TitleTrie, memory: int = MEMORY
) -> np.ndarray:
    """Return the log-probability of every title for every record, float64 [records, titles], nats.

    Args:
        language_model: the model.
        resume: a career of at least one record.
        trie: the tree of titles.
        memory: bytes that the positions run at once may take beside the model and the career's keys and values; a
            bin of the tree under one record is the least that is run.

    Raises:
        MismatchError: if the model is of a kind whose attention cannot be shared between titles.
    """
    run = way_to_run(language_model, resume, trie)
    return title_log_probs(edge_log_probs(read_career(language_model, resume, trie), trie, memory, run), trie)


@torch.inference_mode()
def way_to_run(
    language_model: LanguageModel, resume: EncodedResume, trie: TitleTrie, trial: Trial | None = None
) -> Run:
    """Return how the tree's nodes are run under prompts as long as a career's, as was tried on the model.

    Args:
        language_model: the model.
        resume: the career.
        trie: the titles.
        trial: of that career with the longest of the titles, if there is one already.

    Raises:
        MismatchError: if no way gives what the reference scorer gives.
    """
    run, tried = _tried.get(language_model.model, (None, 0))
    longest = resume.spans[-1][0]
    if run is not None and longest <= tried:
        return run
    trial, why = trial or Trial.of(language_model, resume, max(trie.titles, key=len)), []
    # A title that occurred may be none of those asked for.
    trie = build_title_trie(list(dict.fromkeys([*trie.titles, *trial.titles])))
    for run in (run_tree_attention, _run_dense_mask):
        try:
            edges = edge_log_probs(read_career(language_model, trial.career, trie), trie, MEMORY, run)
            differs = trial.difference(trial.among(title_log_probs(edges, trie), trie.titles))
        except (MemoryError, torch.OutOfMemoryError):
            raise
        # The model's own pass over the same text went well, so that the way does not fit, whatever it stumbled on.
        except Exception as error:
            strange = (
                f"it takes no plain cache of keys and values, or no tree ({type(error).__name__}: {error})"
            )
            why.append(str(error) if isinstance(error, DoesNotFitError) else strange)
            continue
        if not differs:
            _tried[language_model.model] = run, longest
            return run
        why.append(f"the log-probability of a title {differs}")
    reasons = "; ".join(dict.fromkeys(" ".join(one.split())[:200] for one in why))
    kind = type(causal_model(language_model.model)).__name__
    raise MismatchError(
        f"{language_model.name}: prompts cannot be shared between titles in a {kind} ({reasons}). Use a causal model "
        "with softmax attention, such as those of the Llama, Qwen, Gemma or GPT-2 kind, or score the titles that "
        "occurred alone (titles 'realised')."
    )


def edge_log_probs(career: CareerPass, trie: TitleTrie, memory: int, run: Run) -> np.ndarray:
    """Return the log-probability of every edge of the tree, float64 [records, edges]; as `all_title_log_probs`."""
    edges = np.empty((len(career.starts), len(trie.edge_nodes)))
    edges[:, trie.edge_nodes == 0] = career.root
    if not len(trie):
        return edges
    records, bins = _shares(career, trie, run, memory)
    for rows in _groups(len(career.starts), records):
        for part in _parts(career, trie, rows, bins):
            edges[rows[0] : rows[-1] + 1, part.edges] = run(career, part).double().cpu().numpy()
    return edges


def title_log_probs(edges: np.ndarray, trie: TitleTrie) -> np.ndarray:
    """Add up each title's edges; the filler of `title_edges` points at a column of zeros."""
    padded = np.concatenate([edges, np.zeros((len(edges), 1))], axis=1)
    return padded[:, trie.title_edges].sum(axis=-1)


@dataclass(frozen=True)
class _Part:
    """Some bins of the tree under some records, run together."""

    starts: list[int]  # lengths of the records' prompts, ascending
    tokens: torch.Tensor  # in each slot, int64 [bins, size]
    depths: torch.Tensor  # of each slot's node, int64 [bins, size]
    seen: torch.Tensor  # which slots of its bin a slot sees, bool [bins, size, size]
    edges: np.ndarray  # that begin in these bins, int64 [edges]
    edge_slots: torch.Tensor  # flat slot that each begins in, int64 [edges]
    edge_tokens: torch.Tensor  # that each leads to, int64 [edges]


Run = Callable[[CareerPass, _Part], torch.Tensor]
"""A way to the log-probabilities of the edges [records, edges] of some bins."""

# The way that is right for a model, and up to which length of prompts it was tried, tokens.
_tried: WeakKeyDictionary[torch.nn.Module, tuple[Run, int]] = WeakKeyDictionary()


def _shares(career: CareerPass, trie: TitleTrie, run: Run, memory: int) -> tuple[int, int]:
    """Return how many records, and how many bins of the tree, are run at once."""
    bins, size = trie.bins.nodes.shape
    if run is run_tree_attention:
        needed = _bytes_a_position(career, size)
    else:  # a position's logits are kept as they are and in float32
        needed = 8 * int(career.model.get_input_embeddings().num_embeddings)
    positions = max(1, min(_POSITIONS, memory // needed))
    if positions < bins * size:
        return 1, max(1, positions // size)
    return positions // (bins * size), bins


def _bytes_a_position(career: CareerPass, size: int) -> int:
    """Return the bytes of one position: copies of its states and the keys in a layer, and a block of logits."""
    config = career.model.config.get_text_config()
    width = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    heads, length, head_width = career.keys[0].shape
    keys = 2 * heads * head_width * (length + size) // size
    states = career.keys[0].element_size() * (12 * width + 4 * inner + keys + length + size)
    return states + 2 * 4 * COLUMNS


def _groups(number: int, at_once: int) -> list[np.ndarray]:
    return np.array_split(np.arange(number), -(-number // at_once))


def _parts(career: CareerPass, trie: TitleTrie, rows: np.ndarray, at_once: int) -> Iterator[_Part]:
    """Yield the tree's bins for some records, `at_once` at a time."""
    device, packed, below = career.keys[0].device, trie.bins, np.flatnonzero(trie.edge_nodes)
    slots = packed.slots[trie.edge_nodes[below] - 1]
    size = packed.nodes.shape[1]
    for bins in _groups(len(packed.nodes), at_once):
        nodes = packed.nodes[bins]
        here = (slots >= bins[0] * size) & (slots < (bins[-1] + 1) * size)
        yield _Part(
            starts=[career.starts[row] for row in rows],
            tokens=torch.as_tensor(trie.tokens[nodes], device=device),
            depths=torch.as_tensor(trie.depths[nodes], device=device),
            seen=torch.as_tensor(packed.seen[bins], device=device),
            edges=below[here],
            edge_slots=torch.as_tensor(slots[here] - bins[0] * size, device=device),
            edge_tokens=torch.as_tensor(trie.edge_tokens[below[here]], device=device),
        )


def run_tree_attention(career: CareerPass, part: _Part) -> torch.Tensor:
    """Return the edges' log-probabilities [records, edges]; raises DoesNotFitError."""
    if career.head is None:
        raise DoesNotFitError("its logits come from no plain output layer")
    tree = PackedTree(career, part.starts, part.depths, part.seen)
    starts = torch.tensor(part.starts, device=part.tokens.device)
    places = (starts[:, None] + part.depths.flatten() - 1).flatten()
    hidden = run_tree(career.model, part.tokens.flatten().repeat(len(starts)), places, tree.attend)
    offsets = torch.arange(len(starts), device=starts.device)[:, None] * part.tokens.numel()
    rows = (offsets + part.edge_slots).flatten()
    found = token_log_probs(career.head, hidden, rows, part.edge_tokens.repeat(len(starts)))
    return found.view(len(starts), -1)


def _run_dense_mask(career: CareerPass, part: _Part) -> torch.Tensor:
    """Return the edges' log-probabilities [records, edges] with one mask over all."""
    starts = torch.tensor(part.starts, device=part.tokens.device)
    records, longest, slots = len(starts), part.starts[-1], part.tokens.numel()
    # The keys and values of the longest prompt, seen by each of the records without a copy.
    shared = DynamicCache()
    for number, layer in enumerate(zip(career.keys, career.values, strict=True)):
        keys, values = (kept[None, :, :longest].expand(records, -1, -1, -1) for kept in layer)
        shared.update(keys, values, number)
    # What a slot sees: its own record's prompt, its ancestors, itself.
    among = torch.block_diag(*part.seen.unbind())
    prompt = torch.arange(longest, device=starts.device)[None, None] < starts[:, None, None]
    seen = torch.cat([some.expand(records, slots, -1) for some in (prompt, among)], dim=-1)
    # Models with biases by distance fail here, as they take no mask of four dimensions, some no positions.
    logits = career.model(
        input_ids=part.tokens.flatten().expand(records, slots),
        position_ids=starts[:, None] + part.depths.flatten() - 1,
        attention_mask=additive_mask(seen, career.model.dtype)[:, None],
        past_key_values=shared,
        use_cache=True,
    ).logits
    log_probs = (torch.log_softmax(row.float(), dim=-1) for row in logits)
    return torch.stack([of_record[part.edge_slots, part.edge_tokens] for of_record in log_probs])
