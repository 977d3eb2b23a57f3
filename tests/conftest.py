"What the tests share: the project's settings, its notebooks, and processes of their own."
import os
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


def read(path): return nbformat.read(path, as_version=4)


def run_python(code, timeout=120, **env):
    "Run `code` in a fresh Python outside the repository and return what it printed."
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=timeout,
                          cwd=ROOT.anchor, env={**os.environ, **env})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(params=NOTEBOOKS, ids=lambda o: o.stem)
def notebook(request): return request.param
