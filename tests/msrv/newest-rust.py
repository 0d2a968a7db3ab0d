"""Reads `cargo metadata` on stdin. Fails if a package that the root package needs, for more than its tests, requires a
newer Rust than the given version. Lists the packages that state no version: only the build tests them."""

import json
import sys


def version(text):
    return tuple(int(part) for part in (text + ".0.0").split(".")[:3])


def main():
    limit = version(sys.argv[1])
    metadata = json.load(sys.stdin)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    needed, todo = set(), [metadata["resolve"]["root"]]
    while todo:
        node = nodes[todo.pop()]
        if node["id"] not in needed:
            needed.add(node["id"])
            todo += [
                dep["pkg"]
                for dep in node["deps"]
                if any(kind["kind"] != "dev" for kind in dep["dep_kinds"])
            ]
    bad = 0
    for package in sorted((packages[id] for id in needed), key=lambda package: package["name"]):
        asked = package["rust_version"]
        too_new = asked is not None and version(asked) > limit
        bad += too_new
        print(f"{package['name']} {package['version']}: {asked or 'not stated'}{'  TOO NEW' if too_new else ''}")
    sys.exit(bad > 0)


main()
