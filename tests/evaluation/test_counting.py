"""Counts on several processes, and evaluations that were interrupted."""

import dataclasses
import json
import os
import signal

import numpy as np
import pytest

from astmt_jax.evaluation.counting import Counter, ScoringError
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.edges import EdgeMetric
from astmt_jax.metrics.metric import CountedMetric


def images(count, seed=0):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        levels = rng.integers(0, 256, (24, 20)).astype(np.uint8)
        yield levels, np.kron(rng.integers(0, 4, (6, 5)), np.ones((4, 4), int))


def count_all(num_workers, notes=None, protocol="pascal", number=9):
    metric = EdgeMetric(PROTOCOLS[protocol])
    with Counter(num_workers, notes) as counter:
        for index, image in enumerate(images(number)):
            counter.add(metric, f"image {index}", *image)
        counter.finish()
        return metric.result(), metric.details()


def add_and_finish(counter, *image):
    counter.add(*image)
    counter.finish()


def leave_notes(notes, images):
    """Counts images and then stops as if something had gone wrong."""
    counter = Counter(1, notes)
    for image in images:
        counter.add(EdgeMetric(PROTOCOLS["pascal"]), "image", *image)
    counter.__exit__(RuntimeError)


@dataclasses.dataclass
class Spy:
    """A metric that notes which images are counted."""

    seen: list = dataclasses.field(default_factory=list)
    total: int = 0
    fail_at: int | None = None

    def counting(self, prediction, truth):
        if len(self.seen) == self.fail_at:
            raise KeyboardInterrupt
        self.seen.append(int(prediction.sum()))
        return np.array([prediction.sum()])

    def __reduce__(self):
        return Spy, ()

    def add_counts(self, counts):
        self.total += int(counts.sum())


def spy_on(spy, notes):
    with Counter(1, notes) as counter:
        for image in images(6):
            counter.add(spy, "image", *image)
        counter.finish()
    return spy


def kill_this_process(prediction, truth):
    os.kill(os.getpid(), signal.SIGKILL)


class Killer:
    counting = staticmethod(kill_this_process)

    def add_counts(self, counts):
        raise AssertionError


def test_edges_are_counted_elsewhere():
    assert isinstance(EdgeMetric(PROTOCOLS["pascal"]), CountedMetric)


def test_number_of_processes_does_not_matter():
    assert count_all(1) == count_all(3)


def test_interrupted_counting_goes_on(tmp_path):
    notes = tmp_path / "notes"
    expected = spy_on(Spy(), None)
    first = Spy(fail_at=4)
    with pytest.raises(KeyboardInterrupt):
        spy_on(first, notes)
    with notes.open("a") as file:  # killed while it wrote
        file.write(notes.read_text().splitlines()[0][:30])
    second = Spy(fail_at=1)
    with pytest.raises(KeyboardInterrupt):
        spy_on(second, notes)
    third = spy_on(Spy(), notes)
    assert first.seen + second.seen + third.seen == expected.seen
    assert third.total == expected.total
    assert not notes.exists()


def test_notes_of_other_images_or_protocols_do_not_count(tmp_path):
    notes = tmp_path / "notes"
    leave_notes(notes, images(2, seed=1))
    assert len(notes.read_text().splitlines()) == 2
    kept = notes.read_bytes()
    assert count_all(1, notes) == count_all(1)
    notes.write_bytes(kept)
    assert count_all(1, notes, "pascal_raw") == count_all(1, None, "pascal_raw")


def test_notes_give_the_same_result(tmp_path):
    notes = tmp_path / "notes"
    leave_notes(notes, images(4))
    assert all(len(json.loads(line)) == 2 for line in notes.read_text().splitlines())
    assert count_all(1, notes) == count_all(1)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_image_that_cannot_be_counted_is_named(num_workers):
    prediction, truth = next(images(1))
    metric = EdgeMetric(PROTOCOLS["pascal"])
    with Counter(num_workers) as counter:
        counter.add(metric, "edge/a", prediction, truth)
        with pytest.raises(ScoringError, match=r"^edge/b: predicted edges have shape \(23, 20\)"):
            add_and_finish(counter, metric, "edge/b", prediction[1:], truth)
        add_and_finish(counter, metric, "edge/c", prediction, truth)


def test_killed_process_is_reported():
    with (
        Counter(2) as counter,
        pytest.raises(ChildProcessError, match="was killed, probably for lack of memory"),
    ):
        add_and_finish(counter, Killer(), "image", *next(images(1)))


def strange_notes():
    """Counts of the right images, but of another form, and lines of any other form."""
    key = json.dumps("KEY")
    for counts in ("5", "null", "[]", "[1]", "[[1, 2, 3, 4]]", '"many"', "[[1], [2, 3]]", "{}"):
        yield f"[{key}, {counts}]"
    for number in ("-1", "1.5", "1e300", str(2**62), str(2**70), "null", "true"):
        yield f"[{key}, {json.dumps([['N'] * 4] * 101)}]".replace('"N"', number)
    yield from ("5", "[]", "null", '["a"]', "[[], []]", "[" * 10**5, '{"a": 1, "b": 2}', "\x00")


def test_strange_notes_are_passed_over(tmp_path):
    """Whatever they say of an image, it is counted."""
    image, notes = next(images(1)), tmp_path / "notes"
    leave_notes(notes, [image])
    key = json.loads(notes.read_text())[0]
    expected = count_all(1, None, number=1)
    for line in strange_notes():
        notes.write_text(line.replace("KEY", key) + "\n")
        assert count_all(1, notes, number=1) == expected, line[:80]


def test_notes_that_are_a_link_are_replaced(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / "notes").symlink_to(precious)
    leave_notes(tmp_path / "notes", images(2))
    assert precious.read_text() == "precious"
    assert len((tmp_path / "notes").read_text().splitlines()) == 2


def test_notes_that_are_no_text_count_for_nothing(tmp_path):
    (tmp_path / "notes").write_bytes(b"\xff\xfe\x00")
    assert count_all(1, tmp_path / "notes", number=1) == count_all(1, None, number=1)
