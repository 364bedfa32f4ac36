"""What the chapter on the gain shows: moves back, mixtures, and what both come to in a sentence."""

from __future__ import annotations

import pandas as pd

from labor_llm.evaluation.gains import WHOLE
from labor_llm.evaluation.mixtures import CHOSEN
from labor_llm.exhibits.findings import NOT_COMPARABLE, UNTOLD, verdict
from labor_llm.exhibits.formatting import DisplayTable, DisplayText, format_value, of_rows, signed, table

_ROUNDING = 1e-6  # nats


@of_rows("tab-returns")
def returns(rows: pd.DataFrame) -> DisplayTable:
    """Put perplexities on moves back beside those on other moves, from `evaluation.gains.returns`."""
    first = rows.iloc[0]
    numbers = {"moves": int(first["moves"]), "share": format_value(first["share"], ".0f")}
    return table("tab-returns", rows, numbers=numbers)


@of_rows("tab-mixtures")
def mixtures(rows: pd.DataFrame) -> DisplayTable:
    """Put pools of two models beside their parts, from `evaluation.mixtures.mixtures`."""
    held = rows["validation_workers"].max()
    return table("tab-mixtures", rows, numbers={"validation_workers": int(held)})


@of_rows()
def gain_sentence(rows: pd.DataFrame) -> DisplayText:
    """Say where one model is ahead, where behind, and where no difference can be told (`gain_by_part`)."""
    by_part = rows.set_index("part")
    whole, of_words = by_part.loc[WHOLE], {"lower": "it loses less on", "higher": "it loses more on"}
    said: dict[str, list[str]] = {}
    if verdict(*whole[["difference", "ci_low", "ci_high"]]) == NOT_COMPARABLE:
        reason = "one gives probability zero to what happened"
        return DisplayText(f"{whole['model']} and {whole['reference']} cannot be compared: {reason}.", "none")
    # What neither model loses anything on, but by rounding, is no part of the difference.
    lost = by_part[["loss", "reference_loss"]].abs().max(axis=1) > _ROUNDING
    for name, part in by_part[lost].drop(index=WHOLE).iterrows():
        words = of_words.get(verdict(*part[["difference", "ci_low", "ci_high"]]), f"{UNTOLD} on")
        size = f" ({signed(part['difference'], 3)}, SE {part['test_se']:.3f})"
        said.setdefault(words, []).append(str(name).lower() + size)
    total = f"{signed(whole['difference'], 3)} nats a transition (SE {whole['test_se']:.3f})"
    listed = "; ".join(f"{words} {', '.join(names)}" for words, names in said.items())
    sentence = f"{whole['model']} against {whole['reference']}: {total} in all; {listed}."
    return DisplayText(sentence, int(rows["workers"].min()))


@of_rows()
def mixture_sentence(rows: pd.DataFrame) -> DisplayText:
    """Say what weight the language model gets in each pool, and whether the pool is better than both its parts."""
    parts = []
    for row in rows[rows["pool"] == CHOSEN].to_dict("records"):
        own, other = (
            verdict(*(row[f"{of}difference{end}"] for end in ("", "_low", "_high")))
            for of in ("", "partner_")
        )
        parts.append(
            f"with {row['partner']} it has a weight of {row['weight']:.2f}, and the perplexity of the pool against its "
            f"own: {own}, against that of {row['partner']}: {other}"
        )
    return DisplayText(f"The language model pooled: {'; '.join(parts)}.", int(rows["workers"].min()))
