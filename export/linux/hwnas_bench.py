#!/usr/bin/env python3
"""Time the models of a bundle on this board, and write BUNDLE/results.json.

    python3 BUNDLE/hwnas_bench.py

Needs Python 3.8 or later and the runtime that the bundle is for: onnxruntime, or ai-edge-litert
(tflite-runtime where that is not to be had). Nothing else: copy this one file.

A killed run goes on where it stopped. `hwnas profile --ingest BUNDLE/results.json` on the machine
that wrote the bundle makes a lookup table of the results.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import importlib
import importlib.metadata
import json
import math
import os
import platform
import random
import subprocess
import sys
import time
from pathlib import Path

VERSION = "1"
MANIFEST, RESULTS = "hwnas-manifest/1", "hwnas-results/1"
IDLE = "idle"
POSITIONS = 64
LONGEST_WAIT_S = 1800.0
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

        run.fed = fed  # the binding points into it
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
        "runtime": {
            "name": runtime.name,
            "version": runtime.version,
            "harness": f"linux {VERSION}",
        },
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
    return parser.parse_args(given_arguments)


def main():
    """Run, and turn problems into one line."""
    asked = arguments()
    try:
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
