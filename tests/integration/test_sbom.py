"""`./dev sbom` against what ldd, dpkg and the daemon itself say."""

import hashlib
import json
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

PROGRAMS = ["ringfence", "ringfence-witness", "ringfenced"]


def make(path):
    done = subprocess.run(["/usr/bin/python3", os.path.join(ROOT, "share/sbom/sbom.py"), "--build", BUILD, "--out",
                           str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


@pytest.fixture(scope="module")
def sbom(tmp_path_factory):
    return json.loads(make(tmp_path_factory.mktemp("sbom") / "sbom.spdx.json"))


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def program(name):
    return os.path.join(BUILD, "src", "cmd", name)


def related(sbom, element, kind):
    return {r["relatedSpdxElement"] for r in sbom["relationships"]
            if r["spdxElementId"] == element and r["relationshipType"] == kind}


def sha256_of(file):
    return next(c["checksumValue"] for c in file["checksums"] if c["algorithm"] == "SHA256")


def files(sbom, kind):
    return {f["SPDXID"]: f for f in sbom["files"] if f["SPDXID"].startswith(f"SPDXRef-{kind}-")}


def test_it_has_the_form_of_spdx(sbom):
    assert (sbom["spdxVersion"], sbom["dataLicense"]) == ("SPDX-2.3", "CC0-1.0")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", sbom["creationInfo"]["created"])
    assert ":" in sbom["documentNamespace"]
    ids = [e["SPDXID"] for e in sbom["packages"] + sbom["files"]]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", i) for i in ids)
    for relation in sbom["relationships"]:
        assert {relation["spdxElementId"], relation["relatedSpdxElement"]} <= set(ids) | {"SPDXRef-DOCUMENT"}
    for file in sbom["files"]:  # SPDX wants SHA-1 of every file
        assert {c["algorithm"] for c in file["checksums"]} == {"SHA1", "SHA256"}


def test_it_names_the_programs_that_were_built(sbom):
    found = {f["fileName"]: sha256_of(f) for f in files(sbom, "Program").values()}
    assert set(found) == {"./" + name for name in PROGRAMS}
    for name in PROGRAMS:
        with open(program(name), "rb") as data:
            assert found["./" + name] == hashlib.sha256(data.read()).hexdigest()


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_links_to_what_ldd_says(sbom, name):
    said = {os.path.basename(word) for word in output("ldd", program(name)).split() if word.startswith("/")}
    libraries = files(sbom, "Library")
    linked = related(sbom, f"SPDXRef-Program-{name}", "DYNAMIC_LINK")
    assert {libraries[i]["fileName"][2:] for i in linked} == said


def test_its_libraries_are_those_of_a_start_leaf(sbom):
    libraries = files(sbom, "Library")
    linked = related(sbom, "SPDXRef-Program-ringfenced", "DYNAMIC_LINK")
    listed = sorted(f"{sha256_of(libraries[i])}  {libraries[i]['fileName'][2:]}" for i in linked)
    assert listed == output(program("ringfenced"), "--libraries").splitlines()


def test_every_library_is_of_an_installed_package_of_that_version(sbom):
    installed = dict(line.split("\t") for line in output(
        "dpkg-query", "-W", "-f", "${Package}\t${Version}\n").splitlines())
    packages = {p["SPDXID"]: p for p in sbom["packages"] if p["name"] != "ringfence"}
    for package in packages.values():
        assert package["versionInfo"] == installed[package["name"]]
        assert package["externalRefs"][0]["referenceLocator"].startswith(
            f"pkg:deb/debian/{package['name']}@{package['versionInfo']}?arch=")
    owned = set().union(*(related(sbom, i, "CONTAINS") for i in packages))
    assert owned == set(files(sbom, "Library"))


def test_what_the_build_needs_is_in_it(sbom):
    names = {p["SPDXID"]: p["name"] for p in sbom["packages"]}
    built_from = {names[r["spdxElementId"]] for r in sbom["relationships"]
                  if r["relationshipType"] == "BUILD_DEPENDENCY_OF"}
    with open(os.path.join(ROOT, "packages.txt"), encoding="utf-8") as text:
        needed = {line.split()[1] for line in text if line.startswith("build ")}
    headers = {name for name in needed if name.endswith("-dev")}
    assert headers <= built_from
    assert {"meson", "ninja-build"} <= built_from and any(n.startswith("gcc-") for n in built_from)


def test_it_is_the_same_the_next_time(tmp_path):
    assert make(tmp_path / "one") == make(tmp_path / "two")
