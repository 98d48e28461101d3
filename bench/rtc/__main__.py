"""A worker: ``python -m bench.rtc bare ENGINE`` or ``ours ENGINE FORM``. Jobs come on stdin."""

from __future__ import annotations

import sys
from contextlib import AbstractAsyncContextManager
from functools import partial

import anyio

from bench.rtc.line import Job, do_jobs


async def work(*arguments: str) -> None:
    async with open_jobs(*arguments) as jobs:
        await do_jobs(jobs)


def open_jobs(
    kind: str, engine: str, form: str = ""
) -> AbstractAsyncContextManager[dict[str, Job]]:
    # Imported late: the bare engines are measured without trio, or anything of ours.
    if kind == "bare":
        from bench.rtc.bare import open_bare

        return open_bare(engine)
    from bench.rtc.ours import open_ours

    return open_ours(engine, form)


if __name__ == "__main__":
    anyio.run(partial(work, *sys.argv[1:]), backend="asyncio" if sys.argv[1] == "bare" else "trio")
