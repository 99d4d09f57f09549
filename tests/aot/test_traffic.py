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
