"Before the tests, and after them."
import os

import pytest

from docs.browser import chromium
from helpers import CHECKS, NOTEBOOKS

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin
os.environ.pop("COURSE_DL_LANGUAGE", None)  # the tests read English


@pytest.fixture(params=[*NOTEBOOKS, *CHECKS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def notebook(request): return request.param


@pytest.fixture(scope="session")
def browser():
    if not chromium(): pytest.skip("no Chromium: on Debian, apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=quiet)
        yield browser
        browser.close()


@pytest.fixture
def tab(browser):
    phone = {"width": 390, "height": 844}
    with browser.new_context(viewport=phone, color_scheme="light") as context: yield context.new_page()


def pytest_terminal_summary(terminalreporter):
    "The table of the exercises that were proven, and what their wrong answers are told."
    passed = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    rows = [row for report in passed for name, found in report.user_properties if name == "proven" for row in found]
    if not rows: return
    exercises = {(lesson, name) for lesson, name, _ in rows}
    terminalreporter.section(f"{len(exercises)} exercises proven both ways, {len(rows)} wrong answers told apart")
    for lesson, name, message in rows: terminalreporter.write_line(f"{lesson:15}{name:22}{message}")
