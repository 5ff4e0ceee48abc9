"""Seeds of the fuzz targets for weight files: tests/fuzz/corpus/gguf and pickle.

    python3 training/fuzz_formats.py tests
"""
import os
import struct
import sys
import zipfile

ROOT = sys.argv[1]


def save(target, name, data):
    os.makedirs(f"{ROOT}/fuzz/corpus/{target}", exist_ok=True)
    with open(f"{ROOT}/fuzz/corpus/{target}/{name}", "wb") as file:
        file.write(data)


def text(s):
    return struct.pack("<Q", len(s)) + s.encode()


def gguf(tensors, metadata=(), version=3, alignment=32):
    """tensors: (name, dims fastest first, ggml type, bytes)"""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata)) + b"".join(text(k) + v for k, v in metadata)
    body = b""
    for name, dims, kind, data in tensors:
        head += text(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, len(body))
        body += data + b"\0" * (-len(data) % alignment)
    return head + b"\0" * (-len(head) % alignment) + body


VALUES = [("general.alignment", struct.pack("<II", 4, 32)), ("general.architecture", struct.pack("<I", 8) + text("sd1")), ("f", struct.pack("<If", 6, 1.5)),
          ("list", struct.pack("<IIQ", 9, 5, 3) + b"\1\0\0\0" * 3), ("lists", struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQ", 8, 2) + text("a") + text("b")), ("flag", struct.pack("<IB", 7, 1))]
save("gguf", "plain", gguf([("a.weight", (4, 2), 0, bytes(32)), ("b", (3,), 1, bytes(6)), ("c", (), 30, bytes(2))], VALUES))
save("gguf", "blocks", gguf([("q8", (32, 2), 8, bytes(68)), ("q4", (64,), 2, bytes(36)), ("q4k", (256,), 12, bytes(144)), ("q5k", (256,), 13, bytes(176)), ("q6k", (256, 1), 14, bytes(210))]))
save("gguf", "version2", gguf([("i", (2,), 27, bytes(16)), ("e", (0, 7), 0, b"")], version=2))
save("gguf", "aligned", gguf([("a", (4,), 24, b"abcd"), ("b", (4,), 28, bytes(32))], [("general.alignment", struct.pack("<II", 4, 64))], alignment=64))

for name in ("plain.pt", "nested.ckpt", "deflated.pt", "evil.pt", "expanded.pt"):
    path = f"{ROOT}/golden/formats/torch/{name}"
    with open(path, "rb") as file:
        save("pickle", name, file.read())
    with zipfile.ZipFile(path) as archive:
        inner = next(n for n in archive.namelist() if n.endswith("data.pkl"))
        save("pickle", name + ".pkl", archive.read(inner))
save("pickle", "protocol4.pkl", b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94]\x94(K\x02K\x03eu.")
save("pickle", "cycle.pkl", b"\x80\x02}q\0U\x01ah\0s.")
