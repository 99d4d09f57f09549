"""A program that trains a tiny network on eight virtual devices and writes down what came out.

    python device_runs.py FOLDER                              # alone, or in a detected cluster
    python device_runs.py FOLDER HOST:PORT NUM_PROCESSES ID   # one of several processes

In float64, so that only the order of sums can differ: runs that shall be the same agree to about
1e-13, and what could be wrong (a mean over one device's images, a gradient counted twice) is far
from that. The processes' results are those of process 0.
"""

import os
import pathlib
import pickle
import socket
import subprocess
import sys

import jax
import numpy as np
from tiny_network import (
    PAIR,
    copied,
    in_parts,
    of_layout,
    random_batch,
    random_state,
    tiny_step,
    training_only,
)

from astmt_jax.pipeline.layout import ONE_DATASET, Layout
from astmt_jax.pipeline.transfer import to_global, to_local
from astmt_jax.runtime import distributed
from astmt_jax.runtime.sharding import Placement, data_mesh
from astmt_jax.training.checkpoint import Checkpoints

NUM_DEVICES = 8
BATCH_SIZE = 2 * NUM_DEVICES
NUM_PARTS = 2
NUM_STEPS = 3
MIXTURE = Layout(2, {"semseg": (0, 1), "normals": (1, 2)})
MIN_SIZE = 64  # splits what is large in the tiny network


def free_port():
    with socket.create_server(("localhost", 0)) as server:
        return server.getsockname()[1]


def xla_flags(num_devices):
    """The environment's, and so many virtual devices."""
    own = os.environ.get("XLA_FLAGS", "")
    return f"{own} --xla_force_host_platform_device_count={num_devices}"


def start(folder, processes=1, flags=(), **environment):
    """Starts the program, with the devices of one process out of several."""
    tests = pathlib.Path(__file__).parent
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
    return subprocess.Popen(
        [sys.executable, __file__, str(folder), *map(str, flags)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=kept
        | {
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": f"{tests.parent}:{tests}",
            "XLA_FLAGS": xla_flags(NUM_DEVICES // processes),
        }
        | environment,
    )


def results(folder, *started):
    """Waits for the programs; returns what they found: name -> (final state, losses)."""
    ended = [process.communicate(timeout=500) for process in started]
    for process, (_, errors) in zip(started, ended, strict=True):
        assert process.returncode == 0, errors
    return pickle.loads((folder / "results.pickle").read_bytes())


def batches(step):
    """Images that get brighter from device to device; half of them have no classes."""
    brightness = np.arange(1, NUM_DEVICES + 1).repeat(2)[:, None, None, None]
    for seed in range(NUM_STEPS):
        batch = copied(random_batch(step, batch=BATCH_SIZE, seed=seed))
        batch["image"] = batch["image"] * brightness + brightness
        batch["labels"]["semseg"][BATCH_SIZE // 2 :] = 255
        yield batch


def share(batch):
    """This process's rows."""
    rows = BATCH_SIZE // jax.process_count()
    start = jax.process_index() * rows
    return jax.tree.map(lambda x: x[start : start + rows], batch)


def trained(update, placement, accumulate=1, names=None, layout=ONE_DATASET):
    """The state after some steps where it lives, and the losses of all steps.

    Trained is everything, or what the tasks of these names own; each on its places of the layout.
    """
    step = tiny_step("float64", PAIR, discriminator_weight=0.3 if names is None else 0.0)
    step = in_parts(step if names is None else training_only(step, names), accumulate, placement)
    step = of_layout(step, layout)
    method = getattr(step, f"{update}_update")
    state, losses = placement.put(random_state(step)), []
    is_split = not all(leaf.is_fully_replicated for leaf in jax.tree.leaves(state))
    placed = [to_global(share(batch), placement.batch) for batch in batches(step)]
    if update == "joint" and accumulate == 1:
        # Compiled ahead of time, it refuses a state that has moved.
        method.program = method.lower(state, placed[0]).compile()
        # Variables are gathered where they are split. Images are nowhere: every device works on
        # its own only.
        assert ("all-gather" in method.program.as_text()) == is_split
    for batch in placed:
        with jax.transfer_guard("disallow"):
            state, metrics = method(state, batch)
        losses.append(jax.device_get(metrics["loss"]))
    for leaf in jax.tree.leaves(state):
        assert leaf.sharding == placement.sharding_of(leaf), leaf.sharding
    assert update == "joint" or method.program._cache_size() == 1
    return state, np.array(losses)


def restored(folder, state, other):
    """The state, saved as it is and restored in another placement."""
    checkpoints = Checkpoints(folder)
    checkpoints.save(NUM_STEPS, state)
    checkpoints.close()
    again = Checkpoints(folder)
    found = again.restore(other.described(state))
    again.close()
    for leaf in jax.tree.leaves(found):
        assert leaf.sharding == other.sharding_of(leaf), leaf.sharding
    return found


def check_communication(folder):
    """What the processes tell each other, with values that differ from one to the next."""
    parts = distributed.fold(lambda a, b: a + b, [(jax.process_index(), "x" * 1000)])
    assert parts == [(index, "x" * 1000) for index in range(jax.process_count())]
    assert distributed.agreed(distributed.is_main())
    assert distributed.on_all(True)
    assert distributed.on_all(distributed.is_main()) == (jax.process_count() == 1)
    for name in ("first", "second"):
        with distributed.main_process_first():
            assert (folder / name).exists() != distributed.is_main()
            (folder / name).touch()
    rows = np.arange(BATCH_SIZE)
    placement = Placement(data_mesh())
    doubled = jax.jit(lambda x: 2 * x)(to_global(share(rows), placement.batch))
    np.testing.assert_array_equal(to_local(doubled, placement.batch), 2 * share(rows))


def main(folder, address=None, num_processes=None, process_id=None):
    jax.config.update("jax_enable_x64", True)
    distributed.initialize(
        address, num_processes and int(num_processes), process_id and int(process_id)
    )
    assert jax.device_count() == NUM_DEVICES
    assert jax.local_device_count() == NUM_DEVICES // jax.process_count()
    alone = jax.process_count() == 1
    whole = Placement(data_mesh())
    split = Placement(data_mesh(), shard_parameters=True, min_size=MIN_SIZE)
    check_communication(folder)
    found = {}
    for update in ("joint", "per_task") if alone else ["per_task"]:  # compiling takes long
        state, losses = trained(update, split)
        assert sum(not leaf.is_fully_replicated for leaf in jax.tree.leaves(state)) > 5
        found[f"{update}, split"] = copied((whole.replicate(state), losses))
    found["per_task, restored"] = copied((restored(folder / "split", state, whole), losses))
    state, losses = trained("joint", split, NUM_PARTS)
    found["joint, in parts, split"] = copied((whole.replicate(state), losses))
    if alone:
        one_device = Placement(data_mesh(jax.devices()[:1]))
        for update in ("joint", "per_task"):
            found[f"{update}, one device"] = copied(trained(update, one_device))
        found["joint, in parts, one device"] = copied(trained("joint", one_device, NUM_PARTS))
        found["joint, copies"] = copied(trained("joint", whole))
        state, losses = trained("joint", split, names=["semseg"])
        found["one task, split"] = copied((whole.replicate(state), losses))
        for name, placement in (("split", split), ("one device", one_device)):
            state, losses = trained("per_task", placement, layout=MIXTURE)
            found[f"mixture, {name}"] = copied((whole.replicate(state), losses))
        found["one task, one device"] = copied(trained("joint", one_device, names=["semseg"]))
    if distributed.is_main():
        (folder / "results.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
