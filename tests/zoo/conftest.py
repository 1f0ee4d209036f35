"""torchvision beside a torch that it was not built for: the operators that its import asks for, as names only."""

import pytest
import torch


def pytest_configure() -> None:
    try:
        torch.ops.torchvision.nms  # noqa: B018 (looking it up is the test)
    except (AttributeError, RuntimeError):
        library = torch.library.Library("torchvision", "DEF")
        box = "float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool aligned"
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define(f"roi_align(Tensor input, Tensor rois, {box}) -> Tensor")
        pytest.torchvision_operators = library  # a library that is collected takes its operators along


pytest_configure()
pytest.importorskip("torchvision", exc_type=(ImportError, RuntimeError))
pytest.importorskip("timm")
