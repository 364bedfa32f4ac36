"""Tokenizers of the kinds of Llama-2, Llama-3, GPT-2, Gemma and Qwen: the split, and the scorers that rest on it.

Each is built with the normaliser, pre-tokenizer, post-processor and decoder of its family (by the library's own class
where there is one) around a small vocabulary learnt from invented resumes.
"""

import itertools
import json
from collections.abc import Callable

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    GemmaTokenizer,
    GPT2Tokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Tokenizer,
)

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.models.loading import LanguageModel
from labor_llm.scoring.trials import largest_disagreement
from labor_llm.text.templates import continuation, resumes
from labor_llm.text.tokenization import check_split, encode_resume, encode_titles

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
QWEN = LLAMA_3.replace(r"\p{N}{1,3}", r"\p{N}")
LLAMA_2 = ("<unk>", "<s>", "</s>")
BYTES = [f"<0x{number:02X}>" for number in range(256)]
# An accent that no resume holds, a title that begins another, closing brackets and full stops, an apostrophe.
MORE_TITLES = (
    "Façade cleaners", "Physicians", "Physicians' assistants", "Sawyers (wood)", "Clerks, n.e.c.", "8-hour men",
)  # fmt: skip


def learnt(
    texts: list[str], split: pre_tokenizers.PreTokenizer, first: list[str], alphabet: list[str]
) -> dict:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = split
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=first, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return {"vocab": model["vocab"], "merges": [tuple(pair) for pair in model["merges"]]}


def splitting(pattern: str) -> pre_tokenizers.PreTokenizer:
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), level])


def of_bytes(texts: list[str], split: pre_tokenizers.PreTokenizer, *first: str) -> dict:
    return learnt(texts, split, list(first), pre_tokenizers.ByteLevel.alphabet())


def of_pieces(texts: list[str], line_end: str, *first: str) -> dict:
    """As SentencePiece learns: blanks begin pieces, digits and punctuation are apart."""
    split = [
        pre_tokenizers.Split("\n", line_end), pre_tokenizers.Punctuation(),
        pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Metaspace(prepend_scheme="never"),
    ]  # fmt: skip
    return learnt(texts, pre_tokenizers.Sequence(split), [*first, *BYTES], ["▁"])


def llama_2_file(texts: list[str]) -> PreTrainedTokenizerBase:
    """As in the published tokenizer.json: the blank is put before the text by a normaliser."""
    model = models.BPE(
        **of_pieces(texts, "removed", *LLAMA_2), unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    backend = Tokenizer(model)
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def llama_3(texts: list[str]) -> PreTrainedTokenizerBase:
    begin, end = "<|begin_of_text|>", "<|end_of_text|>"
    backend = Tokenizer(models.BPE(**of_bytes(texts, splitting(LLAMA_3), begin, end), ignore_merges=True))
    backend.pre_tokenizer = splitting(LLAMA_3)
    template = processors.TemplateProcessing(single=f"{begin} $A", special_tokens=[(begin, 0)])
    backend.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=begin, eos_token=end)


GPT_2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
GEMMA = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
KINDS: dict[str, tuple[Callable[[list[str]], PreTrainedTokenizerBase], str, str, bool]] = {
    # How it is made, the tokens that close "(retail)" and "Cooks" and whether a text begins with a special token.
    "Llama-2": (
        lambda texts: LlamaTokenizer(**of_pieces(texts, "removed", *LLAMA_2), add_bos_token=True),
        "<0x0A>", "<0x0A>", True,
    ),
    "Llama-2, tokenizer.json": (llama_2_file, "<0x0A>", "<0x0A>", True),
    "Llama-3": (llama_3, ")Ċ", "Ċ", True),
    "GPT-2": (lambda texts: GPT2Tokenizer(**of_bytes(texts, GPT_2, "<|endoftext|>")), "Ċ", "Ċ", False),
    "Gemma": (
        lambda texts: GemmaTokenizer(**of_pieces(texts, "isolated", *GEMMA), add_bos_token=True), "\n", "\n", True,
    ),
    "Qwen": (
        lambda texts: Qwen2Tokenizer(**of_bytes(texts, splitting(QWEN), "<|endoftext|>")), ")Ċ", "Ċ", False,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(kind: str, panel: CareerPanel) -> PreTrainedTokenizerBase:
    return KINDS[kind][0]([resume.text for resume in resumes(panel)])


def test_the_split_of_the_whole_is_what_follows_the_prompt(tokenizer, panel):
    more = OutcomeSpace(tuple(map(str, range(len(MORE_TITLES)))), MORE_TITLES)
    by_title: dict[str, tuple[int, ...]] = {}
    for space in (panel.outcomes, more):
        by_title |= zip(space.titles, encode_titles(tokenizer, space), strict=True)
    for resume in itertools.islice(resumes(panel), 3):
        encoded = encode_resume(tokenizer, resume)
        assert encoded.ids.tolist() == tokenizer(resume.text)["input_ids"]
        for record, (start, end) in enumerate(encoded.spans):
            prompt = tokenizer(resume.prompt(record))["input_ids"]
            assert encoded.ids[:start].tolist() == prompt
            title = resume.text[slice(*resume.spans[record])]
            assert tokenizer.decode(encoded.ids[start:end]).strip() == title.strip()
        for title, tokens in by_title.items():
            together = tokenizer(resume.prompt(record) + continuation(title))["input_ids"]
            assert together == [*prompt, *tokens]
        check_split(tokenizer, resume, list(by_title.values()), list(by_title))


def test_titles_close_as_their_kind_does(kind, tokenizer, panel):
    _, bracket, letter, begins = KINDS[kind]
    titles = dict(zip(panel.outcomes.titles, encode_titles(tokenizer, panel.outcomes), strict=True))
    last = {title: tokenizer.convert_ids_to_tokens(tokens[-1]) for title, tokens in titles.items()}
    assert (last["Sales workers (retail)"], last["Cooks"]) == (bracket, letter)
    assert (tokenizer("Cooks")["input_ids"][0] == tokenizer.bos_token_id) == begins
    if kind == "Llama-2, tokenizer.json":
        # A title encoded on its own gets a second blank: not the tokens that it has in its line.
        alone = tokenizer(" Cooks\n", add_special_tokens=False)["input_ids"]
        assert tuple(alone) != titles["Cooks"]


def test_the_scorers_agree_with_the_reference(kind, tokenizer, panel):
    torch.manual_seed(2)
    config = LlamaConfig(
        vocab_size=1 + max(tokenizer.get_vocab().values()), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.2,
        tie_word_embeddings=True,
    )  # fmt: skip
    model = LanguageModel(kind, LlamaForCausalLM(config).eval(), tokenizer)
    assert largest_disagreement(model, panel) < 1e-4  # nats, float32
