"""Makes the stubs of the wire from the proto files while the package is built.

They go into `agentd_plugin.wire` and nowhere else, whatever package the proto files name, so that
an author's own stubs at `agentd.tool.v1` stay the author's. Two lines of the generated code are
rewritten for that: where a file imports another one of ours, and into which pool its messages go.
Everything else about the build is in pyproject.toml.
"""

import re
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).parent.resolve()
PROTOS = Path("agentd/tool/v1")
IMPORT = re.compile(r"^from agentd\.tool\.v1 import ", re.MULTILINE)
UNTYPED = "from typing import Any\n\ndef __getattr__(name: str) -> Any: ...\n"
POOL = "_descriptor_pool.Default()"


def proto_root() -> Path:
    """Beside us in an sdist, at the root of the tree in a checkout."""
    for root in (HERE / "proto", HERE.parent.parent / "proto"):
        if (root / PROTOS).is_dir():
            return root
    raise SystemExit("the proto files are not there: build from a checkout of agentd or an sdist")


def generate(into: Path) -> list[str]:
    """Writes the stubs into the folder `into`; returns their paths."""
    from grpc_tools import protoc

    root = proto_root()
    with tempfile.TemporaryDirectory() as made:
        arguments = ["protoc", f"-I{root}", f"-I{files('grpc_tools') / '_proto'}"]
        arguments += [f"--{kind}_out={made}" for kind in ("python", "pyi", "grpc_python")]
        if protoc.main(arguments + [str(p) for p in sorted((root / PROTOS).glob("*.proto"))]):
            raise SystemExit("protoc refused the proto files")
        into.mkdir(parents=True, exist_ok=True)
        written = []
        for stub in sorted((Path(made) / PROTOS).iterdir()):
            text = IMPORT.sub("from agentd_plugin.wire import ", stub.read_text())
            if stub.name.endswith("_pb2.py"):
                if text.count(POOL) != 1:
                    raise SystemExit(f"{stub.name} is not as protoc wrote it before: see setup.py")
                text = text.replace(POOL, "_pool.POOL")
                text = text.replace(
                    "_sym_db = ", "from agentd_plugin.wire import _pool\n\n_sym_db = ", 1
                )
            if "_pb2_grpc" in stub.name and "Stub" not in text:
                continue  # a file without services
            if "_pb2_grpc" in stub.name:
                untyped = into / f"{stub.stem}.pyi"
                untyped.write_text(UNTYPED)
                written.append(str(untyped))
            (into / stub.name).write_text(text)
            written.append(str(into / stub.name))
    return written


class BuildWithStubs(build_py):
    """Builds the package, and the stubs into it; into the source tree when it is editable."""

    def run(self) -> None:
        """Runs the command."""
        super().run()
        # After the sources, among which may be stubs of an editable build of another day.
        self.stubs = generate(self._into())

    def _into(self) -> Path:
        root = HERE / "src" if self.editable_mode else Path(self.build_lib)
        return root / "agentd_plugin" / "wire"

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """What was written."""
        return list(super().get_outputs(include_bytecode)) + list(getattr(self, "stubs", []))


class SdistWithProtos(sdist):
    """An sdist that can be built where no checkout is."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Puts the proto files beside the sources."""
        super().make_release_tree(base_dir, files)
        target = Path(base_dir) / "proto" / PROTOS
        shutil.copytree(proto_root() / PROTOS, target, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithStubs, "sdist": SdistWithProtos})
