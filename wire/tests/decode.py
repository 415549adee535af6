"""Reads Foresail frames as wire/README.md describes them and prints one JSON object a line.

Usage: decode.py FILE...   or   decode.py < one frame in hexadecimal a line
"""
import json, sys

HISTOGRAM = "histogram"
COUNTS = "counts"
STREAMS = [("finished", int), ("duration_micros", int)]
KEY = [("direction", "direction"), ("destination", str), ("route", str)]
SERIES = [("key", KEY), ("in_flight", int), ("concurrency_micros", int), ("codes", COUNTS), ("grpc", "u8 counts"),
          ("flags", "u8 counts"), ("latency", HISTOGRAM), ("first_byte", HISTOGRAM), ("streams", STREAMS)]
FRAME = [("identity", [(name, str) for name in ("namespace", "workload", "pod", "revision")]), ("instance", int),
         ("sequence", int), ("window", [("start_micros", int), ("end_micros", int)]), ("sent_at_micros", int),
         ("health", [(name, int) for name in ("overflowed", "merged", "failed_sends", "unreadable")]), ("series", "series")]

def take(body, n):
    assert len(body) >= n, "cut short"
    taken = bytes(body[:n])
    del body[:n]
    return taken

def varint(body):
    first = take(body, 1)[0]
    return first if first < 251 else int.from_bytes(take(body, {251: 2, 252: 4, 253: 8}[first]), "little")

def read(body, kind):
    if isinstance(kind, list):
        return {name: read(body, field) for name, field in kind}
    if kind is int:
        return varint(body)
    if kind is str:
        return take(body, varint(body)).decode()
    if kind == "direction":
        return ["inbound", "outbound"][varint(body)]
    if kind == "series":
        return [read(body, SERIES) for _ in range(varint(body))]
    if kind in (COUNTS, "u8 counts"):
        key = varint if kind == COUNTS else lambda body: take(body, 1)[0]
        return [[key(body), varint(body)] for _ in range(varint(body))]
    digits, buckets, index = take(body, 1)[0], [], 0
    for _ in range(varint(body)):
        index += varint(body)
        buckets.append([index, varint(body)])
    return {"digits": digits, "buckets": buckets}

def decode(data):
    body = bytearray(data)
    assert take(body, 4) == b"FSL1", "not a frame of version 1"
    frame = read(body, FRAME)
    assert not body, f"{len(body)} bytes follow the frame's end"
    return json.dumps(frame)

if __name__ == "__main__":
    frames = [open(name, "rb").read() for name in sys.argv[1:]] or [bytes.fromhex(line) for line in sys.stdin]
    print("\n".join(map(decode, frames)))
