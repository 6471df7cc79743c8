"""Makes the Python modules and stubs of `fifo.v1` from the protos: `python -m protos.generate`.

Works offline and on any machine with the development requirements: compiler and plugins come from
the environment that runs it, and Google's protos from `third_party`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

PROTOS: Final = Path(__file__).resolve().parent
THIRD_PARTY: Final = PROTOS / "third_party"
PACKAGE: Final = Path("fifo/v1")
INIT: Final = (
    '"""The public API, generated from protos/fifo/v1 by `make protos`: never edited."""\n'
)
PLUGINS: Final = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


class GenerationError(Exception):
    """The compiler refused the protos; its own words are the message."""


def generate(into: Path) -> None:
    """Write the package `fifo/v1` below `into` and delete what no proto makes any more.

    Called by `make protos` for the repository and by the drift test for an empty directory. Raises
    GenerationError with the compiler's output when a proto does not compile.
    """
    package = into / PACKAGE
    package.mkdir(parents=True, exist_ok=True)
    for stale in (*package.glob("*.py"), *package.glob("*.pyi")):
        stale.unlink()
    sources = sorted(path.relative_to(PROTOS) for path in (PROTOS / PACKAGE).glob("*.proto"))
    services = [source for source in sources if source.stem.endswith("_service")]
    _compile(sources, into, "python", "mypy")
    _compile(services, into, "grpc_python", "mypy_grpc")
    (package / "__init__.py").write_text(INIT, encoding="utf-8")


def _compile(sources: list[Path], into: Path, *outputs: str) -> None:
    scripts = Path(sys.executable).parent
    command = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTOS}",
        f"--proto_path={THIRD_PARTY}",
        *(f"--plugin={plugin}={scripts / plugin}" for plugin in PLUGINS),
        *(f"--{output}_out={into}" for output in outputs),
        *map(str, sources),
    ]
    done = subprocess.run(  # noqa: S603 - an argument list of our own files
        command, cwd=PROTOS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise GenerationError(done.stderr)


if __name__ == "__main__":
    generate(PROTOS.parent)
