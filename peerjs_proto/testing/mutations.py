"""Valid bytes with something done to them: nearer to trouble than random ones."""

from __future__ import annotations

from ._hypothesis import st

__all__ = ["mutated"]


@st.composite
def mutated(draw: st.DrawFn, valid: st.SearchStrategy[bytes]) -> bytes:
    """One to four things done to ``valid`` bytes: replaced, inserted, deleted, repeated."""
    data = bytearray(draw(valid))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["replace", "insert", "delete", "repeat"])):
            case "replace":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[at:at] = draw(st.binary(min_size=1, max_size=9))
            case "delete":
                del data[at : at + draw(st.integers(1, 9))]
            case _:
                data[at:at] = data[: draw(st.integers(1, 40))]
    return bytes(data)
