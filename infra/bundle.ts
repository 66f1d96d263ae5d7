import { mkdir, rename, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { join, relative, resolve, sep } from 'node:path';
import { build, type BuildResult, type Metafile } from 'esbuild';
import { sha256, versionOf, zipArchive, type ArchiveFiles } from './archive.ts';
import { hostJson } from './host-json.ts';
import { FUNCTIONS_NODE } from './node-version.ts';

/** The deployable code of the function app. */
export interface Bundle {
  /** Of the ZIP, relative to the root of the repository with `/`: it goes into the state, which no checkout path may enter. */
  readonly archivePath: string;
  /** SHA-256 of the ZIP, 64 hexadecimal digits; equal sources give an equal one, wherever and whenever they are bundled. */
  readonly archiveHash: string;
  /** What `/api/version` of the deployed app answers: 12 hexadecimal digits. */
  readonly version: string;
  /** Of the ZIP. */
  readonly sizeBytes: number;
  /** Of `functions.cjs`. */
  readonly codeBytes: number;
}

/** Where a bundle comes from and goes to; paths are relative to the root of the repository. */
export interface BundleOptions {
  /** Default: `.adit/build/functions`. */
  readonly outDir?: string;
  /** Default: `runtime/host/functions.ts`. */
  readonly entry?: string;
}

const ROOT = resolve(import.meta.dirname, '..');
const OUT_DIR = '.adit/build/functions';
const ENTRY = 'runtime/host/functions.ts';
const CODE = 'functions.cjs';
const ARCHIVE = 'functions.zip';

/** The worker of Azure Functions provides it; it exists in no registry. */
const PROVIDED = '@azure/functions-core';

/** Stands in the code while the version is computed from it; as long as a version, so the source map stays true. */
const VERSION_PLACEHOLDER = '@adit-code@!';

/** CommonJS has no `import.meta`; these are its parts, and any other use fails the build. */
const META_BANNER = '"use strict";const aditModuleUrl=require("node:url").pathToFileURL(__filename).href;';
const META_PARTS = {
  'import.meta.url': 'aditModuleUrl',
  'import.meta.filename': '__filename',
  'import.meta.dirname': '__dirname',
};

/**
 * Bundles the functions into one CommonJS file and that into a ZIP with host.json and package.json. Writes
 * `functions.zip`, `functions.cjs` and its source map into `outDir`.
 *
 * The code is not minified: it loads no faster for it (measured 2026-11-23), while names and lines stay readable in a
 * stack trace. The source map therefore stays beside the archive, out of it: with it inside, every edited comment would be
 * a deployment, and it can be built again from the commit of a version at any time.
 *
 * @throws Error when something does not resolve, the bundle needs what it does not hold, or does not know its version.
 */
export async function bundleFunctions(options: BundleOptions = {}): Promise<Bundle> {
  const outDir = resolve(ROOT, options.outDir ?? OUT_DIR);
  const { code, map } = await compile(options.entry ?? ENTRY, outDir);
  const manifest = { name: 'adit-functions', private: true, main: CODE };
  const files: ArchiveFiles = { [CODE]: code, 'host.json': jsonBytes(hostJson()), 'package.json': jsonBytes(manifest) };
  const version = versionOf(files);
  const stamped = stamp(code, version);
  const archive = zipArchive({ ...files, [CODE]: stamped });
  await mkdir(outDir, { recursive: true });
  await replaceFile(join(outDir, CODE), stamped);
  await replaceFile(join(outDir, `${CODE}.map`), map);
  await replaceFile(join(outDir, ARCHIVE), archive);
  return {
    archivePath: relative(ROOT, join(outDir, ARCHIVE)).split(sep).join('/'),
    archiveHash: sha256(archive),
    version,
    sizeBytes: archive.byteLength,
    codeBytes: stamped.byteLength,
  };
}

async function compile(entry: string, outDir: string): Promise<{ code: Uint8Array; map: Uint8Array }> {
  const result = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(outDir, CODE),
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${FUNCTIONS_NODE}`,
    external: [PROVIDED],
    // A linked node_modules is seen at its place in the repository, not at the end of its link.
    preserveSymlinks: true,
    // Class names are compared and printed; bundling renames those that clash.
    keepNames: true,
    legalComments: 'none',
    charset: 'utf8',
    sourcemap: 'external',
    sourcesContent: false,
    define: { ADIT_CODE_VERSION: JSON.stringify(VERSION_PLACEHOLDER), ...META_PARTS },
    banner: { js: META_BANNER },
    logOverride: { 'empty-import-meta': 'error' },
    logLevel: 'silent',
  });
  refuseWarnings(result);
  refuseMissing(result.metafile);
  return { code: outputOf(result, '.cjs'), map: outputOf(result, '.map') };
}

function outputOf(result: BuildResult<{ write: false }>, ending: string): Uint8Array {
  const file = result.outputFiles.find(({ path }) => path.endsWith(ending));
  if (file === undefined) throw new Error(`the bundler wrote no ${ending} file`);
  return file.contents;
}

/** A warning of the bundler is a fault of the deployed app. */
function refuseWarnings({ warnings }: BuildResult): void {
  if (warnings.length === 0) return;
  const texts = warnings.map(({ text, location }) => `${location?.file ?? '?'}:${location?.line ?? 0}: ${text}`);
  throw new Error(`the functions cannot be bundled cleanly:\n  ${texts.join('\n  ')}`);
}

function refuseMissing({ outputs }: Metafile): void {
  const asked = Object.values(outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  const missing = [...new Set(asked)].filter((path) => path !== PROVIDED && !isBuiltin(path)).toSorted();
  if (missing.length === 0) return;
  throw new Error(`the bundle asks for packages that it does not hold: ${missing.join(', ')}`);
}

/** Puts the version where the placeholder stands. */
function stamp(code: Uint8Array, version: string): Uint8Array {
  const text = new TextDecoder().decode(code);
  if (!text.includes(VERSION_PLACEHOLDER)) {
    throw new Error('the functions never read ADIT_CODE_VERSION, so a deployment of them could not be verified');
  }
  return new TextEncoder().encode(text.replaceAll(VERSION_PLACEHOLDER, version));
}

function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}

/** All or nothing, because a preview may bundle while an update reads. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const draft = `${path}.${process.pid}.tmp`;
  await writeFile(draft, bytes);
  await rename(draft, path);
}
