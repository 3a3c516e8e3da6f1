"""Canaries: values that exist once in the world, planted where nobody may see them, and the search
for them in whatever comes back.

An answer that holds a canary in any of the forms below is a leak. Every text canary begins with the
same letters, every number with the same digits, so that almost every answer is cleared by a few
searches; only what holds such a beginning is looked at closely."""

import base64
import hashlib
import re
import struct

LETTERS = "vqzkxjwd"      # begins every text canary: no word of any language, nor of SQL
DIGITS = "48617"          # begins the digits of every number, telephone and fraction
KEYS = 0x5CA1AB1E00       # canary keys are KEYS + n: one beginning in decimal, in hex and in bytes


class Canary:
    """A value of SUBJECT (a name in this world) in TABLE.COLUMN, of a class of the policy. FORMS are
    the byte strings that betray it."""

    def __init__(self, subject, class_name, place, value, forms):
        self.subject, self.class_name, self.place = subject, class_name, place
        self.value = value
        self.forms = tuple(forms)

    def __repr__(self):
        return f"{self.place} of {self.subject}"


# --- forms that a value may take ------------------------------------------------------------------


def base64_forms(data):
    """What is certain of the base64 of a text that holds DATA, at each of the three offsets."""
    forms = []
    for before in range(3):
        text = base64.b64encode(b"\0" * before + data)
        start = (before * 8 + 5) // 6
        end = (before + len(data)) * 8 // 6
        forms.append(text[start:end])
    return forms


def text_forms(text):
    """Answers are searched as they are and in lower case, so capitals are covered but where they are
    encoded. A hash without a key gives the value to whoever can guess it, so it counts."""
    forms = [text, text[::-1], ",".join(text), " ".join(text)]
    forms = [form.encode() for form in forms]
    forms.append(b"".join(b"\0\0\0\1" + letter.encode() for letter in text))  # an array in binary
    for same in {text, text.upper(), text.capitalize()}:
        data = same.encode()
        forms += [data.hex().encode(), *base64_forms(data), *hash_forms(same)]
    return forms


def hash_forms(text):
    return [hashlib.new(name, text.encode()).hexdigest().encode()
            for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")]


def integer_form(number):
    """Four bytes alone are found by chance; the length in front of them makes eight."""
    return [str(number).encode(), struct.pack("!ii", 4, number)]


def numeric_form(text):
    """The digits of a numeric in binary: groups of four decimal ones, from the point outwards."""
    whole, _, fraction = text.partition(".")
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    fraction = fraction.ljust(-(-len(fraction) // 4) * 4, "0")
    digits = whole + fraction
    return b"".join(struct.pack("!h", int(digits[i:i + 4])) for i in range(0, len(digits), 4))


def time_forms(tail, epoch):
    """TAIL: minutes, seconds and fraction, the same in every time zone; EPOCH: as text, with the
    fraction. In binary PostgreSQL counts microseconds from the year 2000."""
    data = struct.pack("!q", int(epoch.replace(".", "")) - 946684800 * 1000000)
    return [tail.encode(), epoch.encode(), data, data.hex().encode(), numeric_form(epoch)]


def digits_form(text):
    return [text.encode(), text[::-1].encode(), text.encode().hex().encode()]


def key_forms(number):
    data = struct.pack("!q", number)
    return [*digits_form(str(number)), b"%x" % number, data, data.lstrip(b"\0"),
            numeric_form(str(number)),
            hashlib.sha256(data).hexdigest().encode(), hashlib.md5(str(number).encode())
            .hexdigest().encode()]


def float_forms(number):
    data = struct.pack("!d", number)
    return [repr(number).split(".")[1].encode(), data, data.hex().encode()]


# --- the watch ------------------------------------------------------------------------------------


HASHES = re.compile(rb"[0-9a-f]{32,}")


def beginnings():
    """What no answer holds by chance: if none of these is there, no long form is."""
    upper = LETTERS.upper()
    texts = [LETTERS, LETTERS[::-1], ",".join(LETTERS), " ".join(LETTERS), LETTERS.encode().hex(),
             upper.encode().hex(), LETTERS.capitalize().encode().hex()]
    found = [text.encode() for text in texts]
    for same in (LETTERS, upper, LETTERS.capitalize()):
        found += base64_forms(same.encode())
    for digits in (DIGITS, str(KEYS)[:8]):
        found += [digits.encode(), digits[::-1].encode(), digits.encode().hex().encode()]
    return found + [b"%x" % (KEYS >> 8), struct.pack("!q", KEYS)[3:7]]


def is_binary(form):
    return any(byte < 32 or byte > 126 for byte in form)


class Needles:
    """Byte strings, apart by where they can be: in text of any case, in text as it is (base64), and
    only in an answer that was asked for in binary."""

    def __init__(self, forms):
        self.binary = [form for form in forms if is_binary(form)]
        texts = [form for form in forms if not is_binary(form)]
        self.folded = [form for form in texts if form == form.lower()]
        self.exact = [form for form in texts if form != form.lower()]

    def first_in(self, data, lower, binary):
        for form in self.folded:
            if form in lower:
                return form
        for form in self.exact:
            if form in data:
                return form
        return next((form for form in self.binary if form in data), None) if binary else None


class Watch:
    """Searches answers for CANARIES but those that ALLOWED(canary) lets pass."""

    def __init__(self, canaries, allowed=lambda canary: False):
        self.canaries = [(canary, Needles(canary.forms)) for canary in canaries
                         if not allowed(canary)]
        forms = [form for canary, _ in self.canaries for form in canary.forms]
        # PostgreSQL cuts a hash where we do not know; 32 digits of it are enough
        self.hashes = {form[:32] for form in forms if HASHES.fullmatch(form)}
        # some forms begin in no common way (a date, an address): each is a search of its own
        common = beginnings()
        self.first = Needles(common + [form for form in forms if not HASHES.fullmatch(form)
                                       and not any(start in form for start in common)])

    def find(self, data, binary=False):
        """The canaries in DATA (bytes, BINARY when any of it was asked for so): (canary, form)."""
        lower = data.lower()
        if self.first.first_in(data, lower, binary) is None and \
                not any(run.group()[:32] in self.hashes for run in HASHES.finditer(lower)):
            return []
        found = [(canary, needles.first_in(data, lower, binary)) for canary,
                 needles in self.canaries]
        return [(canary, form) for canary, form in found if form is not None]
