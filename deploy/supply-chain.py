#!/usr/bin/env python3
"""Lists what a release is made of: `deploy/supply-chain.py TARGET FOLDER`, called by deploy/release.

Writes into FOLDER:
  THIRD-PARTY-LICENSES.txt  the licences of all dependencies, with the texts that their packages hold
  sbom.cdx.json             the same dependencies as CycloneDX, with checksums and what needs what

Only what is linked for TARGET counts: no dependency of tests or build scripts. The result depends on
nothing but Cargo.lock, the packages and the compiler: SOURCE_DATE_EPOCH is the time that it shows.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE|UNLICENSE)([-_.].*)?", re.IGNORECASE)
SOURCE = re.compile(r"\.(c|h|cc|go|rs|py|pl|sh|S|toml|html|tmpl|hbs)$")
# The Apache licence has a standard text, so a package that lacks it can be served from another.
STANDARD = {"Apache-2.0": "Apache License"}


def metadata(target):
    command = ["cargo", "metadata", "--format-version=1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def linked(data, target):
    """The packages that are linked into the program, by ID, with what each of them needs."""
    # cargo metadata has the features of the whole workspace, its tests included: too many packages.
    command = ["cargo", "tree", "--locked", "--package=swarmscout", "--edges=normal,no-proc-macro"]
    command += ["--prefix=none", "--format={p}", "--target", target]
    tree = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    built = {tuple(line.split()[:2]) for line in tree.splitlines()}
    packages = {
        one["id"]: one for one in data["packages"] if (one["name"], f"v{one['version']}") in built
    }
    found = {
        node["id"]: [
            dep["pkg"]
            for dep in node["deps"]
            if dep["pkg"] in packages and any(kind["kind"] is None for kind in dep["dep_kinds"])
        ]
        for node in data["resolve"]["nodes"]
        if node["id"] in packages
    }
    root = next(one["id"] for one in packages.values() if one["name"] == "swarmscout")
    return root, packages, found


def texts(package):
    """The texts of licences in a package: those of C libraries that it brings, too."""
    folder = pathlib.Path(package["manifest_path"]).parent
    found = {}
    named = package["license_file"]
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        depth = len(inside.parts)
        in_folder = depth == 2 and inside.parts[0].upper() in ("LICENSES", "LICENSE")
        is_text = TEXT.fullmatch(path.name) and not SOURCE.search(path.name)
        if depth <= 4 and (is_text or in_folder or str(inside) == named) and path.is_file():
            found[str(inside)] = path.read_text(encoding="utf-8", errors="replace").strip()
    return found


def toolchain():
    """The standard library and the C library, which every release holds."""
    sysroot = subprocess.run(["rustc", "--print=sysroot"], check=True, capture_output=True, text=True)
    docs = pathlib.Path(sysroot.stdout.strip()) / "share/doc/rust"
    musl = sorted((ROOT / "target/zig").glob("lib/python*/site-packages/ziglang/lib/libc/musl/COPYRIGHT"))
    parts = [
        ("Rust's standard library", "MIT OR Apache-2.0", [docs / "LICENSE-MIT", docs / "LICENSE-APACHE", docs / "COPYRIGHT"]),
        ("musl, the C library", "MIT", musl[:1]),
    ]
    return [
        (name, expression, [path.read_text(encoding="utf-8").strip() for path in paths if path.is_file()])
        for name, expression, paths in parts
    ]


def expression(package):
    """The SPDX expression. A slash is how old packages write OR."""
    return (package["license"] or "").replace("/", " OR ")


def write_licenses(third_party, path):
    seen, order, owners, missing = {}, [], {}, []
    standard = {}
    entries = [
        (f"{one['name']} {one['version']}", expression(one), list(texts(one).values()), one["repository"])
        for one in third_party
    ]
    entries += [(name, spdx, found, None) for name, spdx, found in toolchain()]
    for _, _, found, _ in entries:
        for text in found:
            for spdx, title in STANDARD.items():
                # The whole text, and not a note that refers to it.
                if title in text[:200] and "END OF TERMS AND CONDITIONS" in text:
                    standard.setdefault(spdx, text)
    lines = ["Swarmscout contains the following works of others.", ""]
    for name, spdx, found, repository in sorted(entries, key=lambda entry: entry[0].lower()):
        if not found:
            found = [text for known, text in standard.items() if known in spdx]
            if not found:
                missing.append(f"{name} ({spdx}, {repository})")
        numbers = []
        for text in found:
            if text not in seen:
                seen[text] = len(seen) + 1
                order.append(text)
            numbers.append(seen[text])
            owners.setdefault(seen[text], []).append(name)
        shown = ", ".join(map(str, sorted(set(numbers)))) or "none in its package: see " + str(repository)
        lines.append(f"{name}: {spdx}; text {shown}")
    for number, text in enumerate(order, 1):
        lines += ["", "=" * 80, f"Text {number}", "=" * 80, "", text]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return missing


def write_sbom(root, packages, found, path):
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    checksums = {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}
    reference = lambda one: f"pkg:cargo/{packages[one]['name']}@{packages[one]['version']}"

    def component(one):
        package = packages[one]
        result = {
            "type": "application" if one == root else "library",
            "bom-ref": reference(one),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(one),
        }
        if package["description"]:
            result["description"] = " ".join(package["description"].split())
        if expression(package):
            result["licenses"] = [{"expression": expression(package)}]
        checksum = checksums.get((package["name"], package["version"]))
        if checksum:
            result["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if package["repository"]:
            result["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        return result

    order = sorted(found, key=reference)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    moment = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    parts = [component(one) for one in order if one != root]
    unique = json.dumps([reference(root), moment.isoformat(), parts], sort_keys=True)
    sbom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, unique)}",
        "version": 1,
        "metadata": {
            "timestamp": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(root),
        },
        "components": parts,
        "dependencies": [
            {"ref": reference(one), "dependsOn": sorted({reference(dep) for dep in found[one]})}
            for one in order
        ],
    }
    path.write_text(json.dumps(sbom, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    root, packages, found = linked(metadata(target), target)
    third_party = [packages[one] for one in found if packages[one]["source"]]
    missing = write_licenses(third_party, folder / "THIRD-PARTY-LICENSES.txt")
    write_sbom(root, packages, found, folder / "sbom.cdx.json")
    if missing:
        sys.exit(f"cannot find the licence text of {'; '.join(missing)}")
    print(f"{target}: the licences of {len(third_party)} dependencies")


main()
