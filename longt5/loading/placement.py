"""Placement: where each module of a model goes, and its weights from their files to there.

accelerate infers maps and swaps the weights in and out. Around it, this module keeps tied weights on one device
whatever the map says, reads one tensor at a time, and puts on disk what does not lie there as safetensors.
"""

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from accelerate import dispatch_model, infer_auto_device_map
from accelerate.utils import check_device_map, get_balanced_memory, set_module_tensor_to_device
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from longt5.attention.dispatch import linear
from longt5.loading.rules import StoredTensor

Device = str | int | torch.device
DeviceMap = Device | dict[str, Device]
MaxMemory = dict[int | str, int | str]

DISK = "disk"


def place(
    model: PreTrainedModel,
    tensors: Mapping[str, StoredTensor],
    device_map: DeviceMap | None = None,
    max_memory: MaxMemory | None = None,
    offload_folder: str | os.PathLike | None = None,
) -> None:
    """Fills a model on the meta device with its weights, each where `device_map` says, in the model's dtype.

    Args:
        tensors: the file's tensors by the names of the model's parameters; tied ones under their first name.
        device_map, max_memory, offload_folder: see `longt5.loading.load_model`.

    Raises:
        ValueError, RuntimeError, TypeError, AssertionError: impossible maps and devices.
        MemoryError, RuntimeError, OSError: not enough room.
    """
    devices = full_map(model, "cpu" if device_map is None else device_map, max_memory)
    on_disk: dict[str, dict[str, str]] = {}
    temporary = None
    try:
        for name, parameter in list(model.named_parameters()):
            tensor, device = tensors[name], devices[_covering(devices, name)]
            if device != DISK:
                value = tensor.rows(slice(None)).to(device, parameter.dtype, copy=True)
                set_module_tensor_to_device(model, name, device, value=value)
                continue
            file = tensor.file
            if file.suffix != ".safetensors":
                if offload_folder is None:
                    offload_folder = temporary = tempfile.mkdtemp(prefix="longt5-")
                file = Path(offload_folder) / f"{name}.safetensors"
                file.parent.mkdir(parents=True, exist_ok=True)
                save_file({tensor.name: tensor.rows(slice(None)).to(parameter.dtype).contiguous()}, file)
            on_disk[name] = {
                "safetensors_file": str(file),
                "weight_name": tensor.name,
                "dtype": str(parameter.dtype).removeprefix("torch."),
            }
        model.tie_weights()
        for alias, name in model.all_tied_weights_keys.items():
            if name in on_disk:
                on_disk[alias] = on_disk[name]
        if on_disk or len(set(devices.values())) > 1:
            skip = model._skip_keys_device_placement
            dispatch_model(model, devices, offload_index=on_disk or None, skip_keys=skip)
            _keep_fast(model)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise
    if temporary is not None:
        weakref.finalize(model, shutil.rmtree, temporary, ignore_errors=True)


def _keep_fast(model: nn.Module) -> None:
    """Has accelerate run the product that is fastest on a CPU, once it has fetched a layer's weight."""

    def forward(module: nn.Linear, states: Tensor) -> Tensor:
        return linear(states, module.weight, module.bias)

    for module in model.modules():
        if type(module) is nn.Linear and hasattr(module, "_old_forward"):
            module._old_forward = partial(forward, module)  # type: ignore[assignment]  # accelerate's attribute


def full_map(model: PreTrainedModel, device_map: DeviceMap, max_memory: MaxMemory | None) -> dict[str, str]:
    """A device for every module: no entry of the result lies within another, and tied weights have one device.

    Raises:
        ValueError, RuntimeError, TypeError: a module has no device, or a device does not exist.
    """
    if device_map == "auto":
        whole = model._no_split_modules
        memory = get_balanced_memory(model, max_memory, no_split_module_classes=whole)
        wanted = infer_auto_device_map(model, memory, no_split_module_classes=whole)
    else:
        wanted = device_map if isinstance(device_map, dict) else {"": device_map}
    devices = {name: DISK if device == DISK else str(torch.device(device)) for name, device in wanted.items()}
    check_device_map(model, devices)
    for outer in sorted(devices):
        if any(inner != outer and _covers(outer, inner) for inner in devices):
            _split(model, devices, outer)
    for alias, name in model.all_tied_weights_keys.items():
        device = devices[_covering(devices, name)]
        module = alias.rpartition(".")[0]
        while devices[cover := _covering(devices, alias)] != device:
            if cover == module:
                devices[module] = device
            else:
                _split(model, devices, cover)
    return devices


def _split(model: nn.Module, devices: dict[str, str], outer: str) -> None:
    """Replaces the entry of a module by one for each of its children that has none. Goes on while one lies within."""
    device = devices.pop(outer)
    for child, _ in model.get_submodule(outer).named_children():
        name = f"{outer}.{child}" if outer else child
        if name in devices:
            continue
        devices[name] = device
        if any(inner != name and _covers(name, inner) for inner in devices):
            _split(model, devices, name)


def _covers(outer: str, inner: str) -> bool:
    return not outer or inner == outer or inner.startswith(f"{outer}.")


def _covering(devices: Mapping[str, str], name: str) -> str:
    """The entry that says where the parameter or module `name` goes."""
    return max((outer for outer in devices if _covers(outer, name)), key=len)
