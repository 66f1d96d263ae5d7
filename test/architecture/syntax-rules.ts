import ts from 'typescript';
import { findInComments, findNodes, isScript, type TidyRule } from './source-file.ts';

/** Lines of a function, from its first parameter list to its closing brace. */
const FUNCTION_LINES_MAX = 70;

const EFFECT_CALLS = new Set(['setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'fetch', 'Date']);
const EFFECT_MEMBERS = new Set([
  'Date.now',
  'Math.random',
  'AbortSignal.timeout',
  'crypto.randomUUID',
  'crypto.getRandomValues',
  'performance.now',
  'process.env',
  'process.hrtime',
  'console.log',
  'console.error',
]);
const TEST_ROOTS = new Set(['test', 'it', 'describe', 'suite', 'bench']);
const UNRUN = new Set(['only', 'skip', 'todo']);

const isDeployed = (path: string): boolean => isScript(path) && /^(runtime|infra|policies)\//.test(path);
const isPure = (path: string): boolean => isScript(path) && /^runtime\/(core|engine)\//.test(path);
const isDocumented = (path: string): boolean =>
  isScript(path) && /^runtime\/((core|engine|adapters)\/|ports\.ts$)/.test(path);
const isConfig = (path: string): boolean => /\.config\.(ts|mts|mjs)$/.test(path);

/** `globalThis.setTimeout` and `setTimeout` are one name. */
function plainName(expression: ts.Expression): string {
  return expression.getText().replace(/^globalThis\./, '');
}

function effectOf(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node) && EFFECT_MEMBERS.has(plainName(node))) return plainName(node);
  if (ts.isCallExpression(node) && EFFECT_CALLS.has(plainName(node.expression)))
    return `${plainName(node.expression)}()`;
  const readsClock = ts.isNewExpression(node) && plainName(node.expression) === 'Date' && !node.arguments?.length;
  return readsClock ? 'new Date()' : undefined;
}

/** The only ways out of a process for texts, each of which takes the secrets out. */
const EXITS = new Set([
  ...[
    'runtime/host/exits.ts',
    'runtime/host/launch.mjs',
    'runtime/adapters/pino-log.ts',
    'runtime/host/phase-trace.ts',
  ],
  ...['runtime/local/last-words.ts', 'runtime/local/broker/main.ts', 'runtime/local/upstream/main.ts'],
  ...['infra/preview/main.ts', 'infra/preflight/main.ts', 'infra/publish-archive.ts'],
]);

/** A text that leaves the process, or what it would leave by. Listening to errors of a stream is no way out. */
function wayOut(node: ts.Node): string | undefined {
  if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
    const isTypesOnly = node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
    return node.moduleSpecifier.text === 'pino' && !isTypesOnly ? 'import of pino' : undefined;
  }
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name)) {
    const isOut = node.initializer?.getText() === 'process' && /\bstd(?:out|err)\b/.test(node.name.getText());
    return isOut ? node.getText() : undefined;
  }
  if (!ts.isPropertyAccessExpression(node)) return undefined;
  const name = plainName(node);
  if (/^console\.\w+$/.test(name) || /^process\.(?:report|emitWarning|_rawDebug)$/.test(name)) return name;
  if (!/^process\.(?:stdout|stderr)$/.test(name)) return undefined;
  const { parent } = node;
  const isListening = ts.isPropertyAccessExpression(parent) && parent.expression === node && parent.name.text === 'on';
  return isListening ? undefined : name;
}

function environmentRead(node: ts.Node): string | undefined {
  if (ts.isPropertyAccessExpression(node) && plainName(node) === 'process.env') return 'process.env';
  if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) return undefined;
  return /^(node:)?process$/.test(node.moduleSpecifier.text) ? 'import of node:process' : undefined;
}

/** `describe.concurrent.only` -> "only"; `context.skip()` is none of ours, it states its reason in the report. */
function unrunTest(node: ts.Node): string | undefined {
  if (!ts.isPropertyAccessExpression(node) || !UNRUN.has(node.name.text)) return undefined;
  const root = node.expression.getText().split('.')[0] ?? '';
  return TEST_ROOTS.has(root) ? node.getText() : undefined;
}

function castToAny(node: ts.Node): string | undefined {
  const isCast = ts.isAsExpression(node) || ts.isTypeAssertionExpression(node);
  return isCast && node.type.kind === ts.SyntaxKind.AnyKeyword ? node.getText() : undefined;
}

function longFunction(node: ts.Node): string | undefined {
  if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined) return undefined;
  const lines = node.getText().split('\n').length;
  const name = node.name?.getText() ?? 'a function';
  return lines > FUNCTION_LINES_MAX ? `${name}: ${lines} lines` : undefined;
}

function defaultExport(node: ts.Node): string | undefined {
  if (ts.isExportAssignment(node)) return node.isExportEquals === true ? undefined : 'export default';
  if (ts.isExportSpecifier(node)) return node.name.text === 'default' ? node.getText() : undefined;
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.DefaultKeyword) ? 'export default' : undefined;
}

function barrel(node: ts.Node): string | undefined {
  return ts.isExportDeclaration(node) && node.exportClause === undefined ? node.getText() : undefined;
}

function isExported(node: ts.Node): boolean {
  const modifiers = ts.canHaveModifiers(node) ? (ts.getModifiers(node) ?? []) : [];
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
}

/** Names that an exported declaration introduces. */
function exportedNames(node: ts.Node): readonly string[] {
  if (!isExported(node)) return [];
  if (ts.isVariableStatement(node)) return node.declarationList.declarations.map(({ name }) => name.getText());
  const name = ts.getNameOfDeclaration(node as ts.Declaration)?.getText();
  return name === undefined ? [] : [name];
}

function undocumented(node: ts.Node): string | undefined {
  const names = exportedNames(node);
  if (names.length === 0) return undefined;
  // The docstring of an overloaded function stands on its first signature.
  const twin = ts.isFunctionDeclaration(node) ? firstSignature(node) : node;
  return ts.getJSDocCommentsAndTags(twin).some(ts.isJSDoc) ? undefined : names.join(', ');
}

function firstSignature(node: ts.FunctionDeclaration): ts.Node {
  const twins = ts.isSourceFile(node.parent) ? node.parent.statements.filter(ts.isFunctionDeclaration) : [];
  return twins.find(({ name }) => name?.text === node.name?.text) ?? node;
}

function vagueName(node: ts.Node): string | undefined {
  return exportedNames(node).find((name) => /(Manager|Helper|Util)s?$|^I[A-Z][a-z]/.test(name));
}

/** Rules about what the code says, on its syntax tree. */
export const SYNTAX_RULES: readonly TidyRule[] = [
  {
    name: 'effects-stay-outside-core-and-engine',
    why: 'Time, chance and the network are arguments there, so that a test can decide them.',
    applies: isPure,
    find: (file) => findNodes(file, effectOf),
  },
  {
    name: 'environment-is-read-in-one-file',
    why: 'The environment is parsed once, in runtime/host/config.ts.',
    applies: (path) => isDeployed(path) && path !== 'runtime/host/config.ts',
    find: (file) => findNodes(file, environmentRead),
  },
  {
    name: 'texts-leave-by-the-exits',
    why: 'What leaves a process passes the redaction: use host/exits.ts, the Log port, or local/last-words.ts.',
    applies: (path) => isDeployed(path) && !EXITS.has(path),
    find: (file) => findNodes(file, wayOut),
  },
  {
    name: 'every-test-runs',
    why: 'A test that is switched off promises what nobody checks. Skip by context.skip(reason), which is reported.',
    applies: (path) => isScript(path) && path.startsWith('test/'),
    find: (file) => findNodes(file, unrunTest),
  },
  {
    name: 'no-unfinished-work',
    why: 'Finish it, or say in the README what is missing.',
    applies: isScript,
    find: (file) => findInComments(file, /\b(TODO|FIXME|XXX|HACK)\b/),
  },
  {
    name: 'no-silenced-compiler',
    why: 'The compiler is not overruled; a lint rule is, with its reason after two hyphens.',
    applies: isScript,
    find: (file) => findInComments(file, /@ts-(ignore|nocheck)|(ox|es)lint-disable(?![\s\S]* -- \S)/),
  },
  {
    name: 'no-cast-to-any',
    why: 'Data from outside is parsed, never asserted.',
    applies: isScript,
    find: (file) => findNodes(file, castToAny),
  },
  {
    name: 'short-functions',
    why: `A function fits on a screen: at most ${FUNCTION_LINES_MAX} lines.`,
    applies: isDeployed,
    find: (file) => findNodes(file, longFunction),
  },
  {
    name: 'no-default-exports',
    why: 'A thing has one name, the same wherever it is imported.',
    applies: (path) => path.endsWith('.ts') && !isConfig(path),
    find: (file) => findNodes(file, defaultExport),
  },
  {
    name: 'no-barrels',
    why: 'An import names the file in which the thing is.',
    applies: isScript,
    find: (file) => findNodes(file, barrel),
  },
  {
    name: 'exports-have-docstrings',
    why: 'What is exported says what it is, with units, ranges, defaults and what it throws.',
    applies: isDocumented,
    find: (file) => findNodes(file, undocumented),
  },
  {
    name: 'exported-names-say-what',
    why: 'Manager, Helper and Util say nothing, and an interface needs no I.',
    applies: isScript,
    find: (file) => findNodes(file, vagueName),
  },
];
