"nbdev's own route to the site, for those who have Quarto: processed notebooks in build/quarto, pages in its _docs."
import os
import re
import shutil
import subprocess

from execnb.nbio import read_nb, write_nb
from nbdev.doclinks import NbdevLookup
from nbdev.processors import FilterDefaults

from course_dl.runner import folded
from docs.lesson import BLOB, COLAB, ROOT, SETTINGS, show_figures

NBS, OUT = ROOT/"nbs", ROOT/"build"/"quarto"
SITE = f"{SETTINGS['doc_host']}{SETTINGS['doc_baseurl']}/"


def for_quarto(text, path):
    "Markdown whose badge is here, whose links lead to a page or to GitHub, and whose descriptions are no captions."
    out, top = "../"*path.count("/"), "../"*(path.count("/")-1)
    text = text.replace(COLAB, f"{top}images/colab.svg").replace(f"]({out}", f"]({BLOB}/")
    text = re.sub(rf"\[(`[^`]+`)\]\({SITE}checks/[^)]*\)", r"\1", text)  # nbdev takes `_` for a mistake of that name
    text = re.sub(rf"\]\({SITE}(?!de/)", f"]({top}", text)  # pages in German are on the other site alone
    return re.sub(r'!\[([^]"]+)\]\(([^)]+)\)', r'![](\2){fig-alt="\1"}', text)


def hand_over(path):
    "Process a notebook as nbdev does, with exported code in sight; what Quarto would spoil is repaired."
    name, nb = path.relative_to(ROOT).as_posix(), read_nb(path)
    nb.cells = [cell for cell in nb.cells if "hide" not in cell.metadata.get("tags", [])]
    for cell in nb.cells: cell.source = re.sub(r"^#\|\s*exporti?\s*$", "#| exports", cell.source, flags=re.M)
    show_figures(nb.cells)
    processor = FilterDefaults().nb_proc(nb)
    for cell in nb.cells:  # nbdev runs what is exported, and would run all other imports, too
        if not cell.directives_.keys() & {"exports", "exec_doc"}: cell.directives_["eval:"] = ["false"]
    processor.process()
    for cell in nb.cells:
        if cell.cell_type == "markdown": cell.source = for_quarto(cell.source, name)
        for tag in folded.keys() & set(cell.metadata.get("tags", [])):
            title = "" if cell.source.startswith("#| code-summary") else f'#| code-summary: "{folded[tag]}"\n'
            cell.source = f"#| code-fold: true\n{title}{cell.source}"
        for data in (output.data for output in cell.get("outputs", []) if "data" in output):
            if html := data.pop("text/html", None):  # as a raw block, for which Quarto loads no scripts
                data["text/markdown"] = f"```{{=html}}\n{''.join(html)}\n```"
            elif shown := data.get("text/markdown"):  # of show_doc, where nbdev links names in code too
                bare = re.sub(rf"\[(`[^`]+`)\]\({SITE}[^)]*\)", r"\1", "".join(shown))
                data["text/markdown"] = for_quarto(NbdevLookup().linkify(bare), name)
    write_nb(nb, OUT/path.relative_to(NBS))


def main():
    if not shutil.which("quarto"): raise SystemExit("quarto is missing, see https://quarto.org; make docs needs none")
    os.chdir(ROOT)  # nbdev looks for settings.ini in the working folder
    os.environ["IN_TEST"] = "1"  # notebooks must not export
    FilterDefaults.xtra_procs = lambda self: []  # settings.ini names one to stop those who call `nbdev_docs`
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(NBS, OUT, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT/"_quarto.yml", OUT)
    for path in [*NBS.glob("*.ipynb"), *NBS.glob("checks/*.ipynb")]: hand_over(path)
    subprocess.run(["quarto", "render", "--no-cache"], cwd=OUT, check=True)
    print(f"The site is at {OUT/'_docs'/'index.html'}")


if __name__ == "__main__": main()
