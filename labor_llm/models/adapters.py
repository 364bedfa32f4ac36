"""The base model that a stored adapter was made on, and where it is found again.

Beside its name, as it was given, and its checksum stand the places of a folder: the way to it from the adapter, which
holds when both are moved, and its absolute path, which holds when the adapter is moved.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from labor_llm.errors import InputError, LaborLLMError, MismatchError
from labor_llm.models.folders import BASE_FILE, PACKAGED_MODELS, local_folder, refusing, weights_checksum

ADAPTER_REMEDY = (
    "It was cut or changed, or belongs to another adapter: copy the adapter again, or fine-tune again."
)


def write_base(aside: Path, base: str, folder: Path) -> None:
    """Write beside an adapter that is to stand at `folder` what it was made on."""
    made_on: dict[str, Any] = {"name": base, "checksum": weights_checksum(base)}
    if (found := local_folder(base)) is not None:
        made_on["places"] = [os.path.relpath(found.resolve(), folder.resolve()), str(found.resolve())]
    (aside / BASE_FILE).write_text(json.dumps(made_on) + "\n", encoding="utf-8")


def find_base(folder: Path) -> str:
    """Return the name or folder of the base model of an adapter.

    Raises:
        InputError: if the file does not say what the adapter was made on, or it is in none of the places.
        MismatchError: if another model stands there.
        As `weights_checksum`, of the base.
    """
    made_on = read_object(folder / BASE_FILE, "name", "checksum")
    name, places, folders = made_on["name"], made_on.get("places", []), folder.resolve().parents
    # Before places were stored, a path was kept as it was typed, most often in a folder above the adapter.
    near = [folder.resolve() / place for place in places] or [above / name for above in folders]
    candidates = [str(place) for place in near if place.is_dir() and name not in PACKAGED_MODELS]
    error: LaborLLMError = InputError(
        f"{folder}: its base model {name} is in none of the folders that {BASE_FILE} names ({', '.join(places)}). Put "
        "it back, or write its path there among the places."
    )
    for candidate in candidates if places else [*candidates, name]:
        try:
            found = weights_checksum(candidate)
        except LaborLLMError as raised:  # no model, or a damaged one
            error = raised
            continue
        if found == made_on["checksum"]:
            return candidate
        error = MismatchError(
            f"{folder}: the adapter was made on {name} with weights {made_on['checksum']}, the base found now has "
            f"{found} ({candidate}). Give the same base model, or fine-tune again."
        )
    raise error


def read_object(path: Path, *texts: str) -> dict[str, Any]:
    """Return the object in a JSON file, which must hold some texts.

    Raises:
        InputError: if it does not.
    """
    with refusing(f"{path}: not readable", ADAPTER_REMEDY):
        found = dict(json.loads(path.read_text(encoding="utf-8")))
        if lacking := [name for name in texts if not isinstance(found[name], str)]:
            raise TypeError(f"{lacking[0]} is no text")
        if not all(isinstance(place, str) for place in found.get("places", [])):
            raise TypeError("a place is no text")
        return found
