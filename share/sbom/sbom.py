#!/usr/bin/python3
"""A bill of materials of one build, as SPDX 2.3 JSON: the sources, the programs, the libraries that they
load, and the Debian packages that these and every header and tool of the build come from.

SPDX rather than CycloneDX: it is ISO/IEC 5962, its relationships tell apart what a program is built
from and what it loads, and its files have digests of their own, so that the list of a `start` leaf of
the public log can be compared with it line by line.

The same build on the same packages gives the same bytes: nothing in it is random, and its time is
SOURCE_DATE_EPOCH or that of the newest commit."""

import argparse
import datetime
import hashlib
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAMS = ("ringfence", "ringfence-witness", "ringfenced")
SOURCES = ("src", "extension", "share", "docs/man", "meson.build", "meson_options.txt")
TOOLS = ("gcc", "as", "ld", "ar", "meson", "ninja", "pkg-config")


def run(*command, check=True):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                          check=False, env={**os.environ, "LC_ALL": "C"})
    if check and done.returncode != 0:
        sys.exit(f"sbom: {' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout


def digest(path, kind="sha256"):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def checksums(path):
    return [{"algorithm": kind.upper(), "checksumValue": digest(path, kind)} for kind in ("sha1", "sha256")]


# --- the sources ----------------------------------------------------------------------------------


def sources():
    """One digest for all sources: SHA-256 of a list as sha256sum writes it, sorted by name."""
    found = []
    for top in SOURCES:
        path = os.path.join(ROOT, top)
        if os.path.isfile(path):
            found.append(top)
        for folder, folders, names in os.walk(path):
            folders[:] = [f for f in folders if f != "__pycache__"]
            found += [os.path.relpath(os.path.join(folder, name), ROOT) for name in names]
    text = "".join(f"{digest(os.path.join(ROOT, name))}  {name}\n" for name in sorted(found))
    return hashlib.sha256(text.encode()).hexdigest()


def version():
    with open(os.path.join(ROOT, "meson.build"), encoding="utf-8") as build:
        return re.search(r"version: '([^']+)'", build.read()).group(1)


def created():
    stamp = os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", check=False).strip() or "0"
    when = datetime.datetime.fromtimestamp(int(stamp), datetime.timezone.utc)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- packages -------------------------------------------------------------------------------------


def libraries(program):
    """Name and file of each library that PROGRAM loads, the loader included."""
    found = {}
    for line in run("ldd", program).splitlines():
        path = re.search(r"(/\S+)", line)
        if path:
            found[os.path.basename(path.group(1))] = path.group(1)
    return found


def built_from(build, programs):
    """Headers and libraries outside the tree that the compiler and the linker read, and the tools."""
    objects = [line for line in run("ninja", "-C", build, "-t", "inputs", *programs).splitlines()
               if line.endswith(".o")]
    headers = set(re.findall(r"^\s+(/\S+)", run("ninja", "-C", build, "-t", "deps", *objects), re.M))
    tools = [run("sh", "-c", f"command -v {tool}", check=False).strip() for tool in TOOLS]
    return headers | {os.path.realpath(tool) for tool in tools if tool} | {run(
        "gcc", "-print-prog-name=cc1").strip()}


class Packages:
    """Which Debian package a file is of; asked once a file."""

    def __init__(self, paths):
        # /lib is a link to /usr/lib where they are one; dpkg remembers what the package said
        wanted = {}
        for path in paths:
            real = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
            for name in {path, real, os.path.realpath(path), real.removeprefix("/usr")}:
                wanted.setdefault(name, set()).add(path)
        self.of = {}
        names = sorted(wanted)
        for at in range(0, len(names), 400):
            for line in run("dpkg", "-S", *names[at:at + 400], check=False).splitlines():
                owners, _, name = line.partition(": ")
                for path in wanted.get(name, ()):
                    self.of[path] = owners.split(", ")[0]
        self.facts = {}
        for name in sorted(set(self.of.values())):
            fields = run("dpkg-query", "-W", "-f", "${Package}\t${Version}\t${Architecture}\t"
                         "${source:Package}\t${source:Version}", name).split("\t")
            self.facts[name] = dict(zip(("name", "version", "arch", "source", "source_version"), fields))

    def id_of(self, path):
        return "SPDXRef-Package-" + spdx_name(self.facts[self.of[path]]["name"]) if path in self.of else None


def spdx_name(text):
    return re.sub(r"[^A-Za-z0-9.-]", "-", text)


def package(facts):
    return {
        "SPDXID": "SPDXRef-Package-" + spdx_name(facts["name"]),
        "name": facts["name"],
        "versionInfo": facts["version"],
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "sourceInfo": f"built by Debian from {facts['source']} {facts['source_version']}",
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": f"pkg:deb/debian/{facts['name']}@{facts['version']}?arch={facts['arch']}",
        }],
    }


def file_of(prefix, name, path, kind):
    return {"SPDXID": f"SPDXRef-{prefix}-{spdx_name(name)}", "fileName": "./" + name, "fileTypes": [kind],
            "checksums": checksums(path)}


def document(build):
    names = [f"src/cmd/{name}" for name in PROGRAMS]
    loaded = {name: libraries(os.path.join(build, name)) for name in names}
    every = {name: path for found in loaded.values() for name, path in found.items()}
    read = built_from(build, names)
    packages = Packages(sorted(set(every.values()) | read))
    missing = sorted(path for path in every.values() if path not in packages.of)
    if missing:
        sys.exit(f"sbom: no Debian package has {' '.join(missing)}")
    relations = {("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Ringfence")}
    for name in names:
        program = "SPDXRef-Program-" + spdx_name(os.path.basename(name))
        relations.add(("SPDXRef-Ringfence", "CONTAINS", program))
        for library in loaded[name]:
            relations.add((program, "DYNAMIC_LINK", "SPDXRef-Library-" + spdx_name(library)))
    for name, path in every.items():
        relations.add((packages.id_of(path), "CONTAINS", "SPDXRef-Library-" + spdx_name(name)))
    for path in read:
        if path in packages.of:
            relations.add((packages.id_of(path), "BUILD_DEPENDENCY_OF", "SPDXRef-Ringfence"))
    digest_of_sources = sources()
    made = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"ringfence-{version()}",
        "creationInfo": {"created": created(), "creators": ["Tool: ringfence-sbom"]},
        "documentDescribes": ["SPDXRef-Ringfence"],
        "packages": [{
            "SPDXID": "SPDXRef-Ringfence",
            "name": "ringfence",
            "versionInfo": version(),
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseDeclared": "AGPL-3.0-or-later",
            "checksums": [{"algorithm": "SHA256", "checksumValue": digest_of_sources}],
            "comment": "The checksum is SHA-256 of the list `SHA-256, two blanks, name` of the files below "
                       + ", ".join(SOURCES) + ", sorted by name.",
        }] + [package(packages.facts[name]) for name in sorted(packages.facts)],
        "files": [file_of("Program", os.path.basename(name), os.path.join(build, name), "BINARY") for name in names]
        + [file_of("Library", name, every[name], "BINARY") for name in sorted(every)],
        "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
                          for a, kind, b in sorted(relations)],
    }
    whole = hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
    made["documentNamespace"] = f"urn:ringfence:sbom:{whole}"
    return made


def main():
    parser = argparse.ArgumentParser(prog="./dev sbom")
    parser.add_argument("--build", required=True)
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    made = document(os.path.abspath(options.build))
    with open(options.out + ".new", "w", encoding="utf-8") as out:
        json.dump(made, out, indent=1, sort_keys=True)
        out.write("\n")
    os.replace(options.out + ".new", options.out)


if __name__ == "__main__":
    main()
