"The site: built once from the stored outputs, read as files, and opened in a browser where there is one."
import base64
import functools
import gc
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from itertools import groupby, pairwise
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pikepdf
import pytest
import yaml
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from course_dl.runner import page_name, split_directives
from course_dl.student import lesson_exercises, solution_code
from docs import lesson
from helpers import CHECKS, LESSONS, NOTEBOOKS, ROOT, SETTINGS, build_site, module_name, read, violations, watch
from translations import LANGUAGES

SITE = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
SIDEBAR = SITE["website"]["sidebar"]["contents"]
LISTED = [name for part in SIDEBAR for name in (part["contents"] if isinstance(part, dict) else [part])]
PAGES = [module_name(ROOT/"nbs"/name) for name in LISTED]
ANSWERS = [f"checks/{path.stem}" for path in CHECKS]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    html = folder/SETTINGS["doc_baseurl"].strip("/")
    build_site(html, "en")
    for language in LANGUAGES:
        build_site(folder/language, language)
        (folder/language).rename(html/language)
    return html


@pytest.fixture(scope="session")
def soups(site):
    pages = [page for folder in ("", "checks/", *(f"{language}/" for language in LANGUAGES))
             for page in site.glob(f"{folder}*.html")]
    gc.disable()  # millions of objects that stay, and are looked through again and again
    read = {page: BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser") for page in pages}
    gc.freeze()
    gc.enable()
    return read


@pytest.fixture(scope="session")
def anchors(soups): return {page: {tag["id"] for tag in soup.select("[id]")} for page, soup in soups.items()}


def dead_links(page, soup, anchors, site):
    "Links of a page to a file or an anchor that the site does not have."
    for a in soup.select("a[href]"):
        href, _, anchor = a["href"].partition("#")
        if re.match(r"\w+:|//", href): continue
        place = (page.parent/unquote(href)).resolve() if href else page
        if not place.exists() or not place.is_relative_to(site): yield a["href"]
        elif anchor and place in anchors and unquote(anchor) not in anchors[place]: yield a["href"]


def pictures_without_text(soup):
    "Sphinx gives the path where there is no text."
    images = soup.select("img:not(.logo__image)")
    return [image.get("src") for image in images if " " not in image.get("alt", "").strip()]


def foreign(soup):
    "What a browser would load from another host."
    tags = soup.select("script[src], img[src], iframe[src], source[src], video[src], link[href]")
    links = {tag for tag in tags if {"canonical", "alternate", "next", "prev"} & set(tag.get("rel", []))}
    urls = [tag.get("src") or tag.get("href") for tag in tags if tag not in links]
    code = [tag.text for tag in soup.find_all(["style", "script"]) if tag.get("type") != "application/json"]
    urls += [url for text in code for url in re.findall(r"(?:url\(|import )['\"]?(https?:[^'\")]+)", text)]
    return [url for url in urls if re.match(r"(https?:)?//", url)]


def headings_out_of_order(soup):
    levels = [int(o.name[1]) for o in soup.select("article :is(h1, h2, h3, h4, h5, h6)")]
    return levels[:1] != [1] or any(b > a+1 for a, b in pairwise(levels))


def test_every_notebook_has_its_page_in_order(site, soups):
    assert all((site/f"{page}.html").exists() for page in PAGES)
    links = [a["href"] for a in soups[site/"search.html"].select("nav.bd-docs-nav a")]
    assert [link for link in links if link.removesuffix(".html") in PAGES] == [f"{page}.html" for page in PAGES]
    assert {"api.html", "changelog.html", "contributing.html"} <= set(links)


def test_answers_are_linked_from_their_lesson_and_found_nowhere_else(site, soups):
    index = (site/"searchindex.js").read_text(encoding="utf-8")
    assert '"sgd"' in index and all(f'"{page}"' in index for page in ANSWERS)  # known, but without a word:
    assert '"Checks:' not in index
    links = {o.stem: {a["href"].partition("#")[0] for a in soup.select("a[href]")}
             for o, soup in soups.items() if o.parent == site}
    for page in ANSWERS:
        linked = {name for name, its in links.items() if f"{page}.html" in its}
        assert page.removeprefix("checks/") in linked and not linked & {"index", "search", "api"}, page


def test_every_link_and_anchor_resolves(site, soups, anchors):
    found = {page.name: list(dead_links(page, soup, anchors, site)) for page, soup in soups.items()}
    assert not {page: links for page, links in found.items() if links}


def test_every_picture_has_a_text(soups):
    assert not {page.name: images for page, soup in soups.items() if (images := pictures_without_text(soup))}


def test_nothing_is_loaded_from_another_host(site, soups):
    assert not {page.name: urls for page, soup in soups.items() if (urls := foreign(soup))}
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import )['\"]?(https?:)?//", path.read_text(encoding="utf-8")), path.name


def test_headings_are_in_order(soups):
    assert not [page.name for page, soup in soups.items() if page.stem != "search" and headings_out_of_order(soup)]


def test_a_broken_page_is_found(site, anchors):
    soup = BeautifulSoup("""<article><h1>a</h1><h3>b</h3></article>
        <a href="no.html">x</a><a href="index.html#no">y</a><a href="#no">z</a>
        <img src="a.png"><img src="b.png" alt="_images/b.png"><script src="https://example.org/a.js"></script>
        <style>@font-face{src: url("https://example.org/f")}</style>""", "html.parser")
    assert list(dead_links(site/"core.html", soup, anchors, site)) == ["no.html", "index.html#no", "#no"]
    assert pictures_without_text(soup) == ["a.png", "b.png"] and len(foreign(soup)) == 2 and headings_out_of_order(soup)


def test_site_and_pages_are_small(site, soups):
    beside = {*site.glob("slides/*"), *site.glob("*.epub"), *site.glob("*.pdf")}
    files = {o for o in site.rglob("*") if o.is_file() and o.suffix != ".map"}  # a reader's browser asks for no map
    for language in LANGUAGES:
        others = {o for o in files if site/language in o.parents}
        copied = {o.read_bytes() for o in files - others}  # the theme's own files, and the pictures
        assert sum(len(o.read_bytes()) for o in others if o.read_bytes() not in copied) < 2.5e6
        files -= others
    assert sum(o.stat().st_size for o in files - beside) < 25e6
    for page, soup in soups.items():
        own = {(page.parent/o["src"]).resolve() for o in soup.find_all("img") if not o["src"].startswith("data:")}
        assert page.stat().st_size + sum(o.stat().st_size for o in own) < 2e6, page.name


def test_lessons_show_code_and_hide_the_rest(site, soups):
    text = soups[site/"sgd.html"].find("article").text
    assert "def numerical_grad(" in text and "Afterwards you can" in text
    assert "default_exp" not in text and "#|" not in text and "google.colab" not in text
    page = soups[site/"sgd.html"]
    assert page.select("math") and page.find(id="numerical_grad")
    tools = {a.text.strip(): a["href"] for a in page.select(".page-tools a")}
    notebook = LISTED[PAGES.index("sgd")]
    assert tools["Open in Colab"].endswith(f"/blob/main/nbs/{notebook}")
    assert tools["Edit on GitHub"].endswith(f"/edit/main/nbs/{notebook}")


@pytest.mark.parametrize("page, notebook", [*zip(PAGES, LISTED, strict=True)])
def test_page_ends_with_what_its_outputs_were_made_with(site, soups, page, notebook):
    "No more than the notebook says."
    said = read(ROOT/"nbs"/notebook).metadata.get("last_run", {})
    shown = soups[site/f"{page}.html"].select_one(".last-run")
    assert bool(said) == bool(shown) and all(value in shown.text for value in said.values())


def test_what_a_cell_exports_can_be_linked_to_and_leads_to_the_api(site, soups):
    entry = soups[site/"sgd.html"].find(id="numerical_grad").find_parent("div", class_="cell-links")
    assert entry.select_one("a[href]")["href"] == "api.html#course_dl.sgd.numerical_grad"
    assert "def numerical_grad(" in entry.find_next("pre").text
    assert soups[site/"classifier.html"].find(id="basicoptim")  # as nbdev writes it
    links = [a for page in soups for a in soups[page].select(".cell-links") if "API:" in a.text]
    assert len(links) > 80 and all(len(o.select("a[href*='api.html#']")) == len(o.select("code")) > 0 for o in links)


def test_names_in_the_text_lead_to_the_api(site, soups):
    links = soups[site/"core.html"].select("article a[href='api.html#course_dl.core.seed_everything']")
    assert links and all(link.code for link in links if not link.find_parent(class_="cell-links"))
    for page in PAGES: assert "{py:obj}" not in soups[site/f"{page}.html"].text


def test_proofs_are_folded(site, soups):
    cells = [cell for name in LISTED for cell in read(ROOT/"nbs"/name).cells]
    shown = [cell for cell in cells if "hide" not in split_directives(cell.source)[0]]
    in_a_row = [proof for proof, _ in groupby("proof" in cell.metadata.get("tags", []) for cell in shown)]
    folds = [fold for page in PAGES for fold in soups[site/f"{page}.html"].select("details.proof")]
    assert len(folds) == sum(in_a_row) > 50  # those in a row are one
    assert all(fold.summary.text == "✓ checked" and fold.select_one("pre") for fold in folds)
    assert not any(fold.has_attr("open") for fold in folds)


def stored_picture(url):
    return Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))


def test_films_show_their_last_frame_and_a_link_that_plays_them(site, soups):
    films = [film for page, soup in soups.items() if page.parent.name not in LANGUAGES for film in soup.select(".film")]
    cells = [cell for path in (*NOTEBOOKS, *CHECKS) for cell in read(path).cells]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    pictures = [data["image/png"] for data in outputs if "image/png" in data]
    stored = [getattr(Image.open(io.BytesIO(base64.b64decode(picture))), "n_frames", 1) for picture in pictures]
    assert len(films) == sum(frames > 1 for frames in stored) >= 2
    for film in films:
        frames, still = stored_picture(film.a["href"]), stored_picture(film.img["src"])
        frames.seek(frames.n_frames-1)
        assert frames.n_frames > 1 and frames.convert("RGB").tobytes() == still.tobytes()
        assert frames.info["loop"] == 1  # and there it ends


def test_a_sharp_picture_is_drawn_at_the_size_it_was_made_for():
    "Of its two pixels for one; a picture without a size keeps its own."
    sharp = new_output("display_data", {"image/png": png()}, metadata={"image/png": dict(width=40, height=20)})
    plain = new_output("display_data", {"image/png": png()})
    cells = [new_code_cell("#| fig-alt: a line\nplot()", outputs=[output]) for output in (sharp, plain)]
    first, second = lesson.page(nbformat.writes(new_notebook(cells=cells)), "nbs/03_sgd.ipynb").cells
    assert first.metadata.mystnb.image == {"alt": "a line", "width": "40px"}
    assert second.metadata.mystnb.image == {"alt": "a line"}


def png(size=(80, 40)):
    Image.new("RGB", size).save(data := io.BytesIO(), "PNG")
    return base64.b64encode(data.getvalue()).decode()


def test_api_lists_every_exported_name(site, soups):
    "With a word on each."
    entries = soups[site/"api.html"].select("dt.sig[id]")
    shown = {dt["id"] for dt in entries if dt.find_next_sibling("dd").select_one("p")}
    for path in (ROOT/"course_dl").glob("[!_]*.py"):
        names = re.search(r"__all__ = \[(.*?)\]", path.read_text(encoding="utf-8"), re.S)[1]
        assert {f"course_dl.{path.stem}.{name}" for name in re.findall(r"'(\w+)'", names)} <= shown, path.name
    assert not any(".checks." in name for name in shown)


def test_api_links_to_the_code_that_defines_a_name(site, soups):
    entries = soups[site/"api.html"].select("dl:not(.data) > dt.sig[id]")
    links = [(dt["id"], link["href"]) for dt in entries for link in dt.select("a:has(.viewcode-link)")]
    assert len(links) == len(entries) > 100
    code = {}
    for page in {link.split("#")[0] for _, link in links}:
        soup = BeautifulSoup((site/page).read_text(encoding="utf-8"), "html.parser")
        code |= {(page, block["id"]): block.text for block in soup.find_all(class_="viewcode-block")}
    for name, link in links:
        head = code[tuple(link.split("#"))].split(":")[0]
        assert re.search(rf"\b{name.split('.')[-1]}\b", head), name


def test_every_page_has_a_description_and_the_picture_for_links(site, soups):
    described = {}
    for page in PAGES:
        tags = soups[site/f"{page}.html"].select("meta[content]")
        said = {o.get("property") or o.get("name"): o["content"] for o in tags}
        address, path = re.fullmatch(r"(https://.+?/course_dl/)(.+)", said["og:image"]).groups()
        assert Image.open(site/path).size == (1200, 630) and said["og:url"] == f"{address}{page}.html"
        described[page] = said["description"]
    assert all(len(text) > 40 for text in described.values()) and len(set(described.values())) == len(PAGES), described
    assert not any(re.search(r"[`{\]]", text) for text in described.values())


def test_sitemap_lists_the_pages_but_no_answers(site):
    pages = re.findall(r"<loc>https://[^/]+/course_dl/([^<]*)\.html</loc>", (site/"sitemap.xml").read_text())
    assert {f"{language}/{page}" for language in LANGUAGES for page in LANGUAGES[language]["pages"]} <= set(pages)
    assert set(PAGES) | {"api"} <= set(pages) and not {"404", "search"} & set(pages)
    assert not [page for page in pages if page.startswith(("checks/", "_"))]


def cells(soup):
    "Code and what came of it; a film apart from the words on its button."
    parts = [part for part in soup.select("article :is(.cell_input, .cell_output)")]
    words = [part.text for part in parts if not part.select_one(".film")]
    pictures = [image["src"].rpartition("/")[2] for part in parts for image in part.select("img")]
    return words, pictures, [script.text for script in soup.select("figure script")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_in_another_language_has_the_same_code_and_outputs_and_is_one_click_away(site, soups, language):
    for name in LANGUAGES[language]["pages"]:
        here, there = soups[site/f"{name}.html"], soups[site/language/f"{name}.html"]
        assert (here.html["lang"], there.html["lang"]) == ("en", language)
        assert cells(here) == cells(there) and sum(map(len, cells(here))) > 3
        assert there.select("article [lang=en] pre") and not there.select("article [lang=en] p")
        ids = [[section["id"] for section in soup.select("article section[id]")] for soup in (here, there)]
        assert ids[0] == ids[1]
        switches = [(a["href"], a["hreflang"], a.text) for soup in (here, there) for a in soup.select(".languages")[:1]]
        assert switches == [(f"{language}/{name}.html", language, LANGUAGES[language]["name"]),
                            (f"../{name}.html", "en", "English")]
        for soup in (here, there):
            alternates = {o["hreflang"]: o["href"] for o in soup.select("link[rel=alternate][hreflang]")}
            assert alternates["en"].endswith(f"_dl/{name}.html")
            assert alternates[language].endswith(f"_dl/{language}/{name}.html")
    assert not soups[site/"classifier.html"].select(".languages")
    index = (site/language/"searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in index for name in LANGUAGES[language]["pages"])


def test_one_changes_the_language_on_a_phone(tab, address):
    tab.goto(f"{address}/sgd.html")
    tab.locator(".languages:visible").click()
    assert tab.url == f"{address}/de/sgd.html" and tab.locator("h1").text_content().startswith("SGD von Grund auf")
    box = tab.locator(".languages:visible").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    tab.goto(f"{address}/de/search.html?q=Lernrate")
    tab.locator("#search-results li").first.wait_for()
    assert "sgd.html" in tab.locator("#search-results li a").first.get_attribute("href")


def test_a_figure_speaks_the_language_of_its_page(tab, address):
    for page in LANGUAGES["de"]["pages"]:
        told = []
        for folder in ("", "de/"):
            tab.goto(f"{address}/{folder}{page}.html")
            tab.locator(".cdl .say:not(:empty)").wait_for()
            told.append(set(tab.locator(".cdl :is(button, label, option, th, .say)").all_text_contents()))
        assert len(told[0]) == len(told[1]) > 5 and not told[0] & told[1]
    figure = tab.locator("[data-figure=one-step][lang=de]")
    figure.get_by_role("button", name="Ein Schritt").click()
    assert "a geht von 1,30 auf 1,95, der Verlust von 4,32" in figure.locator(".say").text_content()


def run_quarto(project, path):
    return subprocess.run([sys.executable, "-m", "docs.quarto"], capture_output=True, text=True, cwd=project,
                          env={**os.environ, "PATH": str(path), "PYTHONPATH": str(project)})


@pytest.fixture(scope="module")
def quarto(tmp_path_factory):
    "What Quarto is handed; a stand-in writes down what it is called with, and where."
    project = tmp_path_factory.mktemp("quarto")/"project"
    for name in ("nbs", "course_dl", "docs"):
        shutil.copytree(ROOT/name, project/name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    for name in ("settings.ini", "_quarto.yml", "README.md", "CONTRIBUTING.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy(ROOT/name, project)
    stub = project.parent/"bin"/"quarto"
    stub.parent.mkdir()
    stub.write_text('#!/bin/sh\necho "$PWD $@" >> "$0.log"\n')
    stub.chmod(0o755)
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    done = run_quarto(project, f"{stub.parent}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert (stub.parent/"quarto.log").read_text() == f"{project/'build/quarto'} render --no-cache\n"
    assert all(path.read_bytes() == content for path, content in before.items())  # README.md above all
    return project/"build"/"quarto"


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_quarto_is_handed_a_whole_project(quarto):
    assert {path.name for path in (quarto/"images").iterdir()} >= {"cover.png", "colab.svg", "favicon.svg"}
    site = yaml.safe_load((quarto/"_quarto.yml").read_text(encoding="utf-8"))
    assert site == SITE and site["website"]["repo-url"] == SETTINGS["git_url"]
    assert site["website"]["site-url"] == f"{SETTINGS['doc_host']}{SETTINGS['doc_baseurl']}/"
    html = site["format"]["html"]
    assert html["html-math-method"] == "mathml" and all("styles.scss" in layers for layers in html["theme"].values())
    assert "$web-font-path: false" in (quarto/"styles.scss").read_text()
    for path in quarto.glob("**/*.ipynb"):
        assert "output-file: " in read(path).cells[0].source, path
    assert yaml.safe_load((quarto/"checks/_metadata.yml").read_text()) == {"search": False}


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_quarto_is_handed_nothing_that_it_would_spoil(quarto):
    pages = {page_name(path) for path in quarto.glob("**/*.ipynb")}
    for path in quarto.glob("**/*.ipynb"):
        cells = read(path).cells
        shown = [output.data for cell in cells for output in cell.get("outputs", []) if "data" in output]
        text = "\n".join([cell.source for cell in cells if cell.cell_type == "markdown"]
                         + [data["text/markdown"] for data in shown if "text/markdown" in data])
        assert not re.search(r"!\[[^]]", text), path  # a description in brackets becomes a caption
        assert "colab-badge" not in text and "shields.io" not in text and "`_`](" not in text, path
        assert not re.search(r"course-dl\.github\.io(?!/course_dl/de/)", text), path
        assert not any("`](" in fence for fence in re.findall(r"```python.*?```", text, re.S)), path
        assert not any("text/html" in data for data in shown), path
        markdown = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)  # code calls f[key](value)
        for link in re.findall(r"\]\((?!\w+:|#)([^)#]+)", markdown):
            place = Path(os.path.abspath(path.parent/link))
            assert place.exists() or place.relative_to(quarto).with_suffix("").as_posix() in pages, (path, link)
    text = (quarto/"02_similarity.ipynb").read_text(encoding="utf-8")
    assert "show_doc(" in text and "Exported source" in text and 'code-summary: \\"✓ checked' in text
    assert "```{=html}" in (quarto/"20_results.ipynb").read_text(encoding="utf-8")


def test_without_quarto_make_quarto_says_so(tmp_path):
    done = run_quarto(ROOT, tmp_path)
    assert done.returncode == 1 and "quarto is missing" in done.stderr


def test_plain_nbdev_docs_stops_before_it_writes_over_anything():
    "Each of its ways to write starts with the filter that this name stops."
    from nbdev.processors import FilterDefaults
    with pytest.raises(ModuleNotFoundError, match="make_quarto"): FilterDefaults().procs()


class Handler(http.server.SimpleHTTPRequestHandler):
    "Serves the site as GitHub Pages does: in a folder, and with its own page for what is not there."
    def log_message(self, *_): pass

    def send_error(self, code, *_):
        self.send_response(code)
        self.end_headers()
        self.wfile.write(Path(self.directory, SETTINGS["doc_baseurl"].strip("/"), "404.html").read_bytes())


@pytest.fixture(scope="session")
def address(site):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=site.parent)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{SETTINGS['doc_baseurl']}"
        server.shutdown()


STRETCHED = """() => [...document.querySelectorAll("article img")].filter(o => o.clientWidth &&
    Math.abs(o.clientWidth/o.clientHeight / (o.naturalWidth/o.naturalHeight) - 1) > .05).map(o => o.alt)"""


LONG_LINES = """() => {
    const cells = [...document.querySelectorAll(".cell_input pre")].filter(o => o.checkVisibility());
    const scrolls = pre => pre.scrollWidth > pre.clientWidth;
    const short = cells.filter(pre => pre.textContent.split("\\n").every(line => line.length <= 88));
    const found = cells.filter(scrolls);
    if (innerWidth < 1280) return found.map(pre => pre.textContent);
    for (const pre of short) pre.style.whiteSpace = "pre"; // do they fit as they are?
    return [...found, ...short.filter(scrolls)].map(pre => pre.textContent); }"""


def test_pages_load_quietly_and_suit_every_width(tab, site, soups, address):
    """A phone has small pictures in their shape; at 1,280 pixels, both sidebars in sight, a line of code has room for
    88 characters; there and on a tablet no code scrolls sideways."""
    seen, wrong = watch(tab, address), {}
    for path in sorted(soups):
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.goto(f"{address}/{path.relative_to(site).as_posix()}")
        found = ["wide"]*tab.evaluate("document.documentElement.scrollWidth > innerWidth") + tab.evaluate(STRETCHED)
        for width in (768, 1280):
            tab.set_viewport_size({"width": width, "height": 800})
            found += tab.evaluate(LONG_LINES)
        if found: wrong[path.relative_to(site)] = found
    assert not seen and not wrong


def test_a_formula_too_wide_for_a_phone_scrolls_by_key(tab, site):
    tab.goto((site/"similarity.html").as_uri())
    tab.locator("math[tabindex='0']").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.activeElement.scrollLeft > 0")
    tab.set_viewport_size({"width": 1280, "height": 800})  # where it fits, one need not stop there
    tab.wait_for_function("!document.querySelector('math[tabindex=\"0\"]')")


def test_what_is_not_there_has_a_page_from_which_one_gets_on(tab, address):
    tab.goto(f"{address}/no/such/page.html")
    assert tab.locator("article img").evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0
    assert tab.evaluate("getComputedStyle(document.body).fontFamily").startswith("system-ui")  # styles have come, too
    tab.locator("article").get_by_role("link", name="The first page").click()
    assert tab.url == f"{address}/index.html"


def test_on_a_phone_code_wraps_and_a_comment_goes_below(tab, site):
    "A parameter keeps its line; what it means stands below where there is no room beside it."
    tab.goto((site/"similarity.html").as_uri())
    tab.evaluate("for (const o of document.querySelectorAll('details')) o.open = true")
    codes = tab.locator(".cell_input pre")
    assert codes.count() > 20 and codes.evaluate_all("all => all.every(o => o.scrollWidth <= o.clientWidth)")
    boxes = codes.locator(".c1").evaluate_all(
        "all => all.map(o => o.getBoundingClientRect()).map(o => [o.left, o.right])")
    assert all(0 < left and right <= 390 for left, right in boxes)
    assert min(boxes)[0] < 60 < 100 < max(boxes)[0]  # below the code, and beside it


def test_the_table_of_lessons_is_in_sight_on_a_phone(tab, address):
    tab.goto(f"{address}/index.html")
    cells = tab.locator("#lessons td").all()
    assert len(cells) == 3*len(LESSONS)
    assert all(o.bounding_box()["x"] + o.bounding_box()["width"] <= 390 for o in cells)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_verdict_on_a_claim_is_in_sight(tab, site, width):
    "The rest of the table may lie to the right."
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto((site/"results.html").as_uri())
    table = tab.locator("#the-claims .cell_output").first
    verdict, place = table.get_by_text("verdict").bounding_box(), table.bounding_box()
    assert verdict["x"] + verdict["width"] <= place["x"] + place["width"]


def test_page_works_from_a_file(tab, site):
    seen = watch(tab, "file://")
    tab.goto((site/"similarity.html").as_uri())
    assert tab.locator("article h1").is_visible() and not seen


def test_a_line_of_code_holds_88_characters_and_a_longer_one_wraps(tab, site):
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.goto((site/"sgd.html").as_uri())
    assert tab.locator(".bd-sidebar-secondary").is_visible()
    first = tab.locator(".cell_input pre").first
    def wraps(count):
        first.evaluate(f"pre => {{ pre.textContent = '#'.repeat({count}) }}")
        assert first.evaluate("pre => pre.scrollWidth <= pre.clientWidth")
        return first.bounding_box()["height"] > 60
    assert not wraps(88) and wraps(120)


def test_code_of_which_only_the_result_matters_is_folded_and_the_result_is_not(site, soups):
    folds = [fold for page in PAGES for fold in soups[site/f"{page}.html"].select("details.plot")]
    assert folds
    for fold in folds:
        assert fold.select_one("pre") and not fold.select_one(".cell_output")
        assert fold.find_next_sibling("div", class_="cell").select_one(".cell_output")


def test_a_proof_opens_by_key_and_in_print(tab, site):
    tab.goto((site/"sgd.html").as_uri())
    proof = tab.locator("details.proof").first
    assert not proof.locator("pre").first.is_visible()
    tab.emulate_media(media="print")
    assert proof.locator("pre").first.is_visible()
    tab.emulate_media(media="screen")
    proof.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert proof.locator("pre").first.is_visible()


def test_a_lesson_prints_to_its_end(tab, site, tmp_path):
    "Each heading once, and further down than the one before it."
    tab.goto((site/"similarity.html").as_uri())
    tab.pdf(path=tmp_path/"page.pdf", format="A4", outline=True, tagged=True)
    with pikepdf.open(tmp_path/"page.pdf") as pdf:
        numbers = {page.objgen: number for number, page in enumerate(pdf.pages)}
        with pdf.open_outline() as outline: printed = [*flat(outline.root)]
        places = [(numbers[o.destination[0].objgen], -o.destination[3]) for o in printed]
    headings = tab.locator("article :is(h1, h2, h3)").all_text_contents()
    assert [o.title for o in printed] == [heading.rstrip("#") for heading in headings]
    assert all(above < below for above, below in pairwise(places))


def flat(outline):
    "Entries of a PDF's outline, in order."
    for entry in outline: yield from (entry, *flat(entry.children))


def test_a_film_plays_when_asked_and_again(tab, site):
    expect = pytest.importorskip("playwright.sync_api").expect
    tab.goto((site/"sgd.html").as_uri())
    film = tab.locator(".film").first
    shown = film.locator("img")
    for label in ("▶ Play", "↻ Play again"):
        before = shown.get_attribute("src")
        film.get_by_role("button", name=label).click()
        expect(shown).not_to_have_attribute("src", before)  # read from the page before it plays
        film.get_by_role("button", name="↻ Play again").wait_for()
        assert shown.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 0


def hits(tab, address, words):
    "Pages that a search finds, in order."
    tab.goto(f"{address}/search.html?q={words}")
    tab.locator(".search-summary", has_text=re.compile("found|not match")).wait_for(timeout=10_000)
    tab.wait_for_timeout(500)  # results come in one by one
    links = tab.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    return list(dict.fromkeys(re.split(r"\.html", link)[0] for link in links))


@pytest.mark.parametrize("words, lesson", [("broadcasting", "similarity"), ("momentum", "classifier")])
def test_search_finds_the_lesson_first_and_no_answers(tab, address, words, lesson):
    found = hits(tab, address, words)
    assert lesson in found and not set(found) & set(ANSWERS)
    places = {"glossary": 1, "teaching": 1, "api": 2}
    rank = [places.get(page, 0 if page in PAGES else 3) for page in found]
    assert len(set(rank)) > 1 and rank == sorted(rank), found


def test_search_answers_while_typing(tab, site):
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.goto((site/"index.html").as_uri())
    tab.keyboard.press("Control+k")
    tab.keyboard.type("broadcasting", delay=20)
    tab.locator("dialog a[href*='similarity.html']").first.wait_for(timeout=10_000)


def test_dark_mode_switches(tab, address):
    tab.set_viewport_size({"width": 1200, "height": 800})
    tab.goto(f"{address}/index.html")
    def ground(): return tab.evaluate("getComputedStyle(document.body).backgroundColor")
    light = ground()
    tab.emulate_media(color_scheme="dark")  # what the system asks for
    tab.reload()
    assert ground() != light
    tab.locator("button.theme-switch-button:visible").first.click()
    tab.locator("button.theme-change-button[data-mode=light]:visible").first.click()
    assert ground() == light


# Of all tokens of one kind in the code of a page, the first stands for the others: contrast takes its time.
FEWER = """left_out => { const seen = new Set();
    for (const o of document.querySelectorAll(left_out)) o.remove();
    for (const o of document.querySelectorAll("pre span[class]")) {
        const kind = o.className + o.closest("pre").parentElement.parentElement.className;
        if (seen.has(kind)) o.replaceWith(o.textContent); else seen.add(kind); } }"""


# Of each kind of entry in a module of the API, those after the first; and terms of the glossary after the 25th.
ALIKE = ".function ~ .function, .class ~ .class, .method ~ .method, article section section:nth-of-type(n+26)"


def barriers(tab, address, pages, left_out="none"):
    "All rules in the light; in the dark the one that colors can break, on a phone the one that width can."
    axe, found = pytest.importorskip("axe_playwright_python.sync_playwright").Axe(), {}
    tab.emulate_media(reduced_motion="reduce")  # no color is caught halfway
    for page in pages:
        tab.set_viewport_size({"width": 390, "height": 844})
        tab.goto(f"{address}/{page}")  # where it loads, the theme looks which tables scroll; later it takes its time
        tab.evaluate(FEWER, left_out)
        found[page, "phone"] = violations(axe, tab, runOnly=["scrollable-region-focusable"])
        tab.set_viewport_size({"width": 1200, "height": 800})
        found[page, "light"] = violations(axe, tab)
        tab.evaluate("document.documentElement.dataset.theme = 'dark'")
        found[page, "dark"] = violations(axe, tab, runOnly=["color-contrast"])
    return {page: o for page, o in found.items() if o}


def test_a_page_of_each_kind_is_accessible_in_both_themes(tab, address):
    kinds = "index", "similarity", "results", "glossary", "ladder", "api", "core", "404", "checks/sgd", "de/index"
    assert not barriers(tab, address, [f"{page}.html" for page in kinds], ALIKE)


@pytest.mark.slow
@pytest.mark.timeout(900)  # minutes on a busy machine
def test_every_page_is_accessible_in_both_themes(tab, site, soups, address):
    assert not barriers(tab, address, [path.relative_to(site).as_posix() for path in sorted(soups)])


def test_an_inaccessible_page_is_found(tab):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    tab.set_content("<html lang=en><title>a</title><main><h1>b</h1><img src=c.png>"
                    "<p style='color: #aaa; background: #fff'>pale on white</p></main></html>")
    assert {o for o, _ in violations(axe, tab)} == {"image-alt", "color-contrast"}


def test_exercises_show_task_stub_check_and_a_solution_that_opens(tab, site, soups, address):
    "The same tasks in the same order as in the notebook, folded solutions, and what a check says to a stub."
    for path in LESSONS:
        nb = read(path)
        part = soups[site/f"{module_name(path)}.html"].select_one("section#exercises")
        tasks = lesson_exercises(nb)
        titles = [h3.text.rstrip("#").split(". ", 1)[1].replace("’", "'") for h3 in part.select("h3")]
        assert titles == [task["title"] for task in tasks], path.name
        folds = part.select("details:not(.setup, .proof, .plot)")
        solutions = ["\n\n".join(pre.text.strip() for pre in fold.select("pre")) for fold in folds]
        assert solutions == [solution_code(nb.cells[task["solution"]].source) for task in tasks], path.name
        assert part.text.count("○ ") == len(tasks), path.name
    tab.goto(f"{address}/similarity.html")
    solution = tab.locator("#exercises details:not(.setup, .proof, .plot)").first
    code = solution.locator("pre").first
    assert not code.is_visible()
    solution.locator("summary").click()
    assert code.is_visible() and solution.get_attribute("open") is not None
