"Write README.md from nbs/index.ipynb: text and code, with links and pictures that work from the top folder."
import re
from pathlib import Path

import nbformat

from course_dl.runner import split_directives

ROOT = Path(__file__).parent.parent


def block(cell) -> str:
    "Markdown for a cell: text as it is, code and its results in fences, hidden cells and figures left out."
    if cell.cell_type == "markdown": return cell.source
    if "hide" in split_directives(cell.source)[0] or "plot" in cell.metadata.get("tags", []): return ""
    results = [output.data["text/plain"] for output in cell.outputs if "text/plain" in output.get("data", {})]
    return "\n\n".join([f"```python\n{cell.source}\n```", *(f"```\n{result}\n```" for result in results)])


def readme() -> str:
    "Text of README.md. A relative link in the notebook starts in nbs/; here it starts one folder up."
    text = "\n\n".join(filter(None, map(block, nbformat.read(ROOT/"nbs"/"index.ipynb", as_version=4).cells)))
    text = re.sub(r"\]\((?!\w+:|#|\.\./)([^)]+)\)", r"](nbs/\1)", text).replace("](../", "](")
    return f"<!-- Generated from nbs/index.ipynb by tools/readme.py: edit the notebook. -->\n\n{text}\n"


if __name__ == "__main__": (ROOT/"README.md").write_text(readme(), encoding="utf-8")
