"""The documentation as a reader at a terminal meets it: a page's commands, and what it says to set before them."""

import re

from stack import REPOSITORY

ADDRESS = "http://127.0.0.1:8080"
# A block between fences; a name or function that the text itself gives between backticks.
BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.M | re.S)
SETTING = re.compile(r"`(\w+=http[^`]*|\w+\(\) \{[^`]*\})`")


class Page:
    """One page: its path from the repository's root."""

    def __init__(self, path):
        self.path, self.text = path, (REPOSITORY / path).read_text()

    @property
    def settings(self):
        """What the page has its reader set before the first command."""
        lines = [found.group(1) for found in SETTING.finditer(self.text)]
        for statement in self.statements:
            if "curl" in statement:
                break
            lines.append(statement)
        return "\n".join(lines)

    @property
    def statements(self):
        """The shell statements of its blocks, each with the lines that belong to it; without the comments."""
        found = []
        for block in BLOCK.findall(self.text):
            lines = []
            for line in block.splitlines():
                if not lines and not re.match(r"(\w+=|\w+\(\) \{|for |curl )", line):
                    continue
                lines.append(re.sub(r"(^|\s+)#\s.*$", "", line))
                if _is_whole(lines):
                    found.append("\n".join(lines))
                    lines = []
        return found


def _is_whole(lines):
    text = "\n".join(lines)
    loops = len(re.findall(r"^\s*for ", text, re.M)) - len(re.findall(r"^\s*done\b", text, re.M))
    return not text.endswith("\\") and text.count("'") % 2 == 0 and loops == 0
