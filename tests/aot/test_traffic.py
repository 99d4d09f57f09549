"""Traffic with main memory of small programs, whose bytes are counted by hand."""

from collections import Counter

import pytest

from astmt_jax.aot.hlo import parse
from astmt_jax.aot.traffic import traffic

FUSED = """
HloModule m

%slicing (p: f32[1024], q: s32[]) -> f32[8] {
  %p = f32[1024]{0} parameter(0)
  %q = s32[] parameter(1)
  %part = f32[8]{0} dynamic-slice(%p, %q), dynamic_slice_sizes={8}
  ROOT %negated = f32[8]{0} negate(%part)
}

%updating (p: f32[1024], u: f32[8], q: s32[]) -> f32[1024] {
  %p = f32[1024]{0} parameter(0)
  %u = f32[8]{0} parameter(1)
  %q = s32[] parameter(2)
  ROOT %updated = f32[1024]{0} dynamic-update-slice(%p, %u, %q)
}

%twice (p: f32[1024], q: s32[]) -> f32[1024] {
  %p = f32[1024]{0} parameter(0)
  %q = s32[] parameter(1)
  %part = f32[1]{0} dynamic-slice(%p, %q), dynamic_slice_sizes={1}
  %spread = f32[1024]{0} broadcast(%part), dimensions={}
  ROOT %sum = f32[1024]{0} add(%p, %spread)
}
"""


def moved(*lines: str) -> Counter[str]:
    """Traffic of a program whose instructions are `lines`."""
    body = "\n".join(f"  {line}" for line in lines)
    return traffic(parse(f"{FUSED}\nENTRY %main () -> f32[] {{\n{body}\n}}\n"))


BIG, SMALL, INDEX = (
    "%big = f32[1024]{0} parameter(0)",
    "%small = f32[8]{0} parameter(1)",
    "%index = s32[] parameter(2)",
)


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("f32[1024]{0} add(%big, %big)", 3 * 4096),
        ("f32[1024]{0:T(128)S(1)} add(%big, %big)", 2 * 4096),
        ("f32[1024]{0} bitcast(%big)", 0),
        ("f32[8]{0} dynamic-slice(%big, %index), dynamic_slice_sizes={8}", 32 + 32 + 4),
        ("f32[1024]{0} dynamic-update-slice(%big, %small, %index)", 32 + 32),
        ("f32[8]{0} fusion(%big, %index), kind=kLoop, calls=%slicing", 32 + 32 + 4),
        ("f32[1024]{0} fusion(%big, %small, %index), kind=kLoop, calls=%updating", 32 + 32 + 4),
        ("f32[1024]{0} fusion(%big, %index), kind=kLoop, calls=%twice", 4096 + 4096 + 4),
        ('f32[1024]{0} custom-call(), custom_call_target="AllocateBuffer"', 0),
    ],
)
def test_one_instruction(instruction, expected):
    """Operands and results count where they lie in main memory, and as far as they are touched."""
    assert moved(BIG, SMALL, INDEX, f"ROOT %result = {instruction}").total() == expected


@pytest.mark.parametrize(
    ("fused", "kind"),
    [
        ("%r = f32[8]{0} negate(%p)", "fusion"),
        ("%r = f32[8]{0} convolution(%p, %p), dim_labels=bf_io->bf", "fusion of product"),
        ("%r = f32[] reduce(%p, %c), dimensions={0}, to_apply=%slicing", "fusion of sum"),
        ("%d = f32[8]{0} dot(%p, %p)\n  %r = f32[] reduce(%d, %c)", "fusion of product, sum"),
        ("%r = f32[8]{0} fusion(%p), kind=kOutput, calls=%inner", "fusion of product"),
    ],
)
def test_kinds_of_fusions(fused, kind):
    """By what is fused, in fusions within fusions, too; what a sum applies is no part of it."""
    text = f"""
%inner (p: f32[8]) -> f32[8] {{
  %p.1 = f32[8]{{0}} parameter(0)
  ROOT %d.1 = f32[8]{{0}} dot(%p.1, %p.1)
}}
%outer (p: f32[8]) -> f32[8] {{
  %p = f32[8]{{0}} parameter(0)
  %c = f32[] constant(0)
  {fused}
  ROOT %root = f32[8]{{0}} negate(%p)
}}
ENTRY %main () -> f32[8] {{
  %x = f32[8]{{0}} parameter(0)
  ROOT %f = f32[8]{{0}} fusion(%x), kind=kLoop, calls=%outer
}}
"""
    assert traffic(parse(text)) == Counter({kind: 2 * 32})


def test_copies_into_fast_memory():
    """Waiting for a transfer moves nothing again; what was copied in is read for nothing."""
    assert moved(
        BIG,
        "%start = (f32[1024]{0:S(1)}, f32[1024]{0}, u32[]{:S(2)}) copy-start(%big)",
        "%fast = f32[1024]{0:S(1)} copy-done(%start)",
        "%part-start = ((f32[1024]{0}), f32[8]{0:S(1)}, s32[]{:S(2)}) slice-start(%big)",
        "%part = f32[8]{0:S(1)} slice-done(%part-start)",
        "%twice = f32[1024]{0:S(1)} add(%fast, %fast)",
        "%back-start = (f32[1024]{0}, f32[1024]{0:S(1)}, u32[]{:S(2)}) copy-start(%twice)",
        "ROOT %back = f32[1024]{0} copy-done(%back-start)",
    ) == Counter({"copy-start": 4096, "slice-start": 32, "copy-done": 4096})


def test_branches_and_loops():
    """The branch that moves most counts, and the body of a loop once."""
    text = """
%cheap (p: f32[8]) -> f32[8] {
  %p.1 = f32[8]{0} parameter(0)
  ROOT %n.1 = f32[8]{0} negate(%p.1)
}
%dear (p: f32[8]) -> f32[8] {
  %p.2 = f32[8]{0} parameter(0)
  %n.2 = f32[8]{0} negate(%p.2)
  ROOT %n.3 = f32[8]{0} negate(%n.2)
}
ENTRY %main () -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %i = s32[] parameter(1)
  %c = f32[8]{0} conditional(%i, %x, %x), branch_computations={%cheap, %dear}
  ROOT %w = f32[8]{0} while(%c), condition=%cheap, body=%dear
}
"""
    assert traffic(parse(text)) == Counter({"negate": 4 * 32 + (2 + 4) * 32})
