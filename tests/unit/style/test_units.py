"""The systemd units: commands that exist, nothing that hides the pins from the host, and, where
systemd-analyze is installed, its own word that they are well-formed."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Dict, List, Tuple

from test_documents import help_texts
from tree import ROOT

UNITS = ROOT / "configs" / "units"

# systemd.exec(5): each gives the unit a mount namespace, whose mounts the host does not see, or takes from the services
# what they need (openat2, for one).
HIDES_MOUNTS = re.compile(
    r"^(Private(Tmp|Devices|Mounts|Network|Users|IPC)|Protect(System|Home|KernelTunables|KernelModules|KernelLogs"
    r"|ControlGroups|Proc|Clock|Hostname)|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|ExecPaths|NoExecPaths"
    r"|BindPaths|BindReadOnlyPaths|TemporaryFileSystem|RootDirectory|RootImage|MountAPIVFS|DynamicUser"
    r"|RestrictNamespaces|DevicePolicy|RestrictAddressFamilies|RestrictSUIDSGID)$"
)


def settings(text: str) -> List[Tuple[str, str, str]]:
    """(section, name, value), with continued lines joined."""
    found, section = [], ""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if match := re.match(r"^\[(\w+)\]$", line):
            section = match.group(1)
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.append((section, name, value))
    return found


class Units(unittest.TestCase):
    def units(self) -> Dict[str, str]:
        units = {path.name: path.read_text(encoding="utf-8") for path in sorted(UNITS.glob("*.in"))}
        self.assertIn("orrery-router@.service.in", units)
        return units

    def test_commands_are_routerctls(self) -> None:
        helps = help_texts()
        for unit, text in self.units().items():
            for _, name, value in settings(text):
                if not name.startswith("Exec"):
                    continue
                with self.subTest(unit=unit, line=value):
                    program, command, *arguments = value.lstrip("-").split()
                    self.assertEqual(program, "@CMAKE_INSTALL_FULL_BINDIR@/routerctl")
                    self.assertIn(command, helps)
                    for argument in arguments:
                        if argument.startswith("--"):
                            self.assertIn(argument, helps[command] + helps[""])

    def test_the_pins_stay_visible_to_the_host(self) -> None:
        for unit, text in self.units().items():
            for section, name, _ in settings(text):
                if section == "Service":
                    self.assertIsNone(HIDES_MOUNTS.match(name), f"{unit}: {name}=")

    def test_systemd_accepts_them(self) -> None:
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            return  # the other tests have read them; systemd is not needed to run routers
        with tempfile.TemporaryDirectory() as directory:
            for unit, text in self.units().items():
                program = Path(directory) / "routerctl"
                program.write_text("#!/bin/sh\n")
                program.chmod(0o755)
                path = Path(directory) / unit.replace("@.service.in", "@star0.service")
                path.write_text(text.replace("@CMAKE_INSTALL_FULL_BINDIR@", directory))
                done = subprocess.run(
                    [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=60
                )
                self.assertEqual((done.returncode, done.stderr), (0, ""), unit)


if __name__ == "__main__":
    unittest.main()
