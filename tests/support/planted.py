"""What the sample data holds that no person may ever see through the gateway."""

import re

PLANTED = re.compile(r"secret_|sécret_|秘密_|тайна_|person\d+@mail|\+1202555|private words|"
                     r"searched for|título|198\.51\.100|38\.1\d|-77\.4\d")


def found_in(value):
    """The first planted text in VALUE (anything), or None."""
    if isinstance(value, (list, tuple)):
        return next((hit for part in value if (hit := found_in(part))), None)
    if isinstance(value, (bytes, memoryview)):
        value = bytes(value).decode("utf-8", "replace")
    match = PLANTED.search(str(value))
    return match.group(0) if match else None
