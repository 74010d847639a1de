"""Kernels and phases, read from the text of compiled programs."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
from jax import lax
from programs import compiled, put_out

from benchmarks.timing.hlo import kernels

X = jax.ShapeDtypeStruct((8, 16), jnp.float32)
NARROW = jax.ShapeDtypeStruct((8, 16), jnp.bfloat16)


def test_elementwise_chain_is_one_kernel():
    found = kernels(compiled(lambda x: jnp.tanh(x * 2.0 + 1.0), X))
    assert [(k.opcode, k.arrays) for k in found] == [("fusion", [("f32", (8, 16))])]


def test_what_stands_in_a_loop_counts_once():
    a, b = (jax.ShapeDtypeStruct(s, jnp.float32) for s in ((16, 5), (5, 16)))

    def function(x, a, b):
        return lax.fori_loop(0, 100, lambda _, x: jnp.sin(x) @ a @ b, x)

    assert " while(" in compiled(function, X, a, b).as_text()
    assert put_out(function, X, a, b).count(("f32", (8, 5))) == 1


def test_every_branch_counts():
    def through(n):
        ones = lambda *shape: jnp.ones(shape, jnp.float32)
        return lambda x: x @ ones(16, n) @ ones(n, 3)

    def function(p, x):
        return lax.cond(p, through(5), through(6), x)

    p = jax.ShapeDtypeStruct((), jnp.bool_)
    assert " conditional(" in compiled(function, p, X).as_text()
    arrays = put_out(function, p, X)
    assert arrays.count(("f32", (8, 5))) == arrays.count(("f32", (8, 6))) == 1


def test_arguments_and_tuples_are_no_kernels():
    """XLA copies an argument that comes out, and does nothing else."""
    found = kernels(compiled(lambda x, y: (y, x), X, NARROW))
    assert {k.opcode for k in found} <= {"copy"}


def test_conversion_of_a_whole_input_is_seen():
    product = lambda x: jnp.dot(x, x.T, preferred_element_type=jnp.float32)
    assert ("f32", (8, 16)) in put_out(product, NARROW)
    assert ("f32", (8, 16)) not in put_out(lambda x: x + x, NARROW)


TEXT = """\
HloModule jit_f, is_scheduled=true, entry_computation_layout={(f32[2,3]{1,0})->f32[]}

%inside (p.1: f32[2,3]) -> f32[2,3] {
  %p.1 = f32[2,3]{1,0} parameter(0)
  ROOT %hidden = f32[2,3]{1,0} exponential(%p.1)
}

%called (p.2: f32[2,3]) -> (f32[2,3], s32[]) {
  %p.2 = f32[2,3]{1,0} parameter(0)
  ROOT %pair = (f32[2,3]{1,0:T(8,128)}, /*index=1*/s32[]) custom-call(%p.2)
}

%condition.1 (p.3: f32[2,3]) -> pred[] {
  %p.3 = f32[2,3]{1,0} parameter(0)
  ROOT %less = pred[] compare(%p.3, %p.3), direction=LT
}

%body-1 (p.4: f32[2,3]) -> f32[2,3] {
  %p.4 = f32[2,3]{1,0} parameter(0)
  %calls = (f32[2,3]{1,0}, s32[]) call(%p.4), to_apply=%called
  ROOT %part = f32[2,3]{1,0} get-tuple-element(%calls), index=0
}

%yes (p.5: f32[2,3]) -> f32[2,3] {
  ROOT %p.5 = f32[2,3]{1,0} parameter(0)
}

%no (p.6: f32[2,3]) -> f32[2,3] {
  %p.6 = f32[2,3]{1,0} parameter(0)
  ROOT %sine = f32[2,3]{1,0} sine(%p.6)
}

%sum (p.7: f32[], p.8: f32[]) -> f32[] {
  %p.7 = f32[] parameter(0)
  %p.8 = f32[] parameter(1)
  ROOT %add = f32[] add(%p.7, %p.8)
}

ENTRY %main.1 (x: f32[2,3]) -> f32[] {
  %x = f32[2,3]{1,0} parameter(0), metadata={op_name="x"}
  %zero = f32[] constant(0)
  %one = f32[2,3]{1,0} fusion(%x), kind=kLoop, calls=%inside
  %loop = f32[2,3]{1,0} while(%one), condition=%condition.1, body=%body-1
  %again = f32[2,3]{1,0} while(%loop), condition=%condition.1, body=%body-1
  %begun = (f32[2,3]{1,0}, f32[2,3]{1,0}) copy-start(%again)
  %done = f32[2,3]{1,0} copy-done(%begun)
  %p = pred[] compare(%zero, %zero), direction=EQ
  %either = f32[2,3]{1,0} conditional(%p, %again, %again), METHOD
  ROOT %total = f32[] reduce(%either, %zero), dimensions={0,1}, to_apply=%sum
}
"""


def test_every_way_to_run_another_computation_is_followed():
    for method in (
        "true_computation=%yes, false_computation=%no",
        "branch_computations={%yes, %no}",
    ):
        text = TEXT.replace("METHOD", method)
        found = kernels(SimpleNamespace(as_text=lambda text=text: text))
        assert sorted(k.opcode for k in found) == [
            *("compare", "compare", "copy-start", "custom-call"),
            *("fusion", "reduce", "sine"),
        ]
        (pair,) = (k for k in found if k.opcode == "custom-call")
        assert pair.arrays == [("f32", (2, 3)), ("s32", ())]
