"""A small simulation of `adb`, with the texts of adb 29 and the current adbd.

Commands run in mksh and toybox, as on a phone, where these are installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REDIRECTED = ("/data/local/tmp", "/sys/")
"""Paths of the phone that are folders under its root here."""
TOYS = "cat chmod cut df grep head ls mkdir rm sed sha256sum sleep tail".split()  # noqa: SIM905


class Answer(NamedTuple):
    """What a program did."""

    code: int = 0
    out: str = ""
    err: str = ""


def failed(text: str) -> Answer:
    return Answer(1, err=f"{text}\n")


class FakeAdb:
    """Phones in a folder; each has, in a folder called as its serial number:

    state        what `adb devices` lists: "device", "unauthorized", ..., or "gone"
    faults.json  {"after": N, "state": S}: from the N-th next call on the phone is in state S
    calls        one line per call
    root/        its files; root/bin goes before the commands of this machine
    """

    def __init__(self, folder: Path, program: Callable[[], str]) -> None:
        """Take the folder, and what gives the text of a program that a phone is handed."""
        self._folder, self._program = folder, program

    def answer(self, arguments: Sequence[str]) -> Answer:
        if list(arguments) == ["devices"]:
            lines = [f"{serial}\t{s}\n" for serial, s in self._states().items() if s != "gone"]
            return Answer(out=f"List of devices attached\n{''.join(lines)}\n")
        option, serial, command, *rest = arguments
        assert option == "-s", arguments
        state = self._states().get(serial, "gone")
        if state == "gone":
            return failed(f"error: device '{serial}' not found")
        if state != "device":
            return failed(f"error: device {state}.")
        phone = self._folder / serial
        with (phone / "calls").open("a") as calls:
            calls.write(json.dumps([command, *rest]) + "\n")
        if self._breaks_now(phone):
            return failed("error: closed")
        actions = {"shell": self._shell, "push": self._push, "pull": self._pull}
        return actions[command](phone / "root", rest)

    def _states(self) -> dict[str, str]:
        files = sorted(self._folder.glob("*/state"))
        return {path.parent.name: path.read_text() for path in files}

    def _breaks_now(self, phone: Path) -> bool:
        path = phone / "faults.json"
        if not path.exists():
            return False
        fault = json.loads(path.read_text())
        fault["after"] -= 1
        path.write_text(json.dumps(fault))
        if fault["after"] > 0:
            return False
        path.unlink()
        (phone / "state").write_text(fault["state"])
        return True

    def _shell(self, root: Path, arguments: list[str]) -> Answer:
        folders = [str(root / "bin"), str(toys(self._folder)), "/usr/bin", "/bin"]
        done = subprocess.run(
            [shutil.which("mksh") or "sh", "-c", here(root, " ".join(arguments))],
            env={"PATH": ":".join(folders)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def _push(self, root: Path, arguments: list[str]) -> Answer:
        *sources, target = arguments
        place = Path(here(root, target))
        for source in map(Path, sources):
            if not source.is_file():
                return failed(f"adb: error: cannot stat '{source}': No such file or directory")
            file = place / source.name if target.endswith("/") else place
            if reason := self._refused(root, file):
                copied = f"failed to copy '{source}' to '{target}'"
                return failed(f"adb: error: {copied}: remote couldn't create file: {reason}")
            file.write_bytes(self._received(root, file, source.read_bytes()))
        many = "s" * (len(sources) > 1)
        return Answer(out=f"{len(sources)} file{many} pushed, 0 skipped. 20.1 MB/s\n")

    def _refused(self, root: Path, file: Path) -> str:
        if (root / "full").exists():
            return "No space left on device"
        return "" if file.parent.is_dir() else "No such file or directory"

    def _received(self, root: Path, file: Path, content: bytes) -> bytes:
        if content.startswith(b"\x7fELF"):
            return self._program().encode()
        if file.suffix == ".sh":
            return here(root, content.decode()).encode()
        if (root / "damages").exists() and file.suffix == ".tflite":
            return content[:-1] + b"?"
        return content

    def _pull(self, root: Path, arguments: list[str]) -> Answer:
        source, target = Path(here(root, arguments[0])), Path(arguments[1])
        if not source.exists():
            return failed(f"adb: error: failed to stat remote object '{arguments[0]}'")
        shutil.copytree(source, target / source.name)
        return Answer(out=f"{source}/: 2 files pulled, 0 skipped. 20.1 MB/s\n")


def here(root: Path, text: str) -> str:
    for path in REDIRECTED:
        text = text.replace(path, f"{root}{path}")
    return text


def toys(folder: Path) -> Path:
    """Links to toybox, which holds the commands of a phone."""
    links = folder / "toybox"
    if not links.exists() and (toybox := shutil.which("toybox")):
        links.mkdir()
        for name in TOYS:
            (links / name).symlink_to(toybox)
    return links
