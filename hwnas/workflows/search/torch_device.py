"""Where candidates are trained: a GPU if torch sees one, unless the user says otherwise."""

from __future__ import annotations

from hwnas.errors import UserError, one_of

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
DEVICES = (AUTO, CPU, CUDA)


def require_known(name: str) -> None:
    """Check the name of a device, without torch.

    Raises:
        UserError: it is none of `DEVICES`.
    """
    if name not in DEVICES:
        raise one_of("device", name, list(DEVICES))


def find_device(wanted: str) -> str:
    """Return "cpu" or "cuda", as torch knows them.

    Args:
        wanted: one of `DEVICES`.

    Raises:
        UserError: another name, or there is no GPU that torch can use.
    """
    require_known(wanted)
    if wanted == CPU:
        return CPU
    import torch

    if torch.cuda.is_available():
        return CUDA
    if wanted == CUDA:
        raise UserError(
            "--device cuda: torch sees no GPU on this machine. Take --device cpu, or leave it out."
        )
    return CPU
