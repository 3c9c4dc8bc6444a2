// Finishes what Trunk builds:
//   1. optimises the WebAssembly for size;
//   2. moves the inline start script into a file, so that the server's Content-Security-Policy can be
//      `script-src 'self' 'wasm-unsafe-eval'`, without a hash or a nonce per build;
//   3. writes .br and .gz next to every file worth compressing, so that the server compresses nothing per request.
// A development build gets the second step alone: the others take longer than they save on one machine.
//   node scripts/finish-ui.mjs FOLDER [--release PATH_OF_WASM_OPT]

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const COMPRESSIBLE = new Set([".css", ".html", ".js", ".json", ".mjs", ".svg", ".txt", ".wasm"]);
// Below this, a compressed reply saves no network packet.
const COMPRESSION_FLOOR_BYTES = 1024;
// What Rust's compiler emits by default, and SIMD. Allowing all features would let the optimiser use ones that only
// the newest browsers have.
const WASM_FEATURES = [
  "bulk-memory",
  "bulk-memory-opt",
  "call-indirect-overlong",
  "multivalue",
  "mutable-globals",
  "nontrapping-float-to-int",
  "reference-types",
  "sign-ext",
  "simd",
];
const INLINE_SCRIPT = /<script([^>]*)>([\s\S]*?)<\/script>/g;

const integrityOf = (content) => `sha384-${createHash("sha384").update(content).digest("base64")}`;
const shortHash = (content) => createHash("sha256").update(content).digest("hex").slice(0, 16);

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name))
    .filter((path) => statSync(path).isFile());
}

/** Optimises, then renames: files are cached for good under their names, so a name carries its content's hash. */
function optimiseWasm(folder, wasmOpt) {
  for (const name of readdirSync(folder).filter((entry) => entry.endsWith("_bg.wasm"))) {
    const path = join(folder, name);
    const optimised = join(folder, "optimised.tmp");
    const features = WASM_FEATURES.map((feature) => `--enable-${feature}`);
    execFileSync(process.execPath, [wasmOpt, "-Oz", ...features, path, "-o", optimised], { stdio: ["ignore", "ignore", "inherit"] });
    const renamed = name.replace(/(-[0-9a-f]+)?_bg\.wasm$/, `-${shortHash(readFileSync(optimised))}_bg.wasm`);
    rmSync(path);
    renameSync(optimised, join(folder, renamed));
    for (const file of filesBelow(folder).filter((entry) => [".html", ".js"].includes(extname(entry)))) {
      const text = readFileSync(file, "utf8");
      if (text.includes(name)) writeFileSync(file, text.replaceAll(name, renamed));
    }
  }
}

function moveInlineScripts(folder) {
  const path = join(folder, "index.html");
  const page = readFileSync(path, "utf8").replace(INLINE_SCRIPT, (element, attributes, source) => {
    if (/\ssrc=/.test(attributes) || source.trim() === "") return element;
    const name = `start-${shortHash(source)}.js`;
    writeFileSync(join(folder, name), `${source.trim()}\n`);
    return `<script${attributes} src="/${name}" integrity=""></script>`;
  });
  // Trunk writes a placeholder where a server could put a nonce; with no inline script there is nothing to mark.
  writeFileSync(path, page.replaceAll(/\s+nonce="[^"]*"/g, ""));
}

/** Corrects every integrity attribute for what the steps before have changed. */
function correctIntegrity(folder) {
  const path = join(folder, "index.html");
  const page = readFileSync(path, "utf8").replaceAll(/<(?:link|script)\s[^>]*>/g, (element) => {
    const target = element.match(/\s(?:href|src)="\/([^"]+)"/)?.[1];
    if (!target || !/\sintegrity="/.test(element)) return element;
    // Browsers do not check what they preload for fetch(), and say so on the console.
    if (/\sas="fetch"/.test(element)) return element.replace(/\s+integrity="[^"]*"/, "");
    return element.replace(/integrity="[^"]*"/, `integrity="${integrityOf(readFileSync(join(folder, target)))}"`);
  });
  writeFileSync(path, page);
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
if (option === "--release") optimiseWasm(folder, wasmOpt);
moveInlineScripts(folder);
correctIntegrity(folder);
if (option === "--release") compress(folder);
