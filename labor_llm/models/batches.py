"""Which texts go through a model together, in fine-tuning and in scoring."""

from __future__ import annotations

from collections.abc import Sequence


def passes(lengths: Sequence[int], tokens_at_once: int, layout: str) -> list[list[int]]:
    """Divide texts into passes, those of similar length together, so that memory does not grow with their number.

    Args:
        lengths: tokens of each text.
        tokens_at_once: the most tokens that a pass has, padding included; a longer text has a pass to itself.
        layout: 'packed' one after the other, or 'padded' below each other.

    Returns:
        For each pass the places of its texts in `lengths`, shortest first.
    """
    divided: list[list[int]] = []
    for text in sorted(range(len(lengths)), key=lengths.__getitem__):
        together = [*divided[-1], text] if divided else []
        # Sorted, so that the text in hand is the longest of its pass, to which the others are padded.
        width = {"packed": sum(lengths[one] for one in together), "padded": len(together) * lengths[text]}
        if together and width[layout] <= tokens_at_once:
            divided[-1] = together
        else:
            divided.append([text])
    return divided
