"""A small teacher for tests of scores by imitation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hwnas.evaluate.distill.teacher import Teacher
from hwnas.evaluate.setting import Setting
from hwnas.progress import Silent
from hwnas.spaces import find_space
from hwnas.train.recipe import TEACHER, UNIT

if TYPE_CHECKING:
    from pathlib import Path

SPACE = find_space("rcnet", input_size="8", classes=10, width=0.25)
SETTING = Setting(SPACE, "cluttered-digits")
SHORT = replace(UNIT, images=128, validation=100)


def trained_teacher(folder: Path, images: int) -> Teacher:
    """Return a teacher that was trained on some images."""
    teacher = Teacher(SETTING, replace(TEACHER, images=images, validation=100), 0, folder)
    teacher.train(Silent())
    return teacher
