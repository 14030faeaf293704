"""The network that a command is about: a run's winner, or one named by hand, with its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.data.selection import USUAL, Selection
from hwnas.files import read_json
from hwnas.graph import ImageInput, unnamed
from hwnas.spaces import Arch, RcnetSpace, find_space

if TYPE_CHECKING:
    from pathlib import Path

    from hwnas.data.dataset import Dataset
    from hwnas.models.network import Network
    from hwnas.runs import Run

SEARCH_FIRST = "Search first: hwnas search --budget-latency 190ms"
UNFINISHED = "The search has not finished: the same `hwnas search` command goes on with it."


@dataclass(frozen=True, slots=True)
class Winner:
    """A network at its deployment geometry.

    Attributes:
        space: the geometry.
        arch: canonical.
        target: the target it was searched for, if any.
        dataset: name of the data set of the run, if any.
        data_dir: where that lies.
        selection: what is held out or left out of it.
        checkpoint: finished training, or None: the weights are random.
        seed: of the random weights.
        outdated: the run was trained when another network was its winner.
    """

    space: RcnetSpace
    arch: Arch
    target: str | None = None
    dataset: str | None = None
    data_dir: Path | None = None
    selection: Selection = USUAL
    checkpoint: Path | None = None
    seed: int = 0
    outdated: bool = False

    @property
    def trained(self) -> bool:
        """Whether there are trained weights."""
        return self.checkpoint is not None

    def fitting_data(self) -> Dataset | None:
        """Return the data set if there is one whose classes are the network's; raises UserError."""
        data = self.data()
        return data if data is not None and len(data.labels) == self.space.classes else None

    def data(self) -> Dataset | None:
        """Return the run's own data set, if it has one.

        Raises:
            UserError: its files are gone.
        """
        if self.dataset is None:
            return None
        from hwnas.evaluate.setting import dataset_of

        return dataset_of(self.dataset, self.data_dir, self.selection)

    def network(self) -> Network:
        """Return the torch module in evaluation mode, trained or freshly initialised."""
        from hwnas.models.network import Network, initialise
        from hwnas.train.full.checkpoint import load_trained

        graph = self.space.graph(self.arch)
        if self.checkpoint is not None:
            return load_trained(graph, self.checkpoint)
        network = Network(graph)
        initialise(network, self.seed)
        return network.eval()

    def image_input(self) -> ImageInput:
        """Return labels and normalisation of the data set, where its classes are the network's."""
        data = self.fitting_data()
        return unnamed(self.space.classes) if data is None else data.images


def of_run(run: Run) -> Winner:
    """Return the winner of a run.

    Raises:
        UserError: the search has not finished, or a file is damaged.
    """
    from pathlib import Path

    request: dict[str, Any] = run.read("request.json", SEARCH_FIRST)
    search: dict[str, Any] = run.read("search.json", UNFINISHED)
    with run.as_written("request.json"):
        space, target, seed = find_space(request["space"]), request["target"], request["seed"]
    with run.as_written("search.json"):
        arch, text = space.parse(search["arch"]), search["arch"]
    checkpoint, trained = _training_of(run, text)
    data = trained or request
    return Winner(
        space=space,
        arch=arch,
        target=target,
        dataset=data["dataset"],
        data_dir=Path(data["data_dir"]) if data["data_dir"] else None,
        selection=Selection(**data.get("selection", {})),
        checkpoint=checkpoint,
        seed=seed,
        outdated=checkpoint is None and run.has("train.json"),
    )


def _training_of(run: Run, arch: str) -> tuple[Path | None, dict[str, Any] | None]:
    """Return checkpoint and train.json of a network: a search that went on may end with another."""
    for folder in run.trainings():
        if (folder / "train.json").is_file():
            trained = read_json(folder / "train.json", "Train again: hwnas train")
            if trained["arch"] == arch:
                return folder / run.checkpoint.name, trained
    return None, None
