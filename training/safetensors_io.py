"""Reads and writes safetensors files with numpy (Debian has no package of it). bf16 is read as uint16."""
import json
import os
import struct

import numpy as np

NAMES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16, "I64": np.int64, "I32": np.int32,
         "U16": np.uint16, "U8": np.uint8}
CODES = {np.dtype(v): k for k, v in NAMES.items() if k != "BF16"}


def read(path):
    """-> (dict of name -> memory-mapped array, metadata dict)"""
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, "r", offset=8 + size)
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            arrays[name] = data[begin:end].view(NAMES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, header.get("__metadata__", {})


def write(path, arrays, metadata=None):
    header, blobs, offset = {}, [], 0
    if metadata:
        header["__metadata__"] = metadata
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        header[name] = {"dtype": CODES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
        blobs.append(array)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path + ".part", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            file.write(blob.tobytes())
    os.replace(path + ".part", path)
