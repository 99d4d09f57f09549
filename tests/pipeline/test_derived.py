"""Labels that are made of what is stored: equal to what is made by hand, or refused by name."""

import numpy as np
import pytest

from astmt_jax.pipeline.derived import DerivedLabel
from astmt_jax.pipeline.examples import SourceError, StoredExamples
from astmt_jax.pipeline.source import Source
from astmt_jax.runtime.quiet_tensorflow import tfds

FEATURES = tfds.features.FeaturesDict(
    {
        "name": tfds.features.Text(),
        "image": tfds.features.Image(shape=(4, 6, 3)),
        "grey": tfds.features.Image(shape=(4, 6, 1)),
    }
)
RANDOM = np.random.default_rng(0)
EXAMPLES = [
    {
        "name": f"example_{number}",
        "image": RANDOM.integers(0, 256, (4, 6, 3)).astype(np.uint8),
        "grey": RANDOM.integers(0, 256, (4, 6, 1)).astype(np.uint8),
    }
    for number in range(2)
]
RECORDS = [FEATURES.serialize_example(FEATURES.encode_example(example)) for example in EXAMPLES]
MEAN = DerivedLabel(
    ("image", "grey"),
    lambda image, grey: (image.mean(-1, keepdims=True) + grey).astype(np.float32) / 2,
    1,
    np.float32,
)


def source(**labels):
    plain = Source(
        "pictures",
        len(RECORDS),
        lambda indices: [RECORDS[index] for index in indices],
        StoredExamples(
            "pictures",
            FEATURES,
            lambda features: features,
            packing={"grey": tfds.decode.SkipDecoding()},
        ),
    )
    return plain.deriving(labels)


def test_a_label_is_made_of_others():
    mean = source(mean=MEAN)
    assert mean.keys == (*FEATURES, "mean")
    parse = mean.parser(["mean", "name"])
    for record, example in zip(mean.read([0, 1]), EXAMPLES, strict=True):
        parsed = parse(record)
        assert list(parsed) == ["mean", "name"]
        expected = (example["image"].astype(float).sum(-1) / 3 + example["grey"][..., 0]) / 2
        np.testing.assert_allclose(parsed["mean"][..., 0], expected, rtol=1e-6)
    assert mean.forms(["mean"]) == {"mean": (np.float32, 1)}
    assert mean.select([1]).parser(["mean"])(RECORDS[1])["mean"].shape == (4, 6, 1)


def test_packed_maps_are_unpacked_where_others_are_made_of_them():
    mean = source(mean=MEAN)
    (record,) = mean.read([0])
    assert isinstance(mean.parser(["grey", "image"], packed=True)(record)["grey"], bytes)
    packed = mean.parser(["mean", "grey"], packed=True)(record)
    np.testing.assert_array_equal(packed["mean"], mean.parser(["mean"])(record)["mean"])
    np.testing.assert_array_equal(packed["grey"], EXAMPLES[0]["grey"])


def test_it_may_be_called_as_what_it_is_made_of():
    double = source(grey=DerivedLabel(("grey",), lambda grey: grey // 2, 1, np.uint8))
    parsed = double.parser(["grey"])(RECORDS[0])
    np.testing.assert_array_equal(parsed["grey"], EXAMPLES[0]["grey"] // 2)


def test_it_is_not_made_of_another_one_that_is_made():
    second = DerivedLabel(("mean",), lambda mean: mean, 1, np.float32)
    for keys in (["second"], ["mean", "second"], ["second", "mean"]):
        with pytest.raises(ValueError, match=r"^pictures stores no mean; it has name, "):
            source(mean=MEAN, second=second).parser(keys)


WRONG = {
    "another type": (lambda grey: grey.astype(float), "it is float64 (4, 6, 1), but must be uint8"),
    "another shape": (lambda grey: grey[..., 0], "(4, 6), but must be uint8 (4, 6, 1)"),
    "nothing": (lambda grey: None, "it is object ()"),
    "an error": (lambda grey: grey[9], "IndexError: index 9 is out of bounds"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_label_that_cannot_be_made_names_the_plugin_not_the_data(case):
    make, words = WRONG[case]
    wrong = source(wrong=DerivedLabel(("grey",), make, 1, np.uint8))
    with pytest.raises(SourceError) as caught:
        wrong.parser(["wrong"])(RECORDS[1])
    message = str(caught.value)
    assert message.startswith("The example example_1 of pictures has no wrong (")
    assert words in message
    assert message.endswith("which a plugin makes of grey: mend the plugin.")


def test_what_it_is_made_of_must_be_stored():
    lacking = source(own=DerivedLabel(("depth", "grey"), np.add, 1, np.uint8))
    assert "own" not in lacking.keys
    with pytest.raises(ValueError, match=r"pictures stores no depth; it has .*grey"):
        lacking.parser(["own"])
