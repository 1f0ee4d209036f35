"""Pictures of what was scored: a photograph with its boxes, or a sheet of a video's frames, with attention if asked."""

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from sfic_bench.data.images import Pixels
from sfic_bench.data.sampling import Sampling
from sfic_bench.data.sources import ANNOTATED, MediaFile
from sfic_bench.files import UnwritableOutput, write_bytes_atomically
from sfic_bench.results.predictions import Prediction
from sfic_bench.training.attention import coloured
from sfic_bench.training.inference import TrainedNetwork
from sfic_bench.training.predict import Predictor, Scored

LONGEST = 1600
"""The longest side, pixels, of a photograph in a picture."""

TILE, GAP, LINE = 160, 8, 20
"""Pixels: side of a face, space between faces, and height of a line of text."""

MOST = 64
"""The most faces in a picture: the largest of a photograph, and evenly spaced ones of a video."""

ACROSS = 8
"""The most faces beside each other; with attention each takes two places."""

REAL, FAKE, UNKNOWN = (0, 110, 60), (200, 30, 30), (90, 90, 90)
"""The colours of the verdicts."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A small picture with a line of text below; ``values`` is what the network saw, ``None`` where it saw nothing."""

    image: Image.Image
    values: Tensor | None
    text: str
    colour: tuple[int, int, int]


def picture(scored: Scored, predictor: Predictor, *, attention: bool) -> bytes:
    """A JPEG of a photograph with its boxes above its faces, or of a video's faces in order.

    Args:
        scored: what ``predictor`` scored.
        predictor: gives the colours by its verdicts, and the attention by its network.
        attention: whether each face has its attention map beside it.
    """
    tiles = _frames(scored, predictor) if scored.image is None else _faces(scored)
    if attention:
        tiles = [_with_attention(tile, predictor.network) for tile in tiles]
    parts = [] if scored.image is None else [_photograph(scored)]
    if tiles:
        parts.append(_sheet(tiles, ACROSS))
    title = _title(scored.rows)
    width = max([part.width for part in parts] + [int(_length(title)) + 2 * GAP])
    canvas = Image.new("RGB", (width, sum(part.height for part in parts) + LINE + 2 * GAP), "white")
    draw, top = ImageDraw.Draw(canvas), LINE + 2 * GAP
    draw.text((GAP, GAP), title, fill="black", font_size=15)
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=92)
    return file.getvalue()


def _title(rows: Sequence[Prediction]) -> str:
    """What the picture shows, in letters that Pillow's own font has."""
    first = rows[0]
    if first.kind == "face":
        faces = "1 face" if len(rows) == 1 else f"{len(rows)} faces, each"
        return f"{faces} with its probability of fake"
    score = "no score" if first.fake is None else f"probability of fake {first.fake:.3f}"
    if first.low is not None and first.high is not None:
        score += f" ({first.low:.3f} to {first.high:.3f})"
    if first.kind == "video" and first.fake is not None:
        score += f", mean of {first.frames} frames"
    if len(first.curve) > MOST:
        score += f"; {MOST} of {len(first.curve)} frames are shown"
    return "; ".join(filter(None, (score, first.remark.encode("latin-1", "replace").decode("latin-1"))))


def _photograph(scored: Scored) -> Image.Image:
    assert scored.image is not None
    image = Image.fromarray(scored.image)
    scale = min(1.0, LONGEST / max(image.size))
    image = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    draw = ImageDraw.Draw(image)
    for row in scored.rows:
        if row.box is None:
            continue
        box = row.box
        # A box may reach outside the picture; its frame is drawn at the edge.
        left, top, right, bottom = (
            min(max(value * scale, 0), most - 1)
            for value, most in (
                (box.left, image.width), (box.top, image.height), (box.right, image.width), (box.bottom, image.height),
            )
        )  # fmt: skip
        colour = _colour(row.verdict)
        draw.rectangle((left, top, max(left, right), max(top, bottom)), outline=colour, width=3)
        text = f"{row.face}: {row.fake:.2f}"
        place = (left, top - LINE if top >= LINE else min(bottom, image.height - LINE))
        draw.rectangle((*place, place[0] + _length(text) + 6, place[1] + LINE), fill=colour)
        draw.text((place[0] + 3, place[1] + 2), text, fill="white", font_size=15)
    return image


def _faces(scored: Scored) -> list[Tile]:
    tiles = []
    for row, values in list(zip(scored.rows, scored.inputs, strict=False))[:MOST]:
        name = "whole picture" if row.face is None else str(row.face)
        tiles.append(Tile(_image(values), values, f"{name}: {row.fake:.2f}", _colour(row.verdict)))
    return tiles


def _frames(scored: Scored, predictor: Predictor) -> list[Tile]:
    (row,) = scored.rows
    shown = frozenset(Sampling(interval=1, count=MOST).indices(len(row.curve)))
    left, faceless, tiles = iter(scored.inputs), iter(scored.faceless), []
    for place, frame in enumerate(row.curve):
        when = f"frame {frame.frame}" if frame.time_s is None else f"{frame.time_s:.2f} s"
        if frame.fake is None:
            tile = Tile(_fitted(next(faceless)), None, f"{when}: no face", UNKNOWN)
        else:
            values = next(left)
            colour = _colour(predictor.verdict(frame.fake))
            tile = Tile(_image(values), values, f"{when}: {frame.fake:.2f}", colour)
        if place in shown:
            tiles.append(tile)
    return tiles


def _with_attention(tile: Tile, network: TrainedNetwork) -> Tile:
    """The tile with the attention map on the right, laid over the face."""
    if tile.values is None:
        return tile
    heat = Image.fromarray(coloured(network.attention([tile.values]).numpy())).resize(tile.image.size)
    both = Image.new("RGB", (2 * TILE + 2, TILE), "white")
    both.paste(tile.image, (0, 0))
    both.paste(Image.blend(tile.image.convert("L").convert("RGB"), heat, 0.6), (TILE + 2, 0))
    return replace(tile, image=both)


def _sheet(tiles: Sequence[Tile], across: int) -> Image.Image:
    wide = max(tile.image.width for tile in tiles)
    across = min(len(tiles), across if wide == TILE else across // 2)
    rows = -(-len(tiles) // across)
    sheet = Image.new("RGB", (GAP + across * (wide + GAP), GAP + rows * (TILE + LINE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, tile in enumerate(tiles):
        x = GAP + place % across * (wide + GAP)
        y = GAP + place // across * (TILE + LINE + GAP)
        sheet.paste(tile.image, (x, y))
        draw.text((x, y + TILE + 2), tile.text, fill=tile.colour, font_size=14)
    return sheet


def _fitted(frame: Pixels) -> Image.Image:
    """``frame`` as large as fits into a grey tile."""
    tile, image = Image.new("RGB", (TILE, TILE), (225, 225, 225)), Image.fromarray(frame)
    image.thumbnail((TILE, TILE))
    tile.paste(image, ((TILE - image.width) // 2, (TILE - image.height) // 2))
    return tile


def _image(values: Tensor) -> Image.Image:
    pixels = np.ascontiguousarray(values.permute(1, 2, 0).numpy())
    return Image.fromarray(pixels).resize((TILE, TILE), Image.Resampling.BICUBIC)


def _colour(verdict: str | None) -> tuple[int, int, int]:
    return UNKNOWN if verdict is None else FAKE if verdict == "fake" else REAL


def _length(text: str) -> float:
    return ImageDraw.Draw(Image.new("RGB", (1, 1))).textlength(text, font_size=15)


class PictureFolder:
    """A folder to which the picture of each file is written, under a name of its own.

    Raises:
        UnwritableOutput: if the folder cannot be made or written.
    """

    def __init__(self, folder: Path, *, attention: bool) -> None:
        self.folder, self.attention = folder, attention
        self._names: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UnwritableOutput(f"cannot make the folder {folder}: {error.strerror or error}") from None
        if not os.access(folder, os.W_OK):
            raise UnwritableOutput(f"cannot write into the folder {folder}: permission denied")

    def write(self, file: MediaFile, scored: Scored, predictor: Predictor) -> None:
        """Write the picture of ``file``, if any of it could be read."""
        if scored.image is None and not scored.rows[0].curve:
            return
        # A file's name has at most 255 bytes.
        stem = os.fsencode(file.path.name)[:200].decode(errors="ignore")
        name, number = stem + ANNOTATED, 2
        while name in self._names:
            name, number = f"{stem}-{number}{ANNOTATED}", number + 1
        self._names.add(name)
        write_bytes_atomically(self.folder / name, picture(scored, predictor, attention=self.attention))
