"Write README.md from nbs/index.ipynb: text and code, with links and pictures that work from the top folder."
import re
from configparser import ConfigParser
from pathlib import Path

import nbformat

root = Path(__file__).parent.parent


def block(cell) -> str:
    "Markdown for a cell: text as it is, code and its results in fences, hidden cells left out."
    if cell.cell_type == "markdown": return cell.source
    if cell.source.startswith("#| hide"): return ""
    results = [o.data["text/plain"] for o in cell.outputs if "data" in o and "text/plain" in o.data]
    return "\n\n".join([f"```python\n{cell.source}\n```"] + [f"```\n{o}\n```" for o in results])


def readme() -> str:
    "Text of README.md."
    cfg = ConfigParser()
    cfg.read(root/"settings.ini", encoding="utf-8")
    nb = nbformat.read(root/"nbs"/cfg["DEFAULT"]["readme_nb"], as_version=4)
    text = "\n\n".join(filter(None, map(block, nb.cells)))
    # A relative link in the notebook starts in nbs/; in README.md it starts one folder up.
    text = re.sub(r"\]\((?!\w+:|#|\.\./)([^)]+)\)", r"](nbs/\1)", text).replace("](../", "](")
    return "<!-- Generated from nbs/index.ipynb by docs/readme.py: edit the notebook. -->\n\n" + text + "\n"


if __name__ == "__main__": (root/"README.md").write_text(readme(), encoding="utf-8")
