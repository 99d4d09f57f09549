"""Rows of one's own: what the file says is what is trained, and what it cannot say is named."""

import dataclasses

import pytest
from settings import assert_one_sentence, settings

from astmt_jax.compare.choice import ladder
from astmt_jax.compare.ladders import paper
from astmt_jax.compare.report import check_report
from astmt_jax.config import from_config_dict
from astmt_jax.files import storage

CONFIG = from_config_dict(settings(tasks=("edge", "depth"), discriminator__weight=0.02))
ROWS = """
[wide]
label = "multi-task, wide"
model.decoder_width = 128

[slow]
start = "config"
changed = "wide"
train.epochs = 9
optimizer = {learning_rate = 0.001, warmup_steps = 7}
"""


def test_rows_are_what_the_file_says(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(ROWS)
    found = ladder(str(path))
    assert found.report == "comparison-mine.rows"
    single, multi, wide, slow = found.methods(CONFIG)
    assert (single, multi) == paper(CONFIG)[:2]
    assert (wide.label, wide.changed, wide.single_task) == ("multi-task, wide", "mtl", "single")
    assert (slow.label, slow.changed) == ("slow", "wide")
    plain = multi.configs["mtl"]
    assert wide.configs["wide"] == dataclasses.replace(
        plain, model=dataclasses.replace(plain.model, decoder_width=128)
    )
    optimizer = dataclasses.replace(CONFIG.optimizer, learning_rate=0.001, warmup_steps=7)
    train = dataclasses.replace(CONFIG.train, epochs=9)
    assert slow.configs["slow"] == dataclasses.replace(CONFIG, train=train, optimizer=optimizer)


REFUSED = {
    "no rows": ("", ["has no row"]),
    "no TOML": ("[wide", ["cannot be read"]),
    "bytes": (b"\xff\xfe", ["cannot be read"]),
    "unknown key": ("[wide]\nstep = 3", ["row 'wide'", "a key is 'step'", "label, start"]),
    "unknown field": ("[wide]\nmodel.width = 3", ["row 'wide'", "config.model.width"]),
    "former field": ("[wide]\nmodel.adapters = true", ["row 'wide'", "encoder_adapters"]),
    "wrong type": ("[wide]\nmodel.decoder_width = 'x'", ["decoder_width", "'x'"]),
    "out of range": ("[wide]\nmodel.decoder_width = 8", ["decoder_width is 8"]),
    "impossible together": ("[a]\nstart = 'config'\nmodel.decoder = 'uber'", ["row 'a'", "0.02"]),
    "section without fields": ("[wide]\nmodel = 3", ["model is 3", "table"]),
    "row without fields": ("wide = 3", ["row 'wide'", "it is 3"]),
    "taken name": ("[mtl]", ["row 'mtl'", "taken"]),
    "name of a single-task network": ("[single-edge]", ["row 'single-edge'", "taken"]),
    "name that is a path": ("['../x']", ["row '../x'", "letters"]),
    "unknown start": ("[a]\nstart = 'astmt'", ["start is 'astmt'", "mtl, config"]),
    "unknown row before": ("[a]\nchanged = 'b'\n[b]", ["row 'a'", "changed is 'b'"]),
    "label of two lines": ('[a]\nlabel = "x\\ny"', ["row 'a'", "label"]),
    "label that is a formula": ('[a]\nlabel = "$x$"', ["row 'a'", "label"]),
    "label that is hidden": ('[a]\nlabel = "_x"', ["row 'a'", "label"]),
    "blank label": ('[a]\nlabel = "  "', ["row 'a'", "label"]),
    "other data": ("[a]\ndataset.name = 'nyud'", ["row 'a'", "'dataset'"]),
    "a list for a name": ("[a]\nchanged = ['mtl']", ["row 'a'", "changed"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_named(case, tmp_path):
    """In one sentence, with the file."""
    content, words = REFUSED[case]
    path = tmp_path / "rows.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match="rows") as caught:
        ladder(str(path)).methods(CONFIG)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert_one_sentence(message)
    for word in words:
        assert word in message


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.toml cannot be read .*No such file") as caught:
        ladder(f"{tmp_path}/none.toml").methods(CONFIG)
    assert_one_sentence(str(caught.value))


def test_another_file_of_the_same_name_replaces_no_report(tmp_path):
    """One that was changed, or moved, is the same one."""
    folders = [tmp_path / name for name in ("a", "b", "workdir")]
    for folder in folders:
        folder.mkdir()
    *files, workdir = (folder / "rows.toml" for folder in folders)
    workdir = workdir.parent
    for file in files:
        file.write_text(ROWS)
    own, other = (ladder(str(file)) for file in files)
    check_report(own, workdir)
    storage.write_json(workdir / f"{own.report}.json", {"rows": str(own.rows)})
    files[0].write_text("[another]")
    check_report(own, workdir)
    check_report(ladder("modulation"), workdir)
    with pytest.raises(ValueError, match=r"rows\.json is about the rows of ") as caught:
        check_report(other, workdir)
    assert_one_sentence(str(caught.value))
    assert str(own.rows) in str(caught.value)
    assert str(other.rows) in str(caught.value)
    files[0].unlink()
    check_report(other, workdir)
    for no_path in ("a" * 5000, "a\0b"):
        storage.write_json(workdir / f"{own.report}.json", {"rows": no_path})
        check_report(other, workdir)
