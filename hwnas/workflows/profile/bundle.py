"""`hwnas profile --emit` and `--ingest`: a profile that travels to a device and back as files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.bundle.check import check_results, merged, read_manifest, read_results
from hwnas.bundle.manifest import MANIFEST_FILE
from hwnas.bundle.results import RESULTS_FILE
from hwnas.device import find_target
from hwnas.errors import UserError
from hwnas.files import require_writable, write_text
from hwnas.profiler.bundled import device_table, emit_bundle, plan_of
from hwnas.profiler.plan import sized_plan
from hwnas.resources import shipped
from hwnas.spaces import RcnetSpace
from hwnas.workflows.profile.profiled import Profiling

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.bundle.manifest import Manifest
    from hwnas.bundle.results import Results
    from hwnas.device import DeviceProfile
    from hwnas.progress import Reporter
    from hwnas.workflows.profile.options import ProfileOptions
    from hwnas.workflows.profile.profiled import Profiled

PROGRAMS = {"linux": "linux/hwnas_bench.py", "android": "android/hwnas_android.py"}
"""Go into the bundle, by harness: no other file is needed with it."""
HINTS = {
    "linux": "copy the folder there, and run `python3 {folder}/hwnas_bench.py`",
    "android": "attach it to a computer that has adb, and run there `python3 "
    "{folder}/hwnas_android.py`; {export}/android/README.md says what else it takes",
    "ios": "{export}/ios/README.md tells how an iPhone runs it",
}


@dataclass(frozen=True, slots=True)
class Emitted:
    """A bundle that was written.

    Attributes:
        folder: its place.
        manifest: what is in it.
        size_bytes: of all models.
        hint: what to do with it, in one line.
        results: where the harness leaves its answer.
    """

    folder: Path
    manifest: Manifest
    size_bytes: int
    hint: str
    results: Path

    def to_json(self) -> dict[str, Any]:
        """Return what is told of it."""
        return {
            "target": self.manifest.setup.target,
            "space": self.manifest.setup.space,
            "folder": str(self.folder),
            "bundle": self.manifest.bundle,
            "models": len(self.manifest.models),
            "jobs": len(self.manifest.jobs),
            "size_bytes": self.size_bytes,
        }


@dataclass(frozen=True, slots=True)
class Ingested:
    """Results that were taken in.

    Attributes:
        done: jobs that are known now.
        manifest: of the bundle.
        profiled: the table made of them, once all jobs are known.
    """

    done: int
    manifest: Manifest
    profiled: Profiled | None = None

    @property
    def jobs(self) -> int:
        """How many the bundle has."""
        return len(self.manifest.jobs)

    def to_json(self) -> dict[str, Any]:
        """Return how far it is, and the table."""
        setup, profiled = self.manifest.setup, self.profiled
        return {
            "target": setup.target,
            "space": setup.space,
            **(profiled.to_json() if profiled else {}),
            "complete": profiled is not None,
            "jobs_done": self.done,
            "jobs": self.jobs,
        }


def emit(profiling: Profiling, folder: Path, *, networks: int | None = None) -> Emitted:
    """Write a bundle for a device.

    Args:
        profiling: what is profiled; its workspace keeps a copy of the manifest, which results are
            checked against.
        folder: to be made.
        networks: whole networks in all, or None for the usual number.

    Raises:
        UserError: the place is taken or cannot be written, or too few networks were asked for.
        MissingPackage: a package that makes or checks the models is not installed.
    """
    from hwnas.bundle.models import maker_of

    profile, space = profiling.profile, profiling.space
    require_writable(folder.absolute().parent)
    plan = sized_plan(space, networks, profile.networks_at_once)
    manifest = emit_bundle(folder, profile, space, plan, maker_of(profile), profiling.reporter)
    kept = _kept(profiling.workspace, manifest.bundle)
    write_text(kept, manifest.model_dump_json(by_alias=True))
    if (program := PROGRAMS.get(profile.harness)) is not None:
        harness = shipped("export") / program
        write_text(folder / harness.name, harness.read_text(encoding="utf-8"))
    size = sum({model.sha256: model.size_bytes for model in manifest.models.values()}.values())
    told = HINTS[profile.harness].format(folder=folder.name, export=shipped("export"))
    # The app leaves them beside the folder, where Finder shows them without the models.
    beside = folder.with_name(f"{folder.name}-{RESULTS_FILE}")
    results = beside if profile.harness == "ios" else folder / RESULTS_FILE
    return Emitted(folder, manifest, size, told, results)


def ingest(file: Path, options: ProfileOptions, reporter: Reporter) -> Ingested:
    """Take in the results of a device; write the table once they are complete.

    Incomplete results are kept, and those of another file are put to them.

    Args:
        file: results.json, or the bundle's folder.
        options: whose results these must be, and whether earlier ones are forgotten.
        reporter: told what happens.

    Raises:
        UserError: the results cannot be read, or are not of what was asked.
    """
    path = file / RESULTS_FILE if file.is_dir() else file
    results = read_results(path)
    manifest = _manifest_of(results, path, options.workspace)
    profile, space = _target_of(manifest, options.target), _space_of(manifest)
    profiling = Profiling(profile, space, options.workspace, reporter)
    store = profiling.unfinished(".results.json")
    require_writable(store.parent)
    check_results(manifest, results, str(path))
    if not options.fresh and (earlier := _earlier(store, manifest, reporter)) is not None:
        results = merged(earlier, results, str(path))
    done = len(results.jobs)
    if done < len(manifest.jobs):
        write_text(store, results.model_dump_json(by_alias=True))
        return Ingested(done, manifest)
    table = device_table(
        profile,
        space,
        plan_of(manifest, space),
        reporter,
        device=results.device,
        runtime=results.runtime,
        rounds=[(job.number, samples) for job in results.jobs for samples in job.rounds],
        conditions=[each for job in results.jobs for each in (job.before, job.after)],
        power=results.power,
    )
    profiled = profiling.save(table)
    store.unlink(missing_ok=True)
    return Ingested(done, manifest, profiled)


def _kept(workspace: Path, bundle: str) -> Path:
    return workspace / "lut" / ".bundles" / f"{bundle}.json"


def _manifest_of(results: Results, path: Path, workspace: Path) -> Manifest:
    """Return the workspace's own copy of the manifest, else the one beside the results."""
    if results.bundle.isalnum() and (kept := _kept(workspace, results.bundle)).exists():
        return read_manifest(kept)
    beside = path.with_name(MANIFEST_FILE)
    if not beside.exists():
        raise UserError(
            f"{path} is of bundle {results.bundle}, which was not written in this workspace: copy "
            f"the bundle's {MANIFEST_FILE} beside it."
        )
    return read_manifest(beside)


def _target_of(manifest: Manifest, target: str | None) -> DeviceProfile:
    setup = manifest.setup
    if target not in (None, setup.target):
        raise UserError(f"these are results of {setup.target}, not of {target}.")
    profile = find_target(setup.target)
    for name in ("runtime", "precision", "threads", "compute_units"):
        asked, now = getattr(setup, name), getattr(profile, name)
        if asked != now:
            raise UserError(
                f"the bundle was written for {setup.target} with {name} {asked}, and its profile "
                f"says {now} now: write the bundle again."
            )
    return profile


def _space_of(manifest: Manifest) -> RcnetSpace:
    try:
        space = RcnetSpace(**manifest.geometry)  # type: ignore[arg-type]
    except TypeError:
        raise UserError("the manifest's geometry is not that of a space: write it again.") from None
    if space.name != manifest.setup.space:
        raise UserError("the manifest's geometry is of another space: write the bundle again.")
    return space


def _earlier(store: Path, manifest: Manifest, reporter: Reporter) -> Results | None:
    """Return what was taken in before of the same bundle."""
    if not store.exists():
        return None
    try:
        earlier = read_results(store)
    except UserError as error:
        reporter.warn(f"what was taken in before is dropped: {error}")
        return None
    if earlier.bundle != manifest.bundle:
        reporter.warn(
            f"results of another bundle ({earlier.bundle}, {len(earlier.jobs)} jobs) are dropped."
        )
        return None
    return earlier
