"""A static program has everything in it: what it calls without having it is a jump to address 0, which the linker
lets a position-independent program have without a word. The programs are this test's arguments."""

from __future__ import annotations

import subprocess
import sys
import unittest

# The C library's own, for thread-local storage of libraries that are loaded later: there are none.
_NEVER_CALLED = {"__tls_get_addr"}

programs: list[str] = []


class StaticPrograms(unittest.TestCase):
    def test_lack_nothing(self) -> None:
        self.assertTrue(programs)
        for program in programs:
            with self.subTest(program=program):
                out = subprocess.run(["nm", "--undefined-only", "--demangle", program], check=True,
                                     capture_output=True, text=True).stdout
                lacking = {line.split(None, 1)[1].strip() for line in out.splitlines()
                           if line.split()[0] == "U"}
                self.assertEqual(lacking - _NEVER_CALLED, set())

    def test_the_control_lacks_something(self) -> None:
        out = subprocess.run(["nm", "--undefined-only", "--dynamic", sys.executable], check=True,
                             capture_output=True, text=True).stdout
        self.assertIn(" U ", out)


if __name__ == "__main__":
    programs = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
