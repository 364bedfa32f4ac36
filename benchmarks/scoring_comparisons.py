"""Scoring of titles beside other ways to the same numbers: how long each takes, and that they agree."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np
from measurement import Row, row
from scoring_peers import BATCH, ROUNDING, Peer
from scoring_workload import Career, Workload

from labor_llm.errors import MismatchError
from labor_llm.scoring.all_titles import all_title_log_probs
from labor_llm.scoring.bounded import BoundedScores, bounded_title_log_probs
from labor_llm.scoring.passes import realised_log_probs
from labor_llm.scoring.reference import reference_log_prob

TOLERANCES = (1e-2, 1e-3)
_SEED = 1


def exact(work: Workload, career: Career) -> np.ndarray:
    """Return the log-probability of every title for every record [records, titles]."""
    return all_title_log_probs(work.language_model, career.encoded, work.trie)


def sampled(work: Workload, peer: Peer) -> np.ndarray:
    """Return the titles that a peer scores, the same for every career: one full batch, or the first few of it.

    Who shares the prompt between titles scores them all: a part of them would not cost a part of the time.
    """
    if peer.batch is None:
        return np.arange(len(work.titles))
    drawn = np.random.default_rng(_SEED).permutation(len(work.titles))[:BATCH]
    return drawn[: work.sample] if peer.batch == 1 else drawn


def all_titles(work: Workload, peers: Sequence[Peer], name: str = "all titles") -> list[Row]:
    """Return the rows of exact scoring beside those of the peers.

    Args:
        work: what is scored.
        peers: who scores beside.
        name: how the rows' names begin.

    Raises:
        MismatchError: if a peer gives other log-probabilities.
    """
    found: dict[tuple[str, str], np.ndarray] = {}

    def own(career: Career) -> None:
        found["own", career.resume.worker_id] = exact(work, career)

    def other(peer: Peer, career: Career) -> None:
        texts = work.continuations(sampled(work, peer))
        found[peer.name, career.resume.worker_id] = np.array(
            peer.score(career.resume.prompt(career.middle), texts)
        )

    def preparing(peer: Peer, career: Career) -> None:
        resume, middle = career.resume, career.middle
        texts = work.continuations(sampled(work, peer))
        peer.prepare(resume.prompt(middle - 1), resume.prompt(middle), texts)

    seconds = work.seconds(
        {"own": own} | {peer.name: functools.partial(other, peer) for peer in peers},
        {peer.name: functools.partial(preparing, peer) for peer in peers if peer.prepare},
    )
    taken = work.per_transition(seconds["own"])
    rows = [row(name, taken, work.unit), row(f"{name}: beginnings run", len(work.trie), "nodes/transition")]
    for peer in peers:
        titles = sampled(work, peer)
        beside = f"{name}; peer {peer.name}"
        rows.append(row(beside, taken, work.unit, _scaled(work, peer, seconds[peer.name])))
        difference = max(
            np.abs(found["own", worker][career.middle, titles] - found[peer.name, worker]).max()
            for career in work.careers
            for worker in [career.resume.worker_id]
        )
        if difference > peer.rounding:
            raise MismatchError(f"{peer.name} gives other log-probabilities: by up to {difference:.2g} nats.")
        rows.append(row(f"{beside}: largest difference, {len(titles)} titles", difference, "nats"))
    return rows


def _scaled(work: Workload, peer: Peer, seconds: np.ndarray) -> float:
    """Return a peer's seconds a transition for all titles, from those for its sample [rounds, careers]."""
    whole = len(work.titles) / len(sampled(work, peer))
    return work.per_transition(seconds * whole * np.array([career.transitions for career in work.careers]))


def bounded(work: Workload, peers: Sequence[Peer]) -> list[Row]:
    """Return the rows of bounded scoring, beside exact scoring and the peers.

    Raises:
        MismatchError: if a bound does not hold.
    """
    found: dict[tuple[str, str], np.ndarray | BoundedScores] = {}

    def own(tolerance: float, career: Career) -> None:
        scores = bounded_title_log_probs(work.language_model, career.encoded, work.trie, tolerance)
        found[str(tolerance), career.resume.worker_id] = scores

    def in_full(career: Career) -> None:
        found["exact", career.resume.worker_id] = exact(work, career)

    def other(peer: Peer, career: Career) -> None:
        peer.score(career.resume.prompt(career.middle), work.continuations(sampled(work, peer)))

    steps: dict[str, Callable[[Career], None]] = {
        str(each): functools.partial(own, each) for each in TOLERANCES
    }
    steps |= {"exact": in_full} | {peer.name: functools.partial(other, peer) for peer in peers}
    seconds = work.seconds(steps)
    workers = [career.resume.worker_id for career in work.careers]
    rows = []
    for tolerance in map(str, TOLERANCES):
        name, taken = f"all titles, unresolved {tolerance}", work.per_transition(seconds[tolerance])
        rows.append(row(f"{name}; peer exact", taken, work.unit, work.per_transition(seconds["exact"])))
        for peer in peers:
            rows.append(
                row(
                    f"{name}; peer {peer.name}",
                    taken,
                    work.unit,
                    _scaled(work, peer, seconds[peer.name]),
                )
            )
        every = [found[tolerance, worker] for worker in workers]
        for scores, worker in zip(every, workers, strict=True):
            _check_bounds(scores, found["exact", worker], float(tolerance))
        unresolved = np.concatenate([scores.unresolved for scores in every])
        nodes = np.concatenate([scores.nodes for scores in every])
        rows.append(row(f"{name}: the most in a record", float(unresolved.max()), "probability"))
        rows.append(
            row(f"{name}: beginnings run, of {len(work.trie):,}", float(nodes.mean()), "nodes/transition")
        )
    return rows


def _check_bounds(scores: BoundedScores, log_probs: np.ndarray, tolerance: float) -> None:
    """Raise MismatchError if an exact log-probability [records, titles] is not within its bounds."""
    outside = np.maximum(scores.lower - log_probs, log_probs - scores.upper).max()
    missed = np.where(scores.resolved, 0.0, np.exp(log_probs)).sum(axis=1)
    if outside > ROUNDING or scores.unresolved.max() > tolerance or np.any(missed > scores.unresolved + 1e-6):
        raise MismatchError(f"The bounds at an unresolved probability of {tolerance} do not hold.")


def realised(work: Workload) -> list[Row]:
    """Return the rows of scoring the titles that occurred, beside each prompt and title on its own."""
    found: dict[tuple[str, str], np.ndarray] = {}

    def own(career: Career) -> None:
        found["own", career.resume.worker_id] = realised_log_probs(work.language_model, career.encoded)

    def apart(career: Career) -> None:
        found["apart", career.resume.worker_id] = np.array(
            [
                reference_log_prob(work.language_model, career.resume.prompt(record), _title(career, record))
                for record in range(career.transitions)
            ]
        )

    seconds = work.seconds({"own": own, "apart": apart})
    name = "realised titles; peer the plain reference"
    ends = [[end for _, end in career.encoded.spans] for career in work.careers]
    difference = max(
        np.abs(found["own", worker] - found["apart", worker]).max()
        for worker in [career.resume.worker_id for career in work.careers]
    )
    if difference > ROUNDING:
        raise MismatchError(f"The realised titles' log-probabilities differ by up to {difference:.2g} nats.")
    return [
        row(name, work.per_transition(seconds["own"]), work.unit, work.per_transition(seconds["apart"])),
        row(name, sum(each[-1] for each in ends) / work.transitions, "tokens/transition",
            sum(map(sum, ends)) / work.transitions),
        row(f"{name}: largest difference", difference, "nats"),
    ]  # fmt: skip


def _title(career: Career, record: int) -> str:
    start, end = career.resume.spans[record]
    return career.resume.text[start:end].strip()
