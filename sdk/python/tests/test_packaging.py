"""What the package brings into a process and what it leaves alone."""

import importlib
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
PROTO = HERE.parent.parent / "proto"

PROBE = """
import sys
sys.path.insert(0, sys.argv[1])
order = sys.argv[2].split(",")
for name in order:
    __import__(name)
from agentd.tool.v1 import types_pb2 as theirs
from agentd_plugin.wire import types_pb2 as ours
assert theirs.ToolDescriptor(name="a", of_theirs="b").of_theirs == "b"
assert not hasattr(ours.ToolDescriptor(), "of_theirs")
made = ours.ToolDescriptor(name="a")
made.timeout.FromSeconds(3)
assert theirs.ToolDescriptor.FromString(made.SerializeToString()).timeout.seconds == 3
"""


@pytest.mark.parametrize(
    "order",
    ["agentd.tool.v1.types_pb2,agentd_plugin", "agentd_plugin,agentd.tool.v1.types_pb2"],
)
def test_an_authors_stubs_of_another_revision_of_the_same_files_live_beside(
    tmp_path: Path, order: str
) -> None:
    protos = tmp_path / "protos" / "agentd" / "tool" / "v1"
    protos.mkdir(parents=True)
    text = (PROTO / "agentd/tool/v1/types.proto").read_text()
    other = text.replace(
        "message ToolDescriptor {", "message ToolDescriptor {\n  string of_theirs = 900;"
    )
    assert other != text
    (protos / "types.proto").write_text(other)
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{tmp_path / 'protos'}"]
    subprocess.run(
        [*protoc, f"--python_out={stubs}", str(protos / "types.proto")], check=True, cwd=tmp_path
    )
    probe = subprocess.run(
        [sys.executable, "-c", PROBE, str(stubs), order], capture_output=True, text=True
    )
    assert probe.returncode == 0, probe.stderr


def test_nothing_is_named_agentd_at_the_top() -> None:
    assert importlib.util.find_spec("agentd_plugin.wire.tool_pb2") is not None
    assert importlib.util.find_spec("agentd") is None


def test_an_sdist_holds_the_protos_and_a_wheel_made_of_it_is_whole(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--no-isolation", "-o", str(tmp_path), str(HERE)]
    made = subprocess.run(build, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-2000:]
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {p.name for p in (PROTO / "agentd/tool/v1").glob("*.proto")} == {
        name.rpartition("/")[2] for name in names if name.startswith("proto/agentd/tool/v1/")
    }
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = wheel.namelist()
    tops = {name.partition("/")[0] for name in held if ".dist-info/" not in name}
    assert tops == {"agentd_plugin"}
    for name in ("py.typed", "wire/tool_pb2.py", "wire/tool_pb2.pyi", "wire/relay_pb2_grpc.py"):
        assert f"agentd_plugin/{name}" in held
