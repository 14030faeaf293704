#!/usr/bin/env python3
"""Time the models of a bundle on this board, and write BUNDLE/results.json.

    python3 BUNDLE/hwnas_bench.py

Or, where the board reaches the machine that runs `hwnas profile --listen`, do without files:

    python3 hwnas_bench.py --agent http://HOST:PORT --token TOKEN

Needs Python 3.8 or later and the runtime that the bundle is for: onnxruntime, or ai-edge-litert
(tflite-runtime where that is not to be had). Nothing else: copy this one file.

A killed run goes on where it stopped. `hwnas profile --ingest BUNDLE/results.json` on the machine
that wrote the bundle makes a lookup table of the results.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import hashlib
import http.client
import importlib
import importlib.metadata
import json
import math
import os
import platform
import random
import re
import secrets
import ssl
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

VERSION = "1"
MANIFEST, RESULTS, AGENT = "hwnas-manifest/1", "hwnas-results/1", "hwnas-agent/1"
IDLE = "idle"
POSITIONS = 64
LONGEST_WAIT_S = 1800.0
TIMEOUT_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 60.0, 0.2, 10.0
LARGEST_ANSWER, BLOCK_BYTES, MOST_TRIES = 64 << 20, 256 << 10, 3
BLOCK_SHORTEST_S, SAMPLE_EVERY_S, SETTLE = 0.5, 0.02, 0.1


class Problem(Exception):  # noqa: N818 - what the person at the keyboard has
    """One line for the person at the keyboard; the exit code is 2."""


# The fixed input, and what of the output is compared ------------------------------------------


def given(shape, dtype):
    """Return the input of a model: a formula, so that every device feeds the same values."""
    import numpy as np

    counts = np.arange(1, math.prod(shape) + 1, dtype=np.uint64)
    hashes = counts * np.uint64(2654435761) % np.uint64(2**32)
    if dtype.startswith("float"):
        values = (hashes >> np.uint64(8)).astype(np.float64) / 2**23 - 1
        return values.astype(dtype).reshape(shape)
    top = (hashes >> np.uint64(24)).astype(np.int16)
    return (top - (128 if dtype == "int8" else 0)).astype(dtype).reshape(shape)


def sampled(output):
    """Return the values of an output that are compared."""
    flat = output.reshape(-1)
    compared = min(len(flat), POSITIONS)
    return [float(flat[index * len(flat) // compared]) for index in range(compared)]


# Runtimes --------------------------------------------------------------------------------------


class OnnxRuntime:
    """ONNX Runtime's CPU provider."""

    name, packages = "onnxruntime", ("onnxruntime",)

    def __init__(self):
        self._module = needed("onnxruntime", "onnxruntime")
        self.version = self._module.__version__

    def load(self, model, threads, entry):
        """Return (run, output) of a model with its input fed."""
        import numpy as np

        options = self._module.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        session = self._module.InferenceSession(
            model, sess_options=options, providers=["CPUExecutionProvider"]
        )
        source, result = session.get_inputs()[0].name, session.get_outputs()[0].name
        fed = given(entry["input"]["shape"], entry["input"]["dtype"])
        output = np.zeros(entry["output"]["shape"], entry["output"]["dtype"])
        binding = session.io_binding()
        binding.bind_cpu_input(source, fed)
        binding.bind_output(result, "cpu", 0, output.dtype, output.shape, output.ctypes.data)

        def run():
            session.run_with_iobinding(binding)

        run.kept = (fed, output)  # the binding points into them
        return run, lambda: output


class LiteRt:
    """LiteRT, or tflite-runtime, its predecessor."""

    name = "tflite"

    def __init__(self, only_old=False):
        module, self.version = self._find(only_old)
        self._interpreter = module.Interpreter

    def _find(self, only_old):
        for package, module in (
            ("ai-edge-litert", "ai_edge_litert.interpreter"),
            ("tflite-runtime", "tflite_runtime.interpreter"),
        ):
            if only_old and package == "ai-edge-litert":
                continue
            with contextlib.suppress(ImportError):
                found = importlib.import_module(module)
                version = importlib.metadata.version(package)
                self.name = "tflite" if package == "ai-edge-litert" else "tflite-runtime"
                return found, version
        package = "tflite-runtime" if only_old else "ai-edge-litert (or tflite-runtime)"
        raise Problem(f"this bundle needs {package}: pip install {package.split()[0]}")

    def load(self, model, threads, entry):
        """Return (run, output) of a model with its input fed."""
        interpreter = self._interpreter(model_content=model, num_threads=threads)
        interpreter.allocate_tensors()
        source, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        fed = given(entry["input"]["shape"], entry["input"]["dtype"])
        interpreter.set_tensor(source["index"], fed)
        return interpreter.invoke, lambda: interpreter.get_tensor(result["index"])


def needed(module, package):
    """Import a module or say how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Problem(f"this bundle needs {package}: pip install {package}") from None


def runtime_for(name):
    """Return the runtime that a bundle asks for."""
    if name == "onnxruntime":
        return OnnxRuntime()
    if name in ("tflite", "tflite-runtime"):
        return LiteRt(only_old=name == "tflite-runtime")
    raise Problem(f"this bundle is for {name}, which this harness does not run")


# What this board is, and how it is -------------------------------------------------------------


def text_of(path, default=""):
    """Return the first line of a file of the kernel's."""
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        return text.strip("\0\n ").split("\n")[0][:200]
    except OSError:
        return default


def cpu_model():
    """Return the model of the processor, as hwnas itself tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    fields = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name") or fields.get("Model") or platform.processor() or "unknown"
    family, model = fields.get("cpu family"), fields.get("model")
    return f"{name} (family {family}, model {model})" if family and model else name


def device_facts():
    """Return what identifies this board."""
    model = text_of("/proc/device-tree/model") or text_of("/sys/class/dmi/id/product_name")
    return {
        "model": model or "unknown",
        "cpu": cpu_model()[:200],
        "cores": os.cpu_count() or 1,
        "os": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "governor": text_of(
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "not readable"
        ),
    }


def runtime_facts(runtime):
    """Return who runs the models."""
    return {
        "name": runtime.name,
        "version": runtime.version,
        "harness": f"linux {VERSION}",
    }


def numbers(root, pattern, scale):
    """Return what the files of a pattern hold, as numbers."""
    found = []
    for path in Path(root).glob(pattern):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text()) * scale)
    return found


def temperature_c():
    """Return the hottest thermal zone, or None."""
    found = [t for t in numbers("/sys/class/thermal", "thermal_zone*/temp", 1e-3) if -50 < t < 250]
    return max(found) if found else None


def throttled():
    """Return whether a Raspberry Pi holds its clock down or has too little voltage, or None."""
    text = text_of("/sys/devices/platform/soc/soc:firmware/get_throttled")
    if not text:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                ["vcgencmd", "get_throttled"],  # noqa: S607 - where it is differs by system
                capture_output=True,
                text=True,
                timeout=5,
            )
            text = asked.stdout.strip().partition("=")[2]
    try:
        return bool(int(text, 16) & 0xF)
    except ValueError:
        return None


def conditions():
    """Return how this board is now."""
    clocks = numbers("/sys/devices/system/cpu", "cpu[0-9]*/cpufreq/scaling_cur_freq", 1e-3)
    supplies = Path("/sys/class/power_supply")
    charge = numbers(supplies, "BAT*/capacity", 1.0)
    states = [text_of(path) for path in supplies.glob("BAT*/status")]
    return {
        "temperature_c": temperature_c(),
        "throttled": throttled(),
        "cpu_mhz": max(clocks) if clocks else None,
        "battery_percent": min(100.0, charge[0]) if charge else None,
        "charging": states[0] in ("Charging", "Full") if states else None,
    }


# Power -----------------------------------------------------------------------------------------


class Rapl:
    """Energy counters of x86 processors: microjoules that wrap around."""

    def __init__(self, zones):
        self.name = "rapl " + " + ".join(text_of(zone / "name", zone.name) for zone in zones)
        self.block_s = BLOCK_SHORTEST_S
        self._zones = [
            (zone / "energy_uj", int(text_of(zone / "max_energy_range_uj"))) for zone in zones
        ]

    def start(self):
        """Take the first reading."""
        self._began, self._used = time.perf_counter(), 0
        self._last = [int(path.read_text()) for path, _ in self._zones]

    def sample(self):
        """Add what was used since the last reading."""
        for index, (path, span) in enumerate(self._zones):
            now = int(path.read_text())
            self._used += (now - self._last[index]) % (span + 1)
            self._last[index] = now

    def watts(self):
        """Return the mean power since the start."""
        self.sample()
        return self._used / 1e6 / (time.perf_counter() - self._began)


class Hwmon:
    """A board's power sensor: microwatts, or milliamperes and millivolts."""

    def __init__(self, name, files, update_ms):
        self.name, self._files = "hwmon " + name, files
        self.block_s = max(BLOCK_SHORTEST_S, 20 * max(update_ms, 50) / 1e3)

    def start(self):
        """Forget all readings."""
        self._readings = []

    def sample(self):
        """Add a reading."""
        product = 1.0
        for path in self._files:
            product *= int(path.read_text())
        self._readings.append(product / 1e6)

    def watts(self):
        """Return the mean of the readings."""
        if not self._readings:
            self.sample()
        return sum(self._readings) / len(self._readings)


def rapl_counter(root="/sys/class/powercap"):
    """Return the packages' counters, or None."""
    zones = [z for z in sorted(Path(root).glob("intel-rapl:*")) if z.name.count(":") == 1]
    readable = []
    for zone in zones:
        with contextlib.suppress(OSError, ValueError):
            int((zone / "energy_uj").read_text())
            int(text_of(zone / "max_energy_range_uj"))
            readable.append(zone)
    return Rapl(readable) if readable else None


WHOLE_BOARD = ("VDD_IN", "POM_5V_IN")


def board_sensors(root="/sys/class/hwmon"):
    """Return the sensors that measure a supply and can be read, by name."""
    found = {}
    for folder in sorted(Path(root).glob("hwmon*")):
        chip = text_of(folder / "name")
        if not chip.startswith(("ina", "ltc", "power_meter")):
            continue
        update = int(text_of(folder / "update_interval") or 0)
        for label, files in rails(folder):
            sensor = Hwmon(f"{chip}/{label}", files, update)
            with contextlib.suppress(OSError, ValueError):
                sensor.start()
                sensor.sample()
                found[sensor.name] = sensor
    return found


def rails(folder):
    """Return the label and the files of each rail of a sensor chip."""
    found = []
    for path in sorted(folder.glob("power*_input")):
        label = path.name[: -len("_input")]
        found.append((text_of(folder / f"{label}_label", label), [path]))
    if found:
        return found
    for path in sorted(folder.glob("curr*_input")):
        volts = folder / path.name.replace("curr", "in")
        if volts.exists():
            label = volts.name[: -len("_input")]
            found.append((text_of(folder / f"{label}_label", label), [path, volts]))
    return found


def power_counter(wanted):
    """Return what tells this board's power, or None; `wanted`: the name of a sensor."""
    sensors = board_sensors()
    if wanted is not None:
        name = f"hwmon {wanted}"
        if name not in sensors:
            known = ", ".join(each[len("hwmon ") :] for each in sensors) or "none"
            raise Problem(f"there is no power sensor {wanted} here (known: {known})")
        return sensors[name]
    whole = [s for name, s in sensors.items() if name.endswith(WHOLE_BOARD)]
    if len(whole or sensors) == 1:
        return (whole or list(sensors.values()))[0]
    return rapl_counter()


# Timing ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def pinned(cores):
    """Keep this process on some cores, and its garbage where it is."""
    gc.disable()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        gc.enable()


def fastest_cores(count):
    """Return the cores with the highest clock; among equal ones the last, which are least busy."""
    usable = sorted(os.sched_getaffinity(0))
    if count > len(usable):
        raise Problem(
            f"the bundle asks for {count} threads, but this board has {len(usable)} cores to run on"
        )
    top = "/sys/devices/system/cpu/cpu%d/cpufreq/cpuinfo_max_freq"
    return set(sorted(usable, key=lambda core: (int(text_of(top % core) or 0), core))[-count:])


class Bench:
    """Loaded models, and the protocol that they are timed by."""

    def __init__(self, runtime, setup, protocol):
        self.runtime, self.protocol = runtime, protocol
        self._threads = setup["threads"]
        self.panel = {}
        self.ran = {}

    def load(self, name, content, entry):
        """Return what runs a model, after a first run whose output shows which model it is."""
        try:
            run, output = self.runtime.load(content, self._threads, entry)
            run()
        except Exception as error:  # noqa: BLE001 - every runtime has its own kinds
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise Problem(f"{name} does not run here: {reason}") from None
        digest = hashlib.sha256(content).hexdigest()
        self.ran[name] = {"sha256": digest, "output": sampled(output())}
        return run

    def load_panel(self, models):
        """Load what is in every round, from (name, content, entry)."""
        self.panel = {name: self.load(name, content, entry) for name, content, entry in models}
        self._warm_up(self.panel)

    def do(self, job, models, step=lambda: None):
        """Do a job; return its result and what shows that the right models ran."""
        loaded = {name: self.load(name, content, entry) for name, content, entry in models}
        self._warm_up(loaded)
        runs = dict(self.panel)
        runs.update(loaded)
        before, began, rounds = conditions(), time.perf_counter(), []
        order = random.Random(job["number"])
        for _ in range(job["rounds"]):
            self._wait_until_cool()
            rounds.append(self._round(runs, order))
            step()
        result = {
            "number": job["number"],
            "rounds": rounds,
            "before": before,
            "after": conditions(),
            "seconds": time.perf_counter() - began,
        }
        names = [*self.panel, *loaded]
        ran = {name: self.ran[name] for name in names}
        for name in loaded:
            if name not in self.panel:
                del self.ran[name]
        return result, ran

    def _round(self, runs, order):
        names = list(runs)
        order.shuffle(names)
        return [[name, self.elapsed_ms(runs[name])] for name in names]

    def elapsed_ms(self, run):
        """Time one run, right after untimed ones that bring it back into the caches."""
        for _ in range(self.protocol["untimed_runs"]):
            run()
        start = time.perf_counter_ns()
        run()
        return (time.perf_counter_ns() - start) / 1e6

    def _warm_up(self, runs):
        start = time.monotonic()
        for _ in range(self.protocol["warm_up_rounds"]):
            for run in runs.values():
                run()
        while runs and time.monotonic() - start < self.protocol["warm_up_s"]:
            for run in runs.values():
                run()

    def _wait_until_cool(self):
        limit, waited = self.protocol["hottest_c"], 0.0
        while limit is not None and (temperature_c() or 0) > limit:
            if waited >= LONGEST_WAIT_S:
                raise Problem(
                    f"this board does not cool down to {limit:g} C (it has "
                    f"{temperature_c():.0f} C): give it "
                    "a fan, or let it rest; the same command then goes on"
                )
            time.sleep(5)
            waited += 5

    def power(self, counter, order, runs, done, step=print):
        """Run models back to back for a counter; return blocks, [] if it does not move."""
        blocks = list(done)
        for name in order[len(blocks) :]:
            run = None if name == IDLE else runs[name]
            self._repeat(run, SETTLE * counter.block_s, None)
            start_s = time.time()
            counter.start()
            self._repeat(run, counter.block_s, counter)
            watts = counter.watts()
            if not watts > 0:
                return []
            blocks.append({"name": name, "start_s": start_s, "end_s": time.time(), "watts": watts})
            step(blocks[-1])
        return blocks

    def _repeat(self, run, seconds, counter):
        start = time.perf_counter()
        following = start + SAMPLE_EVERY_S
        while time.perf_counter() < start + seconds:
            if counter is not None and time.perf_counter() >= following:
                counter.sample()
                following = time.perf_counter() + SAMPLE_EVERY_S
            if run is None:
                time.sleep(SAMPLE_EVERY_S)
            else:
                self.elapsed_ms(run)


# Bundles ---------------------------------------------------------------------------------------


class Bundle:
    """A folder with a manifest, models, and what has been done so far."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.manifest = self._read()
        self._partial = self.folder / "results.partial.jsonl"

    def _read(self):
        path = self.folder / "manifest.json"
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise Problem(f"{path} is missing: {self.folder} is no bundle") from None
        except (OSError, ValueError) as error:
            raise Problem(f"{path} cannot be read ({error}): copy the bundle again") from None
        if not isinstance(manifest, dict) or manifest.get("schema") != MANIFEST:
            raise Problem(
                f"{path} is not of version {MANIFEST}: use the hwnas_bench.py of "
                "the hwnas that wrote it"
            )
        return manifest

    def model(self, name):
        """Return (name, content, entry) of a model."""
        entry = self.manifest["models"][name]
        path = self.folder / "models" / (entry["sha256"] + self.manifest["suffix"])
        try:
            content = path.read_bytes()
        except OSError as error:
            raise Problem(
                f"{path} cannot be read ({error.strerror}): copy the bundle again"
            ) from None
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise Problem(f"{path} is damaged: copy the bundle again")
        return name, content, entry

    def done(self, header, fresh):
        """Return the records of an interrupted run of the same board and runtime."""
        try:
            lines = self._partial.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        records = []
        if lines and not fresh:
            with contextlib.suppress(ValueError):
                if json.loads(lines[0]) != header:
                    raise Problem(
                        f"{self._partial} is of another bundle, board or runtime: --fresh drops it"
                    )
            for line in lines[1:]:
                try:
                    records.append(json.loads(line))
                except ValueError:
                    break  # cut by a kill
        self._write(self._partial, [header, *records], lines=True)
        return records

    def append(self, record):
        """Keep one record, on the disk."""
        try:
            with self._partial.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise Problem(
                f"cannot write {self._partial}: {error.strerror}. Make room; the same "
                "command then goes on"
            ) from None

    def finish(self, results):
        """Write results.json and forget the partial ones."""
        path = self.folder / "results.json"
        self._write(path, results, lines=False)
        self._partial.unlink()
        return path

    def _write(self, path, content, lines):
        temporary = path.with_name(f".{path.name}.tmp")
        rows = map(json.dumps, content) if lines else [json.dumps(content)]
        try:
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write("".join(row + "\n" for row in rows))
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            raise Problem(f"cannot write {path}: {error.strerror}") from None


class Progress:
    """One line on standard error, rewritten on a terminal, rarely printed elsewhere."""

    def __init__(self, total):
        self._total, self._done, self._began, self._told = total, 0, time.monotonic(), 0.0
        self._skipped = 0

    def skip(self, count):
        """Take note of what was done before."""
        self._done += count
        self._skipped += count

    def step(self, what="rounds"):
        """Count one more."""
        self._done += 1
        now = time.monotonic()
        if now - self._told < (0.2 if sys.stderr.isatty() else 30) and self._done < self._total:
            return
        self._told = now
        share = (now - self._began) / max(1, self._done - self._skipped)
        left = share * (self._total - self._done)
        end = "\r" if sys.stderr.isatty() and self._done < self._total else "\n"
        sys.stderr.write(
            f"{self._done} of {self._total} {what}, "
            f"{left // 60:.0f} min {left % 60:02.0f} s left   " + end
        )
        sys.stderr.flush()


def run_bundle(folder, fresh=False, cores=None, sensor=None):
    """Do what is left of a bundle; return the path of the results."""
    bundle = Bundle(folder)
    manifest, counter = bundle.manifest, power_counter(sensor)
    setup, jobs = manifest["setup"], manifest["jobs"]
    runtime = runtime_for(setup["runtime"])
    header = {
        "schema": RESULTS,
        "bundle": manifest["bundle"],
        "setup": setup,
        "device": device_facts(),
        "runtime": runtime_facts(runtime),
    }
    if (bundle.folder / "results.json").exists() and not fresh:
        raise Problem(
            "%s is there already: take it in with `hwnas profile --ingest`, or measure again "
            "with --fresh" % (bundle.folder / "results.json")
        )
    records = bundle.done(header, fresh)
    if fresh:
        with contextlib.suppress(FileNotFoundError):
            (bundle.folder / "results.json").unlink()
    with pinned(cores or fastest_cores(setup["threads"])):
        bench = Bench(runtime, setup, manifest["protocol"])
        bench.load_panel(map(bundle.model, manifest["panel"]))
        do_jobs(bundle, bench, jobs, records)
        power = measure_power(bundle, bench, records, counter)
    results = dict(header, models=dict(bench.ran), jobs=[])
    for record in records:
        if "job" in record:
            results["jobs"].append(record["job"])
            results["models"].update(record["models"])
    if power:
        results["power"] = power
    return bundle.finish(results)


def do_jobs(bundle, bench, jobs, records):
    """Do the jobs that are not on record."""
    done = {record["job"]["number"] for record in records if "job" in record}
    progress = Progress(sum(job["rounds"] for job in jobs))
    progress.skip(sum(job["rounds"] for job in jobs if job["number"] in done))
    pause = 0.0
    for job in jobs:
        if job["number"] in done:
            continue
        time.sleep(pause)
        pause = bench.protocol["cool_down_s"]
        result, ran = bench.do(job, map(bundle.model, job["networks"]), progress.step)
        records.append({"job": result, "models": ran})
        bundle.append(records[-1])


def measure_power(bundle, bench, records, counter):
    """Return the power of models, if this board has a counter that moves."""
    order = bundle.manifest["power"]
    if counter is None or not order:
        return None
    done = [record["block"] for record in records if "block" in record]
    runs = {
        name: bench.panel.get(name) or bench.load(*bundle.model(name))
        for name in set(order) - {IDLE}
    }
    progress = Progress(len(order))
    progress.skip(len(done))

    def keep(block):
        bundle.append({"block": block})
        progress.step(f"blocks for {counter.name}")

    blocks = bench.power(counter, order, runs, done, keep)
    if len(blocks) != len(order):
        sys.stderr.write(f"{counter.name} does not move: power is not measured\n")
        return None
    return {"counter": counter.name, "seconds": counter.block_s, "blocks": blocks}


# Agent -----------------------------------------------------------------------------------------


class Refusal(Exception):  # noqa: N818 - an answer rather than an error
    """The host does not take a request, and asking again does not help."""

    def __init__(self, status, code, reason):
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason


class Host:
    """The machine that runs `hwnas profile --listen`.

    Whatever fails on the way (no network, a host that restarts, a connection cut in the middle) is
    asked again until it works: all requests may be repeated. No date is ever compared, so that a
    board without a clock works too; with --pin that holds for the certificate as well.
    """

    def __init__(self, url, token, pin=None):
        parts = urllib.parse.urlsplit(url if "//" in url else "http://" + url)
        try:
            port = parts.port
        except ValueError:
            port = None
        if parts.scheme not in ("http", "https") or not parts.hostname or port is None:
            raise Problem(f"--agent {url} is not http://HOST:PORT or https://HOST:PORT")
        if pin and parts.scheme != "https":
            raise Problem("--pin goes with https://")
        if not all("!" <= letter <= "~" for letter in token):
            raise Problem("--token is not the one that hwnas profile --listen showed")
        self.url = f"{parts.scheme}://{parts.hostname}:{port}"
        self._place, self._tls, self._pin = (parts.hostname, port), parts.scheme == "https", pin
        self._headers = {"Authorization": "Bearer " + token}
        self._connection = None
        self._trouble = None

    def ask(self, method, path, message=None):
        """Return the JSON that answers a request."""
        body = None if message is None else json.dumps(message).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}

        def attempt():
            response = self._request(method, path, headers, body)
            return json.loads(response.read(LARGEST_ANSWER).decode())

        return self._until_it_works(attempt)

    def try_once(self, method, path, message):
        """Send something that may be lost."""
        self.close()
        with contextlib.suppress(OSError, http.client.HTTPException, Refusal, Problem):
            headers = {"Content-Type": "application/json"}
            self._request(method, path, headers, json.dumps(message).encode()).read()

    def fetch(self, path, partial, size):
        """Get a file to `partial`; go on where an earlier try was cut."""

        def attempt():
            offset = partial.stat().st_size if partial.exists() else 0
            if offset < size:
                headers = {"Range": f"bytes={offset}-"} if offset else {}
                keep(self._request("GET", path, headers, None), partial, size)

        self._until_it_works(attempt)

    def _until_it_works(self, attempt):
        pause = FIRST_PAUSE_S
        while True:
            reused = self._connection is not None
            try:
                answer = attempt()
            except ssl.SSLCertVerificationError as error:
                raise Problem(
                    f"the certificate of {self.url} is not trusted ({error.verify_message}): "
                    "give its SHA-256, which hwnas showed, with --pin"
                ) from None
            except Refusal as refusal:
                if refusal.status < 500 and refusal.status not in (408, 429):
                    self._better()
                    raise
                trouble = f"it answers {refusal.status}, {refusal.reason}"
            except (OSError, http.client.HTTPException, ValueError) as error:
                trouble = getattr(error, "strerror", None) or str(error) or type(error).__name__
                if reused:  # the host has closed it meanwhile
                    self.close()
                    continue
            else:
                self._better()
                return answer
            self.close()
            self._worse(trouble)
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _request(self, method, path, headers, body):
        """Return the response; raises Refusal if it is one."""
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, path, body, dict(self._headers, **headers))
        response = self._connection.getresponse()
        if response.status >= 300:
            raise self._refusal(response)
        return response

    def _connect(self):
        if self._tls:
            context = ssl.create_default_context()
            if self._pin:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            made = http.client.HTTPSConnection(*self._place, timeout=TIMEOUT_S, context=context)
        else:
            made = http.client.HTTPConnection(*self._place, timeout=TIMEOUT_S)
        made.connect()
        made.auto_open = 0  # a new connection is made here only, so that its pin is looked at
        if self._pin:
            self._require_pin(made)
        return made

    def _require_pin(self, made):
        seen = hashlib.sha256(made.sock.getpeercert(binary_form=True)).hexdigest()
        if seen != self._pin.lower().replace(":", ""):
            made.close()
            raise Problem(f"{self.url} has another certificate than --pin says: {seen}")

    def _refusal(self, response):
        body = response.read(LARGEST_ANSWER)
        try:
            told = json.loads(body.decode())
            return Refusal(response.status, told["error"], told["reason"])
        except (ValueError, KeyError, TypeError):
            return Refusal(response.status, "unknown", response.reason)

    def close(self):
        """Drop the connection; the next request makes a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _worse(self, trouble):
        if trouble != self._trouble:
            say(f"{self.url}: {trouble}; trying again until it works (Ctrl-C ends)")
        self._trouble = trouble

    def _better(self):
        if self._trouble is not None:
            say(f"{self.url}: it works again")
        self._trouble = None


def keep(response, partial, size):
    """Append what comes to a file; raises OSError if it is not all."""
    mode, room = ("ab", size - partial.stat().st_size) if response.status == 206 else ("wb", size)
    with room_for(partial):
        stream = partial.open(mode)
    with stream:
        while room > 0:
            block = response.read(min(BLOCK_BYTES, room))
            if not block:
                raise OSError("the connection was cut in a file")
            with room_for(partial):
                stream.write(block)
                stream.flush()
            room -= len(block)
    response.read(1)


@contextlib.contextmanager
def room_for(path):
    """Turn a disk that is full or read-only into one line."""
    try:
        yield
    except OSError as error:
        raise Problem(
            f"cannot write {path}: {error.strerror}. Name another folder with --cache"
        ) from None


class Store:
    """What the agent keeps on this board: its name, models, and a result not yet delivered."""

    def __init__(self, folder, most_bytes):
        self._folder, self._most_bytes = Path(folder).expanduser(), most_bytes
        self._models = self._folder / "models"
        self._left = self._folder / "undelivered.json"
        with room_for(self._folder):
            self._models.mkdir(parents=True, exist_ok=True)
            self._lock = (self._folder / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise Problem(
                f"another hwnas_bench.py is at work with {self._folder}: two would disturb each "
                "other's times"
            ) from None
        self.device_id = self._own_id()

    def close(self):
        """Let another harness have the folder."""
        self._lock.close()

    def _own_id(self):
        path = self._folder / "device_id"
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = path.read_text(encoding="ascii").strip()
            if re.fullmatch("[0-9a-f]{32}", text):
                return text
        self._write(path, secrets.token_hex(16))
        return path.read_text(encoding="ascii").strip()

    def model(self, host, name, entry):
        """Return (name, content, entry) of a model, from here or else from the host."""
        digest = entry["sha256"]
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise Problem(f"the host names no SHA-256 of {name}")
        path = self._models / digest
        for _ in range(MOST_TRIES):
            if not path.exists():
                self._make_room(entry["size_bytes"])
                partial = self._models / (digest + ".part")
                host.fetch("/v1/models/" + digest, partial, entry["size_bytes"])
                partial.replace(path)
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() == digest:
                os.utime(path)
                return name, content, entry
            path.unlink()
        raise Problem(f"{name} arrives damaged again and again: check network and memory")

    def _make_room(self, size):
        kept = sorted(self._models.glob("*"), key=lambda path: path.stat().st_mtime)
        used = sum(path.stat().st_size for path in kept)
        while kept and used + size > self._most_bytes:
            used -= kept[0].stat().st_size
            kept.pop(0).unlink()

    def put_aside(self, path, message):
        """Keep a result until the host has it."""
        self._write(self._left, json.dumps({"path": path, "message": message}))

    def deliver(self, host):
        """Deliver what was put aside, if anything was."""
        try:
            left = json.loads(self._left.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except ValueError:
            left = None
        if left is not None:
            self._deliver(host, left["path"], left["message"])
        self._left.unlink()

    def _deliver(self, host, path, message):
        try:
            receipt = host.ask("POST", path, message)
            if receipt["status"] == "duplicate":
                say("the host has this result already")
        except Refusal as refusal:
            if refusal.status in (401, 403):
                raise
            say(f"the host does not take the result: {refusal.reason}; it is dropped")

    def _write(self, path, text):
        temporary = path.with_name(f".{path.name}.tmp")
        with room_for(path):
            with temporary.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)


class Agent:
    """Pulls jobs from a host, does them, and delivers what comes out."""

    def __init__(self, host, store, cores=None, sensor=None):
        self._host, self._store, self._cores = host, store, cores
        self._counter = power_counter(sensor)
        self._bench = self._session = None
        self._done = 0

    def run(self):
        """Do jobs until the host has no more."""
        self._store.deliver(self._host)
        try:
            while not self._serve():
                say(f"{self._host.url} has forgotten this board, and is told of it again")
        except Problem as problem:
            self._tell(str(problem))
            raise

    def _tell(self, reason):
        """Let the host know why this board stops, if it is there."""
        if self._session is not None:
            told = {"device_id": self._store.device_id, "session": self._session}
            self._host.try_once("POST", "/v1/trouble", dict(told, reason=reason[:400]))

    def _serve(self):
        """Offer this board and do jobs; return whether all is done."""
        setup = self._wanted()
        runtime = runtime_for(setup["runtime"])
        with pinned(self._cores or fastest_cores(setup["threads"])):
            welcome = self._host.ask("POST", "/v1/session", self._hello(runtime))
            say(f"paired with {self._host.url}: {setup['space']} on {setup['target']}")
            self._session = welcome["session"]
            self._bench = Bench(runtime, setup, welcome["protocol"])
            self._bench.load_panel(self._models(welcome["panel"]))
            return self._work()

    def _wanted(self):
        try:
            answer = self._host.ask("GET", "/v1/session")
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            raise Problem(
                f"{self._host.url} does not speak {AGENT}: use the hwnas_bench.py of its hwnas"
            ) from None
        if answer.get("schema") != AGENT:
            raise Problem(
                f"{self._host.url} speaks {answer.get('schema')}, this harness {AGENT}: use the "
                "hwnas_bench.py of its hwnas"
            )
        return answer["setup"]

    def _hello(self, runtime):
        return {
            "schema": AGENT,
            "device_id": self._store.device_id,
            "device": device_facts(),
            "runtime": runtime_facts(runtime),
        }

    def _work(self):
        """Do jobs; return False if the host has forgotten this board, and wants a new hello."""
        asked = {"device_id": self._store.device_id, "session": self._session}
        while True:
            try:
                offer = self._host.ask("POST", "/v1/jobs/next", asked)
            except Refusal as refusal:
                if refusal.code == "not-paired":
                    return False
                raise
            if offer["status"] == "done":
                say(f"done: {self._done} jobs")
                return True
            try:
                self._follow(offer)
            except Refusal as refusal:
                if refusal.code != "no-model":
                    raise
                say("the host was started anew, and makes its models again")
                time.sleep(10 * FIRST_PAUSE_S)

    def _follow(self, offer):
        if offer["status"] == "job":
            self._do(offer)
        elif offer["status"] == "power":
            self._measure_power(offer)
        else:
            time.sleep(FIRST_PAUSE_S)

    def _models(self, entries):
        for name, entry in entries.items():
            yield self._store.model(self._host, name, entry)

    def _do(self, offer):
        job = offer["job"]
        if self._done:
            time.sleep(self._bench.protocol["cool_down_s"])
        result, ran = self._bench.do(job, self._models(offer["models"]))
        delivery = {
            "device_id": self._store.device_id,
            "lease": offer["lease"],
            "result": result,
            "models": ran,
        }
        self._store.put_aside("/v1/results", delivery)
        self._store.deliver(self._host)
        self._done += 1
        say(f"job {job['number']}: {job['rounds']} rounds in {result['seconds']:.1f} s")
        gc.collect()

    def _measure_power(self, offer):
        order, power = offer["order"], None
        if self._counter is not None:
            say(f"measuring power with {self._counter.name}: {len(order)} blocks")
            runs = dict(self._bench.panel)
            for name, content, entry in self._models(offer["models"]):
                runs[name] = self._bench.load(name, content, entry)
            blocks = self._bench.power(self._counter, order, runs, [], lambda _: None)
            if len(blocks) == len(order):
                seconds = self._counter.block_s
                power = {"counter": self._counter.name, "seconds": seconds, "blocks": blocks}
            else:
                say(f"{self._counter.name} does not move: power is not measured")
        delivery = {
            "device_id": self._store.device_id,
            "session": self._session,
            "power": power,
        }
        self._store.put_aside("/v1/power", delivery)
        self._store.deliver(self._host)


def say(text):
    """Tell the person at the keyboard."""
    sys.stderr.write(f"hwnas_bench: {text}\n")
    sys.stderr.flush()


def run_agent(asked):
    """Work for a host until it has nothing more to do."""
    token = asked.token or os.environ.get("HWNAS_TOKEN")
    if not token:
        raise Problem("--agent needs --token, or HWNAS_TOKEN in the environment")
    host = Host(asked.agent, token, asked.pin)
    store = Store(asked.cache, asked.cache_mb * 10**6)
    try:
        Agent(host, store, asked.cores, asked.power_sensor).run()
    except Refusal as refusal:
        raise Problem(f"{host.url} refuses: {refusal.reason}") from None
    finally:
        host.close()
        store.close()


def cores_of(text):
    """Return the cores of "4-7" or "2,3"."""
    found = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def arguments(given_arguments=None):
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description="Time the models of a bundle that `hwnas profile --emit` wrote."
    )
    parser.add_argument(
        "bundle",
        metavar="BUNDLE",
        nargs="?",
        default=Path(__file__).resolve().parent,
        help="folder with manifest.json (default: where this file is)",
    )
    parser.add_argument("--fresh", action="store_true", help="measure everything again")
    parser.add_argument(
        "--cores", type=cores_of, metavar="4-7", help="cores to run on (default: the fastest)"
    )
    parser.add_argument(
        "--power-sensor", metavar="CHIP/RAIL", help="hwmon sensor of the whole board's power"
    )
    agent = parser.add_argument_group("instead of a bundle, jobs from `hwnas profile --listen`")
    agent.add_argument("--agent", metavar="URL", help="http://HOST:PORT or https://HOST:PORT")
    agent.add_argument("--token", help="as the host showed it (default: $HWNAS_TOKEN)")
    agent.add_argument("--pin", metavar="SHA256", help="of the host's certificate")
    agent.add_argument(
        "--cache",
        metavar="DIR",
        default="~/.cache/hwnas",
        help="keeps models, and a result that is not delivered yet (default: %(default)s)",
    )
    agent.add_argument(
        "--cache-mb", type=int, default=2000, help="of models at most (default: %(default)s)"
    )
    return parser.parse_args(given_arguments)


def main():
    """Run, and turn problems into one line."""
    asked = arguments()
    try:
        if asked.agent:
            run_agent(asked)
            return 0
        path = run_bundle(asked.bundle, asked.fresh, asked.cores, asked.power_sensor)
    except Problem as problem:
        sys.stderr.write(f"hwnas_bench: {problem}.\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nhwnas_bench: interrupted; the same command goes on.\n")
        return 130
    sys.stdout.write(f"{path}\n")
    sys.stderr.write(
        "next: copy it to the machine that wrote the bundle; there: hwnas profile --ingest "
        f"{path.name}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
