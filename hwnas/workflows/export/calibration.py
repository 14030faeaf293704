"""The images that 8-bit values are calibrated by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.data.dataset import Dataset
    from hwnas.graph import ImageInput

CALIBRATION_IMAGES = 128


def calibration_images(
    dataset: Dataset, resolution: int, taken: ImageInput | None = None
) -> NDArray[np.float32]:
    """Return normalised training images (n, 3, H, W), augmented as in training.

    Args:
        dataset: whose they are.
        resolution: height and width.
        taken: how the network takes its images; as the data set's are normalised by default.
    """
    count = CALIBRATION_IMAGES
    ((values, _),) = dataset.train_batches(count, count, resolution, seed=0)
    images: NDArray[np.float32] = values.contiguous().numpy()
    usual = dataset.images
    if taken is None or (taken.mean, taken.std) == (usual.mean, usual.std):
        return images
    return _renormalised(images, usual, taken)


def _renormalised(
    values: NDArray[np.float32], before: ImageInput, after: ImageInput
) -> NDArray[np.float32]:
    """Return images (n, 3, H, W) of one normalisation in another."""
    columns = (before.mean, before.std, after.mean, after.std)
    mean, std, new_mean, new_std = (np.array(each).reshape(3, 1, 1) for each in columns)
    result: NDArray[np.float32] = ((values * std + mean - new_mean) / new_std).astype(np.float32)
    return result
