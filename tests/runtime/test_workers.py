"""Work on several processes."""

from astmt_jax.runtime.workers import ordered_map


class Plus:
    """Adds a number, and counts how often it is sent somewhere."""

    sent = 0

    def __init__(self, number):
        self.number = number

    def __call__(self, other):
        return self.number + other

    def __reduce__(self):
        Plus.sent += 1
        return Plus, (self.number,)


def test_the_function_goes_to_each_worker_once():
    """It may hold the names of all examples, and must not travel with each of them."""
    with ordered_map(Plus(3), range(100), 2) as results:
        assert list(results) == list(range(3, 103))
    assert Plus.sent == 2
