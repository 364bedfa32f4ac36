"""Titles in their place: the tokens of a title are found in the line, or the tokenizer is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from labor_llm.careers.occupations import OutcomeSpace
from labor_llm.careers.panel import CareerPanel
from labor_llm.errors import InputError, MismatchError
from labor_llm.models.loading import LanguageModel
from labor_llm.text.templates import Resume, career_resume, resumes
from labor_llm.text.tokenization import (
    check_split,
    check_vocabulary,
    encode_resume,
    encode_titles,
    without_needless_line_ends,
)

SPACE = OutcomeSpace(("1", "2", "3"), ("Cooks", "Cooks, short order", "Physicians"))
CAREER = pd.DataFrame(
    {
        "worker_id": "invented",
        "year": [1984, 1985],
        "education": "college",
        "gender": "female",
        "ethnicity": "hispanic",
        "region": "west",
        "birth_year": pd.array([1963] * 2, dtype="Int64"),
    }
)


@pytest.fixture(scope="module")
def resume() -> Resume:
    return career_resume("PSID", CAREER, ("Cooks", "Physicians"))


def merging(*merges: tuple[str, str]) -> PreTrainedTokenizerFast:
    """A tokenizer of single bytes in which some pairs are one token, wherever they stand."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: number for number, token in enumerate([*alphabet, *("".join(pair) for pair in merges)])
    }
    tokenizer = Tokenizer(models.BPE(vocabulary, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def words(vocabulary: list[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, each with the blank before it; all others are one unknown token."""
    tokens = {token: number for number, token in enumerate(["[UNK]", *vocabulary])}
    tokenizer = Tokenizer(models.WordLevel(tokens, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?[^\s:]+|:|\n"), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")


def test_a_resume_is_encoded_once_and_its_titles_are_found_in_it(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    tokenizer = tiny_model.tokenizer
    for resume in itertools.islice(resumes(panel), 20):
        got = encode_resume(tokenizer, resume)
        assert got.worker_id == resume.worker_id
        assert got.ids.tolist() == tokenizer(resume.text)["input_ids"]
        assert got.ids.dtype == np.int64
        for record, (start, end) in enumerate(resume.spans):
            assert tokenizer.decode(got.continuation_ids(record)) == resume.text[start:end]
            assert tokenizer.decode(got.ids[: got.spans[record][0]]) == resume.prompt(record)


def test_titles_have_the_same_tokens_in_their_place_as_where_they_were_realised(
    tiny_model: LanguageModel, panel: CareerPanel
) -> None:
    titles = encode_titles(tiny_model.tokenizer, panel.outcomes)
    realised = iter(panel.frame["occupation"])
    seen = set()
    for resume in resumes(panel):
        encoded = encode_resume(tiny_model.tokenizer, resume)
        for record in range(len(encoded.spans)):
            code = next(realised)
            seen.add(code)
            assert encoded.continuation_ids(record) == titles[panel.outcomes.index(code)]
    assert seen == set(panel.outcomes.codes)


def test_the_end_of_the_line_tells_a_title_from_one_that_begins_alike() -> None:
    """Without it "Cooks" would be the beginning of "Cooks, short order"."""
    short, long, _ = encode_titles(merging(), SPACE)
    assert len(short) == len(" Cooks\n")
    assert long[: len(short) - 1] == short[:-1]
    assert long[len(short) - 1] != short[-1]


@pytest.mark.parametrize(
    "pair",
    [(":", "Ġ"), ("Ċ", "1"), ("Ċ", "<")],
    ids=["colon and blank", "line end and year", "line end and closing line"],
)
def test_a_token_across_an_end_of_a_title_is_refused(resume: Resume, pair: tuple[str, str]) -> None:
    with pytest.raises(MismatchError, match="a token reaches across the beginning or the end of a job title"):
        encode_resume(merging(pair), resume)


def test_titles_alone_show_a_token_across_the_colon() -> None:
    with pytest.raises(
        MismatchError, match="Use a tokenizer that keeps the colon and the end of the line apart"
    ):
        encode_titles(merging((":", "Ġ")), SPACE)


def test_a_colon_and_blank_in_one_token_are_found_where_offsets_leave_blanks_out(resume: Resume) -> None:
    """With such offsets the joined token seems to end at the colon."""
    tokenizer = merging((":", "Ġ"))
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    with pytest.raises(MismatchError, match="a token reaches across the beginning"):
        encode_titles(tokenizer, SPACE)


def test_a_blank_of_its_own_belongs_to_the_title_also_where_offsets_leave_blanks_out(resume: Resume) -> None:
    plain, trimmed = merging(), merging()
    trimmed.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    assert encode_resume(trimmed, resume).spans == encode_resume(plain, resume).spans
    assert encode_titles(trimmed, SPACE) == encode_titles(plain, SPACE)


def test_the_whole_split_is_checked_after_a_prompt(resume: Resume) -> None:
    tokenizer = merging()
    titles = encode_titles(tokenizer, SPACE)
    check_split(tokenizer, resume, titles, SPACE.titles)
    with pytest.raises(MismatchError, match="the title 'Cooks' after a prompt has other tokens"):
        check_split(tokenizer, resume, [(1, 2), *titles[1:]], SPACE.titles)


@pytest.mark.parametrize("pair", [("Ġ", "C"), ("s", "Ċ"), (")", ":")], ids="".join)
def test_a_token_within_a_title_or_within_a_prompt_is_no_fault(resume: Resume, pair: tuple[str, str]) -> None:
    tokenizer = merging(pair)
    got = encode_resume(tokenizer, resume)
    assert tokenizer.decode(got.continuation_ids(0)) == " Cooks\n"
    assert got.continuation_ids(0) == encode_titles(tokenizer, SPACE)[0]


def test_a_tokenizer_that_drops_the_end_of_the_line_is_refused(resume: Resume) -> None:
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "Cooks": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    dropping = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    with pytest.raises(MismatchError, match="across the beginning or the end"):
        encode_resume(dropping, resume)


def test_a_beginning_of_sequence_token_moves_the_titles_by_one(resume: Resume) -> None:
    plain, with_start = merging(), merging()
    with_start.add_special_tokens({"bos_token": "[START]"})
    start = with_start.bos_token_id
    with_start.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[START] $A", special_tokens=[("[START]", start)]
    )
    expected, got = encode_resume(plain, resume), encode_resume(with_start, resume)
    assert got.ids.tolist() == [start, *expected.ids.tolist()]
    assert got.spans == tuple((first + 1, last + 1) for first, last in expected.spans)
    assert encode_titles(with_start, SPACE) == encode_titles(plain, SPACE)


def normalising() -> PreTrainedTokenizerFast:
    """A tokenizer that takes an apostrophe for a hyphen."""
    tokenizer = merging()
    tokenizer.backend_tokenizer.normalizer = normalizers.Replace("'", "-")
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "titles"),
    [
        # Two unknown words are the same token.
        (words([" Cooks", "\n", ":"]), ("Bakers", "Clerks")),
        # The line end is unknown, and so is the word that follows in the longer title.
        (words([" Cooks", " Bakers", ":"]), ("Cooks", "Cooks afloat")),
        (normalising(), ("Cooks' helpers", "Cooks- helpers")),
    ],
    ids=["alike", "beginning", "normalised"],
)
def test_titles_that_cannot_be_told_apart_are_refused(
    tokenizer: PreTrainedTokenizerFast, titles: tuple[str, str]
) -> None:
    one, two = titles
    with pytest.raises(
        InputError,
        match=f"The titles {one!r} and {two!r} encode alike .* reword one of them".replace("'", "."),
    ):
        encode_titles(tokenizer, OutcomeSpace(("1", "2"), titles))


def test_a_special_token_in_a_title_is_refused() -> None:
    tokenizer = merging()
    tokenizer.add_special_tokens({"eos_token": "[END]"})
    space = OutcomeSpace(("1", "2"), ("Cooks", "Clerks [END]"))
    with pytest.raises(
        InputError, match=r"^The title 'Clerks \[END\]' holds the tokenizer's special token '\[END\]'"
    ):
        encode_titles(tokenizer, space)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tiny_model: LanguageModel) -> None:
    size = len(tiny_model.tokenizer)
    check_vocabulary(tiny_model.tokenizer, size, "x")
    check_vocabulary(tiny_model.tokenizer, size + 28, "x")  # padded embeddings are common
    with pytest.raises(MismatchError) as refused:
        check_vocabulary(tiny_model.tokenizer, size - 1, "models/tiny")
    assert str(refused.value) == (
        f"models/tiny: the tokenizer has {size} tokens, the model {size - 1} embeddings. "
        "They belong to different models: give the folder that holds both."
    )


def test_only_a_title_that_begins_another_needs_its_line_end() -> None:
    """Without its line end "Cooks" would hold the probability of "Cooks, short order" too."""
    tokenizer = merging()
    cooks, short_order, physicians = encode_titles(tokenizer, SPACE)
    assert without_needless_line_ends(tokenizer, [cooks, short_order, physicians]) == [
        cooks, short_order[:-1], physicians[:-1],
    ]  # fmt: skip


def test_a_line_end_that_is_part_of_a_token_stays() -> None:
    """As in the tokenizers of Llama-3 and Qwen, where a full stop or bracket and the line end are one token."""
    tokenizer = merging(("s", "Ċ"))
    titles = encode_titles(tokenizer, OutcomeSpace(("1", "2"), ("Physicians", "Cook")))
    assert without_needless_line_ends(tokenizer, titles) == [titles[0], titles[1][:-1]]
