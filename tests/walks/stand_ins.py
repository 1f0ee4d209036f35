"""What a machine lacks of what DeepfakeBench and ForensicHub ask for, for one process alone.

Nothing of their files is changed. Both projects move tensors to CUDA without asking whether there is any.
"""

import functools
import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import torch


def without_cuda() -> None:
    """Let what asks for CUDA have the CPU, if there is no CUDA."""
    if torch.cuda.is_available():
        return
    cuda: Any = torch.cuda
    tensor: Any = torch.Tensor
    tensor.cuda = lambda self, *_, **__: self
    cuda.set_device = lambda *_: None
    cuda.synchronize = lambda *_: None  # one function under two names would be an error of torch.compile
    cuda.get_device_name = lambda *_: "none"
    for name in ("tensor", "zeros", "ones"):
        setattr(torch, name, _on_cpu(getattr(torch, name)))
    distributed: Any = torch.distributed
    begin, parallel = distributed.init_process_group, torch.nn.parallel.DistributedDataParallel
    distributed.init_process_group = lambda **settings: begin(**{**settings, "backend": "gloo"})
    batch_norm: Any = torch.nn.SyncBatchNorm
    batch_norm.convert_sync_batchnorm = lambda module: module
    replaced: Any = torch.nn.parallel
    replaced.DistributedDataParallel = lambda module, device_ids, **settings: parallel(module, **settings)


def _on_cpu(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    @functools.wraps(make)
    def made(*arguments: Any, **settings: Any) -> torch.Tensor:
        if settings.get("device") == "cuda":
            settings["device"] = "cpu"
        return make(*arguments, **settings)

    return made


def torchvision_beside_any_torch() -> None:
    """Let torchvision be imported beside a torch that it was not built for, without its compiled operations."""
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        name = "torchvision._meta_registrations"
        sys.modules[name] = types.ModuleType(name)
        importlib.import_module("torchvision")


def dlib_without_landmarks() -> None:
    """Let modules be imported that read dlib's file of landmarks, which is fetched apart and not used here."""
    dlib: Any = importlib.import_module("dlib")
    read = dlib.shape_predictor

    def shape_predictor(path: str) -> object:
        try:
            return read(path)
        except RuntimeError:
            return None

    dlib.shape_predictor = shape_predictor


def no_detectors_of_deepfakebench() -> None:
    """Let ForensicHub be imported without its fork of DeepfakeBench, none of whose detectors is used here."""
    try:
        importlib.import_module("DeepfakeBench.training.detectors")
    except ImportError:
        parent = None
        for name in ("DeepfakeBench", "DeepfakeBench.training", "DeepfakeBench.training.detectors"):
            sys.modules[name] = module = types.ModuleType(name)
            if parent is not None:
                setattr(parent, name.rpartition(".")[2], module)
            parent = module
        setattr(parent, "__all__", [])  # noqa: B010  # of a module, mypy knows no such attribute


def checkpoints_with_options() -> None:
    """Let ForensicHub read its own checkpoints, whose options torch ≥ 2.6 refuses, on a machine without CUDA."""
    module: Any = torch
    load, where = torch.load, "cuda" if torch.cuda.is_available() else "cpu"
    module.load = lambda file, **_: load(file, map_location=where, weights_only=False)
