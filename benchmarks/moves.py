"The work for one move of every figure, in Chromium, held against a frame of the screen."
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from nbformat.v4 import new_code_cell, new_output

from course_dl import figures
from runner import Row

ROOT, FRAME = Path(__file__).parent.parent, 0.016
sys.path.append(str(ROOT))  # for the site's reader of notebooks
from docs.browser import chromium  # noqa: E402
from docs.lesson import show_figures  # noqa: E402

MOVED = {"draw": "shift", "one-step": "a", "two-scales": "w", "line-map": "w", "garment": "shift", "one-cycle": "warm",
         "points": "seed"}  # for each figure, a part of its state that a move changes
MOVE = """async ([kind, key, n]) => {
    const {model} = document.querySelector(`[data-figure=${kind}]`), old = model.get("state");
    for (let i = 0; i < n; i++) {
        model.set("state", {...old, [key]: key === "shift" ? [i%5, 0] : old[key] + i/200});
        await new Promise(requestAnimationFrame);
    }
    model.set("state", old); }"""


def figures_page(
    folder:Path, # where to write it
)->Path: # the page
    "Every figure, as the site shows it."
    cells = [new_code_cell("#| fig-alt: A still.", outputs=[new_output("display_data", figures.figure(kind)._stored())])
             for kind in figures._kinds]
    show_figures(cells)
    shown = "".join(cell.outputs[0].data["text/html"] for cell in cells)
    css, path = (ROOT/"docs/_static/site.css").read_text(encoding="utf-8"), folder/"page.html"
    path.write_text("<!doctype html><html lang=en><meta charset=utf-8><title>Figures</title>"
                    f"<style>{css} body {{ margin: 16px }}</style><main class=bd-content><h1>Figures</h1>"
                    f"<div class=cell_output>{shown}</div></main>",
                    encoding="utf-8")
    return path


def seconds_a_move(
    tab,      # a page of Chromium with the figures
    kind:str, # of the figure
    n:int=50, # how many moves, each with a frame of its own
)->float: # mean over the moves
    "All that the page's thread does for a move, style and layout included, in seconds of CPU."
    client = tab.context.new_cdp_session(tab)
    client.send("Performance.enable", {"timeDomain": "threadTicks"})
    def busy(): return {o["name"]: o["value"] for o in client.send("Performance.getMetrics")["metrics"]}["TaskDuration"]
    tab.evaluate(MOVE, [kind, MOVED[kind], 5])
    before = busy()
    tab.evaluate(MOVE, [kind, MOVED[kind], n])
    return (busy() - before)/n


def move_rows(
    rounds:int, # how often each figure is moved fifty times
): # a row for each figure; none without Chromium
    if not chromium(): return
    from playwright.sync_api import sync_playwright
    with TemporaryDirectory() as folder, sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 800, "height": 900})
        tab.goto(figures_page(Path(folder)).as_uri())
        for kind in figures._kinds:
            found = [seconds_a_move(tab, kind) for _ in range(rounds)]
            yield Row(f"a move in the figure `{kind}`", {}, "a frame", 1,
                      seconds={"this course": found, "a frame": [FRAME]*rounds})
        browser.close()
