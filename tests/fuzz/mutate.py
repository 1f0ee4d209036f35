"""Mutations of files and of options, drawn from a seeded generator."""

import json
import random
from collections.abc import Callable
from typing import Any

TOKENS = (
    *(b"null", b"-1", b"1e999", b"NaN", b"1" + b"0" * 40, b"[]", b"{}", b'""', b"true", b'"\\ud800"', b"\xff\xfe"),
    *(b"\0", b"\n", b",", b'"', b"{" * 500, b"\x1b[31m", "‮α".encode(), b"../" * 20, b"0.1e-400", b"A" * 3000),
)

VALUES: tuple[object, ...] = (
    *(None, True, -1, 0, 1, 2**31, 2**63, 10**30, -0.5, 1.5, 1e308, "", "x", "α", "\ud800", "‮", "\0", "a" * 3000),
    *([], [[]], {}, {"a": 1}, [None], "../../x", "/dev/null", "NaN", "sfic-bench/cost/99"),
)

OPTION_VALUES = (
    *("", " ", "-1", "0", "1e400", "nan", "inf", "٣", "0.5", "1", "all", "none", ",", "1,,2", "1,1", "1" + "0" * 30),
    *("a" * 5000, "\x1b[31m", "../../..", "/dev/null", "/dev/full", "/proc/self/mem", "💥", "--", "timm:", "x.py:y"),
    *("torchvision:a", ":", "%", "50%", "-5%", "\ud800", "‮", "*", "?", "~", "$HOME", "a\nb", "=1", "c23", "fp16"),
)


def mutated_bytes(data: bytes, numbers: random.Random) -> bytes:
    """``data`` with one to four small changes."""
    changed = bytearray(data)
    for _ in range(numbers.randint(1, 4)):
        place = numbers.randrange(len(changed) + 1)
        match numbers.randrange(6):
            case 0 if changed:
                changed[place % len(changed)] ^= 1 << numbers.randrange(8)
            case 1:
                del changed[place:]
            case 2:
                changed[place:place] = numbers.choice(TOKENS)
            case 3:
                del changed[place : place + numbers.randint(1, 20)]
            case 4:
                changed[place:place] = changed[: numbers.randint(0, 200)]
            case _:
                changed[place : place + numbers.randint(1, 8)] = numbers.choice(TOKENS)
    return bytes(changed)


def mutated_json(data: bytes, numbers: random.Random) -> bytes:
    """The JSON ``data`` with one value replaced, removed, renamed or doubled; sometimes changed as bytes instead."""
    if numbers.random() < 0.3:
        return mutated_bytes(data, numbers)
    value = json.loads(data)
    for _ in range(numbers.randint(1, 3)):
        places = _places(value)
        if places:
            container, key = numbers.choice(places)
            _change(container, key, numbers)
    return json.dumps(value).encode()


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Each place in a JSON value, as the list or dictionary and the key; of long lists the first few."""
    places: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        places += [(value, key) for key in value]
        inner = list(value.values())
    elif isinstance(value, list):
        places += [(value, i) for i in range(min(len(value), 4))]
        inner = value[:4]
    else:
        return places
    for part in inner:
        places += _places(part)
    return places


def _change(container: Any, key: Any, numbers: random.Random) -> None:
    match numbers.randrange(4):
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[str(numbers.choice(VALUES))[:50]] = container.pop(key)
        case 2 if isinstance(container, list):
            container.append(container[key])
        case _:
            container[key] = numbers.choice(VALUES)


Mutate = Callable[[bytes, random.Random], bytes]
"""Makes another content of a file's content."""
