"""The sweep file: from TOML to jobs; see `sfic_bench.sweeping.blocks`."""

import logging
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec import structs

from sfic_bench.errors import InvalidValue, SficBenchError, UnknownName
from sfic_bench.files import read_file
from sfic_bench.sweeping.blocks import BLOCKS, Block
from sfic_bench.sweeping.jobs import AnyJob

LOG = logging.getLogger(__name__)


class BadSweep(SficBenchError):
    """A sweep file that cannot be used."""


def read_sweep(path: Path) -> list[AnyJob]:
    """The jobs that the file at ``path`` asks for; paths in it start from its folder.

    Raises:
        BadSweep: for a file that cannot be read, an unknown key, a value of the wrong type, an empty axis, a job
            that is asked for twice, or values that do not go together; the message names the block.
    """
    try:
        file = tomllib.loads(read_file(path).decode())
    except OSError as error:
        raise BadSweep(f"cannot read {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadSweep(f"{path} is no TOML: {error}") from None
    for kind in file:
        if kind not in BLOCKS:
            raise BadSweep(f"{path}: {UnknownName('block', kind, BLOCKS)}")
    jobs: list[AnyJob] = []
    for kind in BLOCKS:
        blocks = file.get(kind, [])
        if not isinstance(blocks, list):
            raise BadSweep(f"{path}: write [[{kind}]], not [{kind}]: there may be several")
        for number, keys in enumerate(blocks, 1):
            place = f"{path}, [[{kind}]] {number}"
            try:
                block = _checked(BLOCKS[kind], keys)
                jobs += [structs.replace(job, block=place) for job in block.jobs(path.parent)]
            except (SficBenchError, msgspec.ValidationError) as error:
                raise BadSweep(f"{place}: {error}") from None
    if not jobs:
        raise BadSweep(f"{path} asks for nothing; expected blocks {', '.join(f'[[{kind}]]' for kind in BLOCKS)}")
    _check_unique(jobs)
    return jobs


def _checked(kind: type[Block], keys: object) -> Block:
    """The block that ``keys`` make, after a check for unknown keys, with suggestions, and for axes without values."""
    if isinstance(keys, dict) and kind is BLOCKS["latency"] and "dtype" in keys:
        LOG.warning("the key dtype is called precision now; the next release will not know dtype")
        keys = {"precision" if key == "dtype" else key: value for key, value in keys.items()}
    for key, value in keys.items() if isinstance(keys, dict) else ():
        if key not in kind.__struct_fields__:
            raise UnknownName("key", str(key), kind.__struct_fields__)
        if value == []:
            raise InvalidValue(f"{key} is an empty list: give it a value, or leave it out")
    return msgspec.convert(keys, kind)


def _check_unique(jobs: Iterable[AnyJob]) -> None:
    seen: dict[str, AnyJob] = {}
    for job in jobs:
        # Code and torch are the same for all jobs of a sweep, and so is the device unless its type is asked for.
        key = job.key("", "", job.needs.accelerator_type or "")
        if key in seen:
            blocks = " and ".join(dict.fromkeys((seen[key].block, job.block)))
            raise BadSweep(f"{blocks}: the {job} is asked for twice")
        seen[key] = job
