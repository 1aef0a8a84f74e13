"""Who may include whom (docs/ARCHITECTURE.md, "Folders"), and what no product code may do.

Each rule is a function from sources to complaints. It is tried on a made-up tree that breaks it, then on
the real one: a rule that finds nothing anywhere would prove nothing.
"""

from __future__ import annotations

import re
import unittest
from typing import Dict, List, Set

from tree import LAYERS, includes, product_sources, without_comments

Sources = Dict[str, str]

# Libraries beside the C++ standard's that routers/ may see: the error type's.
_PURE_LIBRARIES = ("fmt/", "tl/")
# The one file that may include each of these.
_LIBRARY_OF_ONE_FILE = {
    "toml.hpp": "routers/spec/toml_document.cc",
    "nlohmann/json.hpp": "routers/spec/spec_json.cc",
}
# A header of the C++ standard library: <vector>, not <unistd.h> or <event2/event.h>.
_STANDARD = re.compile(r"^[a-z_]+$")
# C's headers by their C++ names that are doors to the system.
_IMPURE_STANDARD = {"filesystem", "fstream", "iostream", "thread", "csignal", "cstdlib", "ctime", "future", "random"}

_FORBIDDEN_CALL = re.compile(r"(?<![\w.>:])(?:std::|::)?(system|popen)\s*\(")
_TOOLS = "ip|nft|tc|sysctl|iptables|ip6tables|ebtables|brctl|ifconfig|route|wg|wg-quick|modprobe|sh|bash"
_FORBIDDEN_PROGRAM = re.compile(rf'"(?:/usr)?/s?bin/(?:{_TOOLS})"|\bexec[lv]\w*\s*\(\s*"(?:{_TOOLS})"')


def layer_of(path: str) -> int:
    return LAYERS.index(path.split("/", 1)[0])


def upward_includes(sources: Sources) -> List[str]:
    """Includes that point up, sideways out of the product, or are not root-relative."""
    wrong = []
    for path, text in sources.items():
        for include in includes(text):
            if include.angled:
                continue
            head = include.name.split("/", 1)[0]
            if head not in LAYERS:
                wrong.append(f'{path}:{include.line}: "{include.name}" is not of the product, or not root-relative')
            elif include.name not in sources:
                wrong.append(f'{path}:{include.line}: "{include.name}" is not there')
            elif LAYERS.index(head) > layer_of(path):
                wrong.append(f'{path}:{include.line}: {path.split("/")[0]} may not include "{include.name}"')
    return wrong


def include_cycles(sources: Sources) -> List[str]:
    wrong: List[str] = []
    done: Set[str] = set()

    def visit(path: str, way: List[str]) -> None:
        if path in way:
            wrong.append(" -> ".join([*way[way.index(path):], path]))
        elif path not in done and path in sources:
            for include in includes(sources[path]):
                if not include.angled:
                    visit(include.name, [*way, path])
            done.add(path)

    for path in sources:
        visit(path, [])
    return wrong


def impurities(sources: Sources) -> List[str]:
    """System and library headers that code of routers/ sees, by itself or through project headers."""
    reached = {path for path in sources if path.startswith("routers/")}
    waiting = list(reached)
    while waiting:
        for include in includes(sources[waiting.pop()]):
            if not include.angled and include.name in sources and include.name not in reached:
                reached.add(include.name)
                waiting.append(include.name)
    wrong = []
    for path in sorted(reached):
        for include in includes(sources[path]):
            if not include.angled or include.name.startswith(_PURE_LIBRARIES):
                continue
            if _LIBRARY_OF_ONE_FILE.get(include.name) == path:
                continue
            if not _STANDARD.match(include.name) or include.name in _IMPURE_STANDARD:
                wrong.append(f"{path}:{include.line}: <{include.name}> is reached by routers/, which is pure")
    return wrong


def outside_programs(sources: Sources) -> List[str]:
    wrong = []
    for path, text in sources.items():
        code = without_comments(text)
        for pattern in (_FORBIDDEN_CALL, _FORBIDDEN_PROGRAM):
            for found in pattern.finditer(code):
                line = code.count("\n", 0, found.start()) + 1
                wrong.append(f"{path}:{line}: {found.group(0).strip()}: the product runs no shell and no network tool")
    return wrong


def comments_of_absence(sources: Sources) -> List[str]:
    marks = re.compile(r"//.*\b(TODO|FIXME|XXX|HACK)\b")
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in sources.items()
        for number, line in enumerate(text.split("\n"), 1)
        if marks.search(line)
    ]


class Layers(unittest.TestCase):
    sources: Sources

    @classmethod
    def setUpClass(cls) -> None:
        cls.sources = product_sources()
        assert len(cls.sources) > 200, "the tree is not where it should be"

    def assert_clean(self, wrong: List[str]) -> None:
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_includes_point_downwards(self) -> None:
        broken = {
            "netns/a.h": '#include "routers/b.h"\n#include "c.h"\n#include "sandbox/gone.h"\n',
            "routers/b.h": '#include "netns/a.h"\n',
        }
        self.assertEqual(len(upward_includes(broken)), 3)
        self.assert_clean(upward_includes(self.sources))

    def test_includes_make_no_circle(self) -> None:
        broken = {"netns/a.h": '#include "netns/b.h"\n', "netns/b.h": '#include "netns/a.h"\n'}
        self.assertEqual(len(include_cycles(broken)), 1)
        self.assert_clean(include_cycles(self.sources))

    def test_routers_are_pure(self) -> None:
        broken = {
            "routers/a.cc": '#include "netns/a.h"\n#include <fmt/format.h>\n#include <vector>\n#include <toml.hpp>\n',
            "netns/a.h": "#include <sys/socket.h>\n#include <optional>\n",
            "netns/b.h": "#include <linux/if.h>\n",  # nobody of routers/ sees it
        }
        self.assertEqual(len(impurities(broken)), 2, impurities(broken))
        self.assert_clean(impurities(self.sources))

    def test_nothing_runs_a_shell_or_a_network_tool(self) -> None:
        broken = {
            "netns/a.cc": 'int a = system("x");\nauto f = ::popen(c, "r");\nrun({"/sbin/ip", "link"});\n'
            '::execvp("nft", argv);\n// system("in a comment")\nnot_system(1);\nworld.system(2);\n',
        }
        found = outside_programs(broken)
        self.assertEqual(sorted(int(w.split(":")[1]) for w in found), [1, 2, 3, 4], found)
        self.assert_clean(outside_programs(self.sources))

    def test_nothing_is_left_undone_in_comments(self) -> None:
        self.assertEqual(len(comments_of_absence({"a.cc": "int a;  // TODO later\n"})), 1)
        self.assert_clean(comments_of_absence(self.sources))


if __name__ == "__main__":
    unittest.main(verbosity=2)
