"""A private, rootless apt: brings a package of a Debian release, or of Ubuntu's, into the cache folder.

Nothing is installed. apt gets its own lists, archives and an empty status file, downloads a package with all it
depends on, and ``dpkg-deb -x`` unpacks them side by side. Mirror and keys are those of the machine's own sources, so a
file is believed for the reason that the machine believes its own: a signed list states its SHA-256.

``$PILOTFISH_APT_MIRROR`` names another mirror (``http://mirror.example/debian``), or whole lines of a
``sources.list``.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pilotfish.board.cache import folder
from pilotfish.errors import StorageError, ToolError, ToolMissingError

Progress = Callable[[str], None]

PACKAGES = "packages.json"  # its presence says that a folder is whole
KEYRINGS = Path("/usr/share/keyrings")
# Read after the machine's own settings (its proxy, say), so that only what must differ is named. Hooks of the
# machine's apt are for its own package state and may need root.
CONFIGURATION = """\
Dir::State "{home}/state";
Dir::State::lists "{home}/lists";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Cache::archives "{home}/archives";
Dir::Log "{home}/log";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "{home}/sources";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
Debug::NoLocking "true";
"""


@dataclass(frozen=True)
class Package:
    """One downloaded file, as the signed lists state it."""

    file: str
    sha256: str


def bring(package: str, progress: Progress = lambda _: None, *, release: str = "") -> Path:
    """The folder into which a package and all it depends on are unpacked; brought on first use.

    ``release`` is a code name such as ``"bookworm"``: another one than this machine's is read from the same mirror.

    Safe to interrupt and to run twice at once. Raises :class:`ToolMissingError` if this machine has no apt or the
    package cannot be had, :class:`StorageError` if the cache cannot be written.
    """
    base = folder("apt")
    release = release or own_release()
    root = base / f"{package}-{release}"
    if (root / PACKAGES).exists():
        return root
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ToolMissingError(f"this machine has no {tool}, so {package} cannot be brought")
    with _alone(base / "lock", progress):
        if not (root / PACKAGES).exists():
            try:
                _bring(package, release, base, root, progress)
            except OSError as error:
                raise StorageError(f"cannot bring {package} into {base}: {error.strerror or error}") from error
    return root


def start(root: Path, program: Path) -> tuple[str, ...]:
    """How to start a program unpacked under ``root``: by itself if it is static or this machine has all its libraries,
    else by the dynamic loader that was brought with it."""
    if _is_static(program):
        return (str(program),)
    try:
        done = subprocess.run(
            [str(program)], env={"LD_TRACE_LOADED_OBJECTS": "1"}, capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and "not found" not in done.stdout + done.stderr:
            return (str(program),)
    except OSError:
        pass  # its interpreter is not there: this machine's C library is another one
    places = [root / "lib64", root / "lib", root / "usr/lib64", root / "usr/lib"]
    loader = next((found for place in places for found in sorted(place.glob("**/ld-linux*.so.*"))), None)
    if loader is None:
        raise ToolError(f"{program} misses libraries, and no dynamic loader was brought with it")
    libraries = sorted({str(file.parent) for place in places for file in place.glob("**/*.so*")})
    return (str(loader), "--library-path", ":".join(libraries), str(program))


def _is_static(program: Path) -> bool:
    """Whether a 64-bit ELF program names no dynamic loader (no PT_INTERP among its program headers)."""
    with program.open("rb") as file:
        elf = file.read(64 + 56 * 64)
    if len(elf) < 64 or elf[:5] != b"\x7fELF\x02":
        return False
    table, size, count = *struct.unpack_from("<Q", elf, 32), *struct.unpack_from("<HH", elf, 54)
    starts = range(table, min(table + size * count, len(elf) - 4), size or 1)
    return all(struct.unpack_from("<I", elf, at)[0] != 3 for at in starts)


def _bring(package: str, release: str, base: Path, root: Path, progress: Progress) -> None:
    home = _home(base, release)
    progress(f"reading the package lists for {package}")
    _apt(home, ["update"], package, progress)
    # --print-uris leaves out what is in the archives already, hence the empty folder.
    with tempfile.TemporaryDirectory(dir=base) as empty:
        Path(empty, "partial").mkdir()
        asked = [
            "-o",
            f"Dir::Cache::archives={empty}",
            "-o",
            "Acquire::ForceHash=SHA256",
            "install",
            "--print-uris",
        ]
        listed = _apt(home, [*asked, package], package, progress)
    lines = re.findall(r"^'\S+' (\S+) \d+ SHA256:([0-9a-f]{64})$", listed, re.MULTILINE)
    packages = [Package(file, sha256) for file, sha256 in lines]
    if not packages:
        raise ToolMissingError(f"apt knows no package {package} for {release}")
    progress(f"downloading {package} and its libraries")
    _apt(home, ["install", "--download-only", package], package, progress)
    for stale in [root, *base.glob(f".{root.name}.*")]:  # of a process that was killed
        shutil.rmtree(stale, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{root.name}.", dir=base))
    try:
        for number, one in enumerate(packages):
            progress(f"unpacking {package}: {number + 1} of {len(packages)}")
            _unpack(home / "archives" / one.file, one, partial)
        (partial / PACKAGES).write_text(json.dumps([asdict(one) for one in packages], indent=1) + "\n")
        partial.chmod(0o755)
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(home / "archives", ignore_errors=True)


def _unpack(archive: Path, package: Package, into: Path) -> None:
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    if digest != package.sha256:
        archive.unlink()
        raise ToolError(f"{archive.name} was damaged (SHA-256 {digest}, not {package.sha256}); run the command again")
    done = subprocess.run(["dpkg-deb", "-x", str(archive), str(into)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if "No space left" in done.stderr:
            raise StorageError(f"cannot unpack {archive.name}: no space left on the disk")
        raise ToolError(f"cannot unpack {archive.name}: {done.stderr.strip()[-1000:]}")


def _apt(home: Path, arguments: list[str], package: str, progress: Progress) -> str:
    """What apt-get prints; its own percentages go to ``progress``."""
    command = ["apt-get", "-c", str(home / "apt.conf"), "-q", "-y", "-o", "APT::Status-Fd=1", *arguments]
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    printed: list[str] = []
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True
        ) as running,
    ):
        assert running.stdout is not None
        try:
            shown = ""
            for line in running.stdout:
                if found := re.match(r"dlstatus:\d+:([\d.]+):(.*)", line):
                    if shown != (shown := f"{package}: {float(found[1]):.0f} % ({found[2].strip()})"):
                        progress(shown)
                else:
                    printed.append(line)
        except BaseException:
            running.kill()
            raise
        status = running.wait()
        said.seek(0)
        words = said.read().strip()
    if status != 0:
        if "No space left" in words or "enough free space" in words:
            raise StorageError(f"apt-get {arguments[0]} failed: no space left on the disk")
        raise ToolMissingError(
            f"apt-get {arguments[0]} failed, perhaps because this machine is offline or needs a proxy "
            f"(http_proxy) or another mirror (PILOTFISH_APT_MIRROR):\n{words[-1500:]}"
        )
    return "".join(printed)


def _home(base: Path, release: str) -> Path:
    """apt's own folders, settings and sources; kept, so that an interrupted download goes on."""
    home = base / "home"
    for part in ("state", "lists/partial", "cache", "archives/partial", "none/partial", "log", "sources"):
        (home / part).mkdir(parents=True, exist_ok=True)
    (home / "status").write_text("")
    (home / "apt.conf").write_text(CONFIGURATION.format(home=home))
    for old in (home / "sources").iterdir():
        old.unlink()
    mirror = os.environ.get("PILOTFISH_APT_MIRROR")
    if not mirror:
        own = _own_sources()
        if release == own_release():
            for number, file in enumerate(sorted({file for file, _ in own})):
                (home / "sources" / f"{number}-{file.name}").symlink_to(file)
            return home
        mirror = own[0][1]
    line = mirror if mirror.startswith("deb ") else f"deb {_signed_by()}{mirror} {release} main"
    (home / "sources" / "mirror.list").write_text(line + "\n")
    return home


def _own_sources() -> list[tuple[Path, str]]:
    """The machine's source files that name its own release, each with a mirror, those of the release itself before
    updates and security. Other parties' sources are left alone."""
    pattern = "$(RELEASE) $(REPO_URI) $(SOURCESENTRY)"
    done = subprocess.run(
        ["apt-get", "indextargets", "--no-release-info", "--format", pattern, "Created-By: Packages"],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [row for line in done.stdout.splitlines() if len(row := line.split(" ", 2)) == 3]
    own = sorted((row for row in rows if row[0].split("-")[0] == own_release()), key=lambda row: row[0]) or rows
    if not own:
        raise ToolMissingError("this machine's apt has no sources; name a mirror with PILOTFISH_APT_MIRROR")
    return [(Path(entry.rsplit(":", 1)[0]), mirror) for _, mirror, entry in own]


def _signed_by() -> str:
    rings = [ring for name in ("debian", "ubuntu") for ring in sorted(KEYRINGS.glob(f"{name}-archive-keyring.*g*"))]
    return f"[signed-by={','.join(map(str, rings))}] " if rings else ""


def own_release() -> str:
    """The code name of this machine's release, such as ``bookworm``."""
    try:
        text = Path("/etc/os-release").read_text()
    except OSError:
        text = ""
    found = re.search(r"^VERSION_CODENAME=\"?([a-z]+)", text, re.MULTILINE)
    return found[1] if found else "stable"


@contextmanager
def _alone(lock: Path, progress: Progress) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another process that brings packages")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
