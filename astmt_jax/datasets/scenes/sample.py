"""Random scenes and cameras."""

from collections.abc import Callable

import numpy as np

from astmt_jax.datasets.scenes import furniture, outdoor_things, people, surroundings
from astmt_jax.datasets.scenes.arrange import Group, arranged
from astmt_jax.datasets.scenes.camera import Camera, look_at
from astmt_jax.datasets.scenes.world import Scene, SceneObject

Maker = Callable[[np.random.Generator], SceneObject]

CATEGORIES = (6, 7, 9, 10, 11, 15, 16, 17, 18, 20)  # PASCAL ids of all that scenes show
# what there is, and how often it is wanted: large things often find no room
_INDOORS: dict[Maker, float] = {
    furniture.chair: 0.17,
    furniture.table: 0.22,
    furniture.sofa: 0.29,
    furniture.potted_plant: 0.16,
    furniture.television: 0.16,
}
_OUTDOORS: dict[Maker, float] = {
    outdoor_things.car: 0.24,
    outdoor_things.bus: 0.34,
    outdoor_things.cow: 0.21,
    outdoor_things.sheep: 0.21,
}
_SEATS = (furniture.chair, furniture.sofa)
_FACING = (*_SEATS, furniture.television)  # turned towards the camera, more or less
_PEOPLE_SHARE = 0.55
_MAX_OBJECTS = 8


def sample_scene(rng: np.random.Generator) -> Scene:
    """A room or an outdoor ground with 2 to 8 objects, seen from around `Scene.eye`.

    Args:
      rng: its state decides the scene.
    """
    indoors = rng.random() < 0.5
    around = (surroundings.room if indoors else surroundings.outdoors)(rng)
    placed: list[Group] = []
    while len(placed) < 2:  # what was drawn may not fit into the room
        placed = arranged(rng, _groups(rng, indoors), around)
    main = placed[:2]
    return Scene(
        objects=(*around.objects, *(thing for group in placed for thing in group.objects)),
        lights=around.lights,
        ambient=around.ambient,
        sky=around.sky,
        eye=np.array([0.0, 0.0, rng.uniform(*around.eye_height)]),
        target=np.mean([(group.low + group.high) / 2 for group in main], axis=0),
    )


def sample_camera(rng: np.random.Generator, scene: Scene) -> Camera:
    """A camera near the scene's eye, looking near its target, with random roll and field of view.

    Args:
      rng: its state decides the camera.
      scene: what to look at.
    """
    position = scene.eye + rng.uniform(-1, 1, 3) * [0.35, 0.3, 0.15]
    distance = np.linalg.norm(scene.target - scene.eye)
    field_of_view = np.deg2rad(rng.uniform(50, 68))
    return look_at(
        position,
        scene.target + rng.normal(0, 0.05, 3) * distance,
        roll=rng.normal(0, 3.5),
        focal=0.5 / np.tan(field_of_view / 2),
        exposure=rng.uniform(0.8, 1.15),
        noise=rng.uniform(0.005, 0.03),
        noise_seed=int(rng.integers(2**63)),
    )


def _groups(rng: np.random.Generator, indoors: bool) -> list[Group]:
    """What to show, most prominent first, MAX_OBJECTS objects at most."""
    choice = _INDOORS if indoors else _OUTDOORS
    chosen = rng.choice(len(choice), rng.integers(2, 4), replace=False, p=list(choice.values()))
    makers = [list(choice)[index] for index in chosen]
    if rng.random() < 0.4:
        makers += [makers[0]] * int(rng.integers(1, 3))
    people_left = int(rng.choice([1, 1, 2, 3])) if rng.random() < _PEOPLE_SHARE else 0
    groups = []
    for maker in makers:
        sits = maker in _SEATS and people_left > 0 and rng.random() < 0.4
        people_left -= sits
        groups.append(_group(rng, maker, sits))
    for _ in range(people_left):
        standing = people.person(rng).moved((0, 0, 0), yaw=rng.uniform(-2.2, 2.2))
        groups.insert(int(rng.integers(2)), Group.of(standing))
    total = np.cumsum([sum(thing.category > 0 for thing in group.objects) for group in groups])
    return [group for group, count in zip(groups, total, strict=True) if count <= _MAX_OBJECTS]


def _group(rng: np.random.Generator, maker: Maker, sits: bool) -> Group:
    """An object at a random angle with what belongs to it: a sitter, a cabinet, a plant on top."""
    thing = maker(rng)
    objects = [thing]
    if sits:
        aside = rng.uniform(-0.45, 0.45) if maker is furniture.sofa else 0.0
        objects.append(people.person(rng, seated=True).moved((aside, -0.02, 0)))
    elif maker is furniture.television:
        cabinet = furniture.cabinet(rng)
        objects = [thing.moved((0, 0, cabinet.extent()[1][2])), cabinet]
    elif maker is furniture.table and rng.random() < 0.45:
        place = (rng.uniform(-0.3, 0.3), 0, thing.extent()[1][2])
        objects.append(furniture.potted_plant(rng).moved(place, scale=rng.uniform(0.55, 0.7)))
    yaw = rng.uniform(-1.1, 1.1) if maker in _FACING else rng.uniform(-np.pi, np.pi)
    return Group.of(*(each.moved((0, 0, 0), yaw) for each in objects))
