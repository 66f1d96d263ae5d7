import { findInText, isScript, type Finding, type SourceFile, type TidyRule } from './source-file.ts';

const FILE_LINES_MAX = 400;

/** The user's top level is fixed; only dotfiles may join it. */
const TOP_LEVEL = new Set([
  'Pulumi.yaml',
  'Pulumi.dev.yaml',
  'Pulumi.prod.yaml',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'infra',
  'runtime',
  'policies',
  'test',
  'README.md',
  'CONTRIBUTING.md',
  'LICENSE',
]);

/** Names that tools or custom prescribe. */
const PRESCRIBED_NAME = /^(\..+|[A-Z]+(\.md)?|Pulumi(Policy)?(\.[a-z]+)?\.yaml|tsconfig(\.[a-z-]+)?\.json)$/;
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*$/;
const VAGUE_WORD = /(^|[-.])(utils?|helpers?|managers?|common|misc)($|[-.])/;

const EXACT_VERSION = /^(npm:(@[^/]+\/)?[^@/]+@)?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;
const VERSION_TABLES = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides'] as const;

const wholeFile = (what: string | undefined): readonly Finding[] => (what === undefined ? [] : [{ line: 1, what }]);

const lastPart = (path: string): string => path.slice(path.lastIndexOf('/') + 1);

/** Versions in a table of package.json, also in nested overrides. */
function inexactVersions(table: unknown): readonly string[] {
  if (typeof table !== 'object' || table === null) return [];
  return Object.entries(table).flatMap(([name, version]: [string, unknown]) => {
    if (typeof version !== 'string') return inexactVersions(version);
    return EXACT_VERSION.test(version) || version.startsWith('$') ? [] : [`${name}: ${version}`];
  });
}

function inexactPackages(file: SourceFile): readonly Finding[] {
  const manifest = JSON.parse(file.text) as Readonly<Record<string, unknown>>;
  return VERSION_TABLES.flatMap((table) => inexactVersions(manifest[table])).map((what) => ({ line: 1, what }));
}

/** Rules about names and plain text. */
export const TEXT_RULES: readonly TidyRule[] = [
  {
    name: 'top-level-is-fixed',
    why: 'What does not belong to infra, runtime, policies or test is a dotfile or does not exist.',
    applies: (path) => !path.startsWith('.'),
    find: ({ path }) => {
      const first = path.split('/')[0] ?? '';
      return wholeFile(TOP_LEVEL.has(first) ? undefined : first);
    },
  },
  {
    name: 'names-are-kebab-case',
    why: 'One way to write a name, on file systems that see capitals and on those that do not.',
    applies: () => true,
    find: ({ path }) =>
      wholeFile(path.split('/').find((part) => !KEBAB_CASE.test(part) && !PRESCRIBED_NAME.test(part))),
  },
  {
    name: 'names-say-what',
    why: 'A file is named after the one thing in it; utils, helpers and managers are drawers.',
    applies: () => true,
    find: ({ path }) => wholeFile(path.split('/').find((part) => VAGUE_WORD.test(part))),
  },
  {
    name: 'short-files',
    why: `A file is read in one sitting: at most ${FILE_LINES_MAX} lines.`,
    applies: (path) => isScript(path) && /^(runtime|infra|policies)\//.test(path),
    find: ({ text }) => {
      const lines = text.trimEnd().split('\n').length;
      return lines > FILE_LINES_MAX ? [{ line: FILE_LINES_MAX + 1, what: `${lines} lines` }] : [];
    },
  },
  {
    name: 'versions-are-exact',
    why: 'What was tested is what gets installed.',
    applies: (path) => lastPart(path) === 'package.json',
    find: inexactPackages,
  },
  {
    name: 'no-unfinished-settings',
    why: 'Finish it, or say in the README what is missing.',
    applies: (path) => /(\.(ya?ml|sh|json)|^\.ci\/.+)$/.test(path) && !path.endsWith('package-lock.json'),
    find: (file) => findInText(file, /\b(TODO|FIXME)\b/g),
  },
  {
    name: 'no-place-of-one-machine',
    why: 'The repository works on any machine.',
    applies: () => true,
    find: (file) => findInText(file, /(?<![\w.:/$}-])\/(work|root|Users)\/\w+/g),
  },
  {
    name: 'no-registry-of-one-network',
    why: 'Packages come from whatever registry the reader of this repository has.',
    applies: (path) => /(^|\/)(package-lock\.json|\.npmrc)$/.test(path),
    find: (file) => findInText(file, /"resolved": "https?:(?!\/\/registry\.npmjs\.org\/)|registry *= */g),
  },
];
