"""Networks that find faces and their landmarks, from ONNX files, with ONNX Runtime on the CPU.

The family of a file follows from its outputs. Both families give a box, a confidence and five landmarks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfic_bench.data.faces import Face, UnusableDetector, largest_first, overlap, shrunk
from sfic_bench.data.images import Pixels
from sfic_bench.errors import MissingDependency, first_line
from sfic_bench.extras import install_command
from sfic_bench.files import read_file

Values = NDArray[np.float32]

LONGEST = 640
"""The longest side, pixels, of a picture that a network of a free size sees, if it is not doubled."""

MULTIPLE = 32
"""What both sides of a network's input must be a multiple of."""

CONFIDENT = 0.5
"""The least confidence of a face."""

SAME = 0.3
"""Of two boxes whose intersection is over this share of their union, only the more confident one is kept."""

YUNET = ("cls", "obj", "bbox", "kps")
"""What YuNet says of each cell: two confidences, a box and landmarks."""

STRIDES = (8, 16, 32)
"""The grids of YuNet: pixels from one cell to the next."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """What a network says of many places in its input: confidence N, box N×4, landmarks N×5×2, pixels."""

    confidence: Values
    boxes: Values
    landmarks: Values


Decoder = Callable[[Mapping[str, Values], int], _Cells]
"""Reads a network's outputs, given their names, and the width of its input."""


class OnnxFinder:
    """A detector in an ONNX file: CenterFace or YuNet.

    Args:
        path: the file.
        upsample: how often `LONGEST` is doubled; a file of a fixed size keeps it.
        threads: number of threads; 0 for as many as cores.

    Raises:
        MissingDependency: without ONNX Runtime.
        UnusableDetector: if the file cannot be read or its outputs are of no known family.
    """

    def __init__(self, path: Path, upsample: int = 0, threads: int = 0) -> None:
        self._session, self._decode = _session(path, threads)
        inputs, self._names = self._session.get_inputs(), [o.name for o in self._session.get_outputs()]
        self._input = inputs[0].name
        sides = inputs[0].shape[2:]
        self._fixed = tuple(sides) if all(isinstance(side, int) for side in sides) else None
        self._is_bgr = self._decode is _yunet
        self.longest = max(self._fixed) if self._fixed else LONGEST * 2**upsample

    def faces(self, image: Pixels) -> list[Face]:
        """See `sfic_bench.data.finders.FaceFinder.faces`."""
        if self._fixed:  # the picture must fit into its height and its width
            fit = max(image.shape[0] / self._fixed[0], image.shape[1] / self._fixed[1])
            small, scale = shrunk(image, int(max(image.shape[:2]) / max(fit, 1)))
        else:
            small, scale = shrunk(image, self.longest)
        height, width = self._fixed or (-(-side // MULTIPLE) * MULTIPLE for side in small.shape[:2])
        padded = np.zeros((height, width, 3), np.float32)
        padded[: small.shape[0], : small.shape[1]] = small[:, :, ::-1] if self._is_bgr else small
        outputs = self._session.run(None, {self._input: np.ascontiguousarray(padded.transpose(2, 0, 1)[None])})
        cells = self._decode(dict(zip(self._names, outputs, strict=True)), width)
        return largest_first(_distinct(cells, scale))


def _distinct(cells: _Cells, scale: float) -> list[Face]:
    """The confident faces, each once, in pixels of the picture, which is ``scale`` times as large as the input."""
    found: list[Face] = []
    for i in np.argsort(-cells.confidence, kind="stable"):
        if not cells.confidence[i] >= CONFIDENT:
            break
        left, top, right, bottom = (cells.boxes[i].astype(float) * scale).tolist()
        face = Face(
            box=(left, top, right, bottom), confidence=float(cells.confidence[i]),
            landmarks=cells.landmarks[i].astype(float) * scale,
        )  # fmt: skip
        if all(overlap(face.box, other.box) <= SAME for other in found):
            found.append(face)
    return found


def _yunet(outputs: Mapping[str, Values], width: int) -> _Cells:
    """Source: Wu, Peng & Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research 2023."""
    parts = []
    for stride in STRIDES:
        classes, objects, boxes, points = (outputs[f"{n}_{stride}"][0] for n in YUNET)
        rows, columns = np.divmod(np.arange(len(classes)), width // stride)
        corner = np.stack([columns, rows], axis=1).astype(np.float32)
        centre, size = (corner + boxes[:, :2]) * stride, np.exp(boxes[:, 2:]) * stride
        parts.append(
            _Cells(
                np.sqrt(classes.clip(0, 1) * objects.clip(0, 1))[:, 0],
                np.concatenate([centre - size / 2, centre + size / 2], axis=1),
                (points.reshape(-1, 5, 2) + corner[:, None]) * stride,
            )
        )
    return _Cells(
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.landmarks for part in parts]),
    )


def _centerface(outputs: Mapping[str, Values], width: int) -> _Cells:
    """Source: Xu et al., "CenterFace: joint face detection and alignment using face as point", 2020."""
    confidence, scales, offsets, points = (values[0] for values in outputs.values())
    rows, columns = np.nonzero(confidence[0] >= CONFIDENT)
    stride = width / confidence.shape[2]
    size = np.exp(scales[::-1, rows, columns]).T * stride  # width and height; the file has the height first
    centre = (np.stack([columns, rows], axis=1) + offsets[::-1, rows, columns].T + 0.5) * stride
    corner = centre - size / 2
    # Each landmark is a share of the box, y first.
    shares = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1]
    return _Cells(
        confidence[0, rows, columns], np.concatenate([corner, corner + size], axis=1),
        corner[:, None] + shares * size[:, None],
    )  # fmt: skip


def _session(path: Path, threads: int) -> tuple[Any, Decoder]:
    """The file as an inference session, and what reads its outputs, which are of a known family."""
    try:
        import onnxruntime
    except ImportError:
        raise MissingDependency(f"a detector in an ONNX file needs ONNX Runtime: {install_command('onnx')}") from None
    try:
        data = read_file(path)
    except OSError as error:
        raise UnusableDetector(f"cannot read the detector {path}: {error.strerror or error}") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # warnings are of how the file was exported
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        if _decoder_of(session) is _centerface and isinstance(session.get_inputs()[0].shape[2], int):
            session = onnxruntime.InferenceSession(_of_any_size(data), options, providers=["CPUExecutionProvider"])
    except MissingDependency:
        raise
    except Exception as error:  # ONNX Runtime's exceptions have no common class
        raise UnusableDetector(f"{path} is no usable ONNX file: {first_line(error)}") from None
    decoder = _decoder_of(session)
    if decoder is None:
        names = ", ".join(output.name for output in session.get_outputs()[:12])
        raise UnusableDetector(
            f"{path} is no detector of a known family: expected CenterFace or YuNet, got the outputs {names}"
        )
    return session, decoder


def _decoder_of(session: Any) -> Decoder | None:
    """What reads the outputs of a network, or ``None`` for one of no known family."""
    outputs = session.get_outputs()
    if {o.name for o in outputs} == {f"{name}_{stride}" for name in YUNET for stride in STRIDES}:
        return _yunet
    if [o.shape[1] if len(o.shape) == 4 else None for o in outputs] == [1, 2, 2, 10]:
        return _centerface
    return None


def _of_any_size(data: bytes) -> bytes:
    """A convolutional network whose file fixes the size of its input, for inputs of any size."""
    try:
        import onnx
    except ImportError:
        raise MissingDependency(f"this detector's file needs onnx: {install_command('onnx')}") from None
    model = onnx.load_from_string(data)
    for place, value in enumerate((*model.graph.input[:1], *model.graph.output)):
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
            if axis != 1:
                dimension.dim_param = f"size{place}_{axis}"
    result: bytes = model.SerializeToString()
    return result
