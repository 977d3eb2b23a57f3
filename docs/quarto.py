"nbdev's own route to the site, for those who have Quarto: processed notebooks in build/quarto, pages in its _docs."
import os
import re
import shutil
import subprocess

import yaml
from execnb.nbio import read_nb, write_nb
from nbdev.doclinks import NbdevLookup
from nbdev.processors import FilterDefaults

from docs.lesson import BLOB, COLAB, FOLDED, ROOT, SETTINGS

NBS, OUT = ROOT/"nbs", ROOT/"build"/"quarto"
SITE = f"{SETTINGS['doc_host']}{SETTINGS['doc_baseurl']}/"


def outside_fences(change, text):
    "Change a text, but not the code blocks in it."
    parts = re.split(r"(^```.*?^```)", text, flags=re.S | re.M)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def pictures(text, top):
    "Descriptions that do not become captions; badges of this site, or none."
    text = re.sub(r"\[!\[[^]]*\]\(https?://(?!colab)[^)]+\)\]\([^)]+\) ?", "", text)
    def described(found): return f"![]({found[2]}){{fig-alt=\"{found[1]}\"}}"
    return re.sub(r'!\[([^]"]+)\]\(([^)]+)\)', described, text.replace(COLAB, f"{top}images/colab.svg"))


def links(text, folder, top):
    "Symbols lead to pages of this site; files without a page to GitHub."
    def link(found):
        path = os.path.normpath(f"nbs/{folder}/{found[1]}")
        return found[0] if path.startswith("nbs/") or not (ROOT/path).exists() else f"]({BLOB}/{path})"
    return re.sub(r"\]\(([^)#:]+)\)", link, text.replace(f"]({SITE}", f"]({top}"))


class CourseFilter(FilterDefaults):
    "nbdev's filter without what settings.ini adds for those who call `nbdev_docs`."
    def xtra_procs(self): return []


def hand_over(path):
    "A notebook as Quarto draws it with nothing from another host, exported code in sight."
    folder = path.relative_to(NBS).parent
    top = "../"*len(folder.parts)
    nb = read_nb(path)
    nb.cells = [cell for cell in nb.cells if "google.colab" not in cell.source]  # of which nbdev warns
    for cell in nb.cells: cell.source = re.sub(r"^#\|\s*exporti?\s*$", "#| exports", cell.source, flags=re.M)
    CourseFilter()(nb)
    if top: nb.cells[0].source = nb.cells[0].source.replace("---\n", "---\nsearch: false\n", 1)  # answers
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = outside_fences(lambda text: links(pictures(text, top), folder, top), cell.source)
        for tag in FOLDED.keys() & set(cell.metadata.get("tags", [])):
            cell.source = f'#| code-fold: true\n#| code-summary: "{FOLDED[tag]}"\n{cell.source}'
        for output in cell.get("outputs", []): bare_output(output.get("data", {}), top)
    write_nb(nb, OUT/path.relative_to(NBS))


def bare_output(data, top):
    "Tables as raw blocks, for which Quarto loads no scripts; no links within code, where nbdev puts some."
    if "text/html" in data:
        html = "".join(data.pop("text/html"))
        data["text/markdown"] = f"```{{=html}}\n{html}\n```"
    elif "text/markdown" in data:
        bare = re.sub(rf"\[(`[^`]+`)\]\({SITE}[^)]*\)", r"\1", "".join(data["text/markdown"]))
        data["text/markdown"] = outside_fences(NbdevLookup().linkify, bare).replace(f"]({SITE}", f"]({top}")


def settings():
    "_quarto.yml, and what settings.ini knows."
    site = yaml.safe_load((ROOT/"_quarto.yml").read_text(encoding="utf-8"))
    site["project"]["render"] = ["*.ipynb", "checks/*.ipynb"]
    site["website"] |= {"site-url": SITE, "repo-url": SETTINGS["git_url"], "repo-branch": SETTINGS["branch"]}
    return yaml.safe_dump(site, sort_keys=False, allow_unicode=True)


def main():
    if not shutil.which("quarto"): raise SystemExit("Quarto (https://quarto.org) is not installed; `make docs` needs none.")
    os.chdir(ROOT)  # nbdev looks for settings.ini in the working folder
    os.environ["IN_TEST"] = "1"  # notebooks must not export
    shutil.rmtree(OUT, ignore_errors=True)
    shutil.copytree(NBS/"images", OUT/"images")
    (OUT/"checks").mkdir()
    for name in ("colab.svg", "favicon.svg"): shutil.copy(ROOT/"docs"/"_static"/name, OUT/"images")
    shutil.copy(ROOT/"docs"/"quarto.scss", OUT)
    (OUT/"_quarto.yml").write_text(settings(), encoding="utf-8")
    for path in [*NBS.glob("*.ipynb"), *NBS.glob("checks/*.ipynb")]: hand_over(path)
    subprocess.run(["quarto", "render", "--no-cache"], cwd=OUT, check=True)
    print(f"The site is at {OUT/'_docs'/'index.html'}")


if __name__ == "__main__": main()
