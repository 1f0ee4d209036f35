"""The settings by which networks are trained and tested; no torch is imported, since every command reads them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import get_type_hints

from sfic_bench.choices import Initialisation, Interpolation, McsMode
from sfic_bench.errors import LARGEST, InvalidValue, check_count, member
from sfic_bench.measure.conditions import Device

RANDOM_START, IMAGENET_START = "random", "imagenet"
"""The first weights that are no path: drawn ones, and those that others have published."""


class Precision(StrEnum):
    """The number format of products in training; weights and sums stay in float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


class Optimiser(StrEnum):
    """Adam (Kingma & Ba, ICLR 2015), or AdamW, whose decay is apart from the gradient (Loshchilov & Hutter, 2019)."""

    ADAM = "adam"
    ADAMW = "adamw"


class Schedule(StrEnum):
    """How the learning rate falls: by a factor after each epoch, or as half a cosine to 0 at the end."""

    STEP = "step"
    COSINE = "cosine"


class Keep(StrEnum):
    """Which epoch's weights a run keeps: the last one's, or those with the highest AUC on the validation split."""

    LAST = "last"
    BEST = "best"


class EvaluationProtocol(StrEnum):
    """The paper's three kinds of experiment."""

    INTRA = "intra"
    LEAVE_ONE_OUT = "leave-one-out"
    CROSS = "cross"

    @property
    def description(self) -> str:
        """What is trained on and what is tested, with the paper's tables."""
        return {
            EvaluationProtocol.INTRA: "trained and tested on the same data set and compression (Tables II, III and V)",
            EvaluationProtocol.LEAVE_ONE_OUT: "trained without one manipulation method, tested on it (Table IV)",
            EvaluationProtocol.CROSS: "trained on one data set or compression, tested on another (Tables VI to VIII)",
        }[self]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """What a network is before it is trained.

    Attributes:
        input_size: height and width of the input, pixels.
        initialisation: how first weights are drawn, see `sfic_bench.api.build`.
        mcs: whether MCSConv is trained, as the paper says, or frozen, as in the released code.
        init: where the first weights come from: ``random`` draws them, ``imagenet`` takes published ones, and anything
            else is a file of weights or the folder of a finished run.
        freeze: number of epochs in which only the classifier is trained.
        fused: train the fused form, which computes the same function with less work.
    """

    input_size: int = 256
    initialisation: Initialisation = Initialisation.RELEASED
    mcs: McsMode = McsMode.LEARNED
    init: str = RANDOM_START
    freeze: int = 0
    fused: bool = True


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are learnt.

    Attributes:
        batch_size: images a step, over all devices together.
        accumulate: number of parts of a step's images on a device, each with its own forward and backward pass, so that
            a large batch fits the memory. BatchNorm sees each part alone.
        learning_rate: the highest learning rate.
        schedule: how the learning rate falls.
        decay: factor by which each epoch changes the learning rate, for the schedule ``step``.
        warmup: number of epochs, or part of one, over which the learning rate rises from 0.
        weight_decay: factor of the weights in the gradient of Adam, or in the step of AdamW. Biases, norms and other
            vectors have none.
        clip: largest norm of the gradient of all weights, above which it is scaled down; 0 for no limit.
        ema: decay a step of the moving average of the weights, which is then validated, tested and kept; 0 for none.
            In the first steps it is less, (1 + n) / (10 + n) after n steps.
        label_smoothing: share of a label that goes to both classes alike.
        keep: which epoch's weights are kept.
        patience: training ends after so many epochs without a higher AUC on the validation split; 0 for never.
        precision: number format of products.
        compile: train through ``torch.compile``.
    """

    epochs: int = 20
    batch_size: int = 64
    accumulate: int = 1
    optimiser: Optimiser = Optimiser.ADAM
    learning_rate: float = 1e-4
    schedule: Schedule = Schedule.STEP
    decay: float = 0.5
    warmup: float = 0.0
    weight_decay: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    label_smoothing: float = 0.0
    keep: Keep = Keep.LAST
    patience: int = 0
    seed: int = 7
    precision: Precision = Precision.FP32
    compile: bool = False


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How training images differ from those in the files. A probability of 0 leaves a distortion out.

    Attributes:
        flip: probability of a horizontal flip.
        rotation: largest angle, degrees, either way.
        perspective: strength of the perspective, which half of the images get: corners move by up to this share of half
            the image. 0 leaves it out.
        interpolation: of the perspective.
        resize, resize_scale: probability of a smaller image that is enlarged again, and its smallest scale.
        blur, blur_sigma: probability of a Gaussian blur, and its largest standard deviation, pixels.
        brightness, brightness_change: probability of another brightness and contrast, and by which share they change at
            most.
        noise, noise_std: probability of Gaussian noise, and its largest standard deviation, where white is 1.
        jpeg, jpeg_quality: probability of a JPEG compression, and its lowest quality; the highest is 100.
        cutout, cutout_share: probability of a grey rectangle, and the largest share of the image that it covers.
        draft: decode a JPEG file at half, a quarter or an eighth of its size, if that is not below the input size; so
            are the images of manifests that are scored.
    """

    flip: float = 0.5
    rotation: float = 10.0
    perspective: float = 0.0
    interpolation: Interpolation = Interpolation.NEAREST
    resize: float = 0.0
    resize_scale: float = 0.5
    blur: float = 0.0
    blur_sigma: float = 2.0
    brightness: float = 0.0
    brightness_change: float = 0.2
    noise: float = 0.0
    noise_std: float = 0.05
    jpeg: float = 0.0
    jpeg_quality: int = 40
    cutout: float = 0.0
    cutout_share: float = 0.2
    draft: bool = False


RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("label_smoothing", "flip", "perspective", "resize", "blur", "brightness", "noise"), (0, 1)),
    **dict.fromkeys(("jpeg", "cutout", "cutout_share", "noise_std", "brightness_change"), (0, 1)),
    "rotation": (0, 180), "blur_sigma": (0.1, 100), "resize_scale": (0.01, 1), "jpeg_quality": (1, 100),
    "weight_decay": (0, 1), "clip": (0, LARGEST), "warmup": (0, LARGEST),
}  # fmt: skip
"""The least and the largest value of a field."""


@dataclass(frozen=True, kw_only=True)
class Recipe(Augmentation, Optimisation, NetworkSettings):
    """How a network is trained; the defaults are the paper's. `sfic_bench.training.presets` has other recipes.

    Source: Guo et al. 2024, Section IV-A: Adam (0.9, 0.999), 1e-4 halved after each epoch, 20 epochs, batches of 64,
    seed 7, horizontal flips, rotation (±10° in the released code), ImageNet normalisation, faces at 256×256.

    Raises:
        InvalidValue: for a value out of range.
        UnknownName: for a value that is not of a field's closed set. The plain strings are understood too.
    """

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "input_size"):
            check_count(name.replace("_", " "), getattr(self, name))
        for name in ("freeze", "patience"):
            if not 0 <= getattr(self, name) <= LARGEST:
                raise InvalidValue(f"{name} must lie in [0, {LARGEST:,}], got {getattr(self, name)}")
        if not 0 < self.learning_rate < 10:
            raise InvalidValue(f"learning rate must lie in (0, 10), got {self.learning_rate}")
        if not 0 < self.decay <= 1:
            raise InvalidValue(f"decay must lie in (0, 1], got {self.decay}")
        if not 0 <= self.ema < 1:
            raise InvalidValue(f"ema must lie in [0, 1), got {self.ema}")
        if not 0 <= self.seed < 2**32:
            raise InvalidValue(f"seed must lie in [0, 2³²), got {self.seed}")
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise InvalidValue(
                    f"{name.replace('_', ' ')} must lie in [{least:g}, {most:g}], got {getattr(self, name)}"
                )
        if not self.init:
            raise InvalidValue("init must be random, imagenet, a file of weights or the folder of a run, got nothing")
        for name, enum in ENUMS.items():
            object.__setattr__(self, name, member(enum, getattr(self, name), name))

    def learning_rate_at(self, epochs: float) -> float:
        """The learning rate after ``epochs`` epochs of training, which need not be whole."""
        if self.schedule is Schedule.COSINE:
            rest = max(self.epochs - self.warmup, 1e-9)
            done = min(max(epochs - self.warmup, 0) / rest, 1)
            rate = self.learning_rate * (1 + math.cos(math.pi * done)) / 2
        else:
            rate = self.learning_rate * self.decay ** int(epochs)
        return rate * min(1.0, epochs / self.warmup) if self.warmup else rate


ENUMS: Mapping[str, type[StrEnum]] = {
    name: kind for name, kind in get_type_hints(Recipe).items() if issubclass(kind, StrEnum)
}
"""The fields of a recipe that are one of a closed set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingDevices:
    """The devices that a network is trained on, and how images reach them.

    Attributes:
        devices: number of devices of one host.
        hosts: number of hosts; with more than one, torchrun has started the processes on each.
        workers: number of processes that decode images, for each device.
        skip_unreadable: continue without images that cannot be read.

    Raises:
        InvalidValue: for no device or host, or a negative number of workers.
        UnknownName: for an unknown kind of device; the plain strings are understood too.
    """

    device: Device = Device.CPU
    devices: int = 1
    hosts: int = 1
    workers: int = 0
    skip_unreadable: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "device", member(Device, self.device, "device"))
        check_count("devices", self.devices)
        check_count("hosts", self.hosts)
        if not 0 <= self.workers <= LARGEST:
            raise InvalidValue(f"workers must lie in [0, {LARGEST:,}], got {self.workers}")


ONE_CPU = TrainingDevices()
"""The CPU of this machine, and no worker processes."""
