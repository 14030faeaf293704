"""Confused classes and top-5, against what can be counted by hand."""

from __future__ import annotations

import csv
import io

import torch
from hypothesis import given
from hypothesis import strategies as st

from hwnas.train.full.result import Confusion
from hwnas.train.metrics import metrics_of

NAMES = ("cat", 'dog, "big"', "owl")


def _logits(answers: list[int], classes: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(answers), classes).float()


def test_pairs_are_ordered_by_the_share_of_their_class() -> None:
    labels = [0] * 10 + [1] * 4 + [2] * 2
    answers = [0] * 7 + [1] * 3 + [1, 1, 2, 0] + [1, 2]
    confusion = Confusion.of(_logits(answers, 3), torch.tensor(labels), NAMES)
    found = [(pair.label, pair.taken_for, pair.images, pair.share) for pair in confusion.worst(10)]
    assert found == [
        ("owl", NAMES[1], 1, 0.5),
        ("cat", NAMES[1], 3, 0.3),
        (NAMES[1], "cat", 1, 0.25),
        (NAMES[1], "owl", 1, 0.25),
    ]
    assert [pair.images for pair in confusion.worst(1)] == [1]


def test_the_csv_holds_the_whole_matrix_under_any_names() -> None:
    confusion = Confusion.of(_logits([0, 1, 1, 2], 3), torch.tensor([0, 0, 1, 2]), NAMES)
    rows = list(csv.reader(io.StringIO(confusion.to_csv())))
    assert rows[0] == ["class", *NAMES]
    assert [row[0] for row in rows[1:]] == list(NAMES)
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == [
        [1, 1, 0],
        [0, 1, 0],
        [0, 0, 1],
    ]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=50))
def test_the_diagonal_is_the_accuracy(pairs: list[tuple[int, int]]) -> None:
    labels, answers = (list(part) for part in zip(*pairs, strict=True))
    logits = _logits(answers, 7)
    confusion = Confusion.of(logits, torch.tensor(labels), [str(number) for number in range(7)])
    assert confusion.counts.sum() == len(pairs)
    right = confusion.counts.trace() / len(pairs)
    assert abs(right - metrics_of(logits, torch.tensor(labels)).accuracy) < 1e-12
    assert sum(pair.images for pair in confusion.worst(49)) == len(pairs) - confusion.counts.trace()


def test_top5_counts_the_five_likeliest() -> None:
    logits = torch.arange(7.0).repeat(7, 1)  # class 6 is the likeliest, 0 the least
    metrics = metrics_of(logits, torch.arange(7))
    assert metrics.top5 == 5 / 7
    assert metrics.accuracy == 1 / 7
    assert metrics_of(logits[:, :5], torch.arange(5).repeat(2)[:7]).top5 is None
