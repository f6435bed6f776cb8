"""Readings of the list of jobs that the lost submits of a batch share."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from attrs import define, field

from scenario_reframe.api.operations import Operations
from scenario_reframe.flow.async_driver import AsyncDriver
from scenario_reframe.models import Job
from scenario_reframe.recovery import read_jobs


@define(eq=False)
class SharedReadings:
    """Reads the list of jobs: one reading serves all who asked before it began.

    `start` makes a task of the batch.
    """

    operations: Operations
    driver: AsyncDriver
    start: Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
    _asked: "list[tuple[datetime, asyncio.Future[Mapping[str, Job]]]]" = field(factory=list)
    _reading: "asyncio.Task[None] | None" = None

    async def look_up(self, created_after: datetime) -> Mapping[str, Job]:
        """The jobs since then."""
        read: asyncio.Future[Mapping[str, Job]] = asyncio.get_running_loop().create_future()
        self._asked.append((created_after, read))
        if self._reading is None or self._reading.done():
            self._reading = self.start(self._read())
        return await read

    async def _read(self) -> None:
        """Read the list until nobody waits for it. Whatever a reading raises, all get it."""
        while self._asked:
            asked, self._asked = self._asked, []
            created_after = min(since for since, _ in asked)
            waiting = [read for _, read in asked]
            try:
                jobs = await self.driver.run(read_jobs(self.operations, created_after))
            except Exception as error:  # noqa: BLE001 - it is theirs
                for read in waiting:
                    if not read.done():
                        read.set_exception(error)
            else:
                for read in waiting:
                    if not read.done():
                        read.set_result(jobs)
