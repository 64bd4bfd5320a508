"""Makes the cases of PyPI's autobahntestsuite importable by Python 3.

The suite is published as Python 2 source. What a case sends and expects is its
own business and stays as it is; only the language changes:

- source is read as latin-1, so that each Python 2 byte string becomes a text
  string with one character a byte (driver.py turns it into bytes at the
  protocol's edge, and back);
- `fissix` (lib2to3, which Python 3.13 no longer has) converts the syntax;
- PATCHES mend what a converter cannot know.
"""

import importlib.util
import re
import shutil
import warnings
from pathlib import Path

# Raise it when PATCHES or the conversion change: an older result is thrown away.
EDITION = "2"

# Cases print hexadecimal of text that stands for bytes.
BINASCII = '''
class binascii:
    @staticmethod
    def b2a_hex(text):
        octets = text.encode("latin-1") if isinstance(text, str) else (text or b"")
        return octets.hex()
    hexlify = b2a_hex
'''

PATCHES = [
    # An encoding line would be believed; the text below is no longer in that encoding.
    (r"(?m)^# *-\*-.*coding.*$", "#"),
    (r"(?m)^import binascii$", BINASCII),
    # Whole-number division was the default.
    (r"len\(self\.payload\) / self\.p\.autoFragmentSize", "len(self.payload) // self.p.autoFragmentSize"),
    # Python 3 refuses this order of bases.
    (r"\(object, Case, \)", "(Case, )"),
    (r"v\.validate\(vss\[:i\]\)", 'v.validate(vss[:i].encode("latin-1"))'),
    # The cases of compression hash what came, and compare it as bytes.
    (
        r"def onMessage\(self, msg, binary\):\s+m = hashlib",
        'def onMessage(self, msg, binary):\n   msg = msg.encode("latin-1")\n   m = hashlib',
    ),
    # pkg_resources only served to find the files of the package.
    (r"import copy, os, pkg_resources, hashlib, binascii", "import copy, os, hashlib"),
    (r'pkg_resources\.resource_filename\("autobahntestsuite", ', "os.path.join(PACKAGE, "),
]


def port(destination):
    """Converts the installed suite into `destination`, once for each EDITION."""
    destination = Path(destination)
    stamp = destination / "EDITION"
    if stamp.exists() and stamp.read_text() == EDITION:
        return
    shutil.rmtree(destination, ignore_errors=True)
    (destination / "case").mkdir(parents=True)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from fissix.refactor import RefactoringTool, get_fixers_from_package
    # fix_asserts rewrites method names that only unittest has.
    fixers = [name for name in get_fixers_from_package("fissix.fixes") if not name.endswith("fix_asserts")]
    tool = RefactoringTool(fixers)

    package = Path(importlib.util.find_spec("autobahntestsuite").origin).parent
    for source in [package / "caseset.py", *sorted((package / "case").glob("*.py"))]:
        text = source.read_text(encoding="latin-1")
        for pattern, replacement in PATCHES:
            text = re.sub(pattern, lambda _: replacement, text)
        if "PACKAGE" in text:
            text = text.replace("import copy, os, hashlib", f"import copy, os, hashlib\nPACKAGE = {str(package)!r}", 1)
        converted = str(tool.refactor_string(text + "\n", str(source)))
        (destination / source.relative_to(package)).write_text(converted, encoding="utf-8")
    stamp.write_text(EDITION)
