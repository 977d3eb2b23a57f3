"What the tests share: the project's settings, its notebooks, and processes of their own."
import os
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import nbformat
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin

ROOT = Path(__file__).parent.parent
SETTINGS = ConfigParser()
SETTINGS.read(ROOT/"settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
CHECKS = sorted((ROOT/"nbs/checks").glob("*.ipynb"))  # the answers, one notebook for each lesson


def module_name(notebook): return re.sub(r"^\d+_", "", notebook.stem)


LESSONS = [o for o in NOTEBOOKS if (ROOT/"nbs/checks"/f"{module_name(o)}.ipynb") in CHECKS]


def read(path): return nbformat.read(path, as_version=4)


def run_python(code, timeout=120, **env):
    "Run `code` in a fresh Python outside the repository and return what it printed."
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout,
                          cwd=ROOT.anchor, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(params=[*NOTEBOOKS, *CHECKS], ids=lambda o: f"{o.parent.name}-{o.stem}")
def notebook(request): return request.param


def pytest_terminal_summary(terminalreporter):
    "The table of the exercises that were proven, and what their wrong answers are told."
    rows = [row for o in terminalreporter.stats.get("passed", []) if o.when == "call" for name, rows in o.user_properties if name == "proven" for row in rows]
    if not rows: return
    terminalreporter.section(f"{len({(lesson, name) for lesson, name, _ in rows})} exercises proven both ways, {len(rows)} wrong answers told apart")
    for lesson, name, message in rows: terminalreporter.write_line(f"{lesson:15}{name:22}{message}")
