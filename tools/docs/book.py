"""The book: mdBook builds it, every page is in it, and every link inside the repository leads somewhere."""

import re
import subprocess

from common import ROOT, pages

OUT = ROOT / "target/book"


def anchors(text):
    """The anchors of a page's headings, as GitHub and mdBook make them."""
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    plain = [re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads]
    return set(plain)


def check(failures):
    texts = pages()
    summary = texts["docs/SUMMARY.md"]
    linked = set(re.findall(r"\]\(([^)]+\.md)\)", summary))
    there = {name.removeprefix("docs/") for name in texts if name.startswith("docs/")} - {"SUMMARY.md"}
    failures.equal("docs/SUMMARY.md", linked, there)
    for name, text in texts.items():
        without_code = re.sub(r"```.*?```", "", text, flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
            check_link(failures, texts, name, target)
    build(failures)


def check_link(failures, texts, name, target):
    if re.match(r"[a-z]+:", target):
        return
    path, _, anchor = target.partition("#")
    place = (ROOT / name).parent / path if path else ROOT / name
    if not place.exists():
        failures.add(f"{name}: {target} leads nowhere")
        return
    if anchor and place.suffix == ".md":
        page = texts.get(str(place.resolve().relative_to(ROOT)))
        if page is not None and anchor not in anchors(page):
            failures.add(f"{name}: {target} names no heading of that page")


def build(failures):
    mdbook = ROOT / ".tools/bin/mdbook"
    if not mdbook.exists():
        failures.add("there is no mdBook; run: tools/setup.sh book")
        return
    said = subprocess.run([mdbook, "build", "--dest-dir", OUT, ROOT / "docs"], capture_output=True, text=True)
    if said.returncode != 0 or "WARN" in said.stderr or "ERROR" in said.stderr:
        failures.add(f"mdbook build: {said.stderr}")
    elif not (OUT / "index.html").exists():
        failures.add("mdbook build wrote no index.html")
