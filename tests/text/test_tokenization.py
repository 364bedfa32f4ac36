"""Titles in their place: the tokens of a title are found in the line, or the tokenizer is refused."""

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.errors import InputError, MismatchError
from labor_llm.text.templates import Resume
from labor_llm.text.tokenization import (
    check_split,
    check_vocabulary,
    encode_resume,
    encode_titles,
    without_needless_line_ends,
)

SPACE = OutcomeSpace(("1", "2", "3"), ("Cooks", "Cooks, short order", "Physicians"))
# Header, then records of a cook and of a physician.
TEXT = "A worker:\n1984 (college): Cooks\n1985 (college): Physicians\n<END OF DATA>\n"
RESUME = Resume(
    "w", TEXT, tuple((TEXT.index(t), TEXT.index(t) + len(t)) for t in (" Cooks\n", " Physicians\n"))
)


def merging(*merges: tuple[str, str], trimmed: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes in which some pairs are one token; trimmed offsets leave blanks out."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *map("".join, merges)]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    if trimmed:
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def words(vocabulary: list[str], split: pre_tokenizers.PreTokenizer | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, each with the blank before it; all others are one unknown token."""
    tokens = {token: number for number, token in enumerate(["[UNK]", *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = split or pre_tokenizers.Split(Regex(r" ?[^\s:]+|:|\n"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


ACROSS = "a token reaches across the beginning or the end of a job title .* keeps the colon and the end of the line"


def test_a_token_across_an_end_of_a_title_is_refused():
    joined = [merging(pair) for pair in ((":", "Ġ"), ("Ċ", "1"), ("Ċ", "<"))]
    for tokenizer in (*joined, words([], pre_tokenizers.WhitespaceSplit())):
        with pytest.raises(MismatchError, match=ACROSS):
            encode_resume(tokenizer, RESUME)
    # Titles alone show it too, also where by trimmed offsets the joined token seems to end at the colon.
    for trimmed in (False, True):
        with pytest.raises(MismatchError, match=ACROSS):
            encode_titles(merging((":", "Ġ"), trimmed=trimmed), SPACE)


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("pairs", [[], [("Ġ", "C")], [("s", "Ċ")], [(")", ":")]], ids=str)
def test_a_token_within_a_title_or_within_a_prompt_is_no_fault(pairs, trimmed):
    tokenizer = merging(*pairs, trimmed=trimmed)
    got, titles = encode_resume(tokenizer, RESUME), encode_titles(tokenizer, SPACE)
    assert tokenizer.decode(got.continuation_ids(0)) == " Cooks\n"
    assert [got.continuation_ids(record) for record in (0, 1)] == [titles[0], titles[2]]


def test_the_whole_split_is_checked_after_a_prompt():
    tokenizer = merging()
    titles = encode_titles(tokenizer, SPACE)
    check_split(tokenizer, RESUME, titles, SPACE.titles)
    with pytest.raises(MismatchError, match="the title 'Cooks' after a prompt has other tokens"):
        check_split(tokenizer, RESUME, [(1, 2), *titles[1:]], SPACE.titles)


def test_titles_that_cannot_be_told_apart_or_hold_a_special_token_are_refused():
    normalising, special = merging(), merging()
    normalising.backend_tokenizer.normalizer = normalizers.Replace("'", "-")
    special.add_special_tokens({"eos_token": "[END]"})
    for tokenizer, one, two in (
        # Two unknown words are the same token.
        (words([" Cooks", "\n", ":"]), "Bakers", "Clerks"),
        # The line end is unknown, and so is the word that follows in the longer title.
        (words([" Cooks", " Bakers", ":"]), "Cooks", "Cooks afloat"),
        (normalising, "Cooks' helpers", "Cooks- helpers"),
    ):
        with pytest.raises(InputError) as refused:
            encode_titles(tokenizer, OutcomeSpace(("1", "2"), (one, two)))
        assert str(refused.value).startswith(f"The titles {one!r} and {two!r} encode alike ")
    said = r"^The title 'Clerks \[END\]' holds the tokenizer's special token '\[END\]'"
    with pytest.raises(InputError, match=said):
        encode_titles(special, OutcomeSpace(("1", "2"), ("Cooks", "Clerks [END]")))


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tiny_model):
    size = len(tiny_model.tokenizer)
    check_vocabulary(tiny_model.tokenizer, size, "x")
    check_vocabulary(tiny_model.tokenizer, size + 28, "x")  # padded embeddings are common
    said = f"^models/tiny: the tokenizer has {size} tokens, the model {size - 1} embeddings. They belong to different"
    with pytest.raises(MismatchError, match=said):
        check_vocabulary(tiny_model.tokenizer, size - 1, "models/tiny")


def test_a_line_end_is_needed_where_a_title_begins_another_or_where_it_is_part_of_a_token():
    """Without it "Cooks" would hold the probability of "Cooks, short order" too."""
    tokenizer = merging()
    cooks, short_order, physicians = encode_titles(tokenizer, SPACE)
    assert short_order[: len(cooks) - 1] == cooks[:-1]
    assert without_needless_line_ends(tokenizer, [cooks, short_order, physicians]) == [
        cooks, short_order[:-1], physicians[:-1],
    ]  # fmt: skip
    # As in the tokenizers of Llama-3 and Qwen, where a full stop or bracket and the line end are one token.
    tokenizer = merging(("s", "Ċ"))
    titles = encode_titles(tokenizer, OutcomeSpace(("1", "2"), ("Physicians", "Cook")))
    assert without_needless_line_ends(tokenizer, titles) == [titles[0], titles[1][:-1]]
