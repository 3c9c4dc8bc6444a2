// Prints a hash over everything the web page is built from, so that build-ui.sh can tell in a moment that nothing
// changed. File times would not do: a fresh clone has new times and old contents.
//   node scripts/ui-fingerprint.mjs < <(cargo metadata --no-deps --format-version 1)

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const NOT_SOURCE = new Set(["node_modules", "dist", ".generated", "target", "tests", "benches"]);
const SHARED_FILES = [
  "Cargo.toml",
  "Cargo.lock",
  ".cargo/config.toml",
  "scripts/build-ui.sh",
  "scripts/finish-ui.mjs",
  "scripts/lib.sh",
];

/** Folders of a workspace crate and of every workspace crate it depends on. */
function cratesBehind(name, packages) {
  const found = new Map();
  const visit = (wanted) => {
    const crate = packages.find((candidate) => candidate.name === wanted);
    if (!crate || found.has(wanted)) return;
    found.set(wanted, dirname(crate.manifest_path));
    for (const dependency of crate.dependencies) {
      if (dependency.path && dependency.kind !== "dev") visit(dependency.name);
    }
  };
  visit(name);
  return [...found.values()];
}

function* filesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (NOT_SOURCE.has(entry.name)) continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* filesBelow(path);
    else yield path;
  }
}

const { packages, workspace_root: root } = JSON.parse(readFileSync(0, "utf8"));
const folders = cratesBehind("yew-ui", packages);
const files = [...SHARED_FILES.map((file) => join(root, file)), ...folders.flatMap((folder) => [...filesBelow(folder)])];

const hash = createHash("sha256");
for (const file of files.sort()) {
  hash.update(`${relative(root, file)}\0`);
  hash.update(readFileSync(file));
}
console.log(hash.digest("hex"));
