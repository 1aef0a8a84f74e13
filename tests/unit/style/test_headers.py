"""Each header stands alone: it is guarded, keeps third-party libraries out, and compiles by itself.

A header that some .cc file includes first is compiled alone by the build; only the others are compiled
here, without code generation.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, List, Tuple

from tree import ROOT, includes, product_sources

# A header may show the C and C++ libraries, the kernel's headers and the error type's libraries.
_LIBRARIES = ("fmt/", "tl/")
_SYSTEM = ("sys/", "linux/", "net/", "netinet/", "arpa/")


def unguarded(sources: Dict[str, str]) -> List[str]:
    return [path for path, text in sources.items() if path.endswith(".h") and "\n#pragma once\n" not in text]


def foreign_includes(sources: Dict[str, str]) -> List[str]:
    wrong = []
    for path, text in sources.items():
        for include in includes(text) if path.endswith(".h") else []:
            slash = "/" in include.name
            if include.angled and slash and not include.name.startswith(_LIBRARIES + _SYSTEM):
                wrong.append(f"{path}:{include.line}: <{include.name}> belongs into a .cc file")
    return wrong


def not_first_anywhere(sources: Dict[str, str]) -> List[str]:
    first = {
        found[0].name
        for path, text in sources.items()
        if path.endswith(".cc")
        for found in [includes(text)]
        if found and not found[0].angled
    }
    return [path for path in sources if path.endswith(".h") and path not in first]


def compile_alone(header: str) -> Tuple[str, str]:
    with tempfile.TemporaryDirectory() as directory:
        unit = Path(directory) / "alone.cc"
        # Twice: the second time must add nothing.
        unit.write_text(f'#include "{header}"\n#include "{header}"\n', encoding="utf-8")
        command = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror",
                   "-I", str(ROOT), str(unit)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        return header, done.stderr if done.returncode != 0 else ""


class Headers(unittest.TestCase):
    sources: Dict[str, str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.sources = product_sources()

    def test_each_is_guarded(self) -> None:
        self.assertEqual(unguarded({"a.h": "int a;\n", "b.cc": ""}), ["a.h"])
        self.assertEqual(unguarded(self.sources), [])

    def test_third_party_headers_stay_in_source_files(self) -> None:
        self.assertEqual(len(foreign_includes({"a.h": "#include <event2/event.h>\n#include <tl/expected.hpp>\n"})), 1)
        self.assertEqual(foreign_includes(self.sources), [])

    def test_each_compiles_alone(self) -> None:
        headers = not_first_anywhere(self.sources)
        self.assertLess(len(headers), 40, "include a header first in its own .cc file")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            failed = {name: text for name, text in pool.map(compile_alone, headers) if text}
        self.assertEqual(failed, {}, "\n" + "\n".join(failed.values()))

    def test_a_header_that_needs_others_is_noticed(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            header = Path(directory) / "needy.h"
            header.write_text("#pragma once\ninline std::string needy() { return {}; }\n", encoding="utf-8")
            self.assertIn("std", compile_alone(str(header))[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)
