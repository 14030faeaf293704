"""The iPhone harness: what Swift reads and writes is what Python writes and reads.

Where a Swift toolchain is on the PATH, the harness's core is compiled and its own tests run, and
the app's sources are type-checked beside declarations of what they use of Apple's frameworks.
"""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from ios_fixtures import CORE, FIXTURES, HARNESS, SHAPES, SOURCES, manifest_document, written

from hwnas.bundle import probe
from hwnas.bundle.manifest import (
    MANIFEST,
    MANIFEST_FILE,
    Job,
    Manifest,
    Protocol,
    Setup,
    TensorFacts,
    TimedModel,
)
from hwnas.bundle.results import RESULTS, Conditions, Device, JobResult, RanModel, Results, Runtime
from hwnas.device import COMPUTE_UNITS, RUNTIMES

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

DECLARATIONS = FIXTURES.parents[5] / "tests/ios_declarations"

RECORD = re.compile(r"^struct (\w+): (Decodable|Codable).*?^}", re.MULTILINE | re.DOTALL)
KEY = re.compile(r'^        case (\w+)(?: = "(\w+)")?$', re.MULTILINE)

READ = {
    "Manifest": Manifest,
    "TimingProtocol": Protocol,
    "TimedModel": TimedModel,
    "TensorFacts": TensorFacts,
    "Job": Job,
}
"""Records that the app reads: it may leave fields alone."""

WRITTEN = {
    "Results": Results,
    "Setup": Setup,
    "DeviceFacts": Device,
    "RuntimeFacts": Runtime,
    "Conditions": Conditions,
    "RanModel": RanModel,
    "JobResult": JobResult,
}
"""Records that the app writes."""

UNREADABLE = {
    "Results": {"power"},
    "Conditions": {"temperature_c", "cpu_mhz", "watts"},
}
"""Optional fields that iOS tells nothing of."""


def keys(record: str) -> set[str]:
    """Return the JSON keys of a Swift record."""
    source = "".join((SOURCES / f"{name}.swift").read_text() for name in ("Manifest", "Results"))
    (body,) = (match[0] for match in RECORD.finditer(source) if match[1] == record)
    return {renamed or name for name, renamed in KEY.findall(body)}


def fields(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("record", READ)
def test_the_app_reads_fields_that_the_manifest_has(record: str) -> None:
    assert keys(record)
    assert keys(record) <= fields(READ[record])


@pytest.mark.parametrize("record", WRITTEN)
def test_the_app_writes_every_field_of_the_results_that_ios_tells(record: str) -> None:
    assert keys(record) == fields(WRITTEN[record]) - UNREADABLE.get(record, set())


def test_the_constants_of_both_languages_are_equal() -> None:
    swift = (SOURCES / "Probe.swift").read_text()
    assert f"static let positions = {probe.POSITIONS}\n" in swift
    assert "static let multiplier: UInt32 = 2_654_435_761\n" in swift
    assert f'static let schema = "{MANIFEST}"' in (SOURCES / "Manifest.swift").read_text()
    assert f'static let schema = "{RESULTS}"' in (SOURCES / "Results.swift").read_text()
    assert f'fileName = "{MANIFEST_FILE}"' in (SOURCES / "Manifest.swift").read_text()
    assert "coreml" in RUNTIMES


def test_the_app_knows_the_compute_units_of_a_manifest() -> None:
    engine = (HARNESS / "HwnasBench/CoreMLEngine.swift").read_text()
    known = re.findall(
        r'case (?:nil, )?"(\w+)": configuration|case "(cpu_\w+)":$', engine, re.MULTILINE
    )
    assert {one or other for one, other in known} == set(COMPUTE_UNITS)


def test_the_swift_tests_read_what_python_computes_now() -> None:
    expected = written()
    there = {
        path.relative_to(FIXTURES).as_posix(): path.read_bytes()
        for path in FIXTURES.rglob("*")
        if path.is_file() and path.name != "results.json"
    }
    assert there == expected, "run tests/ios_fixtures.py"


def test_the_results_that_swift_wrote_are_results_of_the_manifest() -> None:
    results = Results.model_validate_json((FIXTURES / "results.json").read_text())
    manifest = manifest_document()
    assert (results.bundle, results.setup) == (manifest.bundle, manifest.setup)
    assert {job.number: len(job.rounds) for job in results.jobs} == {
        job.number: job.rounds for job in manifest.jobs
    }
    assert set(results.models) == set(SHAPES)
    for name, ran in results.models.items():
        asked = manifest.models[name]
        assert ran.sha256 == asked.sha256
        assert probe.distance(asked.expected, ran.output) < 1e-7  # float32 there, float64 here
    for job, done in zip(manifest.jobs, results.jobs, strict=True):
        for samples in done.rounds:
            assert sorted(name for name, _ in samples) == sorted((*manifest.panel, *job.networks))
    assert results.jobs[0].before.thermal_state == "nominal"


# The project ----------------------------------------------------------------------------------


def swift_files() -> set[str]:
    folders = (HARNESS / "HwnasBench", SOURCES)
    return {path.name for folder in folders for path in folder.glob("*.swift")}


def test_the_xcode_project_compiles_every_source_file() -> None:
    project = (HARNESS / "HwnasBench.xcodeproj/project.pbxproj").read_text()
    phase = project[project.index("isa = PBXSourcesBuildPhase") :]
    compiled = re.findall(r"(\w+) /\* (\S+\.swift) in Sources \*/,", phase)
    assert {name for _, name in compiled} == swift_files()
    files = dict(re.findall(r"(\w+) /\* \S+ in Sources \*/ = {.*?fileRef = (\w+)", project))
    paths = dict(
        re.findall(r"(\w+) /\* \S+ \*/ = {isa = PBXFileReference;.*?path = (\S+);", project)
    )
    assert all(paths[files[identifier]] == name for identifier, name in compiled)
    groups = project[project.index("isa = PBXGroup") :]
    assert all(files[identifier] in groups for identifier, _ in compiled)
    assert "IPHONEOS_DEPLOYMENT_TARGET = 12.0;" in project


def test_every_object_of_the_xcode_project_is_defined_once_and_used() -> None:
    project = (HARNESS / "HwnasBench.xcodeproj/project.pbxproj").read_text()
    defined = re.findall(r"^\t\t([0-9A-F]{24})(?: /\*.*?\*/)? = {", project, re.MULTILINE)
    mentioned = re.findall(r"\b[0-9A-F]{24}\b", project)
    assert len(set(defined)) == len(defined)
    assert set(mentioned) == set(defined)
    assert all(mentioned.count(each) > 1 for each in defined)
    assert project.count("{") == project.count("}")
    assert project.count("(") == project.count(")")


def test_documents_of_the_app_are_shown_by_finder_and_files() -> None:
    info = plistlib.loads((HARNESS / "HwnasBench/Info.plist").read_bytes())
    assert info["UIFileSharingEnabled"] is True
    assert info["LSSupportsOpeningDocumentsInPlace"] is True


LATER = {
    r"\bCryptoKit\b": "iOS 13",
    r"\basync\b(?! \{)(?!\()": "iOS 13 and a runtime in the app",
    r"\bawait\b": "iOS 13",
    r"-> some \w|: some \w": "iOS 13",
    r"\.read\(upToCount|write\(contentsOf": "iOS 13.4",
    r"^@main\b": "iOS 14",
    r"\bFloat16\b(?! needs)": "iOS 14",
    r"withoutEscapingSlashes": "iOS 13",
    r"\bUIScene|UIAction\b|UIButton\.Configuration": "iOS 13 to 15",
}
"""What would not run on iOS 12, or not compile for it."""


@pytest.mark.parametrize("name", sorted(swift_files()))
def test_nothing_asks_for_a_later_system_than_ios_12(name: str) -> None:
    (path,) = [p for p in HARNESS.rglob(name) if "Tests" not in p.parts]
    code = re.sub(r"//.*", "", path.read_text())
    later = {why for pattern, why in LATER.items() if re.search(pattern, code, re.MULTILINE)}
    assert not later


# With a Swift toolchain -----------------------------------------------------------------------

needs_swift = pytest.mark.skipif(
    shutil.which("swift") is None or shutil.which("swiftc") is None,
    reason="no Swift toolchain on the PATH",
)


def output(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_swift
def test_the_core_passes_its_own_tests(tmp_path: Path) -> None:
    told = output("swift", "test", "--package-path", CORE, "--scratch-path", tmp_path)
    counts = [int(count) for count in re.findall(r"Executed (\d+) tests, with 0 failures", told)]
    assert max(counts) >= 30


@needs_swift
def test_the_app_is_right_by_the_types_of_what_it_uses(tmp_path: Path) -> None:
    common = ("swiftc", "-swift-version", "5", "-I", tmp_path)
    for name in ("ObjectiveC", "CoreML", "UIKit"):
        module = ("-module-name", name, "-o", tmp_path / f"{name}.swiftmodule")
        source = DECLARATIONS / f"{name}.swift"
        output(*common, "-emit-module", "-parse-as-library", *module, source)
    for source in (HARNESS / "HwnasBench").glob("*.swift"):
        (tmp_path / source.name).write_text(without_objective_c(source.read_text()))
    told = output(*common, "-typecheck", *tmp_path.glob("*.swift"), *SOURCES.glob("*.swift"))
    assert "warning" not in told


def without_objective_c(source: str) -> str:
    """Return a source file without what Swift has on Apple's systems only."""
    return re.sub(r"#selector\(\w+\)", "Selector()", source.replace("@objc ", ""))
