/** Type of the resource that every program has at its top. */
export const STACK_TYPE = 'pulumi:pulumi:Stack';

/** What the name of a resource in Pulumi is made of. */
export interface ResourceIdentity {
  readonly stack: string;
  readonly project: string;
  readonly type: string;
  readonly name: string;
  /** URN of its parent; empty: none. */
  readonly parentUrn: string;
}

/** `urn:pulumi:<stack>::<project>::<types of its parents, but for the stack>$<type>::<name>`. */
export function urnOf({ stack, project, type, name, parentUrn }: ResourceIdentity): string {
  const parentType = parentUrn === '' ? '' : qualifiedTypeOf(parentUrn);
  const qualified = parentType === '' || parentType === STACK_TYPE ? type : `${parentType}$${type}`;
  return `urn:pulumi:${stack}::${project}::${qualified}::${name}`;
}

/** Type and name of the resource that a URN belongs to. */
export function partsOfUrn(urn: string): { readonly type: string; readonly name: string } {
  const qualified = qualifiedTypeOf(urn);
  return { type: qualified.slice(qualified.lastIndexOf('$') + 1), name: urn.split('::').slice(3).join('::') };
}

function qualifiedTypeOf(urn: string): string {
  return urn.split('::')[2] ?? '';
}
