"""Fine-tuning in several processes, one a GPU (or CPU): what they divide, what they add up, and who writes.

`accelerate launch` starts them, with `ddp.yaml` or `fsdp.yaml` of `labor_llm/finetuning/launch`. Every process holds
all careers and reads all settings; a batch is divided by tokens, and the sum of what the processes find is what one
process finds, up to the order in which floating-point numbers are added.

    DDP   each process holds the model; gradients are added after the last pass of a step.
    FSDP  each holds a share of every weight, its gradient and moments (PyTorch's `fully_shard`, FSDP2); a layer is put
          together where it is needed, and gradients are added after every pass, so that none is ever held whole.

Only the main process writes. What one process alone can find out (a file that cannot be read, a full disk) ends all of
them, and the one that found it says so.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import FullyShardedDataParallelPlugin, InitProcessGroupKwargs
from torch import nn
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from transformers import PreTrainedModel

from labor_llm.errors import InputError, LaborLLMError
from labor_llm.finetuning.loss import NextTokenLoss
from labor_llm.models.batches import passes
from labor_llm.models.loading import causal_model
from labor_llm.store.checkpoints import TrainingState

_LAUNCH = "labor_llm/finetuning/launch"
_PRECISIONS = {"bfloat16": "bf16", "float32": "no"}
# The others wait while the main process writes a checkpoint, of 80 GB for seven billion weights.
_PATIENCE = timedelta(hours=2)


def shares(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Divide careers of some lengths over processes: each, longest first, to the one with the fewest tokens so far.

    Returns:
        For each process the places of its careers, in their order; none for a process that is not needed.
    """
    tokens = [0] * count
    places: list[list[int]] = [[] for _ in range(count)]
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        least = tokens.index(min(tokens))
        places[least].append(place)
        tokens[least] += lengths[place]
    return [sorted(some) for some in places]


def _full(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


class Processes:
    """The processes of this run and the part that this one plays; also where there is only one.

    Attributes:
        kind: 'one', 'DDP' or 'FSDP'.
        count: number of processes.
        number: of this one, from 0.
        device: where this one computes.
    """

    def __init__(self, precision: str) -> None:
        """Join the processes that a launcher has started, if any; `precision` is 'bfloat16' (mixed) or 'float32'."""
        # A second run in one process may ask for another precision, which accelerate keeps for the process.
        AcceleratorState._reset_state()
        self._accelerator = Accelerator(
            mixed_precision=_PRECISIONS[precision],
            # Without a GPU the launched processes would else take no notice of each other.
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
        self.count, self.number = self._accelerator.num_processes, self._accelerator.process_index
        self.device, self.is_main = self._accelerator.device, self._accelerator.is_main_process
        sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
        self.kind = "one" if self.count == 1 else "FSDP" if sharded else "DDP"
        self._precision = precision
        self._computed: nn.Module | None = None

    def wrap(self, loss: NextTokenLoss) -> None:
        """Take a model's loss, on this process's device, to be computed in these processes.

        Its weights become shares of themselves under FSDP, so an optimizer is to be made afterwards.

        Raises:
            InputError: if quantised weights are to be sharded, or by FSDP's first version.
        """
        self._computed = loss
        if self.kind == "DDP":
            self._computed = DistributedDataParallel(
                loss,
                device_ids=[self.device.index] if self.device.type == "cuda" else None,
                # The positions' sines: equal everywhere, and processes may differ in their number of passes.
                forward_sync_buffers=False,
            )
        elif self.kind == "FSDP":
            self._shard(loss, causal_model(loss.model))

    def _shard(self, loss: NextTokenLoss, model: PreTrainedModel) -> None:
        """Shard every layer, and what lies outside of them, which the loss holds whole from its start to its end."""
        refused = ""
        if os.environ.get("FSDP_VERSION", "2") != "2":
            refused = f"set fsdp_version to 2 in accelerate's configuration, as {_LAUNCH}/fsdp.yaml does."
        elif getattr(model, "quantization_method", None) is not None:
            refused = (
                f"quantised weights cannot be divided by FSDP. Launch with {_LAUNCH}/ddp.yaml, or set "
                "quantization to none."
            )
        if refused:
            raise self.said_once(InputError(f"Fine-tuning: {refused}"))
        wanted = FullyShardedDataParallelPlugin(fsdp_version=2)
        options = {
            "reshard_after_forward": wanted.reshard_after_forward,
            "offload_policy": wanted.cpu_offload,
        }
        if wanted.activation_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        layers = MixedPrecisionPolicy()
        if self._precision == "bfloat16":
            # Layers travel in the precision they compute in; sums of gradients and what layers add to stay float32.
            layers = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
        names = set(model._no_split_modules or ())
        for module in list(model.modules()):
            if type(module).__name__ in names:
                # Norms, whose weights are vectors, compute in float32, as in one process.
                weights = {part: list(part.parameters(recurse=False)) for part in module.modules()}
                norms = [part for part, own in weights.items() if own and all(one.ndim == 1 for one in own)]
                if norms:
                    fully_shard(norms, **options)
                fully_shard(module, mp_policy=layers, **options)
        # The output head's weight is read outside its layer's forward pass, and may be the embedding's.
        fully_shard(loss, offload_policy=wanted.cpu_offload)

    def compute(self, batch: dict[str, Any]) -> torch.Tensor:
        """Return this process's summed loss on some careers, nats."""
        with self._accelerator.autocast():
            return self._computed(**batch)  # type: ignore[misc]

    def passing(self, is_last: bool) -> contextlib.AbstractContextManager[None]:
        """Hold for one pass of a step, forwards and backwards; after the last one the gradients are added up.

        Under FSDP they are added up after every pass, as a process would else hold them whole.
        """
        if self.kind == "DDP" and not is_last:
            return self._computed.no_sync()  # type: ignore[union-attr,operator,no-any-return]
        return contextlib.nullcontext()

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of this process's part of the loss to those of the step."""
        # Both ways of adding gradients up divide by the number of processes.
        self._accelerator.backward(loss * self.count if self.count > 1 else loss)

    def clip(self, weights: Sequence[nn.Parameter], largest_norm: float) -> torch.Tensor:
        """Scale all gradients down to a norm and return what their norm was, the same in all processes."""
        return _full(self._accelerator.clip_grad_norm_(weights, largest_norm))

    def own_passes(self, lengths: Sequence[int], tokens_at_once: int, layout: str) -> list[list[int]]:
        """Divide careers of some lengths over the processes, and this one's over passes, as `batches.passes` does.

        Returns:
            For each pass of this process the places of its careers; empty for a pass that it only attends: one under
            DDP if it has no careers, and under FSDP as many as the process with the most passes has.
        """
        every = []
        for share in shares(lengths, self.count):
            divided = passes([lengths[place] for place in share], tokens_at_once, layout)
            every.append([[share[place] for place in part] for part in divided])
        needed = max(map(len, every)) if self.kind == "FSDP" else 1
        own = every[self.number]
        # What is only attended comes first, so that the last pass of all is a real one for most.
        return [[] for _ in range(needed - len(own))] + own

    def summed(self, numbers: Sequence[float]) -> np.ndarray:
        """Return the sums of numbers over the processes, float64."""
        own = torch.tensor(numbers, dtype=torch.float64)
        return own.numpy() if self.count == 1 else self._accelerator.reduce(own.to(self.device)).cpu().numpy()

    def said_by_main(self, answer: bool) -> bool:
        """Return the answer of the main process."""
        return bool(self.summed([float(answer) if self.is_main else 0.0])[0])

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """End all processes if the block fails in one; no process goes on before all have come through.

        The block must not itself wait for other processes.

        Raises:
            LaborLLMError: in the processes in which the block did not fail, and not to be said again.
        """
        failed: Exception | None = None
        try:
            yield
        except Exception as error:
            if self.count == 1:
                raise
            failed = error
        ends = self.summed([float(failed is not None and self.number == one) for one in range(self.count)])
        if not ends.any():
            return
        first = int(np.flatnonzero(ends)[0])
        if failed is None:
            failed = LaborLLMError(f"Process {first} stopped; it says why.")
        if isinstance(failed, LaborLLMError):
            failed.said_elsewhere = self.number != first
        raise failed

    def said_once(self, error: LaborLLMError) -> LaborLLMError:
        """Return an error that all processes meet together, to be said by the main process alone."""
        error.said_elsewhere = not self.is_main
        return error

    def whole(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return tensors put together from the processes' shares, in the main process; nothing in the others."""
        if self.kind == "one":
            return tensors
        put_together = {}
        for name, tensor in tensors.items():
            full = _full(tensor.detach())
            if self.is_main:
                put_together[name] = full.cpu()
        return put_together

    def whole_model(self, model: nn.Module) -> dict[str, torch.Tensor] | None:
        """Return the `state_dict` of a sharded model in the main process; None where the model is whole itself."""
        if self.kind != "FSDP":
            return None
        weights = self.whole(dict(model.named_parameters()))
        names = {id(weight): name for name, weight in model.named_parameters()}
        # A weight under two names, such as the embedding as output head, stays one tensor.
        tied = dict(model.named_parameters(remove_duplicate=False))
        state = {name: weights.get(names[id(weight)]) for name, weight in tied.items()}
        return {name: state.get(name, tensor) for name, tensor in model.state_dict().items()}

    def spread_state(
        self, state: TrainingState | None, weights: dict[str, nn.Parameter]
    ) -> TrainingState | None:
        """Return the main process's state in all processes, each with its shares of the tensors.

        The trained weights are given as they lie in this process, in the optimizer's order.
        """
        if self.kind == "one":
            return state
        whole = state.weights if state is not None else {}
        moments = state.optimizer["state"] if state is not None else {}
        described: list[Any] = [None]
        if state is not None:
            kept = {
                number: {name: (value.shape, value.dtype) for name, value in values.items()}
                for number, values in moments.items()
            }
            described = [(state.step, state.notes, state.optimizer["param_groups"], kept)]
        dist.broadcast_object_list(described, src=0, device=self.device)
        if described[0] is None:
            return None
        step, notes, groups, kept = described[0]
        spread = {name: self._spread(whole.get(name), weight) for name, weight in weights.items()}
        optimizer = {}
        for number, described in kept.items():
            weight, values = list(weights.values())[number], moments.get(number, {})
            # What has the weight's shape lies as the weight does; a count of steps, or scales of moments, do not.
            like = {
                name: weight
                if (shape, dtype) == (weight.shape, weight.dtype)
                else torch.empty(shape, dtype=dtype)
                for name, (shape, dtype) in described.items()
            }
            optimizer[number] = {name: self._spread(values.get(name), like[name]) for name in described}
        return TrainingState(step, spread, {"state": optimizer, "param_groups": groups}, notes)

    def _spread(self, whole: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        """Return a tensor of the main process, or this process's share of it, to lie as `like` does."""
        here = torch.empty(like.shape, dtype=like.dtype, device=self.device)
        if whole is not None:
            here.copy_(whole)
        if isinstance(like, DTensor):
            return distribute_tensor(here, like.device_mesh, like.placements).to(like.device)
        dist.broadcast(here, src=0)
        return here

    def reshard(self) -> None:
        """Let go of weights that a forward pass without a backward one has left whole."""
        if self.kind == "FSDP":
            self._computed.reshard()  # type: ignore[union-attr,operator]
