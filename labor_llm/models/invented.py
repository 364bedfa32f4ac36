"""Small language models of Llama's architecture with a tokenizer of Llama's kind, drawn from a seed.

They know nothing. They stand in for Llama-2 where a replication is rehearsed: the same classes of model and tokenizer
(byte-pair pieces with blanks as part of words, bytes for what is no piece, digits one by one, a token before each
text), so that whatever runs with them runs with the real ones, in seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from labor_llm.careers.occupations import outcome_space
from labor_llm.text.templates import CLOSING, continuation, line_start

_PIECES, _CONTEXT = 1200, 4096
_SPECIAL = ("<unk>", "<s>", "</s>")
# What resumes say beside titles, so that the words of the template become pieces.
_WORDS = (
    "A worker from the PSID NLSY dataset The following information is available about the work history of a female "
    "male white black or african american hispanic US worker residing in the northeast northcentral south west region "
    "The worker was born in The worker has the following records of work experience one entry per line including year "
    "education level and the job title less than high school some college graduate degree"
)


@dataclass(frozen=True)
class InventedModel:
    """The sizes of a model, and the seed of its weights."""

    layers: int
    width: int
    seed: int

    @property
    def weights(self) -> float:
        """About how many weights it has."""
        return _PIECES * self.width + self.layers * 10 * self.width**2


def write_invented(model: InventedModel, folder: Path) -> None:
    """Write a model and its tokenizer into a folder, as transformers stores them."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=model.width, intermediate_size=2 * model.width,
        num_hidden_layers=model.layers, num_attention_heads=4, num_key_value_heads=4,
        max_position_embeddings=_CONTEXT, initializer_range=0.1, tie_word_embeddings=False,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(model.seed)
        LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer():  # type: ignore[no-untyped-def]
    """Train byte-pair pieces on titles and words of the template, and put them together as Llama-2's are."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    titles = outcome_space().titles
    lines = [line_start(1984, "high school") + continuation(title) for title in titles]
    letters = {letter for line in (*lines, _WORDS, CLOSING) for letter in line}
    alphabet = sorted((letters | {*"0123456789"}) - {"\n", " "})
    pieces_of_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    trained = Tokenizer(models.BPE(unk_token=_SPECIAL[0]))
    # Pieces are within words and hold no two digits; the line end is a byte.
    digits, marks = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("isolated")
    words = [pre_tokenizers.Metaspace(prepend_scheme="always"), digits, marks]
    trained.pre_tokenizer = pre_tokenizers.Sequence(words)
    trainer = trainers.BpeTrainer(
        vocab_size=_PIECES, special_tokens=[*_SPECIAL, *pieces_of_bytes], initial_alphabet=alphabet,
        limit_alphabet=len(alphabet) + 1, show_progress=False,
    )  # fmt: skip
    trained.train_from_iterator([text.replace("\n", " ") for text in (*lines, _WORDS)], trainer)
    # Bytes are ordinary pieces, which training knows as special ones alone.
    learned = json.loads(trained.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(
        models.BPE(learned["vocab"], merges, unk_token=_SPECIAL[0], byte_fallback=True, fuse_unk=True)
    )
    tokenizer.add_special_tokens(list(_SPECIAL))
    blank = "\u2581"
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(blank), normalizers.Replace(" ", blank)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(blank, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    named = dict(zip(("unk_token", "bos_token", "eos_token"), _SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)
