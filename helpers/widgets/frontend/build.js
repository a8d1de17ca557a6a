// Bundle the widgets, and the licences of what is in the bundle: `npm ci && npm run build`.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";

const folder = process.argv[2] ?? "../static";
const NOTICE = "/*! Holds CodeMirror and Lezer, MIT; their licences are in LICENSES.txt beside this file. */";

const { metafile } = await build({
  entryPoints: ["widgets.js"],
  outdir: folder,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "inline",
  banner: { js: NOTICE },
  metafile: true,
});

const packages = Object.keys(metafile.inputs).flatMap((file) => /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []);
const licences = [...new Set(packages)].sort().map((at) => {
  const { name, version } = JSON.parse(readFileSync(join(at, "package.json"), "utf8"));
  const file = readdirSync(at).find((one) => /^licen[cs]e/i.test(one));
  return `${name} ${version}\n\n${readFileSync(join(at, file), "utf8").trim()}\n`;
});
writeFileSync(join(folder, "LICENSES.txt"), licences.join(`\n${"-".repeat(80)}\n\n`));
