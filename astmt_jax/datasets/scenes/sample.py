"""Random scenes and cameras."""

from collections.abc import Callable

import numpy as np

from astmt_jax.datasets.scenes import furniture, outdoor_things, people, surroundings
from astmt_jax.datasets.scenes.camera import Camera, look_at
from astmt_jax.datasets.scenes.surroundings import Surroundings
from astmt_jax.datasets.scenes.world import Scene, SceneObject, extent

Maker = Callable[[np.random.Generator], SceneObject]
Cluster = list[SceneObject]  # objects that keep together

_INDOORS: tuple[Maker, ...] = (
    furniture.chair, furniture.table, furniture.sofa, furniture.potted_plant, furniture.television,
)  # fmt: skip
_OUTDOORS: tuple[Maker, ...] = (
    outdoor_things.car, outdoor_things.bus, outdoor_things.cow, outdoor_things.sheep,
)  # fmt: skip
CATEGORIES = (6, 7, 9, 10, 11, 15, 16, 17, 18, 20)  # PASCAL ids of all that scenes show
_PEOPLE_SHARE = 0.52
_MAX_OBJECTS = 8
_HALF_VIEW = np.deg2rad(26)
_ATTEMPTS = 40


def sample_scene(rng: np.random.Generator) -> Scene:
    """A room or an outdoor ground with 2 to 8 objects, seen from around `Scene.eye`.

    Args:
      rng: its state decides the scene.
    """
    indoors = rng.random() < 0.5
    around = (surroundings.room if indoors else surroundings.outdoors)(rng)
    eye = np.array([0.0, 0.0, rng.uniform(*around.eye_height)])
    placed: list[Cluster] = []
    while len(placed) < 2:  # what was drawn may not fit into the room
        placed = _arranged(rng, _clusters(rng, indoors), around)
    things = [thing for cluster in placed for thing in cluster]
    low, high = extent(placed[0] + placed[1])
    return Scene(
        objects=(*around.objects, *things),
        lights=around.lights,
        ambient=around.ambient,
        sky=around.sky,
        eye=eye,
        target=(low + high) / 2,
    )


def sample_camera(rng: np.random.Generator, scene: Scene) -> Camera:
    """A camera near the scene's eye, looking near its target, with random roll and field of view.

    Args:
      rng: its state decides the camera.
      scene: what to look at.
    """
    position = scene.eye + rng.uniform(-1, 1, 3) * [0.35, 0.3, 0.15]
    distance = np.linalg.norm(scene.target - scene.eye)
    target = scene.target + rng.normal(0, 0.05, 3) * distance
    field_of_view = np.deg2rad(rng.uniform(50, 68))
    return look_at(
        position,
        target,
        roll=rng.normal(0, 3.5),
        focal=0.5 / np.tan(field_of_view / 2),
        exposure=rng.uniform(0.8, 1.15),
        noise=rng.uniform(0.005, 0.03),
        noise_seed=int(rng.integers(2**63)),
    )


def _arranged(
    rng: np.random.Generator, clusters: list[Cluster], around: Surroundings
) -> list[Cluster]:
    """The clusters for which there is room, each in its place."""
    placed: list[Cluster] = []
    for index, cluster in enumerate(clusters):
        share = rng.uniform(0.6, 0.95) if index < 2 else rng.uniform(0.3, 0.65)
        spot = _find_spot(rng, cluster, placed, around, share)
        if spot is not None:
            placed.append(spot)
    return placed


def _clusters(rng: np.random.Generator, indoors: bool) -> list[Cluster]:
    """What to show, most prominent first."""
    makers = _INDOORS if indoors else _OUTDOORS
    wanted = list(rng.permutation(len(makers))[: rng.integers(2, 4)])
    if rng.random() < 0.35:
        wanted.append(wanted[0])
    clusters = [_dressed(rng, makers[index]) for index in wanted]
    if rng.random() < _PEOPLE_SHARE:
        for _ in range(rng.choice([1, 1, 2, 3])):
            clusters.insert(int(rng.integers(2)), [_standing_person(rng)])
    budget = np.cumsum([len(cluster) for cluster in clusters])
    return [
        cluster for cluster, total in zip(clusters, budget, strict=True) if total <= _MAX_OBJECTS
    ]


def _standing_person(rng: np.random.Generator) -> SceneObject:
    return people.person(rng).moved((0, 0, 0), yaw=rng.uniform(-2.2, 2.2))


def _dressed(rng: np.random.Generator, maker: Maker) -> Cluster:
    """An object at a random angle with what belongs to it: a sitter, a cabinet, a plant on top."""
    thing = maker(rng)
    group = [thing]
    if maker is furniture.television:
        cabinet = furniture.cabinet(rng)
        group = [thing.moved((0, 0, cabinet.extent()[1][2])), cabinet]
    elif maker is furniture.table and rng.random() < 0.45:
        on_top = furniture.potted_plant(rng).moved((0, 0, 0), scale=rng.uniform(0.55, 0.7))
        group.append(on_top.moved((rng.uniform(-0.3, 0.3), 0, thing.extent()[1][2])))
    yaw = rng.uniform(-np.pi, np.pi)
    if maker in (furniture.sofa, furniture.television, furniture.chair):
        yaw = rng.uniform(-1.0, 1.0)
    return [each.moved((0, 0, 0), yaw=yaw) for each in group]


def _find_spot(
    rng: np.random.Generator,
    cluster: Cluster,
    placed: list[Cluster],
    around: Surroundings,
    share: float,
) -> Cluster | None:
    """Moves a cluster to a free place at which it fills about `share` of the view's width."""
    low, high = extent(cluster)
    size = max(high[2] - low[2], 0.8 * np.linalg.norm(high[:2] - low[:2]))
    taken = [extent(other) for other in placed]
    for attempt in range(_ATTEMPTS):
        distance = size / (2 * share * np.tan(_HALF_VIEW)) * (1 + 0.02 * attempt)
        distance += (high[1] - low[1]) / 2
        spread = 0.35 if not placed else 0.85
        side = rng.uniform(-spread, spread) * distance * np.tan(_HALF_VIEW)
        shift = np.array([side, distance, 0.0])
        floor, ceiling = low + shift, high + shift
        if (floor[:2] < around.low).any() or (ceiling[:2] > around.high).any():
            continue
        if all((floor > b + 0.05).any() or (ceiling < a - 0.05).any() for a, b in taken):
            return [thing.moved(shift) for thing in cluster]
    return None
