"""What the chapter on the gain shows: moves back, mixtures, and what both come to in a sentence."""

from __future__ import annotations

import pandas as pd

from labor_llm.evaluation.gains import PARTS, WHOLE
from labor_llm.exhibits.formatting import DisplayTable, DisplayText, format_value, of_rows, signed, table
from labor_llm.exhibits.tables import compare_in_words


@of_rows("tab-returns")
def returns(rows: pd.DataFrame) -> DisplayTable:
    """Put perplexities on moves back beside those on other moves, from `evaluation.gains.returns`."""
    first = rows.iloc[0]
    numbers = {"moves": int(first["moves"]), "share": format_value(first["share"], ".0f")}
    return table("tab-returns", rows, numbers=numbers)


def mixtures(rows: pd.DataFrame) -> DisplayTable:
    """Put pools of two models beside their parts, from `evaluation.mixtures.mixtures`."""
    held = rows["validation_workers"].max()
    return table("tab-mixtures", rows, numbers={"validation_workers": int(held)})


@of_rows()
def gain_sentence(rows: pd.DataFrame) -> DisplayText:
    """Say where one model is ahead, where behind, and where no difference can be told (`gain_by_part`)."""
    by_part = rows.set_index("part")
    whole = by_part.loc[WHOLE]
    verdicts: dict[str, list[str]] = {"ahead": [], "behind": [], "even": []}
    kinds = {"lower than": "ahead", "higher than": "behind"}
    for name in PARTS:
        part = by_part.loc[name]
        if part["difference"] == 0.0 and part["test_se"] == 0.0:
            continue
        kind = kinds.get(compare_in_words(part["difference"], part["ci_low"], part["ci_high"]), "even")
        size = "" if kind == "even" else f" ({signed(part['difference'], 3)}, SE {part['test_se']:.3f})"
        verdicts[kind].append(name.lower() + size)
    said = [
        f"{words} {', '.join(verdicts[kind])}"
        for kind, words in (
            ("ahead", "it loses less on"),
            ("behind", "it loses more on"),
            ("even", "no difference can be told on"),
        )
        if verdicts[kind]
    ]
    total = f"{signed(whole['difference'], 3)} nats a transition (SE {whole['test_se']:.3f})"
    sentence = f"{whole['model']} against {whole['reference']}: {total} in all; {'; '.join(said)}."
    return DisplayText(sentence, int(rows["workers"].min()))


def mixture_sentence(rows: pd.DataFrame) -> DisplayText:
    """Say what weight the language model gets in each pool, and whether the pool is better than both its parts."""
    parts = []
    for row in rows[rows["pool"] != "half and half"].to_dict("records"):
        verdicts = [
            compare_in_words(*(row[f"{of}difference{end}"] for end in ("", "_low", "_high")))
            for of in ("", "partner_")
        ]
        parts.append(
            f"with {row['partner']} it gets a weight of {row['weight']:.2f}, and the perplexity of the pool is "
            f"{verdicts[0]} its own and {verdicts[1]} that of {row['partner']}"
        )
    return DisplayText(f"The language model pooled: {'; '.join(parts)}.", int(rows["workers"].min()))
