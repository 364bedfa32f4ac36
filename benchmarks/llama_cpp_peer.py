"""llama.cpp as a scorer of titles: a prompt's keys and values are computed once and shared by all titles.

The prompt is decoded as one sequence, of which the part that it has in common with the prompt before is kept. Every
title gets a copy of it by reference and is decoded as a continuation, several titles in a batch without padding.
Weights are float32, as ours are; with its flash attention, which it takes by default, keys and values have 16 bits,
also by default, and titles were up to 0.04 nats off. Models of the Llama kind only, on a CPU. Its Python binding
is compiled when it is installed: a C++ compiler and cmake are needed, and a few minutes.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import operator
import tempfile
from collections.abc import Sequence
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from labor_llm.errors import InputError
from labor_llm.models.loading import LanguageModel
from labor_llm.text.templates import Resume
from labor_llm.text.tokenization import encode_resume

# Titles that share a prompt at a time, and tokens of one batch: what was fastest on two cores.
TITLES, TOKENS = 64, 1024


def write_gguf(model: PreTrainedModel, path: Path) -> None:
    """Write a model's weights as llama.cpp reads them, float32, without a tokenizer: it is given token ids.

    Raises:
        InputError: if it is not a plain Llama model on a CPU.
    """
    config = model.config
    if not isinstance(model, LlamaForCausalLM) or config.attention_bias or config.mlp_bias:
        raise InputError(f"{type(model).__name__}: llama.cpp is compared on models of the Llama kind only.")
    if config.rope_parameters["rope_type"] != "default" or model.device.type != "cpu":
        raise InputError("llama.cpp is compared on a CPU, on models whose rotary positions are not scaled.")
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    for name, tensor in model.state_dict().items():
        weights = tensor.float().numpy()
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            weights = _turned_pairwise(weights, config.head_dim)
        writer.add_tensor(names.get_name(name, (".weight",)), np.ascontiguousarray(weights))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _turned_pairwise(weights: np.ndarray, head: int) -> np.ndarray:
    """Put the two numbers that rotary positions turn together side by side; transformers has them half a head apart."""
    return weights.reshape(-1, 2, head // 2, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def _encoded(
    tokenizer: PreTrainedTokenizerBase, prompt: str, texts: tuple[str, ...]
) -> tuple[list[int], list[list[int]]]:
    """Return the tokens of the prompt and of each text, split where the encoding of both together is."""
    begin, titles = [], []
    for text in texts:
        whole = Resume("", prompt + text, ((len(prompt), len(prompt + text)),))
        encoded = encode_resume(tokenizer, whole)
        start, end = encoded.spans[0]
        begin = encoded.ids[:start].tolist()
        titles.append(encoded.ids[start:end].tolist())
    return begin, titles


class LlamaCpp:
    """A model in llama.cpp, for as long as the process lasts."""

    def __init__(self, language_model: LanguageModel, flash_attention: bool) -> None:
        """Hand the weights of a model over.

        Args:
            language_model: the model.
            flash_attention: whether it takes its defaults, flash attention and 16 bits for keys and values.

        Raises:
            InputError: if the model is not of the Llama kind, or llama.cpp does not take it.
        """
        import llama_cpp

        self._api = llama_cpp
        # It tells every step of loading on standard error; the callback must live as long as the library.
        self._silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._silent, ctypes.c_void_p(0))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.gguf"
            write_gguf(language_model.model, path)
            settings = llama_cpp.llama_model_default_params()
            settings.use_mmap = False
            self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), settings)
        config = language_model.model.config
        self._vocabulary, self._longest = config.vocab_size, config.max_position_embeddings
        self._kept: list[int] = []
        # Remembered for a prompt and the one before, so that what was prepared is not encoded on the clock.
        self._encoded = functools.lru_cache(maxsize=2)(functools.partial(_encoded, language_model.tokenizer))
        settings = llama_cpp.llama_context_default_params()
        # Room for a prompt and for titles of 32 tokens.
        settings.n_ctx = config.max_position_embeddings + 32 * TITLES
        settings.n_batch = settings.n_ubatch = TOKENS
        settings.n_seq_max = TITLES + 1
        settings.n_threads = settings.n_threads_batch = torch.get_num_threads()
        kept = llama_cpp.GGML_TYPE_F16 if flash_attention else llama_cpp.GGML_TYPE_F32
        settings.type_k = settings.type_v = kept
        settings.flash_attn_type = int(flash_attention)
        settings.kv_unified = True
        self._context = self._model and llama_cpp.llama_init_from_model(self._model, settings)
        if not self._context:
            raise InputError("llama.cpp does not take the model.")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(TOKENS, 0, 1)

    def prepare(self, before: str, prompt: str, texts: Sequence[str]) -> None:
        """Do what a run over a whole career has done when it comes to a prompt.

        Args:
            before: the prompt of the record before, which is decoded.
            prompt: the prompt, which is encoded with the texts, as ours are before the clock starts.
            texts: what will be scored after it.
        """
        self._encoded(prompt, tuple(texts))
        self._read(self._encoded(before, tuple(texts[:1]))[0])

    def score(self, prompt: str, texts: Sequence[str]) -> list[float]:
        """Return the log-probability of each text after the prompt, nats."""
        begin, titles = self._encoded(prompt, tuple(texts))
        first = torch.log_softmax(self._read(begin), dim=-1)
        found = first[[ids[0] for ids in titles]].double().numpy()
        api, memory = self._api, self._memory
        for start in range(0, len(titles), TITLES):
            chunk = titles[start : start + TITLES]
            for sequence in range(1, len(chunk) + 1):
                api.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
            found[start : start + len(chunk)] += self._continued(chunk, len(begin))
            for sequence in range(1, len(chunk) + 1):
                api.llama_memory_seq_rm(memory, sequence, -1, -1)
        return found.tolist()

    def _read(self, begin: Sequence[int]) -> torch.Tensor:
        """Decode what is new of a prompt, its last token at least, and return the logits after it [vocabulary]."""
        if len(begin) > self._longest:
            raise InputError(f"A prompt of {len(begin)} tokens is longer than the model can read.")
        same = map(operator.eq, begin[:-1], self._kept)
        common = sum(1 for _ in itertools.takewhile(bool, same))
        self._api.llama_memory_seq_rm(self._memory, 0, common, -1)
        self._kept = list(begin)
        for start in range(common, len(begin), TOKENS):
            part = begin[start : start + TOKENS]
            logits = self._decode([(token, start + place, 0) for place, token in enumerate(part)])
        return logits[-1].clone()

    def _continued(self, titles: Sequence[Sequence[int]], start: int) -> np.ndarray:
        """Return the log-probability of each title's tokens after its first, nats, float64 [titles]."""
        tokens = [
            (token, start + place, number + 1)
            for number, ids in enumerate(titles)
            for place, token in enumerate(ids[:-1])
        ]
        following = torch.tensor([token for ids in titles for token in ids[1:]], dtype=torch.int64)
        log_probs = [torch.empty(0)]
        for begin in range(0, len(tokens), TOKENS):
            logits = self._decode(tokens[begin : begin + TOKENS], everywhere=True)
            wanted = logits.gather(1, following[begin : begin + len(logits), None])[:, 0]
            # In place, as llama.cpp needs its logits no more: a copy of them would take longer than the sum.
            largest = logits.amax(dim=-1)
            total = logits.sub_(largest[:, None]).exp_().sum(dim=-1)
            log_probs.append(wanted - largest - total.log())
        owners = np.array([number - 1 for _, _, number in tokens], dtype=np.int64)
        return np.bincount(owners, weights=torch.cat(log_probs).double().numpy(), minlength=len(titles))

    def _decode(self, tokens: Sequence[tuple[int, int, int]], everywhere: bool = False) -> torch.Tensor:
        """Run tokens, given as token, place and sequence, and return the logits [tokens or 1, vocabulary]."""
        batch = self._batch
        batch.n_tokens = len(tokens)
        for number, (token, place, sequence) in enumerate(tokens):
            batch.token[number], batch.pos[number] = token, place
            batch.n_seq_id[number], batch.seq_id[number][0] = 1, sequence
            batch.logits[number] = everywhere or number == len(tokens) - 1
        if self._api.llama_decode(self._context, batch):
            raise InputError("llama.cpp has no room for the titles.")
        shape = (len(tokens) if everywhere else 1, self._vocabulary)
        return torch.from_numpy(np.ctypeslib.as_array(self._api.llama_get_logits(self._context), shape))
