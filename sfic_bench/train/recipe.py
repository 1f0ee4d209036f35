"""The settings by which networks are trained and tested; no torch is imported, since every command reads them."""

from dataclasses import dataclass
from enum import StrEnum

from sfic_bench.choices import Initialisation, Interpolation, McsMode
from sfic_bench.errors import LARGEST, InvalidValue, check_count, member
from sfic_bench.measure.conditions import Device


class Precision(StrEnum):
    """The number format of products in training; weights and sums stay in float32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """How a network is trained; the defaults are the paper's.

    Source: Guo et al. 2024, Section IV-A: Adam (0.9, 0.999), 1e-4 halved after each epoch, 20 epochs, batches of 64,
    seed 7, horizontal flips, rotation (±10° in the released code), ImageNet normalisation, faces at 256×256. The
    released code also has a perspective, which the paper does not name: strength 0.5, bilinear.

    Attributes:
        batch_size: images a step, over all devices together.
        learning_rate, decay: learning rate of the first epoch, and the factor by which each epoch changes it.
        input_size: height and width, pixels.
        flip: probability of a horizontal flip.
        rotation: largest angle, degrees, either way.
        perspective: strength of the perspective, which half of the images get: corners move by up to this share of half
            the image. 0 leaves it out.
        interpolation: of the perspective.
        mcs: whether MCSConv is trained, as the paper says, or frozen, as in the released code.
        initialisation: how first weights are drawn, see `sfic_bench.api.build`.
        fused: train the fused form, which computes the same function with less work.

    Raises:
        InvalidValue: for a value out of range.
        UnknownName: for an unknown precision, interpolation, mode or initialisation. The plain strings are understood
            too.
    """

    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-4
    decay: float = 0.5
    seed: int = 7
    input_size: int = 256
    precision: Precision = Precision.FP32
    flip: float = 0.5
    rotation: float = 10.0
    perspective: float = 0.0
    interpolation: Interpolation = Interpolation.NEAREST
    mcs: McsMode = McsMode.LEARNED
    initialisation: Initialisation = Initialisation.RELEASED
    fused: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "input_size"):
            check_count(name.replace("_", " "), getattr(self, name))
        if not 0 < self.learning_rate < 10:
            raise InvalidValue(f"learning rate must lie in (0, 10), got {self.learning_rate}")
        if not 0 < self.decay <= 1:
            raise InvalidValue(f"decay must lie in (0, 1], got {self.decay}")
        if not 0 <= self.seed < 2**32:
            raise InvalidValue(f"seed must lie in [0, 2³²), got {self.seed}")
        for name, most in (("flip", 1), ("perspective", 1), ("rotation", 180)):
            if not 0 <= getattr(self, name) <= most:
                raise InvalidValue(f"{name} must lie in [0, {most}], got {getattr(self, name)}")
        object.__setattr__(self, "precision", member(Precision, self.precision, "precision"))
        object.__setattr__(self, "interpolation", member(Interpolation, self.interpolation, "interpolation"))
        object.__setattr__(self, "mcs", member(McsMode, self.mcs, "mode of MCSConv"))
        object.__setattr__(self, "initialisation", member(Initialisation, self.initialisation, "initialisation"))

    def learning_rate_in(self, epoch: int) -> float:
        """The learning rate of an epoch, which is counted from 1."""
        return self.learning_rate * self.decay ** (epoch - 1)


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
