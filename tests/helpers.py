"What the tests share: the project's settings, its notebooks, and processes of their own."
import os
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from copy import deepcopy
from functools import cache
from pathlib import Path

import nbformat

from course_dl.runner import page_name as module_name

ROOT = Path(__file__).parent.parent
SETTINGS = ConfigParser()
SETTINGS.read(ROOT/"settings.ini", encoding="utf-8")
SETTINGS = SETTINGS["DEFAULT"]
NOTEBOOKS = sorted((ROOT/"nbs").glob("*.ipynb"))
CHECKS = sorted((ROOT/"nbs/checks").glob("*.ipynb"))  # the answers, one notebook for each lesson
LESSONS = [path for path in NOTEBOOKS if (ROOT/"nbs/checks"/f"{module_name(path)}.ipynb") in CHECKS]


@cache
def _read(path, modified): return nbformat.read(path, as_version=4)


def read(path):
    "A notebook, which the caller may change; many tests read each, so it is parsed once."
    return deepcopy(_read(path, path.stat().st_mtime_ns))


def markdown(path):
    "The text of a notebook or a Markdown file."
    if path.suffix != ".ipynb": return path.read_text(encoding="utf-8")
    return "\n\n".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")


def prose(path):
    "The text without its code."
    return re.sub(r"```.*?```|`[^`]*`", "", markdown(path), flags=re.S)


def headings(path):
    "Level and words of each heading."
    text = re.sub(r"```.*?```", "", markdown(path), flags=re.S)
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) (.+)$", text, re.M)]


def anchor(heading):
    "Where a link to a heading leads, on GitHub, in Jupyter and on the site."
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def copy_project(folder):
    "A copy of what nbdev and setuptools work on, so that the tests change nothing here."
    ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for name in ("nbs", "course_dl"): shutil.copytree(ROOT/name, folder/name, symlinks=True, ignore=ignore)
    for path in ROOT.glob("*.*"):
        if path.is_file() and not path.name.startswith("."): shutil.copy(path, folder/path.name)
    for name in ("LICENSE", "LICENSE-TEXT", "NOTICE"): shutil.copy(ROOT/name, folder/name)
    return folder


def run(*command, cwd=ROOT.anchor, timeout=120, **env):
    "Run a command and return what it printed; what it prints as errors is shown where it fails."
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=timeout, cwd=cwd,
                          env={**os.environ, **env})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def build_site(folder, language, root=ROOT):
    "The site, or the pages of another language."
    run(sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", "-d", f"{folder}-doctrees", ".",
        str(folder), cwd=root, timeout=None, COURSE_DL_LANGUAGE=language, PYTHONPATH=str(root))


def run_python(code, timeout=120, **env):
    "Run `code` in a fresh Python outside the repository and return what it printed."
    return run(sys.executable, "-c", code, timeout=timeout, **env)


def watch(tab, allowed):
    "Console errors and requests to other hosts, collected from now on."
    seen = []
    tab.on("console", lambda o: seen.append(o.text) if o.type == "error" else None)
    tab.on("pageerror", lambda o: seen.append(str(o)))
    tab.on("request", lambda o: None if o.url.startswith((allowed, "data:", "blob:")) else seen.append(o.url))
    return seen


def violations(axe, tab, **options):
    "What a page of the browser does wrong, trifles left out."
    found = axe.run(tab, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [(v["id"], [n["html"][:150] for n in v["nodes"][:3]]) for v in found if v["impact"] != "minor"]
