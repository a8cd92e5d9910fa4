"""The rules of the house: who may import whom, what stays out of the package, what must agree with what."""

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import neuromfa_lite
from neuromfa_lite.weights.torch_objects import SAFE_TORCH

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "neuromfa_lite"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The way of the data; a room imports only from rooms before its own line, or from itself.
FLOW = (
    ("errors",),
    ("results", "kernels", "method"),
    ("weights",),
    ("network",),
    ("masses",),
    ("spectrum",),
    ("study",),
    ("fractals", "laboratory"),
    ("evaluation",),
    ("plots",),
    ("panels", "cli"),
    ("__main__",),
)
RANK = {room: rank for rank, rooms in enumerate(FLOW) for room in rooms}
MOST_DOORS, MOST_NAMES = 15, 40
MOST_PARAMETERS = {"load_network": 8}  # the one door to every kind of model; 7 of all others


def room_of(path):
    """The room of the package that a file belongs to; "" for the package's own __init__."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path):
    """(absolute module name, names, inside a function called) of every import in a file."""
    package = ("neuromfa_lite", *path.relative_to(PACKAGE).parts[:-1])

    def visit(node, function):
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.Import):
                yield from ((alias.name, (), inner) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) + 1 - child.level] if child.level else ()
                module = ".".join([*base, *filter(None, [child.module])])
                yield module, tuple(alias.name for alias in child.names), inner
            yield from visit(child, inner)

    return list(visit(ast.parse(path.read_text(encoding="utf-8")), None))


def rooms_imported(path):
    """Every room of the package that a file imports from."""
    for module, names, _ in imports(path):
        parts = module.split(".")
        if parts[0] == "neuromfa_lite":
            rooms = parts[1:2] or [name for name in names if not name.startswith("__")]
            yield from rooms


def test_the_house_has_few_doors():
    doors = {room_of(path) for path in MODULES} - {"", "__main__"}
    assert doors == set(RANK) - {"__main__"} and len(doors) <= MOST_DOORS
    assert len(neuromfa_lite.__all__) <= MOST_NAMES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_against_the_flow(path):
    room = room_of(path)
    if room == "":
        assert not imports(path) or {module for module, _, _ in imports(path)} == {"importlib"}
        return
    assert room in RANK, f"{room} has no place in the flow: give it one in {Path(__file__).name}"
    for other in rooms_imported(path):
        assert other == room or RANK[other] < RANK[room], f"{path.name} imports {other}, against the flow"


def test_kernels_import_numpy_and_nothing_of_ours_but_the_compiler_with_its_cache():
    for path in {*(PACKAGE / "kernels").glob("[!_]*.py")} - {PACKAGE / "kernels" / "threads.py"}:
        names = {(module, *names) for module, names, _ in imports(path)}
        assert names <= {("math",), ("numpy",), ("neuromfa_lite.kernels", "njit")}, f"{path.name} imports {names}"


def test_torch_and_transformers_are_imported_inside_functions_only():
    for path in MODULES:
        for module, _, function in imports(path):
            assert module.split(".")[0] not in ("torch", "transformers") or function, f"{path.name}: {module}"


def loaded_after(code):
    code = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_no_call_is_hidden_by_a_module_of_its_name():
    """A submodule becomes an attribute of the package when it is imported, whatever stood there before."""
    for module in pkgutil.walk_packages(neuromfa_lite.__path__, "neuromfa_lite."):
        if module.name != "neuromfa_lite.__main__":
            importlib.import_module(module.name)
    calls = [name for name in neuromfa_lite.__all__ if not name.isupper()]
    assert {"analyze", "verify", "confidence", "scorecard", "load_network"} <= set(calls)
    assert [name for name in calls if not callable(getattr(neuromfa_lite, name))] == []
    named = "study spectrum evaluation network method masses fractals laboratory"
    for room in (getattr(neuromfa_lite, name) for name in named.split()):
        assert [name for name in room.__all__ if name.islower() and not callable(getattr(room, name))] == []


def test_importing_the_package_loads_only_the_standard_library():
    loaded = loaded_after("import neuromfa_lite") - loaded_after("")
    assert {name.split(".")[0] for name in loaded} <= {"neuromfa_lite", *sys.stdlib_module_names}


def test_no_public_name_loads_torch():
    loaded = loaded_after("import neuromfa_lite as n\nfor name in n.__all__: getattr(n, name)")
    assert "numba" in loaded
    assert not loaded & {"torch", "transformers"}


def test_modules_of_tests_that_need_torch_are_skipped_without_it(tmp_path):
    (tmp_path / "without_torch.py").write_text("import sys\nsys.modules.update(torch=None, transformers=None)\n")
    named = re.compile(r"^(import|from|\w.* =) .*\b(torch|transformers)\b", re.MULTILINE)  # outside functions
    files = [path for path in (ROOT / "tests").rglob("*.py") if named.search(path.read_text(encoding="utf-8"))]
    command = [sys.executable, "-m", "pytest", "-p", "without_torch", "-p", "no:cacheprovider", "--collect-only"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert files and done.returncode in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), done.stdout[-3000:]


def test_functions_have_few_parameters():
    """Choices belong in a Method. Kernels are left out: they take their arrays one by one."""
    many = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and room_of(path) != "kernels":
                arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                if len([a for a in arguments if a.arg not in ("self", "cls")]) > MOST_PARAMETERS.get(node.name, 7):
                    many.append(f"{path.name}: {node.name}")
    assert not many


def test_nothing_is_unpickled_and_no_remote_code_runs():
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"allow_pickle\s*=\s*True|trust_remote_code\s*=\s*True", text), path.name
        assert not {module.split(".")[0] for module, _, _ in imports(path)} & {"pickle", "dill", "joblib"}, path.name
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
                kept = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert kept.get("weights_only") == "True", f"{path.name}: torch.load without weights_only=True"


def text_files():
    kinds = ("py", "md", "toml", "txt", "yml", "cff", "json", "ipynb")
    folders = ("neuromfa_lite", "notebooks", "scripts", "tests", "benchmarks", "binder", ".ci", "docs")
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.name != ".git")
    for folder in folders:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and (path.suffix[1:] in kinds or not path.suffix):
                yield path


def test_no_path_of_somebodys_machine():
    private = re.compile(r"(?<![\w.])/(?:work|farm|root|home|Users)/\w")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in text_files()
        for match in [private.search(path.read_text(encoding="utf-8", errors="replace"))]
        if match
    ]
    assert not found


def test_ruff_finds_nothing():
    done = subprocess.run([sys.executable, "-m", "ruff", "check", "."], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout[-3000:]


# --- what must agree -------------------------------------------------------------------------------------------

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CORE = [Requirement(text) for text in PROJECT["dependencies"]]
TRAIN = [Requirement(text) for text in PROJECT["optional-dependencies"]["train"]]
TEST = [Requirement(text) for text in PROJECT["optional-dependencies"]["test"]]
PRETRAINED = [Requirement(text) for text in PROJECT["optional-dependencies"]["pretrained"]]
# conda-forge's name of the build without CUDA.
CONDA_NAME = {"torch": "pytorch-cpu"}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_pin_every_dependency_within_its_bounds():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    pinned = {plain(pin.name): next(iter(pin.specifier)) for pin in pins}
    assert all(specifier.operator == "==" and "+" not in specifier.version for specifier in pinned.values())
    for requirement in CORE + TRAIN + TEST + PRETRAINED:
        assert pinned[plain(requirement.name)].version in requirement.specifier, requirement


def test_the_torch_asked_for_reads_files_safely():
    (torch,) = (requirement for requirement in TRAIN if requirement.name == "torch")
    assert str(torch.specifier) == ">=" + ".".join(map(str, SAFE_TORCH))


def test_environment_file_names_the_same_dependencies():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["channels"] == ["conda-forge"]
    assert environment["dependencies"][:2] == ["python=3.11", "pip"]
    assert all(isinstance(line, str) for line in environment["dependencies"])  # no pip section, so no local path
    wanted = {f"{CONDA_NAME.get(r.name, r.name)}{r.specifier}" for r in CORE + TRAIN}
    assert set(environment["dependencies"][2:]) == wanted


def test_binder_files():
    assert (ROOT / "binder/environment.yml").read_bytes() == (ROOT / "environment.yml").read_bytes()
    assert not (ROOT / "binder/environment.yml").is_symlink()
    for name in ("postBuild", "start"):
        assert (ROOT / "binder" / name).stat().st_mode & 0o111, f"binder/{name} must be executable"
        assert "set -eu" in (ROOT / "binder" / name).read_text()
    assert "pip install --no-deps ." in (ROOT / "binder/postBuild").read_text()


def test_binder_builds_the_environment_of_our_file(monkeypatch):
    """What repo2docker would do, without a network or Docker."""
    from repo2docker.app import Repo2Docker
    from repo2docker.buildpacks import CondaBuildPack

    monkeypatch.chdir(ROOT)
    pack = CondaBuildPack(base_image=Repo2Docker().base_image)
    pack.platform = "linux/amd64"
    assert pack.detect()
    assert pack.python_version == "3.11"
    dockerfile = pack.render()
    for name in ("binder/environment.yml", "binder/postBuild", "binder/start"):
        assert name in dockerfile


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == neuromfa_lite.__version__
    assert citation["license"] == PROJECT["license"] == "MIT"
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2402.09099"
    assert neuromfa_lite.__version__ in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_readme_names_only_what_exists():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    goals = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"lab", "test"} <= set(re.findall(r"\bmake ([a-z-]+)", readme)) <= goals
