"The site: built once from the stored outputs, read as files, and opened in a browser where there is one."
import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import LESSONS, ROOT, read
from course_dl.exercises import lesson_exercises, solution_code

SITE = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
LISTED = [page for o in SITE["website"]["sidebar"]["contents"] for page in (o["contents"] if isinstance(o, dict) else [o])]
PAGES = [re.sub(r"^\d+_", "", o).removesuffix(".ipynb") for o in LISTED]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")/"_docs"
    path = ":".join(o for o in os.environ["PATH"].split(":") if not (Path(o)/"quarto").exists())
    done = subprocess.run([sys.executable, ROOT/"docs"/"build.py", out], capture_output=True, text=True, env={**os.environ, "PATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def soups(site): return {o: BeautifulSoup(o.read_text(encoding="utf-8"), "html.parser") for o in site.rglob("*.html")}


@pytest.fixture(scope="session")
def anchors(soups): return {page: {o["id"] for o in soup.select("[id]")} for page, soup in soups.items()}


def dead_links(page, soup, anchors, site):
    "Links of a page to a file or an anchor that the site does not have."
    for a in soup.select("a[href]"):
        href, _, anchor = a["href"].partition("#")
        if re.match(r"\w+:|//", href): continue
        place = (page.parent/unquote(href)).resolve() if href else page
        if not place.exists() or not place.is_relative_to(site): yield a["href"]
        elif anchor and place in anchors and unquote(anchor) not in anchors[place]: yield a["href"]


def pictures_without_text(soup): return [o.get("src") for o in soup.find_all("img") if " " not in o.get("alt", "").strip()]  # Sphinx gives the path otherwise


def foreign(soup):
    "What a browser would load from another host."
    tags = [(o, o.get("src") or o.get("href")) for o in soup.select("script[src], img[src], iframe[src], source[src], video[src], link[href]")]
    urls = [url for o, url in tags if o.name != "link" or not {"canonical", "next", "prev"} & set(o.get("rel", []))]
    inline = [url for o in soup.find_all(["style", "script"]) if o.get("type") != "application/json" for url in re.findall(r"(?:url\(|import )['\"]?(https?:[^'\")]+)", o.text)]
    return [o for o in urls + inline if re.match(r"(https?:)?//", o)]


def headings_out_of_order(soup):
    levels = [int(o.name[1]) for o in soup.select("article :is(h1, h2, h3, h4, h5, h6)")]
    return levels[:1] != [1] or any(b > a+1 for a, b in zip(levels, levels[1:]))


def test_every_notebook_has_its_page_in_order(site, soups):
    assert all((site/f"{o}.html").exists() for o in PAGES)
    links = [o["href"] for o in soups[site/"search.html"].select("nav.bd-docs-nav a")]
    assert [o for o in links if o.removesuffix(".html") in PAGES] == [f"{o}.html" for o in PAGES]
    assert {"api.html", "changelog.html", "contributing.html"} <= set(links)


def test_every_link_and_anchor_resolves(site, soups, anchors):
    assert not {page.name: dead for page, soup in soups.items() if (dead := list(dead_links(page, soup, anchors, site)))}


def test_every_picture_has_a_text(soups): assert not {page.name: o for page, soup in soups.items() if (o := pictures_without_text(soup))}


def test_nothing_is_loaded_from_another_host(site, soups):
    assert not {page.name: o for page, soup in soups.items() if (o := foreign(soup))}
    for o in site.rglob("*.css"): assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", o.read_text(encoding="utf-8")), o.name


def test_headings_are_in_order(soups): assert not [page.name for page, soup in soups.items() if page.stem != "search" and headings_out_of_order(soup)]


def test_a_broken_page_is_found(site, anchors):
    soup = BeautifulSoup("""<article><h1>a</h1><h3>b</h3></article><a href="no.html">x</a><a href="index.html#no">y</a><a href="#no">z</a>
        <img src="a.png"><img src="b.png" alt="_images/b.png"><script src="https://example.org/a.js"></script><style>@font-face{src: url("https://example.org/f")}</style>""", "html.parser")
    assert list(dead_links(site/"core.html", soup, anchors, site)) == ["no.html", "index.html#no", "#no"]
    assert pictures_without_text(soup) == ["a.png", "b.png"] and len(foreign(soup)) == 2 and headings_out_of_order(soup)


def test_site_and_pages_are_small(site, soups):
    assert sum(o.stat().st_size for o in site.rglob("*") if o.is_file()) < 25e6
    for page, soup in soups.items():
        own = {(page.parent/o["src"]).resolve() for o in soup.find_all("img") if not o["src"].startswith("data:")}
        assert page.stat().st_size + sum(o.stat().st_size for o in own) < 2e6, page.name


def test_lessons_show_code_and_hide_the_rest(site, soups):
    text = soups[site/"sgd.html"].find("article").text
    assert "def numerical_grad(" in text and "Afterwards you can" in text
    assert "default_exp" not in text and "#|" not in text and "google.colab" not in text
    page = soups[site/"sgd.html"]
    assert page.select("math") and page.find(id="numerical_grad")
    assert {"Open in Colab", "Download notebook", "Edit on GitHub"} <= {o.text.strip() for o in page.select(".page-tools a")}


@pytest.mark.parametrize("page, notebook", [*zip(PAGES, LISTED)])
def test_page_ends_with_what_its_outputs_were_made_with(site, soups, page, notebook):
    "No more than the notebook says."
    said, shown = read(ROOT/"nbs"/notebook).metadata.get("last_run", {}), soups[site/f"{page}.html"].select_one(".last-run")
    assert bool(said) == bool(shown) and all(o in shown.text for o in said.values())


def test_api_lists_every_exported_name(site, soups):
    "With a word on each."
    shown = {dt["id"] for dt in soups[site/"api.html"].select("dt.sig[id]") if dt.find_next_sibling("dd").select_one("p")}
    for o in (ROOT/"course_dl").glob("[!_]*.py"):
        names = re.search(r"__all__ = \[(.*?)\]", o.read_text(encoding="utf-8"), re.S)[1]
        assert {f"course_dl.{o.stem}.{name}" for name in re.findall(r"'(\w+)'", names)} <= shown, o.name


def test_api_links_to_the_line_that_defines_a_name(site, soups):
    entries = [(dt["id"], link["href"]) for dt in soups[site/"api.html"].select("dl:not(.data) > dt.sig[id]") for link in dt.select("a:has(.viewcode-link)")]
    assert len(entries) == len(soups[site/"api.html"].select("dl:not(.data) > dt.sig[id]")) > 100
    for name, link in entries:
        module, line = re.search(r"course_dl/(\w+)\.py#L(\d+)$", link).groups()
        code = "\n".join((ROOT/"course_dl"/f"{module}.py").read_text(encoding="utf-8").splitlines()[int(line)-1:])
        assert name.split(".")[1] == module and re.match(rf"(\s*@.+\n)*\s*(def|class) {name.split('.')[-1]}\b", code), name


def test_quarto_is_handed_a_whole_project(tmp_path):
    "A stand-in for Quarto writes down what it is called with, and where."
    project, stub = tmp_path/"project", tmp_path/"bin"/"quarto"
    for o in ("nbs", "course_dl", "docs"): shutil.copytree(ROOT/o, project/o, symlinks=True, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for o in ("settings.ini", "_quarto.yml", "README.md"): shutil.copy(ROOT/o, project)
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\necho "$PWD $@" >> "$0.log"\nmkdir -p _docs && touch _docs/index.html\n')
    stub.chmod(0o755)
    done = subprocess.run([sys.executable, project/"docs"/"build.py"], capture_output=True, text=True,
                          env={**os.environ, "PATH": f"{stub.parent}:{os.environ['PATH']}", "PYTHONPATH": str(project)})
    assert done.returncode == 0, done.stderr
    assert (stub.parent/"quarto.log").read_text() == f"{project/'_proc'} render --no-cache\n"
    assert {*LISTED, "_quarto.yml", "nbdev.yml", "images"} <= {o.name for o in (project/"_proc").iterdir()}
    assert (project/"_docs"/"index.html").exists() and (project/"README.md").read_text() == (ROOT/"README.md").read_text()
    text = (project/"_proc"/"02_similarity.ipynb").read_text()
    assert "output-file: " in text and "show_doc(" in text and "Open in Colab" in text


@pytest.fixture(scope="session")
def browser():
    if not CHROMIUM: pytest.skip("no Chromium: on Debian, apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass


@pytest.fixture(scope="session")
def address(site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def tab(browser):
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="light") as context: yield context.new_page()


def watch(tab, allowed):
    "Console errors and requests to other hosts, collected from now on."
    seen = []
    tab.on("console", lambda o: seen.append(o.text) if o.type == "error" else None)
    tab.on("pageerror", lambda o: seen.append(str(o)))
    tab.on("request", lambda o: None if o.url.startswith((allowed, "data:", "blob:")) else seen.append(o.url))
    return seen


def test_pages_load_quietly_and_fit_a_phone(tab, site, address):
    seen, wide = watch(tab, address), []
    for o in sorted(site.glob("*.html")):
        tab.goto(f"{address}/{o.name}")
        if tab.evaluate("document.documentElement.scrollWidth > innerWidth"): wide.append(o.name)
    assert not seen and not wide


def test_lessons_and_their_badges_are_in_sight_on_a_phone(tab, address):
    tab.goto(f"{address}/index.html")
    cells = tab.locator("article table:has(img) td").all()
    assert len(cells) == 3*len(LESSONS)
    assert all(o.bounding_box()["x"] + o.bounding_box()["width"] <= 390 for o in cells)


def test_page_works_from_a_file(tab, site):
    seen = watch(tab, "file://")
    tab.goto((site/"similarity.html").as_uri())
    assert tab.locator("article h1").is_visible() and not seen


def test_search_finds_the_lesson(tab, address):
    tab.goto(f"{address}/search.html?q=broadcasting")
    tab.locator("#search-results li a[href^='similarity.html']").first.wait_for(timeout=10_000)


def test_search_answers_while_typing(tab, site):
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.goto((site/"index.html").as_uri())
    tab.keyboard.press("Control+k")
    tab.keyboard.type("broadcasting", delay=20)
    tab.locator("dialog a[href*='similarity.html']").first.wait_for(timeout=10_000)


def test_dark_mode_switches(tab, address):
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.goto(f"{address}/index.html")
    ground = lambda: tab.evaluate("getComputedStyle(document.body).backgroundColor")
    light = ground()
    tab.emulate_media(color_scheme="dark")  # what the system asks for
    tab.reload()
    assert ground() != light
    tab.locator("button.theme-switch-button:visible").first.click()
    tab.locator("button.theme-change-button[data-mode=light]:visible").first.click()
    assert ground() == light


# Of all tokens of one kind in the code of a page, the first stands for the others: contrast takes its time.
FEWER_TOKENS = """() => { const seen = new Set();
    for (const o of document.querySelectorAll("pre span[class]")) {
        const kind = o.className + o.closest("pre").parentElement.parentElement.className;
        if (seen.has(kind)) o.replaceWith(o.textContent); else seen.add(kind); } }"""


def violations(axe, tab, **options):
    "What a page of the browser does wrong, trifles left out."
    found = axe.run(tab, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [(v["id"], [n["html"][:150] for n in v["nodes"][:3]]) for v in found if v["impact"] != "minor"]


@pytest.mark.timeout(900)  # minutes on a busy machine
def test_pages_are_accessible_in_both_themes(tab, site, address):
    "All rules in the light; in the dark the one that colors can break."
    axe, found = pytest.importorskip("axe_playwright_python.sync_playwright").Axe(), {}
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.emulate_media(reduced_motion="reduce")  # no color is caught halfway
    for o in sorted(site.glob("*.html")):
        tab.goto(f"{address}/{o.name}")
        tab.evaluate(FEWER_TOKENS)
        found[o.stem, "light"] = violations(axe, tab)
        tab.evaluate("document.documentElement.dataset.theme = 'dark'")
        found[o.stem, "dark"] = violations(axe, tab, runOnly=["color-contrast"])
    assert not {page: o for page, o in found.items() if o}


def test_an_inaccessible_page_is_found(tab):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.set_content("<html lang=en><title>a</title><main><h1>b</h1><img src=c.png><p style='color: #aaa; background: #fff'>pale on white</p></main></html>")
    assert {o for o, _ in violations(axe, tab)} == {"image-alt", "color-contrast"}


def test_exercises_show_task_stub_check_and_a_solution_that_opens(tab, site, soups, address):
    "On the page as in the notebook: the same tasks in the same order, folded solutions, and what a check says to a stub."
    lessons = [(page, o) for page, o in zip(PAGES, LISTED) if o in {lesson.name for lesson in LESSONS}]
    for page, o in lessons:
        nb = read(ROOT/"nbs"/o)
        part = soups[site/f"{page}.html"].select_one("section#exercises")
        parts = lesson_exercises(nb)
        assert [h.text.rstrip("#").split(". ", 1)[1].replace("’", "'") for h in part.select("h3")] == [e["title"] for e in parts], o
        assert ["\n\n".join(pre.text.strip() for pre in d.select("pre")) for d in part.select("details")] == [solution_code(nb.cells[e["solution"]].source) for e in parts], o
        assert part.text.count("○ ") == len(parts), o
    tab.goto(f"{address}/similarity.html")
    solution = tab.locator("#exercises details").first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible() and solution.get_attribute("open") is not None
