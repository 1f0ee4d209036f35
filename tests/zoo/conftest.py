"""Declares the operators that torchvision looks up, so that it can be imported beside any build of torch."""

import pytest
import torch

OPERATORS: list[torch.library.Library] = []
"""The libraries are kept, since one that is garbage-collected takes its operators along."""


def pytest_configure() -> None:
    try:
        torch.ops.torchvision.nms  # noqa: B018 (looking it up is the test)
    except (AttributeError, RuntimeError):
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has no types for it
        box = "float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned"
        for schema in (
            "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
            f"roi_align(Tensor input, Tensor rois, {box}) -> Tensor",
        ):
            library.define(schema)  # type: ignore[no-untyped-call]  # torch has no types for it
        OPERATORS.append(library)


pytest_configure()
for name in ("torchvision", "timm"):
    try:
        __import__(name)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{name} cannot be imported: {error}", allow_module_level=True)
