"""The house rules that a machine can watch: folders, headers, sizes, packages, documents."""

import concurrent.futures
import glob
import os
import re
import subprocess

import pytest

from conftest import BUILD, ROOT

# A folder includes only itself and folders before it (src/meson.build links in the same order).
FOLDERS = ["base", "tlog", "wire", "io", "sign", "policy", "priv", "auth", "guard", "ledger", "verify",
           "courier", "witness", "hub", "enforce", "discover", "gate", "control", "registrar", "herald", "super", "cmd"]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as text:
        return text.read()


def sources(*patterns):
    found = []
    for pattern in patterns:
        found += glob.glob(os.path.join(ROOT, pattern), recursive=True)
    return sorted(os.path.relpath(path, ROOT) for path in found)


def tracked_texts():
    """Every text file of the tree that people write."""
    kinds = ("c", "h", "def", "py", "md", "build", "txt", "yaml", "sql", "js", "java", "go", "1", "5", "8",
             "service", "socket")
    found = [path for kind in kinds for path in sources(f"src/**/*.{kind}", f"tests/**/*.{kind}",
             f"docs/**/*.{kind}", f"demo/**/*.{kind}", f"bench/**/*.{kind}", f"*.{kind}")]
    return [path for path in found + ["dev", ".ci/run"]
            if "/results/" not in path and "/node_modules/" not in path]


# --- code -----------------------------------------------------------------------------------------


def test_include_lines_point_downwards():
    wrong = []
    for path in sources("src/**/*.[ch]", "src/**/*.def"):
        mine = FOLDERS.index(path.split("/")[1])
        for line in read(path).splitlines():
            named = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not named:
                continue
            folder = named.group(1).split("/")[0]
            if folder not in FOLDERS or FOLDERS.index(folder) > mine:
                wrong.append(f"{path}: {line.strip()}")
    assert not wrong, "\n".join(wrong)


def test_the_build_knows_the_same_folders_in_the_same_order():
    assert re.findall(r"subdir\('(\w+)'\)", read("src/meson.build")) == FOLDERS


def test_every_header_compiles_alone():
    flags = subprocess.run(["pkg-config", "--cflags", "openssl", "libpq", "libprotobuf-c", "libseccomp",
                            "libsodium", "yaml-0.1", "libcurl", "libmicrohttpd"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()

    def compile_alone(path):
        done = subprocess.run(
            ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-DRF_FAULTS", "-fsyntax-only", "-Wall", "-Wextra",
             "-Werror", "-Wno-unused", "-I", "src", *flags, "-x", "c", "-"],
            input=f'#include "{os.path.relpath(path, "src")}"\nint main(void) {{ return 0; }}\n',
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
        return "" if done.returncode == 0 else f"{path}:\n{done.stderr}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failures = [text for text in pool.map(compile_alone, sources("src/**/*.h")) if text]
    assert not failures, "\n".join(failures)


def test_every_header_begins_with_what_it_is_for():
    wrong = [path for path in sources("src/**/*.h")
             if not read(path).startswith(f"/* {os.path.basename(path)} - ")]
    assert not wrong, wrong


def test_no_file_is_named_after_nothing():
    nouns = {"util", "utils", "misc", "common", "helpers", "stuff"}
    wrong = [path for path in sources("src/**/*", "tests/**/*", "demo/**/*", "bench/**/*")
             if os.path.basename(path).split(".")[0] in nouns]
    assert not wrong, wrong


def functions(text):
    """(name, lines) of each function: in our brace style its braces stand in the first column."""
    name, start = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if start is None and re.match(r"[A-Za-z_].*\(", line) and not line.rstrip().endswith(";"):
            name = re.search(r"(\w+)\s*\(", line).group(1)
        if line.rstrip() == "{":
            start = number
        elif line.rstrip() == "}" and start is not None:
            yield name, number - start - 1
            start = None


def test_no_function_is_longer_than_a_screen():
    counted, wrong = 0, []
    for path in sources("src/**/*.c"):
        for name, lines in functions(read(path)):
            counted += 1
            if lines > 80:
                wrong.append(f"{path}: {name} has {lines} lines")
    assert counted > 100, "the functions were not found at all"
    assert not wrong, "\n".join(wrong)


def test_nothing_is_left_for_later_and_no_machine_is_named():
    marks = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|HA" r"CK)\b|\bX" r"XX[: ]|/wo" r"rk/")
    wrong = [f"{path}:{number}: {line.strip()}" for path in tracked_texts()
             for number, line in enumerate(read(path).splitlines(), 1) if marks.search(line)]
    assert not wrong, "\n".join(wrong)


# --- packages -------------------------------------------------------------------------------------


def listed_packages():
    groups = {}
    for line in read("packages.txt").splitlines():
        if line and not line.startswith("#"):
            group, package = line.split()
            groups.setdefault(group, set()).add(package.rstrip("?").split(">=")[0])
    return groups


def owner(path):
    """The Debian package that PATH belongs to."""
    for candidate in (path, os.path.realpath(path), re.sub(r"^/(s?bin|lib)/", r"/usr/\1/", path)):
        done = subprocess.run(["dpkg", "-S", candidate], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    return None


def test_packages_cover_what_the_build_asks_for():
    listed = listed_packages()
    unit = read("tests/unit/meson.build")
    wanted = {}
    for text, groups in ((read("meson.build"), ["build"]), (unit, ["build", "test"])):
        for name in re.findall(r"dependency\('([\w.+-]+)'", text):
            if name != "threads":
                wanted[name] = (glob.glob(f"/usr/lib/*/pkgconfig/{name}.pc"), groups)
        for name in re.findall(r"find_library\('(\w+)'", text):
            wanted[name] = (glob.glob(f"/usr/include/{name}.h"), groups)
    assert len(wanted) >= 7
    for name, (files, groups) in wanted.items():
        assert files, f"{name} is not installed"
        package = owner(files[0])
        assert any(package in listed[group] for group in groups), f"{name} is in {package}"


def test_packages_cover_the_modules_that_python_imports():
    listed = set().union(*listed_packages().values())
    named = set()
    for path in sources("tests/**/*.py", "demo/**/*.py", "bench/**/*.py"):
        named |= set(re.findall(r"^\s*(?:import|from) (\w+)", read(path), re.M))
    for module in sorted(named):
        file = glob.glob(f"/usr/lib/python3/dist-packages/{module}/__init__.py")
        if file:
            assert owner(file[0]) in listed, f"{module} is in {owner(file[0])}"
    assert {"psycopg", "psycopg2", "pytest", "yaml"} <= named


def test_packages_cover_what_go_imports():
    listed = set().union(*listed_packages().values())
    named = set()
    for path in sources("tests/**/*.go"):
        named |= set(re.findall(r'^\s*"([a-z.]+\.[a-z]+/[^"]+)"$', read(path), re.M))
    assert "golang.org/x/mod/sumdb/tlog" in named
    for module in sorted(named):
        assert owner(f"/usr/share/gocode/src/{module}") in listed, module


def test_packages_cover_the_programs_that_are_called():
    listed = set().union(*listed_packages().values())
    programs = {"dev": ["meson", "ninja", "mandoc", "cppcheck"],
                "tests/support/postgres.py": ["/usr/lib/postgresql/15/bin/postgres"],
                "tests/integration/test_clients.py": ["node"],
                "tests/integration/test_third_party.py": ["go"],
                "bench/bench.py": ["/usr/sbin/pgbouncer"]}
    for where, names in programs.items():
        for name in names:
            assert os.path.basename(name).split("/")[-1] in read(where), (where, name)
            path = name if name.startswith("/") else subprocess.run(
                ["sh", "-c", f"command -v {name}"], stdout=subprocess.PIPE, text=True,
                check=False).stdout.strip()
            if path and os.path.exists(path):  # a bench machine has more than a test machine
                assert owner(path) in listed, f"{name} is in {owner(path)}"


# --- documents ------------------------------------------------------------------------------------


def documents():
    return sources("*.md", "docs/**/*.md")


def pages():
    return sources("docs/man/*.[1-8]")


def quoted(text):
    """Everything in back ticks and in code blocks, in order: a line of a block each."""
    found, fenced = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            found.append(line.strip())
        else:
            found += re.findall(r"`([^`]+)`", line)
    return found


def dev_commands():
    done = subprocess.run([os.path.join(ROOT, "dev"), "help"], stdout=subprocess.PIPE, text=True,
                          check=True)
    return set(re.findall(r"^  ([a-z]+)(?: |$)", done.stdout, re.M))


def rows(path, macro):
    """The arguments of each MACRO(…) row of a table, as text."""
    return re.findall(rf"^{macro}\((.*)\)$", read(path), re.M)


def ringfence_commands():
    return {row.split('"')[1]: row for row in rows("src/cmd/tbl/command.def", "COMMAND")}


def exists(name, document):
    places = [ROOT, os.path.dirname(os.path.join(ROOT, document)), os.path.join(ROOT, "src"),
              os.path.join(ROOT, "docs"), os.path.join(ROOT, "docs", "man"),
              os.path.join(ROOT, "tests")]
    return any(glob.glob(os.path.join(place, name)) for place in places)


def is_path_of_ours(text):
    """A back-ticked word that looks like a file of this tree. What starts with DIR/, / or a dot is
    made when the thing runs, and so is what lies below build/."""
    if not re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", text) or "/" not in text:
        return False
    first = text.split("/")[0]
    return first in {"src", "tests", "docs", "demo", "bench", ".ci"} | set(FOLDERS) | {"man", "formats",
                                                                                      "decisions"}


def test_paths_named_in_documents_exist():
    wrong, checked = [], 0
    for document in documents():
        for text in quoted(read(document)):
            for word in re.split(r"[\s,]+", text):
                word = word.removeprefix("./").rstrip(".:;")
                if is_path_of_ours(word) and "/results" not in word:
                    checked += 1
                    if not exists(word, document):
                        wrong.append(f"{document}: {word}")
        for target in re.findall(r"\]\(([^)#\s]+)[)#]", read(document)):
            if "://" not in target:
                checked += 1
                if not exists(target, document):
                    wrong.append(f"{document}: link to {target}")
    assert checked > 20
    assert not wrong, "\n".join(wrong)


def test_dev_commands_named_in_documents_exist():
    known = dev_commands()
    assert {"build", "test", "demo"} <= known
    wrong = [f"{document}: {text}" for document in documents() + pages()
             for text in re.findall(r"\./dev ([a-z]+)", read(document)) if text not in known]
    assert not wrong, "\n".join(wrong)


def test_what_dev_offers_it_also_does():
    script = read("dev")
    for name in dev_commands() - {"help"}:
        assert f"command_{name}()" in script, name


def test_ringfence_commands_named_in_documents_exist():
    known = ringfence_commands()
    wrong = []
    for document in documents():
        for text in quoted(read(document)):
            called = re.match(r"(?:\$ )?(?:\S*/)?ringfence (?:-c \S+ )?([a-z][a-z-]*)(.*)", text)
            if not called:
                continue
            if called.group(1) not in known:
                wrong.append(f"{document}: ringfence {called.group(1)}")
                continue
            options = set(re.findall(r"--[a-z][a-z-]*", called.group(2)))
            unknown = options - set(re.findall(r"--[a-z][a-z-]*", known[called.group(1)])) - {"--json"}
            wrong += [f"{document}: ringfence {called.group(1)} {option}" for option in unknown]
    assert not wrong, "\n".join(wrong)


def test_the_program_lists_the_commands_of_its_table():
    done = subprocess.run([os.path.join(BUILD, "src/cmd/ringfence"), "help"], stdout=subprocess.PIPE,
                          text=True, check=True)
    for name in ringfence_commands():
        assert re.search(rf"^\s*{name}\b", done.stdout, re.M), name


def test_errors_and_rules_named_in_documents_exist():
    errors = {row.split(",")[0].strip() for row in rows("src/base/tbl/error.def", "ERROR")}
    errors.add("EVENT")  # a variable of the environment of hooks' programs
    wrong = [f"{document}: RF_{name}" for document in documents() + pages()
             for name in re.findall(r"\bRF_(E[A-Z]+)\b", read(document)) if name not in errors]
    assert not wrong, "\n".join(wrong)


def test_configuration_keys_are_all_in_the_manual():
    page = read("docs/man/ringfence.conf.5")
    keys = {name for row in rows("src/policy/tbl/config.def", r"[A-Z_]+")
            for name in re.findall(r'"([a-z_]+)"', row)[:1]}
    assert len(keys) > 10, "the table's keys were not found"
    missing = [key for key in keys if not re.search(rf"\b{key}\b", page)]
    assert not missing, missing


def test_commands_and_manual_name_each_other():
    page = read("docs/man/ringfence.1")
    described = set(re.findall(r"^\.It Ic ([a-z-]+)", page, re.M))
    assert described == set(ringfence_commands())
    for name, row in ringfence_commands().items():
        for option in re.findall(r"--([a-z][a-z-]*)", row):
            assert re.search(rf"Fl Fl {option}\b", page), f"{name} --{option}"


def test_every_process_is_in_the_manual_and_in_the_architecture():
    names = set(re.findall(r'\[ROLE_\w+\] = "(\w+)"', read("src/priv/imsg.c")))
    assert len(names) > 8, "the names of processes were not found"
    manual = read("docs/man/ringfenced.8").split(".Ss Processes")[1].split(".Ss Restarts")[0]
    assert set(re.findall(r"^\.It (\w+)$", manual, re.M)) == names
    table = read("ARCHITECTURE.md").split("| process | does |")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| (\w+)[ ,]", table, re.M)) == names


def test_what_the_registrar_may_call_is_one_table():
    """The names are those that test_requests.py compares with a database."""
    functions = re.search(r"^FUNCTIONS = \{(.*?)\}", read("tests/integration/test_requests.py"), re.M | re.S)
    part = read("docs/enforcement.md").split("\n## Requests\n")[1]
    table = part.split("\n|---|---|\n")[1].split("\n\n")[0]  # a blank line ends a table
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)\(", row.split("|")[1])}
    assert named == set(re.findall(r'"(\w+)"', functions.group(1)))


@pytest.mark.parametrize("page", pages())
def test_manual_pages_are_clean(page):
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_readme_starts_with_the_two_commands():
    commands = [line for line in quoted(read("README.md")) if line.startswith("./dev")]
    assert commands[:2] == ["./dev demo", "./dev test"]


def test_the_build_server_runs_the_tests_and_nothing_else():
    assert "exec ./dev test" in read(".ci/run")
