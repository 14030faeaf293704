"""Options of `hwnas profile`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from hwnas.options import MACHINE, Option
from hwnas.workflows import shared_options as shared

ELSEWHERE = "A device that is another machine"
ENERGY = "Energy"


@dataclass(frozen=True, kw_only=True)
class ProfileOptions(shared.NamesGeometry):
    """Options of `hwnas profile`."""

    target: shared.Target = None
    space: shared.Space = None
    fresh: Annotated[
        bool, Option("Ignore an interrupted profile, or go on.", flag="--fresh/--resume")
    ] = False
    require_device: Annotated[bool, Option("Fail rather than estimate.")] = False
    emit: Annotated[
        Path | None,
        Option("Write models for a device that is not this machine.", ELSEWHERE, metavar="DIR"),
    ] = None
    ingest: Annotated[
        Path | None, Option("Take in the results.json of a device.", ELSEWHERE, metavar="FILE")
    ] = None
    listen: Annotated[
        str | None,
        Option(
            "Let a device pull what it times, over HTTP; PORT alone: from this machine only.",
            ELSEWHERE,
            metavar="[HOST:]PORT",
        ),
    ] = None
    networks: Annotated[
        int | None,
        Option(
            "With --emit or --listen: whole networks in all; fewer need less room and time.",
            ELSEWHERE,
            default="as many as here",
        ),
    ] = None
    tls_cert: Annotated[
        Path | None,
        Option("With --listen: certificate, for HTTPS.", ELSEWHERE, metavar="PEM"),
    ] = None
    tls_key: Annotated[
        Path | None,
        Option("With --listen: key of the certificate.", ELSEWHERE, metavar="PEM"),
    ] = None
    new_token: Annotated[bool, Option("With --listen: a new pairing token.", ELSEWHERE)] = False
    power_log: Annotated[
        Path | None,
        Option(
            "Log of an external power meter: timestamp and watts, or volts and amps.",
            ENERGY,
            metavar="CSV",
        ),
    ] = None
    power_offset: Annotated[
        float, Option("Added to the log's timestamps.", ENERGY, metavar="SECONDS")
    ] = 0.0
    power_block: Annotated[
        float | None,
        Option(
            "How long each part runs for the meter.",
            ENERGY,
            metavar="SECONDS",
            default="1",
            at_least=0.1,
        ),
    ] = None
    input_size: shared.InputSize = None
    classes: shared.Classes = None
    width: shared.Width = None
    threads: Annotated[
        int | None,
        Option(
            "Threads of the runtime; makes the table of a target of its own, TARGET-tN.",
            MACHINE,
            default="as the target's profile says",
            at_least=1,
        ),
    ] = None
    workspace: shared.Workspace = shared.HERE


USUAL = ProfileOptions()
"""What holds where nothing else was asked for."""
