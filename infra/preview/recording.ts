import { nameInputOf } from './physical-name.ts';
import type { RegisteredResource, ResourceOptions } from './registered-resource.ts';
import { STACK_TYPE, urnOf } from './urn.ts';
import { isSpecial, type JsonObject, readable } from './wire-value.ts';

/** What every identifier of a tenant, a subscription or an identity is here. */
export const ZERO_GUID = '00000000-0000-0000-0000-000000000000';

/** What only the cloud knows of a resource, by name of the output, for example a host name. */
export type ComputeOutputs = (resource: RegisteredResource) => Readonly<Record<string, unknown>>;

/** A resource as it arrives, its values still in the form of the wire. */
export interface Registration {
  readonly type: string;
  readonly name: string;
  /** Empty: none. */
  readonly parentUrn: string;
  readonly isCustom: boolean;
  /** Id of a resource that exists already and is read or imported. Empty: it would be created. */
  readonly id: string;
  readonly isRead: boolean;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** `<urn>::<id>` of its provider. Empty: the default one. */
  readonly providerRef: string;
  readonly options: ResourceOptions;
}

/** What a program is told about a resource of its own. */
export interface ResourceState {
  readonly urn: string;
  /** Empty: not known before it is created. */
  readonly id: string;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** Of whom a recording is. */
export interface RecordingOptions {
  readonly project: string;
  readonly stack: string;
  /** True: ids stay unknown, as in `pulumi preview`. False: everything is answered as if it had been created. */
  readonly isPreview: boolean;
  /** Outputs beside the inputs, when it is no preview. Default: none. */
  readonly computeOutputs?: ComputeOutputs | undefined;
}

/** Everything that a program registered, in the order of arrival. */
export class Recording {
  readonly #options: RecordingOptions;
  readonly #resources = new Map<string, RegisteredResource>();
  #stackUrn = '';
  #outputs: JsonObject = {};

  constructor(options: RecordingOptions) {
    this.#options = options;
  }

  get resources(): readonly RegisteredResource[] {
    return [...this.#resources.values()];
  }

  /** Outputs of the stack. */
  get outputs(): JsonObject {
    return this.#outputs;
  }

  /**
   * Takes a resource in and answers as the engine would.
   * @throws Error when two resources have the same URN, which the engine refuses too.
   */
  register(registration: Registration): ResourceState {
    const { stack, project } = this.#options;
    const urn = urnOf({ ...registration, stack, project });
    if (registration.type === STACK_TYPE) {
      this.#stackUrn = urn;
      return { urn, id: '', outputs: registration.inputs };
    }
    if (this.#resources.has(urn)) {
      throw new Error(`Two resources have the URN ${urn}: give one of them another name`);
    }
    const resource = this.#resourceOf(registration, urn);
    this.#resources.set(urn, resource);
    return { urn, id: this.#idOf(registration), outputs: this.#outputsOf(registration, resource) };
  }

  /** Takes what the stack gives out; outputs of components are of no interest to anybody. */
  finish(urn: string, outputs: Readonly<Record<string, unknown>>): void {
    if (urn === this.#stackUrn) this.#outputs = readable(outputs);
  }

  #resourceOf(registration: Registration, urn: string): RegisteredResource {
    const { type, name, parentUrn, isCustom, isRead, providerRef, options } = registration;
    const hasParent = parentUrn !== '' && parentUrn !== this.#stackUrn;
    return {
      type,
      name,
      urn,
      parentUrn: hasParent ? parentUrn : undefined,
      isCustom,
      isRead,
      inputs: readable(registration.inputs),
      providerUrn: providerRef === '' ? undefined : providerRef.slice(0, providerRef.lastIndexOf('::')),
      options,
    };
  }

  #idOf({ type, name, isCustom, id, inputs }: Registration): string {
    if (id !== '' || !isCustom || this.#options.isPreview) return id;
    const [, module = '', last = ''] = type.split(':');
    const given = inputs['resourceGroupName'];
    const group = typeof given === 'string' ? given : name;
    return `/subscriptions/${ZERO_GUID}/resourceGroups/${group}/providers/${module}/${last}/${name}`;
  }

  /**
   * A provider answers with the inputs and with what it alone knows. The name that a resource was given is among its
   * outputs, so that what is derived from it can be read here; Azure's own preview leaves it unknown.
   */
  #outputsOf({ type, name, isCustom, inputs }: Registration, resource: RegisteredResource): Record<string, unknown> {
    if (!isCustom) return {};
    const input = nameInputOf(type, inputs);
    const given = input === undefined ? {} : { name: inputs[input] };
    if (this.#options.isPreview) return { ...withoutObjects(inputs), ...given };
    return { ...inputs, name, ...given, ...this.#options.computeOutputs?.(resource) };
  }
}

/**
 * Inputs that a preview gives back. An object also has fields that only Azure knows, such as the address in the
 * properties of a vault, so that nothing may be derived from it before it exists.
 */
function withoutObjects(inputs: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const isKnown = (value: unknown): boolean =>
    Array.isArray(value) ? value.every(isKnown) : typeof value !== 'object' || value === null || isSpecial(value);
  return Object.fromEntries(Object.entries(inputs).filter(([key, value]) => key === 'tags' || isKnown(value)));
}
