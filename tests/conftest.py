"Before the tests, and after them."
import os

import pytest

from helpers import CHECKS, NOTEBOOKS

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin


@pytest.fixture(params=[*NOTEBOOKS, *CHECKS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def notebook(request): return request.param


def pytest_terminal_summary(terminalreporter):
    "The table of the exercises that were proven, and what their wrong answers are told."
    passed = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    rows = [row for report in passed for name, found in report.user_properties if name == "proven" for row in found]
    if not rows: return
    exercises = {(lesson, name) for lesson, name, _ in rows}
    terminalreporter.section(f"{len(exercises)} exercises proven both ways, {len(rows)} wrong answers told apart")
    for lesson, name, message in rows: terminalreporter.write_line(f"{lesson:15}{name:22}{message}")
