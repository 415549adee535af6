#!/usr/bin/env python3
"""Gives a proxy-wasm module exactly the exports that its filter uses.

    link.py IN.wasm OUT.wasm NAME[=SYMBOL]...

Each NAME is exported, under it whatever the compiler exported as SYMBOL (or as NAME); every other
export goes, and so do custom sections. The proxy calls each callback that a module exports, used or
not, for every request, so what is not exported is not paid for. The SDK exports all of them, and
its names cannot be used twice at link time, hence this step after it.
"""

import sys

EXPORT_SECTION = 7


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def varint(value):
    out = bytearray()
    while True:
        byte = value & 0x7F
        value >>= 7
        out.append(byte | (0x80 if value else 0))
        if not value:
            return bytes(out)


def sections(module):
    at = 8
    while at < len(module):
        kind = module[at]
        size, start = read_varint(module, at + 1)
        at = start + size
        yield kind, module[start:at]


def parse_exports(body):
    """Name -> (kind, index)."""
    exports = {}
    count, at = read_varint(body, 0)
    for _ in range(count):
        size, at = read_varint(body, at)
        name = body[at : at + size].decode()
        kind = body[at + size]
        index, at = read_varint(body, at + size + 1)
        exports[name] = (kind, index)
    return exports


def build_exports(exports):
    out = bytearray(varint(len(exports)))
    for name, (kind, index) in exports.items():
        out += varint(len(name)) + name.encode() + bytes([kind]) + varint(index)
    return bytes(out)


def main(source, target, *wanted):
    with open(source, "rb") as file:
        module = file.read()
    if module[:8] != b"\0asm\1\0\0\0":
        sys.exit(f"{source} is no WebAssembly module")
    out = bytearray(module[:8])
    for kind, body in sections(module):
        if kind == 0:
            continue
        if kind == EXPORT_SECTION:
            found = parse_exports(body)
            chosen = {}
            for name, _, symbol in (item.partition("=") for item in wanted):
                if (symbol or name) not in found:
                    sys.exit(f"{source} does not export {symbol or name}")
                chosen[name] = found[symbol or name]
            body = build_exports(chosen)
        out += bytes([kind]) + varint(len(body)) + body
    with open(target, "wb") as file:
        file.write(out)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
