"""What runs as `adb` and, on a fake phone, as `benchmark_model`: `phones.Phones` answers."""

import os
import socket
import sys

_, path, program, *arguments = sys.argv
with socket.socket(socket.AF_UNIX) as link:
    link.connect(path)
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes long to import
    link.sendall("\0".join([program, folder, *arguments]).encode())
    link.shutdown(socket.SHUT_WR)
    answer = link.makefile("rb").read()
code, out_size, text = answer.split(b"\n", 2)
sys.stdout.buffer.write(text[: int(out_size)])
sys.stdout.flush()
sys.stderr.buffer.write(text[int(out_size) :])
sys.exit(int(code))
