// Finishes what Trunk builds:
//   1. optimises the WebAssembly for size (release builds only);
//   2. moves the inline start script into a file, so that the server's Content-Security-Policy can be
//      `script-src 'self' 'wasm-unsafe-eval'`, without a hash or a nonce per build;
//   3. writes .br and .gz next to every file worth compressing, so that the server compresses nothing per request.
//   node scripts/finish-ui.mjs FOLDER [--optimise PATH_OF_WASM_OPT]

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const COMPRESSIBLE = new Set([".css", ".html", ".js", ".json", ".mjs", ".svg", ".txt", ".wasm"]);
// Below this, a compressed reply saves no network packet.
const COMPRESSION_FLOOR_BYTES = 1024;
const INLINE_SCRIPT = /<script([^>]*)>([\s\S]*?)<\/script>/g;

const integrityOf = (content) => `sha384-${createHash("sha384").update(content).digest("base64")}`;
const shortHash = (content) => createHash("sha256").update(content).digest("hex").slice(0, 16);

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** Optimises in place, then renames to a name that carries the new content's hash and corrects whoever refers to it. */
function optimiseWasm(folder, wasmOpt) {
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith("_bg.wasm"))) {
    const path = join(folder, name);
    const before = readFileSync(path);
    const optimised = join(folder, "optimised.tmp");
    execFileSync(process.execPath, [wasmOpt, "-Oz", "--all-features", path, "-o", optimised], { stdio: ["ignore", "ignore", "inherit"] });
    const after = readFileSync(optimised);
    const renamed = name.replace(/-[0-9a-f]+_bg\.wasm$/, `-${shortHash(after)}_bg.wasm`);
    rmSync(path);
    renameSync(optimised, join(folder, renamed));
    for (const file of filesBelow(folder).filter((entry) => [".html", ".js"].includes(extname(entry)))) {
      const text = readFileSync(file, "utf8");
      const corrected = text.replaceAll(name, renamed).replaceAll(integrityOf(before), integrityOf(after));
      if (corrected !== text) writeFileSync(file, corrected);
    }
  }
}

function moveInlineScripts(folder) {
  const path = join(folder, "index.html");
  const page = readFileSync(path, "utf8").replace(INLINE_SCRIPT, (element, attributes, source) => {
    if (/\ssrc=/.test(attributes) || source.trim() === "") return element;
    const name = `start-${shortHash(source)}.js`;
    writeFileSync(join(folder, name), `${source.trim()}\n`);
    const content = readFileSync(join(folder, name));
    const kept = attributes.replace(/\s+nonce=("[^"]*"|\S+)/, "");
    return `<script${kept} src="/${name}" integrity="${integrityOf(content)}"></script>`;
  });
  // Trunk writes a placeholder where a server could put a nonce; with no inline script there is nothing to mark.
  writeFileSync(path, page.replaceAll(/\s+nonce="[^"]*"/g, ""));
}

function compress(folder) {
  for (const path of filesBelow(folder)) {
    const content = readFileSync(path);
    if (!COMPRESSIBLE.has(extname(path)) || content.length < COMPRESSION_FLOOR_BYTES) continue;
    writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
    writeFileSync(
      `${path}.br`,
      brotliCompressSync(content, {
        params: {
          [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
          [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
        },
      }),
    );
  }
}

const [folder, option, wasmOpt] = process.argv.slice(2);
if (option === "--optimise") optimiseWasm(folder, wasmOpt);
moveInlineScripts(folder);
compress(folder);
