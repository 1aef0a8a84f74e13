"""What documents say must be so: links lead somewhere, cited tests and files exist, the manual pages know
every command, option and key, and render without a warning.

Commands in documents are run by tests/lab/test_docs.py.
"""

from __future__ import annotations

import re
import subprocess
import unittest
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from tree import LAYERS, ROOT, markdown

MAN = ROOT / "docs" / "man"
_TOP = "|".join((*LAYERS, "configs", "tests", "bench", "docs", "cmake"))

_FENCE = re.compile(r"^```.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
_GTEST_NAME = re.compile(r"^[A-Z][A-Za-z0-9]+\.[A-Z][A-Za-z0-9]+$")
_GTEST = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)")


def prose(path: Path) -> str:
    """The text without fenced blocks, line numbers kept."""
    return _FENCE.sub(lambda found: "\n" * found.group(0).count("\n"), path.read_text(encoding="utf-8"))


def anchors(path: Path) -> Set[str]:
    """The anchors that GitHub makes of headings."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).strip().replace(" ", "-")
        for heading in re.findall(r"^#+[ \t]+(.+?)[ \t]*$", prose(path), re.MULTILINE)
    }


def dead_links(path: Path) -> Iterator[str]:
    for target in _LINK.findall(prose(path)):
        if re.match(r"^[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        if not there.exists():
            yield f"{path.name}: {target} is not there"
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            yield f"{path.name}: {target}: no such heading"


def cited(path: Path, pattern: "re.Pattern[str]") -> List[str]:
    return [code for code in _CODE.findall(prose(path)) if pattern.match(code)]


def gtests() -> Set[str]:
    names = set()
    for path in (ROOT / "tests").rglob("*.cc"):
        for suite, name in _GTEST.findall(path.read_text(encoding="utf-8")):
            names.add(f"{suite}.{name}")
    return names


def python_tests() -> Set[str]:
    names = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        names.add(path.name)
        names.update(re.findall(r"^ +def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE))
    return names


def help_texts() -> Dict[str, str]:
    """Each command's --help, "" for routerctl's own; unit.runtime_routerctl compares it to the program."""
    text = (ROOT / "tests/golden/routerctl/help.txt").read_text(encoding="utf-8")
    parts = re.split(r"^==== (\S+)\n", text, flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}


def options_in(text: str) -> Set[str]:
    return set(re.findall(r"(?:^|[\s,])(--[a-z][a-z-]*)", text))


def definition_keys() -> Set[str]:
    """What the reader of definitions takes, from its own lists."""
    keys: Set[str] = set()
    for name in ("router_reader.cc", "egress_reader.cc", "template_expander.cc", "reader.cc"):
        path = ROOT / "routers/spec" / name
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"KeyList\s*\{\s*\{([^}]*)\}", text):
            keys.update(re.findall(r'"(\w+)"', block))
        for block in re.findall(r'return \{("type"[^}]*)\}', text):
            keys.update(re.findall(r'"(\w+)"', block))
    return keys | {"version", "network", "router", "count"}


def manual(name: str) -> str:
    """The page's text as roff shows it, without its escapes for hyphens and fonts."""
    text = (MAN / name).read_text(encoding="utf-8")
    return re.sub(r"\\f[BIRP]|\\&", "", text).replace("\\-", "-").replace("\\(aq", "'")


def render(page: Path) -> Tuple[str, str]:
    command = ["groff", "-man", "-Tutf8", "-ww", "-rLL=100n", "-P-c", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout, done.stderr


class Documents(unittest.TestCase):
    def assert_none(self, wrong: List[str]) -> None:
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_links_lead_somewhere(self) -> None:
        pages = list(markdown())
        self.assertIn(ROOT / "README.md", pages)
        self.assert_none([wrong for page in pages for wrong in dead_links(page)])

    def test_cited_tests_exist(self) -> None:
        known = gtests()
        names = python_tests()
        count = 0
        wrong = []
        for page in markdown():
            for name in cited(page, _GTEST_NAME):
                count += 1
                if name not in known:
                    wrong.append(f"{page.name}: there is no test {name}")
            for name in cited(page, re.compile(r"^test_\w+(\.py)?$")):
                count += 1
                if name not in names:
                    wrong.append(f"{page.name}: there is no test {name}")
        self.assertGreater(count, 40, "documents cite tests as `Suite.Name`")
        self.assert_none(wrong)

    def test_every_leak_class_has_a_test_and_a_control(self) -> None:
        """The table of SECURITY.md: class, why it cannot be, tests that exist, control."""
        text = (ROOT / "SECURITY.md").read_text(encoding="utf-8").split("\n## Leak classes\n")[1].split("\n## ")[0]
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
        known = gtests() | python_tests()
        wrong = []
        for row in rows[2:]:
            tests = [name for name in _CODE.findall(row[2]) if name in known]
            if len(row) != 4 or not tests or not row[3]:
                wrong.append(f"SECURITY.md: leak class '{row[0]}' has no test or no control")
            if not any(name in known for name in _CODE.findall(row[3])) and "test" not in row[3]:
                wrong.append(f"SECURITY.md: leak class '{row[0]}': its control is in no test")
        self.assertGreater(len(rows), 20)
        self.assert_none(wrong)

    def test_cited_paths_exist(self) -> None:
        pattern = re.compile(rf"^(?:{_TOP})/[\w./*-]*$")
        wrong = []
        for page in markdown():
            for name in cited(page, pattern):
                if not list(ROOT.glob(name.rstrip("/"))):
                    wrong.append(f"{page.name}: `{name}` is not in the tree")
        self.assert_none(wrong)

    def test_shown_commands_exist(self) -> None:
        commands = set(help_texts())
        wrong = []
        for page in markdown():
            for fence in _FENCE.findall(page.read_text(encoding="utf-8")):
                for word in re.findall(r"^[$#] (?:sudo )?routerctl(?: -\S+)* ([a-z]+)", fence, re.MULTILINE):
                    if word not in commands:
                        wrong.append(f"{page.name}: there is no command '{word}'")
        self.assert_none(wrong)

    def test_decisions_are_numbered_and_whole(self) -> None:
        pages = sorted(p for p in (ROOT / "docs/adr").glob("*.md") if p.name[:4].isdigit())
        self.assertGreaterEqual(len(pages), 5)
        wrong = []
        for number, page in enumerate(pages, 1):
            text = page.read_text(encoding="utf-8")
            if not page.name.startswith(f"{number:04}-"):
                wrong.append(f"{page.name}: {number:04} is missing before it")
            for part in ("Context", "Decision", "Alternatives", "Consequences"):
                if f"\n## {part}\n" not in text:
                    wrong.append(f"{page.name}: no part '{part}'")
        self.assert_none(wrong)


class Manual(unittest.TestCase):
    def test_it_renders_without_a_warning(self) -> None:
        pages = sorted(MAN.glob("*.[1-8]"))
        self.assertEqual([page.name for page in pages], ["orrery.toml.5", "routerctl.8"])
        for page in pages:
            text, warnings = render(page)
            self.assertEqual(warnings, "", page.name)
            self.assertGreater(len(text), 4000, page.name)

    def test_every_command_has_its_place(self) -> None:
        text = manual("routerctl.8")
        headings = set(re.findall(r"^\.SS ([a-z]+)\b", text, re.MULTILINE))
        commands = set(help_texts()) - {""}
        self.assertEqual(commands - headings, set(), "commands that routerctl.8 does not describe")
        self.assertEqual(headings - commands, set(), "commands that routerctl does not have")

    def test_every_option_has_its_place(self) -> None:
        text = manual("routerctl.8")
        sections = dict(re.findall(r"^\.SS ([a-z]+)\b[^\n]*\n(.*?)(?=^\.S[SH] |\Z)", text, re.MULTILINE | re.DOTALL))
        general = options_in(help_texts()[""])
        self.assertEqual({option for option in general if option not in text}, set())
        wrong = []
        for command, shown in help_texts().items():
            usage = shown.split("\nExample", 1)[0]
            for option in options_in(usage) - {"--help"} - general if command else set():
                if option not in sections.get(command, ""):
                    wrong.append(f"routerctl.8: {command} has an option {option}")
            known = options_in(shown) | general
            for option in options_in(sections.get(command, "")) if command else set():
                if option not in known:
                    wrong.append(f"routerctl.8: {command} has no option {option}")
        self.assertEqual(wrong, [])

    def test_every_key_has_its_place(self) -> None:
        text = manual("orrery.toml.5")
        keys = definition_keys()
        self.assertTrue({"clients_talk", "torrc", "names", "cpus", "gateway"} <= keys, keys)
        described = set(re.findall(r"^\.BR? ([a-z_]+)", text, re.MULTILINE))
        self.assertEqual(keys - described, set(), "keys that orrery.toml.5 does not describe")


if __name__ == "__main__":
    unittest.main(verbosity=2)
