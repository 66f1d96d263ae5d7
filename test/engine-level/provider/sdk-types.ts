import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import ts from 'typescript';
import type { Properties, Shape } from './shape.ts';

/** A resource type as the SDK declares it. */
export interface ResourceTypes {
  readonly inputs: Properties;
  /** Everything that Azure answers. */
  readonly outputs: Properties;
}

const SDK = dirname(createRequire(import.meta.url).resolve('@pulumi/azure-native/package.json'));
const PREFIX = 'azure-native:';

const read = new Map<string, ResourceTypes>();
const shapes = new Map<string, Shape>();
const declarations = new Map<string, string>();

/**
 * The properties of a resource type, read from the declarations of @pulumi/azure-native when it is first asked for.
 *
 * @throws Error for a type that the SDK does not have.
 */
export function typesOf(token: string): ResourceTypes {
  const known = read.get(token);
  if (known !== undefined) return known;
  const [module, name] = token.slice(PREFIX.length).split(':') as [string, string];
  const file = join(SDK, module, `${name.charAt(0).toLowerCase()}${name.slice(1)}.d.ts`);
  if (!token.startsWith(PREFIX) || !existsSync(file)) throw new Error(`unrecognized resource type (Check): ${token}`);
  const source = parse(readFileSync(file, 'utf8'));
  let inputs: Properties | undefined;
  let outputs: Properties = new Map();
  for (const statement of source.statements) {
    if (ts.isInterfaceDeclaration(statement) && statement.name.text === `${name}Args`) {
      inputs = propertiesOf(statement.members);
    }
    if (ts.isClassDeclaration(statement) && statement.name?.text === name) outputs = propertiesOf(statement.members);
  }
  if (inputs === undefined) throw new Error(`${token}: the SDK declares no arguments`);
  const types = { inputs, outputs };
  read.set(token, types);
  return types;
}

function parse(text: string): ts.SourceFile {
  return ts.createSourceFile('declarations.d.ts', text, ts.ScriptTarget.Latest, false);
}

/** Properties of an interface or a class. */
function propertiesOf(members: ts.NodeArray<ts.TypeElement | ts.ClassElement>): Properties {
  const properties = new Map<string, { isRequired: boolean; shape: Shape }>();
  for (const member of members) {
    if (!ts.isPropertySignature(member) && !ts.isPropertyDeclaration(member)) continue;
    if (member.type === undefined) continue;
    const name = ts.isIdentifier(member.name) || ts.isStringLiteral(member.name) ? member.name.text : '';
    properties.set(name, { isRequired: member.questionToken === undefined, shape: shapeOf(member.type) });
  }
  return properties;
}

function shapeOf(type: ts.TypeNode): Shape {
  if (ts.isUnionTypeNode(type)) return unionOf(type.types.filter((one) => !isUndefined(one)).map(shapeOf));
  if (ts.isArrayTypeNode(type)) return { kind: 'list', item: shapeOf(type.elementType) };
  if (ts.isLiteralTypeNode(type) && ts.isStringLiteral(type.literal)) {
    return { kind: 'literal', values: [type.literal.text] };
  }
  if (ts.isTypeLiteralNode(type)) {
    const [member] = type.members;
    const isMap = member !== undefined && ts.isIndexSignatureDeclaration(member);
    return isMap ? { kind: 'map', value: shapeOf(member.type) } : { kind: 'any' };
  }
  if (ts.isTypeReferenceNode(type)) return referenceOf(type);
  if (type.kind === ts.SyntaxKind.StringKeyword) return { kind: 'plain', type: 'string' };
  if (type.kind === ts.SyntaxKind.NumberKeyword) return { kind: 'plain', type: 'number' };
  if (type.kind === ts.SyntaxKind.BooleanKeyword) return { kind: 'plain', type: 'boolean' };
  return { kind: 'any' };
}

const isUndefined = (type: ts.TypeNode): boolean => type.kind === ts.SyntaxKind.UndefinedKeyword;

/** `string | SomeEnum` is how the SDK writes an open enum; Azure refuses what it does not list all the same. */
function unionOf(members: readonly Shape[]): Shape {
  const isOpenEnum = members.some(({ kind }) => kind === 'literal');
  const kept = isOpenEnum ? members.filter(({ kind }) => kind === 'literal') : members;
  return kept.length === 1 ? kept[0]! : { kind: 'union', shapes: kept };
}

/** `pulumi.Input<T>`, `pulumi.Output<T>`, `inputs.module.SomeArgs`, `outputs.module.SomeResponse` or `enums.module.Some`. */
function referenceOf(type: ts.TypeReferenceNode): Shape {
  const name = entityText(type.typeName);
  const [argument] = type.typeArguments ?? [];
  if ((name === 'pulumi.Input' || name === 'pulumi.Output') && argument !== undefined) return shapeOf(argument);
  const known = shapes.get(name);
  if (known !== undefined) return known;
  const [space, ...path] = name.split('.');
  // A type that contains itself would never end.
  shapes.set(name, { kind: 'any' });
  const shape: Shape = namedShape(space, path) ?? { kind: 'any' };
  shapes.set(name, shape);
  return shape;
}

function entityText(name: ts.EntityName): string {
  return ts.isIdentifier(name) ? name.text : `${entityText(name.left)}.${name.right.text}`;
}

function namedShape(space: string | undefined, path: readonly string[]): Shape | undefined {
  if (space === 'inputs') return interfaceNamed('types/input.d.ts', path);
  if (space === 'outputs') return interfaceNamed('types/output.d.ts', path);
  return space === 'enums' ? enumNamed(path) : undefined;
}

/** All of them are one file of 8 MB: only the interface that is asked for is parsed. */
function interfaceNamed(path: string, [module, name]: readonly string[]): Shape | undefined {
  const text = declarations.get(path) ?? readFileSync(join(SDK, path), 'utf8');
  declarations.set(path, text);
  const space = text.indexOf(`export declare namespace ${module} {`);
  const begin = text.indexOf(`interface ${name} {`, space);
  const end = text.indexOf('\n    }\n', begin);
  if (space < 0 || begin < 0 || end < 0) return undefined;
  const [statement] = parse(text.slice(begin, end + '\n    }\n'.length)).statements;
  if (statement === undefined || !ts.isInterfaceDeclaration(statement)) return undefined;
  return { kind: 'object', properties: propertiesOf(statement.members) };
}

function enumNamed([module, name]: readonly string[]): Shape | undefined {
  const text = readFileSync(join(SDK, 'types/enums', module ?? '', 'index.d.ts'), 'utf8');
  const begin = text.indexOf(`export declare const ${name}: {`);
  const end = text.indexOf('};', begin);
  if (begin < 0 || end < 0) return undefined;
  const values = [...text.slice(begin, end).matchAll(/readonly \w+: "(.*)";/g)].map(([, value]) => value!);
  return { kind: 'literal', values };
}
