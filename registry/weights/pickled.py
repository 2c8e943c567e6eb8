"""The values of a pickle that holds data alone, read without running anything.

Only the instructions that `torch.save` needs for state dicts are known: literals, containers, and calls of the functions that
the caller gives. Whatever else a pickle holds ends the reading. The format: Python's `pickletools`, protocol 2.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_UINT32 = struct.Struct("<I").unpack_from
_INT32 = struct.Struct("<i").unpack_from
_UINT16 = struct.Struct("<H").unpack_from
_DOUBLE = struct.Struct(">d").unpack_from
_PLAIN: dict[int, Callable[[], Any]] = {
    ord("}"): dict,
    ord("]"): list,
    ord(")"): tuple,
    ord("N"): lambda: None,
    0x88: lambda: True,
    0x89: lambda: False,
}


class NotPlainError(ValueError):
    """A pickle holds something that is not known, or is damaged."""


@dataclass(frozen=True)
class Function:
    """What a pickle may call."""

    call: Callable[..., Any]


def values_of(data: bytes, known: Mapping[str, Any], stored: Callable[[Any], Any]) -> Any:
    """The object that a pickle holds.

    Args:
        data: the pickle.
        known: what its global names stand for; a name is module and attribute, with a space between. It can call a `Function`,
            and nothing else.
        stored: gives what lies outside of the pickle, by its persistent id.

    Raises:
        NotPlainError: it holds anything else, or is damaged.
    """
    try:
        return _run(data, known, stored)
    except NotPlainError:
        raise
    except Exception as error:  # damaged pickles stumble anywhere
        raise NotPlainError(f"{type(error).__name__}: {error}") from error


def _run(data: bytes, known: Mapping[str, Any], stored: Callable[[Any], Any]) -> Any:
    # one long function, as each of some ten thousand instructions would pay for a call
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    push, at = stack.append, 0
    while True:
        code = data[at]
        at += 1
        if code == 0x72:  # LONG_BINPUT
            memo[_UINT32(data, at)[0]] = stack[-1]
            at += 4
        elif code == 0x71:  # BINPUT
            memo[data[at]] = stack[-1]
            at += 1
        elif code == 0x4B:  # BININT1
            push(data[at])
            at += 1
        elif code == 0x68:  # BINGET
            push(memo[data[at]])
            at += 1
        elif code == 0x58:  # BINUNICODE
            end = at + 4 + _UINT32(data, at)[0]
            if end > len(data):
                raise NotPlainError("a text ends behind the pickle")
            push(data[at + 4 : end].decode("utf-8", "surrogatepass"))
            at = end
        elif code == 0x28:  # MARK
            marks.append(len(stack))
        elif code == 0x74:  # TUPLE
            _gather(stack, marks.pop())
        elif code == 0x52:  # REDUCE
            arguments = stack.pop()
            function = stack[-1]
            if type(function) is not Function or type(arguments) is not tuple:
                raise NotPlainError("something is called that is no function")
            stack[-1] = function.call(*arguments)
        elif code == 0x51:  # BINPERSID
            stack[-1] = stored(stack[-1])
        elif code in _PLAIN:
            push(_PLAIN[code]())
        elif code == 0x4D:  # BININT2
            push(_UINT16(data, at)[0])
            at += 2
        elif code == 0x4A:  # BININT
            push(_INT32(data, at)[0])
            at += 4
        elif 0x85 <= code <= 0x87:  # TUPLE1, TUPLE2, TUPLE3
            _gather(stack, len(stack) - (code - 0x84))
        elif code == 0x6A:  # LONG_BINGET
            push(memo[_UINT32(data, at)[0]])
            at += 4
        elif code == 0x75:  # SETITEMS
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            _mapping(stack[-1]).update(zip(items[::2], items[1::2], strict=True))
        elif code == 0x73:  # SETITEM
            value = stack.pop()
            key = stack.pop()
            _mapping(stack[-1])[key] = value
        elif code == 0x65:  # APPENDS
            start = marks.pop()
            items = stack[start:]
            del stack[start:]
            _sequence(stack[-1]).extend(items)
        elif code == 0x61:  # APPEND
            item = stack.pop()
            _sequence(stack[-1]).append(item)
        elif code == 0x63:  # GLOBAL
            end = data.index(b"\n", at)
            last = data.index(b"\n", end + 1)
            name = f"{data[at:end].decode()} {data[end + 1 : last].decode()}"
            if name not in known:
                raise NotPlainError(f"it asks for {name}")
            push(known[name])
            at = last + 1
        elif code == 0x62:  # BUILD
            attributes = stack.pop()
            if type(stack[-1]) is not OrderedDict or set(_mapping(attributes)) != {"_metadata"}:
                raise NotPlainError("attributes are set that are not known")
            stack[-1].__dict__.update(attributes)
        elif code == 0x47:  # BINFLOAT
            push(_DOUBLE(data, at)[0])
            at += 8
        elif code == 0x8A:  # LONG1
            end = at + 1 + data[at]
            push(int.from_bytes(data[at + 1 : end], "little", signed=True))
            at = end
        elif code == 0x80:  # PROTO
            if data[at] != 2:
                raise NotPlainError(f"protocol {data[at]}")
            at += 1
        elif code == 0x2E:  # STOP
            if len(stack) != 1 or marks:
                raise NotPlainError("it ends too early")
            return stack[0]
        else:
            raise NotPlainError(f"the instruction {code:#x} is not known")


def _gather(stack: list[Any], start: int) -> None:
    """Makes a tuple of the values from `start` on."""
    if start < 0:
        raise NotPlainError("values are missing")
    stack[start:] = [tuple(stack[start:])]


def _mapping(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise NotPlainError("items are set of something that is no mapping")
    return value


def _sequence(value: Any) -> list[Any]:
    if type(value) is not list:
        raise NotPlainError("something is appended to what is no list")
    return value
