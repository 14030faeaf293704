"""Doubt what comes back from a device."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from hwnas.bundle import probe
from hwnas.bundle.fields import difference
from hwnas.bundle.manifest import Manifest
from hwnas.bundle.results import Results
from hwnas.bundle.write import identity
from hwnas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from hwnas.bundle.manifest import Job, TimedModel
    from hwnas.bundle.results import JobResult, RanModel

Document = TypeVar("Document", bound=BaseModel)

LARGEST_BYTES = 512 * 1024**2
"""A results file of some hundred thousand samples has 10 MB."""


def read_manifest(path: Path) -> Manifest:
    """Read a manifest and check it against its own hash.

    Raises:
        UserError: missing, unreadable, of another version, or changed after it was written.
    """
    manifest = parse(Manifest, _content(path), str(path))
    if identity(manifest) != manifest.bundle:
        raise UserError(
            f"{path} was changed after it was written (its hash is {identity(manifest)}, not "
            f"{manifest.bundle}): write the bundle again with --emit."
        )
    return manifest


def read_results(path: Path) -> Results:
    """Read what a device answered.

    Raises:
        UserError: missing, unreadable, of another version, or with values that cannot be.
    """
    return parse(Results, _content(path), str(path))


def parse(kind: type[Document], content: bytes, where: str) -> Document:
    """Return a document; raises UserError with the first thing that is wrong with it."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        at = f" at {place[:200]}" if place else ""
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise UserError(f"{where}: {first['msg']}{at}{more}.") from None


def _content(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST_BYTES:
            raise UserError(f"{path} has {size / 1e6:.0f} MB: no file of hwnas is that large.")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or os.strerror(0)}).") from None


def check_models(
    asked: Mapping[str, TimedModel], ran: Mapping[str, RanModel], names: Iterable[str], where: str
) -> None:
    """Check that the models that ran are those that were asked for.

    Args:
        asked: what a device should say, by name.
        ran: what it says.
        names: those that must have run.
        where: the results, for messages.

    Raises:
        UserError: one is missing, is of another file, or gave another output.
    """
    for name in sorted(set(names)):
        if name not in ran:
            raise UserError(f"{where}: nothing shows that the right model ran as {name}.")
        if ran[name].sha256 != asked[name].sha256:
            raise UserError(
                f"{where}: as {name} the device ran a file with SHA-256 {ran[name].sha256[:12]}, "
                f"not {asked[name].sha256[:12]}: its times are of another model."
            )
        off = probe.distance(asked[name].expected, ran[name].output)
        if not off <= asked[name].tolerance:
            raise UserError(
                f"{where}: the output of {name} is off by {off:.2g} of its length, and "
                f"{asked[name].tolerance:g} is allowed: the device ran another model, or its "
                "runtime computes it wrongly."
            )


def check_job(job: Job, panel: Collection[str], result: JobResult, where: str) -> None:
    """Check that a job was done as it was asked: every round times everything once.

    Raises:
        UserError: it was not.
    """
    if result.number != job.number:
        raise UserError(f"{where}: job {result.number}, but {job.number} was asked for.")
    if len(result.rounds) != job.rounds:
        raise UserError(
            f"{where}: job {job.number} has {len(result.rounds)} rounds, but {job.rounds} were "
            "asked for."
        )
    wanted = Counter([*panel, *job.networks])
    for samples in result.rounds:
        found = Counter(name for name, _ in samples)
        if found != wanted:
            name = next(iter((found - wanted) + (wanted - found)))
            raise UserError(
                f"{where}: job {job.number} times {name} {found[name]} times in a round, and "
                f"{wanted[name]} was asked for."
            )


def check_results(manifest: Manifest, results: Results, where: str) -> None:
    """Check results against what was asked.

    Args:
        manifest: of the bundle.
        results: of a device, complete or not.
        where: their file, for messages.

    Raises:
        UserError: they are of another bundle, another set-up or other models, or a job was not
            done as asked.
    """
    if results.bundle != manifest.bundle:
        raise UserError(
            f"{where} is of bundle {results.bundle}, not of {manifest.bundle}: take the manifest "
            "and the results from the same folder."
        )
    if (differs := difference(results.setup, manifest.setup)) is not None:
        name, ran, asked = differs
        raise UserError(f"{where}: the device ran with {name} {ran}, and {asked} was asked for.")
    jobs = {job.number: job for job in manifest.jobs}
    for result in results.jobs:
        if result.number not in jobs:
            raise UserError(f"{where}: there is no job {result.number} in this bundle.")
        check_job(jobs[result.number], manifest.panel, result, where)
    done = [jobs[result.number] for result in results.jobs]
    ran_names = {
        *(name for job in done for name in job.networks),
        *(manifest.panel if done else ()),
    }
    check_models(manifest.models, results.models, ran_names, where)
    if results.power and tuple(b.name for b in results.power.blocks) != manifest.power:
        raise UserError(f"{where}: its power readings are not those that were asked for.")


def merged(earlier: Results, later: Results, where: str) -> Results:
    """Return both together; a job that is in both counts once.

    Args:
        earlier: checked.
        later: checked, of the same bundle.
        where: the file of `later`, for messages.

    Raises:
        UserError: they are of two devices or runtimes, or differ in a job.
    """
    for what in ("device", "runtime"):
        if (differs := difference(getattr(earlier, what), getattr(later, what))) is not None:
            name, before, now = differs
            raise UserError(
                f"{where}: {what} {name} {now!r}, but the results taken in before say {before!r}: "
                "one table describes one device. --fresh drops the earlier ones."
            )
    known = {job.number: job for job in earlier.jobs}
    new = []
    for job in later.jobs:
        if job.number not in known:
            known[job.number] = job
            new.append(job)
        elif known[job.number].rounds != job.rounds:
            raise UserError(
                f"{where}: job {job.number} was taken in before with other times. If the device "
                "did all jobs again, --fresh drops the earlier ones."
            )
    return later.model_copy(
        update={
            "models": {**earlier.models, **later.models},
            "jobs": [*earlier.jobs, *new],
            "power": later.power or earlier.power,
        }
    )
