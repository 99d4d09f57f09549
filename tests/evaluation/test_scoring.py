"""Choices of scoring, and images that are labelled for some of the tasks only."""

import numpy as np
import pytest

from astmt_jax.config import CHOICES, DEFAULT, EVALUATION_PROTOCOLS, LIMITS, EvaluationConfig
from astmt_jax.evaluation.counting import Counter, ScoringError
from astmt_jax.evaluation.scoring import Scorer, applied_to, conventions
from astmt_jax.labels import IGNORE
from astmt_jax.metrics.edge_protocols import PROTOCOLS
from astmt_jax.metrics.true_edges import edge_map, region_boundaries
from astmt_jax.tasks import registry as tasks
from astmt_jax.tasks.depth import disparity

RECORDS = (tasks.edge(), tasks.semseg(), tasks.human_parts(), tasks.depth(), tasks.sal())


def example(seed, unlabelled=()):
    """(name, predictions, truths) of one image."""
    random = np.random.default_rng(seed)
    regions = np.kron(random.integers(0, 4, (4, 5)), np.ones((5, 5), int))[..., None]
    truths = {
        "edge": random.integers(0, 2, (20, 25, 1)).astype(np.uint8),
        "label_map": regions,
        "semseg": random.integers(0, 21, (20, 25, 1)).astype(np.uint8),
        "human_parts": random.integers(0, 7, (20, 25, 1)).astype(np.uint8),
        "depth": random.uniform(1, 9, (20, 25, 1)).astype(np.float32),
        "sal": random.integers(0, 2, (20, 25, 1)).astype(np.uint8),
    }
    truths["depth"][0, :5] = IGNORE
    for task in unlabelled:
        truths[task] = np.full_like(truths[task], IGNORE)
    predictions = {
        "edge": random.random((20, 25), np.float32),
        "semseg": random.integers(0, 21, (20, 25)),
        "human_parts": random.integers(0, 7, (20, 25)),
        "depth": random.uniform(1, 9, (20, 25)).astype(np.float32),
        "sal": random.integers(0, 256, (20, 25)).astype(np.float32) / np.float32(255),
    }
    return f"image{seed}", predictions, truths


def score(examples, config=None):
    with Counter(1) as counter:
        scorer = Scorer(applied_to(config or EvaluationConfig(), RECORDS), counter)
        for name, predictions, truths in examples:
            scorer.add(name, predictions, truths)
        return scorer.scores()


def test_the_default_changes_no_task():
    scored = applied_to(EvaluationConfig(), RECORDS)
    assert [task.truth for task in scored] == [task.truth for task in RECORDS]
    assert scored[0].metric().protocol == PROTOCOLS["pascal"]


SEVERAL = (DEFAULT, "bsds", "bsds_nms", "bsds_5")
"""Choices that single truths do not have."""


@pytest.mark.parametrize("name", [name for name in PROTOCOLS if name not in SEVERAL])
def test_a_protocol_keeps_the_form_of_the_truth(name):
    details = score([example(0)], EvaluationConfig(edge_protocol=name)).details["edge"]
    assert details["compared_with"] == "label_map"
    assert details["protocol"] == PROTOCOLS[name].settings() | {"true_edges": "region_boundaries"}


def test_edges_compared_with_the_edge_labels():
    (task,) = applied_to(EvaluationConfig(edge_truth="edges"), RECORDS[:1])
    assert task.truth == "edge"
    assert task.metric().protocol.true_edges is edge_map
    nyud = tasks.edge(protocol="nyud", truth="edge")
    assert nyud.metric().protocol.true_edges is region_boundaries
    (nyud,) = applied_to(EvaluationConfig(edge_truth="edges"), [nyud])
    assert nyud.metric().protocol.true_edges is edge_map
    assert nyud.metric().protocol.max_dist == 0.011


def test_conventions_are_chosen_and_recorded():
    config = EvaluationConfig(semseg_classes="present", depth_convention="reference")
    default, chosen = score([example(0)]), score([example(0)], config)
    assert default.details["depth"]["convention"] == "masked"
    assert chosen.details["depth"]["convention"] == "reference"
    assert chosen.details["semseg"]["mean_over"] == "present classes"
    assert chosen.results["depth"]["log_rmse"] > 1 + default.results["depth"]["log_rmse"]


def test_a_choice_concerns_the_tasks_that_declare_it():
    """Disparity is called depth, too, but has no convention to choose; parts are no classes."""
    chosen = EvaluationConfig(
        edge_protocol="bsds",
        edge_truth="edges",
        semseg_classes="present",
        depth_convention="reference",
        sal_convention="successors",
    )
    unaffected = (disparity(), tasks.human_parts(), tasks.normals(), tasks.albedo())
    assert applied_to(chosen, unaffected) == unaffected


def test_every_choice_of_scoring_concerns_a_task():
    declared = {field for make in tasks.TASKS.values() for field in make().choices}
    assert declared == {*CHOICES, *LIMITS}
    assert all(declared.issuperset(chosen) for chosen in EVALUATION_PROTOCOLS.values())


@pytest.mark.parametrize(
    ("field", "choice"),
    [(f, choice) for f, known in CHOICES.items() for choice in known if choice not in SEVERAL],
)
def test_every_choice_can_be_made(field, choice):
    (owner,) = (task for task in RECORDS if field in task.choices)
    (changed,) = applied_to(EvaluationConfig(**{field: choice}), [owner])
    assert changed.choices[field].value(changed) == choice
    assert changed.headline in changed.metric().result()
    assert set(changed.metric().result()) <= set(changed.notation)


def test_the_protocols_choices_are_those_of_the_paper_and_of_its_successors():
    paper, successors = (
        {task.name: task for task in applied_to(EvaluationConfig(protocol=name), RECORDS)}
        for name in ("astmt", "successors")
    )
    assert [task.headline for task in RECORDS] == [task.headline for task in paper.values()]
    assert successors["sal"].headline == "maxF_pooled"
    assert successors["depth"].metric().details()["convention"] == "pooled"
    for name in ("edge", "semseg", "human_parts"):
        assert successors[name] == paper[name]


def test_a_single_choice_goes_before_the_protocols():
    config = EvaluationConfig(protocol="successors", depth_convention="masked", max_depth=8)
    scored = applied_to(config, RECORDS)
    assert conventions(config, scored) == {
        "protocol": "successors",
        "choices": {
            "edge_protocol": "pascal",
            "edge_truth": "default",
            "semseg_classes": "all",
            "depth_convention": "masked",
            "min_depth": None,
            "max_depth": 8,
            "sal_convention": "successors",
        },
    }


def test_choices_of_datasets_are_told():
    nyud = tasks.edge(protocol="nyud", truth="edge")
    own = tasks.edge(protocol="edge_map", truth="edge")
    told = [conventions(EvaluationConfig(), [task])["choices"] for task in (nyud, own)]
    assert told == [
        {"edge_protocol": "nyud", "edge_truth": "default"},
        {"edge_protocol": "edge_map", "edge_truth": "edges"},
    ]


def test_limits_of_depth_reach_its_metric():
    predictions = {"depth": np.array([[1.0, 2, 3]])}
    truths = {"depth": np.array([[[2.0], [4], [9]]])}
    found = []
    for config in (EvaluationConfig(), EvaluationConfig(min_depth=3, max_depth=9)):
        with Counter(1) as counter:
            scorer = Scorer(applied_to(config, [tasks.depth()]), counter)
            scorer.add("image", predictions, truths)
            found.append(scorer.scores().results["depth"]["mae"])
    assert found == pytest.approx([9 / 3, 2])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"protocol": "paper"}, "evaluation.protocol is 'paper', but must be one of: astmt, succ"),
        ({"min_depth": 3, "max_depth": 1}, "min_depth is 3 and max_depth 1"),
        ({"max_depth": float("inf")}, "max_depth inf, .* None is no limit"),
        ({"min_depth": 1, "depth_convention": "reference"}, "whose mask has no effect"),
    ],
)
def test_choices_that_cannot_be_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        EvaluationConfig(**settings)


def test_benchmark_of_several_annotators_is_refused_on_single_truths():
    """It gave other numbers under its name."""
    with pytest.raises(ValueError, match=r"edge_protocol is 'bsds'.*several annotators") as caught:
        applied_to(EvaluationConfig(edge_protocol="bsds"), [tasks.edge()])
    assert str(caught.value).endswith("choose pascal, pascal_raw, nyud, edge_map.")
    several = tasks.edge(protocol="bsds")
    (same,) = applied_to(EvaluationConfig(edge_protocol="bsds"), [several])
    assert same.metric().protocol == several.metric().protocol


def test_images_count_for_the_tasks_they_are_labelled_for():
    names = [task.name for task in RECORDS]
    both = score([example(0), example(1, unlabelled=names)])
    assert both == score([example(0)])
    some = score([example(0), example(1, unlabelled=["edge", "human_parts"])])
    images = {name: some.details[name]["images"] for name in names}
    assert images == {"edge": 1, "semseg": 2, "human_parts": 1, "depth": 2, "sal": 2}


def test_images_may_come_in_any_order():
    examples = [example(seed) for seed in range(4)]
    forwards, backwards = score(examples), score(examples[::-1])
    for task, metrics in forwards.results.items():
        assert backwards.results[task] == pytest.approx(metrics, rel=1e-12), task
    assert forwards.results["edge"] == backwards.results["edge"]


def test_what_cannot_be_scored_is_named():
    name, predictions, truths = example(3)
    predictions["semseg"] = predictions["semseg"] + 20
    with pytest.raises(ScoringError, match=r"^semseg/image3: prediction holds class id"):
        score([(name, predictions, truths)])


@pytest.mark.parametrize("field", CHOICES)
def test_unknown_choices_are_refused(field):
    with pytest.raises(ValueError, match=f"evaluation.{field} is 'other', but must be one of"):
        EvaluationConfig(**{field: "other"})
    assert getattr(EvaluationConfig(), field) == DEFAULT
