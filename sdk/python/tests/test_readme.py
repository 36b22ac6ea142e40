"""The plugin and the test of README.md work as they stand."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_plugin_of_the_readme_passes_the_test_of_the_readme(tmp_path: Path) -> None:
    plugin, test = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "queues.py").write_text(plugin)
    (tmp_path / "test_queues.py").write_text(test)
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    made = subprocess.run(pytest, capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode == 0, made.stdout
    mypy = [sys.executable, "-m", "mypy", "--strict", "queues.py"]
    made = subprocess.run(mypy, capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode == 0, made.stdout
