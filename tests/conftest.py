"Before the tests, and after them."
import gc
import os

import pytest

from docs.browser import chromium
from helpers import CHECKS, NOTEBOOKS

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that wait must not spin
gc.set_threshold(100_000, 50, 100)  # a million objects stay to the end: seldom look through them
os.environ.pop("COURSE_DL_LANGUAGE", None)  # the tests read English


def pytest_collection_modifyitems(items):
    "The files that take longest come first."
    first = "test_site", "test_exercises", "test_figures"
    items.sort(key=lambda item: (*first, item.path.stem).index(item.path.stem))


@pytest.fixture(params=[*NOTEBOOKS, *CHECKS], ids=lambda path: f"{path.parent.name}-{path.stem}")
def notebook(request): return request.param


@pytest.fixture(scope="session")
def browser():
    if not chromium(): pytest.skip("no Chromium: on Debian, apt-get install chromium-headless-shell")
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
