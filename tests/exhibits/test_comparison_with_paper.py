import pandas as pd
import pytest

from labor_llm.errors import InputError
from labor_llm.exhibits.report import REPRODUCED_COLUMNS, compare_with_paper, published_table, read_published

# The only values of the paper that are known from a source; a change here needs one.
PUBLISHED = [
    ("fine_tuned", "PSID81", "Llama-2-7B", "perplexity", 8.184),
    ("career", "PSID81", "CAREER", "perplexity", 8.58),
    ("off_the_shelf", "PSID81", "Llama-2-7B", "perplexity", 364.655),
    ("fine_tuned_numeric_titles", "PSID81", "Llama-2-7B", "perplexity", 8.83),
    ("fine_tuned", "PSID81", "Llama-2-13B", "perplexity", 8.14),
    ("fine_tuned_pooled", "PSID81", "Llama-2-7B", "perplexity", 8.082),
    ("predicting_unemployment", "not stated", "not stated", "AUC-ROC", 0.754),
    ("predicting_change_of_occupation", "not stated", "not stated", "AUC-ROC", 0.848),
    ("direct_against_compounded_predictions", "not stated", "not stated", "correlation", 0.93),
    ("numeric_titles_rise_lower", "several", "not stated", "rise in perplexity", 0.6),
    ("numeric_titles_rise_upper", "several", "not stated", "rise in perplexity", 0.8),
    ("individuals", "three surveys", "none", "count", 52500.0),
]


def reproduced(*rows):
    return pd.DataFrame(rows, columns=REPRODUCED_COLUMNS)


def test_the_published_values_are_these_and_no_others():
    columns = ["quantity", "dataset", "model", "metric", "value"]
    published = read_published()
    assert list(published[columns].itertuples(index=False, name=None)) == PUBLISHED
    assert set(published["source"]) == {"summary of the paper (arXiv 2406.17972)"}


def test_a_value_is_comparable_only_with_the_same_survey_and_base_model():
    ours = reproduced(
        ("fine_tuned", "psid81", "Llama-2-7B", "perplexity", 8.2),
        ("career", "wage_panel", "CAREER", "perplexity", 12.0),
        ("off_the_shelf", "wage_panel", "SmolLM2", "perplexity", 5e6),
        ("predicting_unemployment", "PSID81", "Llama-2-7B", "AUC-ROC", 0.75),
    )
    got = compare_with_paper(read_published(), ours)
    verdicts = dict(zip(zip(got["quantity"], got["paper_model"], strict=True), got["verdict"], strict=True))
    assert verdicts["fine_tuned", "Llama-2-7B"] == "comparable"
    assert verdicts["fine_tuned", "Llama-2-13B"] == "not comparable: other base model"
    assert verdicts["career", "CAREER"] == "not comparable: other survey"
    assert verdicts["off_the_shelf", "Llama-2-7B"] == "not comparable: other survey, other base model"
    assert (
        verdicts["predicting_unemployment", "not stated"]
        == "not comparable: survey not stated, model not stated"
    )
    assert verdicts["fine_tuned_pooled", "Llama-2-7B"] == "not set beside ours here"
    assert got["comparable"].sum() == 1


def test_published_values_are_shown_with_all_their_digits():
    table = published_table(compare_with_paper(read_published(), reproduced()), persons=109)
    assert [f"{value:{table.formats['Paper']}}" for value in table.frame["Paper"][:3]] == [
        "8.184",
        "8.58",
        "364.655",
    ]
    assert table.frame["Paper"].iloc[-1] == 52500


def test_a_reproduced_value_without_a_published_one_is_refused():
    with pytest.raises(InputError, match="'accuracy'"):
        compare_with_paper(read_published(), reproduced(("accuracy", "a", "b", "share", 0.5)))
    with pytest.raises(InputError, match="'metric'"):
        compare_with_paper(read_published(), reproduced().drop(columns="metric"))
