"""Wall and CPU time of a program's timed sections, run by run, printed as one line of JSON.

The same line as that of ``stopwatch.h``. It must never know what the sections do.
"""

import json
import time


class Stopwatch:
    """Takes the times of one section after the other."""

    __slots__ = ("_cpu", "_sections", "_wall")

    def __init__(self) -> None:
        self._sections: dict[str, dict[str, list[float]]] = {}
        self._wall = 0.0
        self._cpu = 0.0

    def start(self) -> None:
        """Begin a section."""
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def stop(self, section: str) -> None:
        """End the section that `start` began, and note its times under its name."""
        wall = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        times = self._sections.setdefault(section, {"wall": [], "cpu": []})
        times["wall"].append(wall)
        times["cpu"].append(cpu)

    def report(self, count: int, **more: int) -> None:
        """Print everything.

        Args:
            count: How much work one run has done.
            more: Other figures, by name.
        """
        print(json.dumps({"count": count, "sections": self._sections, **more}), flush=True)
