"""Reading collective operations from the text of a program."""

from astmt_jax.aot.collectives import Collective, collectives
from astmt_jax.aot.hlo import parse

TEXT = """
HloModule jit_step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  ROOT %sum = f32[] add(%a, %b)
}

%loop (p: bf16[4,2]) -> bf16[4,2] {
  ROOT %collective-permute.3 = bf16[4,2]{1,0:T(4,128)(2,1)} collective-permute(%p), channel_id=9
}

ENTRY %main (x: f32[8,64], y: bf16[3]) -> f32[8,64] {
  %all-reduce.5 = f32[64]{0:T(128)} all-reduce(%x.1), channel_id=6, to_apply=%add
  %all-reduce.6 = (f32[8,64]{1,0:T(8,128)S(1)}, bf16[3]{0}) all-reduce(%x, %y), to_apply=%add
  %all-reduce-start.1 = f32[10]{0} all-reduce-start(%z), to_apply=%add
  %all-reduce-done.1 = f32[10]{0} all-reduce-done(%all-reduce-start.1)
  %all-gather-start = (f32[2,4]{1,0}, f32[8,4]{1,0}) all-gather-start(%w), dimensions={0}
  %all-gather-done = f32[8,4]{1,0} all-gather-done(%all-gather-start)
  %cps = (pred[16]{0}, pred[16]{0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%m)
  %cpd = pred[16]{0} collective-permute-done(%cps)
  %fusion = f32[64]{0} fusion(%all-reduce.5), kind=kLoop, calls=%all-reduce-like
  ROOT %reduce-scatter.1 = f8e4m3fn[2,64]{1,0} reduce-scatter(%fusion), dimensions={0}
}
"""


def test_collectives():
    """Every operation once, with the bytes of its results; started ones where they start."""
    assert collectives(parse(TEXT)) == {
        "all-reduce": Collective(3, 64 * 4 + (8 * 64 * 4 + 3 * 2) + 10 * 4),
        "all-gather": Collective(1, 8 * 4 * 4),
        "reduce-scatter": Collective(1, 2 * 64),
        "collective-permute": Collective(2, 4 * 2 * 2 + 16),
    }


def test_program_for_one_device_has_none():
    text = "ENTRY %main () -> f32[3] {\n  ROOT %sum = f32[3]{0} add(%a, %b)\n}"
    assert collectives(parse(text)) == {}
