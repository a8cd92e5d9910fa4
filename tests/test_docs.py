"""README and docs/: their code runs, their links lead somewhere, they name every command."""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

import neuromfa_lite as nmfa
from neuromfa_lite.cli.commands import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.filterwarnings("ignore::neuromfa_lite.QualityWarning")
@pytest.mark.parametrize("name", ["README.md", "docs/code.md", "docs/models.md"])
def test_code_runs_as_it_is_printed(name):
    pytest.importorskip("torch")
    page = (ROOT / name).read_text(encoding="utf-8")
    blocks, names = re.findall(r"```python\n(.*?)```", page, re.DOTALL), {"nmfa": nmfa}
    assert blocks
    for block in blocks:
        exec(compile(block, name, "exec"), names)
    plt.close("all")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_readme_is_short_and_leads_to_every_page():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 80
    assert {page.name for page in PAGES[2:]} <= set(re.findall(r"\(docs/(\w+\.md)\)", readme))


def test_the_page_of_commands_names_every_command_and_no_other():
    page = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `neuromfa-lite (\w+)", page, re.MULTILINE)) == set(main.commands)
