import ts from 'typescript';

/** One file of the repository as the tidy rules see it. */
export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** Only for TypeScript and JavaScript. */
  readonly syntax: ts.SourceFile | undefined;
}

/** Something that breaks a rule. `line` counts from 1. */
export interface Finding {
  readonly line: number;
  readonly what: string;
}

/** A habit of the house that a program can check. */
export interface TidyRule {
  readonly name: string;
  readonly why: string;
  applies(path: string): boolean;
  find(file: SourceFile): readonly Finding[];
}

const SCRIPT = /\.(ts|mts|cts|mjs|cjs|js)$/;

/** Parses the file when it is a script. Never throws: a syntax error is the compiler's to report. */
export function sourceFileOf(path: string, text: string): SourceFile {
  const kind = path.endsWith('ts') ? ts.ScriptKind.TS : ts.ScriptKind.JS;
  const syntax = isScript(path) ? ts.createSourceFile(path, text, ts.ScriptTarget.ES2024, true, kind) : undefined;
  return { path, text, syntax };
}

export function isScript(path: string): boolean {
  return SCRIPT.test(path);
}

/** Findings at the nodes for which `judge` has something to say. */
export function findNodes(file: SourceFile, judge: (node: ts.Node) => string | undefined): readonly Finding[] {
  const { syntax } = file;
  if (syntax === undefined) return [];
  const findings: Finding[] = [];
  const visit = (node: ts.Node): void => {
    const what = judge(node);
    if (what !== undefined) findings.push({ line: lineAt(file.text, node.getStart(syntax)), what });
    ts.forEachChild(node, visit);
  };
  visit(syntax);
  return findings;
}

/** Findings in comments only, so that the same words in a string mean nothing. */
export function findInComments(file: SourceFile, pattern: RegExp): readonly Finding[] {
  const { syntax, text } = file;
  if (syntax === undefined) return [];
  const ranges = new Map<number, ts.CommentRange>();
  const visit = (node: ts.Node): void => {
    // A token has no children; comments stand before the first token of what they belong to, or after the last one.
    const around = [
      ...(ts.getLeadingCommentRanges(text, node.pos) ?? []),
      ...(ts.getTrailingCommentRanges(text, node.end) ?? []),
    ];
    if (node.kind !== ts.SyntaxKind.JsxText) for (const range of around) ranges.set(range.pos, range);
    for (const child of node.getChildren(syntax)) visit(child);
  };
  visit(syntax);
  return [...ranges.values()].flatMap(({ pos, end }) => {
    const match = pattern.exec(text.slice(pos, end));
    return match === null ? [] : [{ line: lineAt(text, pos + match.index), what: match[0] }];
  });
}

/** Findings of a pattern anywhere in the text. `pattern` needs the `g` flag. */
export function findInText(file: SourceFile, pattern: RegExp): readonly Finding[] {
  return [...file.text.matchAll(pattern)].map((match) => ({ line: lineAt(file.text, match.index), what: match[0] }));
}

export function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
