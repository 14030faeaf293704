"""Phones for tests: what they say of themselves, and an `adb` that sees them."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from fake_adb import FakeAdb
from fake_benchmark import FakeBenchmark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fake_adb import Answer

ELF_ARM64 = b"\x7fELF\x02\x01\x01" + bytes(11) + (183).to_bytes(2, "little")
ELF_X86 = ELF_ARM64[:18] + (62).to_bytes(2, "little")

PIXEL = {
    "ro.product.manufacturer": "Google",
    "ro.product.model": "Pixel 8",
    "ro.soc.manufacturer": "Google",
    "ro.soc.model": "Tensor G3",
    "ro.build.version.release": "14",
    "ro.build.id": "UD1A.230803.041",
    "ro.product.cpu.abi": "arm64-v8a",
}
CLOCKS = {0: 1704000, 1: 1704000, 4: 2367000, 5: 2367000, 8: 2914000}

THERMAL = """IsStatusOverride: false
Thermal Status: {status}
Cached temperatures:
	Temperature{{mValue=99.0, mType=0, mName=BIG, mStatus=3}}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 1  connected: yes
Current temperatures from HAL:
	Temperature{{mValue={celsius}, mType=0, mName=BIG, mStatus=0}}
	Temperature{{mValue=31.25, mType=3, mName=VIRTUAL-SKIN, mStatus=0}}
	Temperature{{mValue=4200.0, mType=6, mName=vbat, mStatus=0}}
Current cooling devices from HAL:
	CoolingDevice{{mValue=88, mType=2, mName=tpu_cooling}}
"""
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  status: 2
  level: 87
  scale: 100
  temperature: 285
"""


@dataclass
class Phones:
    """A folder of fake phones, an `adb` that sees them, and the program that they run."""

    folder: Path
    benchmark: FakeBenchmark = field(default_factory=FakeBenchmark)

    def __enter__(self) -> Self:
        (self.folder / "host").mkdir(parents=True)
        adb = self.folder / "host" / "adb"
        adb.write_text(self._program("adb"))
        adb.chmod(0o755)
        fake = FakeAdb(self.folder, lambda: self._program("benchmark_model"))

        def answer(program: str, folder: str, arguments: Sequence[str]) -> Answer:
            if program == "adb":
                return fake.answer(arguments)
            return self.benchmark.answer(Path(folder), arguments)

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                program, folder, *arguments = self.rfile.read().decode().split("\0")
                code, out, err = answer(program, folder, arguments)
                sent = f"{code}\n{len(out.encode())}\n{out}{err}"
                self.wfile.write(sent.encode())

        self._server = socketserver.ThreadingUnixStreamServer(str(self._socket), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'host'}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path}

    def add(self, serial: str = "PIXEL0001", **properties: str) -> Phone:
        phone = Phone(self.folder / serial)
        phone.make({**PIXEL, **properties})
        return phone

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    def _program(self, name: str) -> str:
        client = Path(__file__).with_name("fake_client.py")
        return f'#!/bin/sh\nexec "{sys.executable}" -I -S "{client}" "{self._socket}" {name} "$@"\n'


@dataclass
class Phone:
    """One fake phone."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    def make(self, properties: dict[str, str]) -> None:
        for name in ("bin", "data/local/tmp", "sys/devices/system/cpu"):
            (self.root / name).mkdir(parents=True)
        self.state("device")
        cases = "\n".join(f'{name}) echo "{value}";;' for name, value in properties.items())
        self.command("getprop", f'case "$1" in\n{cases}\nesac')
        self.command("uname", "echo aarch64")
        self.command("settings", f'cat "{self.root}/low_power" 2>/dev/null || echo null')
        self.command("taskset", f'echo "$1" >> "{self.root}/masks"; shift; exec "$@"')
        self.command("dumpsys", f'cat "{self.root}/$1" 2>/dev/null')
        (self.root / "battery").write_text(BATTERY)
        self.warm(40.0)
        for core, clock in CLOCKS.items():
            folder = self.root / f"sys/devices/system/cpu/cpu{core}/cpufreq"
            folder.mkdir(parents=True)
            (folder / "cpuinfo_max_freq").write_text(f"{clock}\n")
            (folder / "scaling_cur_freq").write_text(f"{clock // 2}\n")
            (folder / "scaling_governor").write_text("sched_pixel\n")

    def state(self, state: str) -> None:
        (self.folder / "state").write_text(state)

    def breaks_after(self, calls: int, state: str = "gone") -> None:
        (self.folder / "faults.json").write_text(json.dumps({"after": calls, "state": state}))

    def warm(self, celsius: float, status: int = 0) -> None:
        text = THERMAL.format(celsius=celsius, status=status)
        (self.root / "thermalservice").write_text(text)

    def command(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def mark(self, name: str, text: str = "") -> None:
        """Make a file that changes how the phone behaves; see `fake_adb`."""
        (self.root / name).write_text(text)

    @property
    def masks(self) -> set[str]:
        return set((self.root / "masks").read_text().split())

    @property
    def calls(self) -> list[list[str]]:
        lines = (self.folder / "calls").read_text().splitlines()
        return [json.loads(line) for line in lines]

    @property
    def left(self) -> list[str]:
        return sorted(path.name for path in (self.root / "data/local/tmp").iterdir())
