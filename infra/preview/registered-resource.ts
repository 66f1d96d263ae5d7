import type { JsonObject } from './wire-value.ts';

/** A resource as a program registered it. The stack itself is none. */
export interface RegisteredResource {
  /** For example `azure-native:servicebus:Queue`. */
  readonly type: string;
  /** Name in the program. */
  readonly name: string;
  readonly urn: string;
  /** Undefined: the stack is its parent. */
  readonly parentUrn: string | undefined;
  /** False: a component, which only holds others. */
  readonly isCustom: boolean;
  /** It exists already and is only looked up. */
  readonly isRead: boolean;
  /** What would be sent to its provider, after the SDK's own defaults. */
  readonly inputs: JsonObject;
  /** URN of the provider that was chosen for it. Undefined: the default one. */
  readonly providerUrn: string | undefined;
  readonly options: ResourceOptions;
}

/** Options of a resource that decide what happens to it later. */
export interface ResourceOptions {
  readonly protect: boolean;
  readonly retainOnDelete: boolean;
  readonly ignoreChanges: readonly string[];
  /** URNs of everything that it waits for, because an input or its options name it. */
  readonly dependsOn: readonly string[];
  /** The same, by input. */
  readonly propertyDependencies: Readonly<Record<string, readonly string[]>>;
}

/** A line of the program's log. */
export interface Diagnostic {
  readonly severity: 'info' | 'warning' | 'error';
  readonly message: string;
  /** Resource that it is about. */
  readonly urn: string | undefined;
}
