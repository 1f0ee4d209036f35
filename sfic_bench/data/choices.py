"""The closed sets of names in manifests and on the command line, which is why nothing heavy is imported."""

from enum import StrEnum


class SplitName(StrEnum):
    """What the images of a data set are used for."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class DatasetKind(StrEnum):
    """The ways in which a data set may lie in a folder; each has an importer in `sfic_bench.data.importers`."""

    FFPP = "ffpp"
    DFDC = "dfdc"
    CELEBDF = "celebdf"
    HFF = "hff"
    RELEASED = "released"
    DEEPFAKEBENCH = "deepfakebench"
    FOLDER = "folder"
    HF = "hf"


class Draw(StrEnum):
    """Which images of a data set are used: all by its official split, or some as the paper draws them."""

    OFFICIAL = "official"
    PAPER = "paper"


class CropStyle(StrEnum):
    """The protocols by which faces are cut out: the paper's, or DeepfakeBench's, which aligns them."""

    PAPER = "paper"
    DEEPFAKEBENCH = "deepfakebench"


class ImageFormat(StrEnum):
    """The file formats that faces are written in; a JPEG has quality 95."""

    PNG = "png"
    JPEG = "jpeg"

    @property
    def suffix(self) -> str:
        """The ending of a file's name."""
        return ".png" if self is ImageFormat.PNG else ".jpg"
