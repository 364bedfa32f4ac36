"""Scoring on a card: batched over careers, beside plain ways, in 8 and 4 bits, and beside vLLM."""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.util
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from gpu_models import Item, Plan, arithmetic, fitting, invented, now, products, workload
from measurement import interleaved, row
from scoring_comparisons import all_titles, exact
from scoring_peers import BATCH, Peer
from scoring_workload import UNITS, careers_of

from labor_llm.models.batches import passes
from labor_llm.models.folders import model_source
from labor_llm.models.loading import DTYPES, LanguageModel, load_language_model
from labor_llm.models.memory import GIB, Llama, scoring_need
from labor_llm.scoring.all_titles import run_tree_attention, way_to_run
from labor_llm.scoring.passes import batch_log_probs, realised_log_probs, tokens_at_once
from labor_llm.text.templates import Resume
from labor_llm.text.tokenization import EncodedResume, encode_resume

COARSE = 3.0  # nats, of a title by two ways in bfloat16, as `reference.Trial` allows to nine tokens
UNIT = UNITS["wall"]


def scoring_small(plan: Plan) -> Iterator[Item]:
    """Score titles with the small model."""
    yield from _scoring(plan, load_language_model(plan.small, plan.dtype))


def scoring_large(plan: Plan) -> Iterator[Item]:
    """Score titles with the large shape."""
    yield from _scoring(plan, invented(plan, fitting(plan, lambda some: sum(scoring_need(some).values()))))


def _scoring(plan: Plan, language_model: LanguageModel) -> Iterator[Item]:
    name, (layers, head) = f"{language_model.name}, {plan.dtype}", products(language_model)
    texts = _texts(language_model, plan.scored)
    seconds = _realised_seconds(plan, language_model, texts, apart=True)
    transitions = sum(len(text.spans) for text in texts)
    batched = f"realised titles, {name}, {len(texts)} careers"
    taken = seconds["batched"] / transitions
    yield row(f"{batched}; peer one career a pass", taken, UNIT, seconds["alone"] / transitions)
    yield row(f"{batched}; peer every prompt and title, batched", taken, UNIT, seconds["apart"] / transitions)
    read = sum(text.spans[-1][1] for text in texts)
    of_titles = sum(end - start for text in texts for start, end in text.spans)
    what = "2 operations a weight and token, the output layer at titles"
    yield arithmetic(f"{batched}: {what}", 2 * (layers * read + head * of_titles) / seconds["batched"])
    work = workload(language_model, plan.years, 1 + plan.rounds)
    exact(work, work.careers[-1])  # tries the scorer, which is done once
    if way_to_run(language_model, work.careers[-1].encoded, work.trie) is not run_tree_attention:
        yield f"{name}: all titles go by a dense mask, the slower way, as the other does not fit"
    rows = all_titles(work, [_plain(language_model)], f"all titles, {name}")
    yield from rows
    nodes, prompts = len(work.trie) * work.transitions, sum(one.encoded.spans[-1][0] for one in work.careers)
    operations = 2 * (layers * (nodes + prompts) + head * (nodes + work.transitions))
    what = f"all titles, {name}: 2 operations a weight and beginning"
    yield arithmetic(what, operations / work.transitions / rows[0]["value"])


def _texts(language_model: LanguageModel, careers: int) -> list[EncodedResume]:
    return [one.encoded for one in careers_of(language_model, [5 + number % 21 for number in range(careers)])]


def _realised_seconds(
    plan: Plan, language_model: LanguageModel, texts: Sequence[EncodedResume], apart: bool = False
) -> dict[str, float]:
    """Return the seconds for all realised titles of careers: batched, one career a pass, each prompt apart."""
    tokens = tokens_at_once(language_model) if torch.cuda.is_available() else plan.tokens

    def together(some: Sequence[EncodedResume]) -> None:
        for part in passes([len(text.ids) for text in some], tokens, "padded"):
            batch_log_probs(language_model, [some[place] for place in part])

    steps = {
        "batched": lambda _: together(texts),
        "alone": lambda _: [realised_log_probs(language_model, text) for text in texts],
    }
    whole = [(text, span) for text in texts for span in text.spans]
    drawn = np.random.default_rng(1).permutation(len(whole))[: 2 * BATCH]
    pairs = [whole[number] for number in drawn]
    alone = [EncodedResume("", text.ids[: span[1]], (span,)) for text, span in pairs]
    if apart:
        steps["apart"] = lambda _: together(alone)
    found = interleaved(steps, [None], 1 + plan.rounds, now)
    scale = {"apart": len(whole) / len(alone)}
    return {name: float(np.median(taken[1:])) * scale.get(name, 1.0) for name, taken in found.items()}


def _plain(language_model: LanguageModel) -> Peer:
    """Return the plain way: one text for every prompt and title, in one pass; encoding them is not counted."""
    texts: list[EncodedResume] = []

    def prepare(_: str, prompt: str, titles: Sequence[str]) -> None:
        whole = [Resume("", prompt + title, ((len(prompt), len(prompt + title)),)) for title in titles]
        texts[:] = [encode_resume(language_model.tokenizer, one) for one in whole]

    def score(prompt: str, titles: Sequence[str]) -> list[float]:
        return batch_log_probs(language_model, texts).tolist()

    return Peer(f"every prompt and title, {BATCH} a pass", BATCH, score, COARSE, prepare)


def quantized_small(plan: Plan) -> Iterator[Item]:
    """Score titles with the small model in 8 and 4 bits."""
    load = functools.partial(load_language_model, plan.small, plan.dtype)
    yield from _quantized(plan, load(), {bits: functools.partial(load, bits) for bits in ("8bit", "4bit")})


def quantized_large(plan: Plan) -> Iterator[Item]:
    """Score titles with the large shape in 8 and 4 bits, made of its weights."""

    def need(sizes: Llama) -> float:
        return sum(scoring_need(sizes).values()) + scoring_need(sizes, "8bit")["weights"]

    language_model = invented(plan, fitting(plan, need))

    def made(bits: str) -> LanguageModel:
        # As the package loads the small one.
        config = load_language_model(plan.small, plan.dtype, bits).model.config.quantization_config
        model = type(language_model.model).from_pretrained(
            None, config=copy.deepcopy(language_model.model.config), state_dict=language_model.model.state_dict(),
            dtype=DTYPES[plan.dtype], quantization_config=config,
        )  # fmt: skip
        return dataclasses.replace(language_model, model=model.eval())

    yield from _quantized(
        plan, language_model, {bits: functools.partial(made, bits) for bits in ("8bit", "4bit")}
    )


def _quantized(
    plan: Plan, language_model: LanguageModel, coarse: Mapping[str, Callable[[], LanguageModel]]
) -> Iterator[Item]:
    work = workload(language_model, plan.years, 1 + plan.rounds)
    texts = _texts(language_model, plan.scored // 4 + 1)
    own = _realised_seconds(plan, language_model, texts)["batched"]
    scores = [exact(work, one) for one in work.careers]
    for bits, load in coarse.items():
        other = dataclasses.replace(work, language_model=load())
        name = f"{language_model.name}, {bits}"
        sizes = [one.model.get_memory_footprint() / GIB for one in (other.language_model, language_model)]
        yield row(f"weights, {name}; peer {plan.dtype}", sizes[0], "GiB", sizes[1])
        found = [exact(other, one) for one in work.careers]
        difference = max(float(np.abs(one - two).max()) for one, two in zip(found, scores, strict=True))
        yield row(f"all titles, {name}: largest difference from {plan.dtype}", difference, "nats")
        seconds = work.seconds({"own": functools.partial(exact, work), bits: functools.partial(exact, other)})
        taken, beside = (work.per_transition(seconds[way]) for way in (bits, "own"))
        yield row(f"all titles, {name}; peer {plan.dtype}", taken, UNIT, beside)
        transitions = sum(len(text.spans) for text in texts)
        taken = _realised_seconds(plan, other.language_model, texts)["batched"] / transitions
        yield row(f"realised titles, {name}; peer {plan.dtype}", taken, UNIT, own / transitions)
        del other  # before the next is loaded


def vllm(plan: Plan) -> Iterator[Item]:
    """Score realised titles by the log-probabilities that vLLM gives for prompts."""
    if importlib.util.find_spec("vllm") is None:
        yield "vllm is not installed, so its log-probabilities of prompts were not measured"
        return
    from vllm import LLM, SamplingParams

    language_model = load_language_model(plan.small, plan.dtype)
    texts = _texts(language_model, plan.scored)
    own = _realised_seconds(plan, language_model, texts)["batched"]
    served = LLM(
        model=str(model_source(plan.small)), dtype=plan.dtype, gpu_memory_utilization=0.5, max_model_len=4096
    )
    asked = [{"prompt_token_ids": text.ids[: text.spans[-1][1]].tolist()} for text in texts]
    wanted = SamplingParams(max_tokens=1, prompt_logprobs=0)
    seconds = []
    for _ in range(1 + plan.rounds):
        start = now()
        outputs = served.generate(asked, wanted)
        seconds.append(now() - start)
    transitions = sum(len(text.spans) for text in texts)
    peer = statistics.median(seconds[1:]) / transitions
    yield row(
        f"realised titles, {plan.small}, {plan.dtype}; peer vllm, prompt_logprobs",
        own / transitions,
        UNIT,
        peer,
    )
    text, given = texts[0], outputs[0].prompt_logprobs
    theirs = [sum(given[n][int(text.ids[n])].logprob for n in range(*span)) for span in text.spans]
    difference = np.abs(np.array(theirs) - realised_log_probs(language_model, text)).max()
    yield row(f"realised titles, {plan.small}: largest difference from vllm", float(difference), "nats")
