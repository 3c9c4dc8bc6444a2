#!/usr/bin/env python3
"""Writes the bytes of the golden vectors with Google's protobuf implementation.

    pip install protobuf grpcio-tools
    videocall-types/tests/vectors/write.py            writes the bytes of vectors that have none
    videocall-types/tests/vectors/write.py --check    fails when bytes are not those of their meaning

A new vector is added to a file with its meaning, and without `hex`. Where `canonical` is false the bytes were
written by hand, because no encoder writes them; they are left alone.
"""

import importlib
import json
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

VECTORS = Path(__file__).resolve().parent
PROTO = VECTORS.parents[1] / "proto"

# Fields of identities are hexadecimal in the vectors.
IDENTITIES = {"session", "sessions", "left", "id"}


def schema():
    """The messages of the schema, compiled."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["protoc", f"-I{PROTO}", f"--python_out={folder}", str(PROTO / "videocall.proto")]
        if protoc.main(arguments) != 0:
            sys.exit("the schema does not compile")
        sys.path.insert(0, folder)
        return importlib.import_module("videocall_pb2")


def scalar(field, value):
    """A value as protobuf has it."""
    if field.enum_type is not None:
        prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field.enum_type.name).upper()
        return field.enum_type.values_by_name[f"{prefix}_{value.upper()}"].number
    if field.name in IDENTITIES:
        return int(value, 16)
    if field.type == field.TYPE_BYTES:
        return bytes.fromhex(value)
    return value


def fill(message, meaning):
    """Gives a message the fields of a meaning."""
    for name, value in meaning.items():
        field = message.DESCRIPTOR.fields_by_name[name]
        if name == "audio_level" and message.DESCRIPTOR.name == "Frame":
            # In -dBov, or null; on the wire one more, or 0.
            message.audio_level = 0 if value is None else value + 1
        elif value is None:
            continue
        elif isinstance(value, list):
            target = getattr(message, name)
            for item in value:
                if field.message_type is None:
                    target.append(scalar(field, item))
                else:
                    fill(target.add(), item)
        elif field.message_type is None:
            setattr(message, name, scalar(field, value))
        else:
            target = getattr(message, name)
            target.SetInParent()
            fill(target, value)
    return message


def encode(packet, meaning):
    """The packet of a meaning."""
    return fill(packet(), meaning).SerializeToString(deterministic=True)


def fragments(packet, vector):
    """The packets that carry the parts of another one."""
    whole, size = bytes.fromhex(vector["packet"]), vector["part_bytes"]
    parts = [whole[begin : begin + size] for begin in range(0, len(whole), size)]
    meaning = lambda index, part: {
        "relay_fragment": {"id": vector["id"], "index": index, "count": len(parts), "part": part.hex()}
    }
    return [encode(packet, meaning(index, part)).hex() for index, part in enumerate(parts)]


def main():
    check = sys.argv[1:] == ["--check"]
    packet = schema().Packet
    wrong = []
    for name in ["frames", "client", "server", "relay", "fragments"]:
        path = VECTORS / f"{name}.json"
        vectors = json.loads(path.read_text(encoding="utf-8"))
        for vector in vectors:
            if not vector.get("canonical", True):
                continue
            key = "fragments" if name == "fragments" else "hex"
            made = fragments(packet, vector) if name == "fragments" else encode(packet, vector["meaning"]).hex()
            if key not in vector and not check:
                # Bytes stand before what they mean.
                meaning = vector.pop("meaning", None)
                vector[key] = made
                vector.update({} if meaning is None else {"meaning": meaning})
            elif vector.get(key) != made:
                wrong.append(f"{name}: {vector['name']}")
        if not check:
            path.write_text(json.dumps(vectors, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if wrong:
        sys.exit("other bytes than the meaning's: " + ", ".join(wrong))


main()
