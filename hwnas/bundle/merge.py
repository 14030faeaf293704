"""Put together what a device answered in several files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hwnas.bundle.check import check_job, check_models
from hwnas.errors import UserError

if TYPE_CHECKING:
    from hwnas.bundle.manifest import Manifest
    from hwnas.bundle.results import Results


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
    if results.setup != manifest.setup:
        ran, asked = results.setup.model_dump(), manifest.setup.model_dump()
        name = next(name for name in asked if ran[name] != asked[name])
        raise UserError(
            f"{where}: the device ran with {name} {ran[name]}, and {asked[name]} was asked for."
        )
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
        before, now = getattr(earlier, what).model_dump(), getattr(later, what).model_dump()
        if before != now:
            name = next(name for name in before if before[name] != now[name])
            raise UserError(
                f"{where}: {what} {name} {now[name]!r}, but the results taken in before say "
                f"{before[name]!r}: one table describes one device. --fresh drops the earlier ones."
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
