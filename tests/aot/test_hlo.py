"""The text of a compiled program, read."""

import pytest

from astmt_jax.aot.hlo import Array, parse

TEXT = """
HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[8,64]{1,0})->f32[8,64]{1,0}}

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

ENTRY %main.2 (x: f32[8,64], y: bf16[3]) -> f32[8,64] {
  %y.1 = bf16[3]{0:T(128)(2,1)} parameter(1), metadata={op_name="f(y)"}
  %x.1 = f32[8,64]{1,0:T(8,128)} parameter(0)
  %both = (f32[64]{0:T(128)S(1)}, (pred[2]{0}, /*i=2*/s4[3]{0})) fusion(%x.1, u8[] %y.1), calls=%add
  ROOT %choice = f8e4m3fn[2,64]{1,0} conditional(%both, %y.1), branch_computations={%add, %mul.3}
}
"""


def test_instructions():
    """Names, types with their memories, operands and called computations of every instruction."""
    program = parse(TEXT)
    assert set(program.computations) == {"add", "main.2"}
    main = program.computations[program.entry]
    assert [each.name for each in main.parameters] == ["x.1", "y.1"]
    both = main.instructions["both"]
    assert both.opcode == "fusion"
    assert both.arrays == (Array(64 * 4, 1), Array(2, 0), Array(3, 0))
    assert both.operands == ("x.1", "y.1")
    assert both.called == ("add",)
    assert main.root.name == "choice"
    assert main.root.arrays == (Array(2 * 64, 0),)
    assert main.root.called == ("add", "mul.3")
    assert [each.name for each in main.users("y.1")] == ["both", "choice"]


@pytest.mark.parametrize("text", ["", TEXT.replace("ENTRY ", ""), TEXT.replace("%", "")])
def test_text_of_another_form_is_refused(text):
    with pytest.raises(ValueError, match="in a form that is not understood"):
        parse(text)
