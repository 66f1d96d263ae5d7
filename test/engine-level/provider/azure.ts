import { randomBytes, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ACCESS } from './kinds-access.ts';
import { COMPUTE } from './kinds-compute.ts';
import { DATA } from './kinds-data.ts';
import { MESSAGING } from './kinds-messaging.ts';
import { WATCHING } from './kinds-watching.ts';
import { type Around, type Held, type Inputs, type Refusal, type ResourceKind, text } from './resource-kind.ts';
import { typesOf } from './sdk-types.ts';
import { type Misfit, misfitsOf, previewOf } from './shape.ts';

const KINDS: Readonly<Record<string, ResourceKind>> = { ...ACCESS, ...MESSAGING, ...DATA, ...COMPUTE, ...WATCHING };

/** What a change of inputs means. */
export interface Difference {
  readonly changed: readonly string[];
  readonly replaces: readonly string[];
}

export interface FakeAzureOptions {
  /** Where function apps and their deployment endpoints answer. Default: at Azure's own names, where nobody does. */
  readonly siteUrl?: string;
}

/** A failure that a test asked for. */
export interface PlannedFailure {
  /** Type token, for example `azure-native:servicebus:Queue`. */
  readonly token: string;
  /** Last part of the id. Default: any. */
  readonly name?: string;
  readonly refusal: Refusal;
  /** How often. Default: once. */
  readonly times?: number;
}

/** Azure's answer to a request that it refuses. */
export class AzureRefusal extends Error {
  constructor(method: 'PUT' | 'DELETE', id: string, { status = 400, code, message }: Refusal) {
    const line = '-'.repeat(80);
    const body = JSON.stringify({ error: { code, message } }, null, 2);
    super(
      `${method} https://management.azure.com${id}\n${line}\nRESPONSE ${status}\nERROR CODE: ${code}\n${line}\n${body}\n${line}\n`,
    );
    this.name = 'AzureRefusal';
  }
}

/**
 * Azure and its provider in memory: it takes what Azure takes, refuses what Azure refuses, and answers with what Azure
 * knows only afterwards (ids, endpoints, principals). One instance is one subscription.
 */
export class FakeAzure implements Around {
  readonly siteUrl: string | undefined;
  readonly subscriptionId = '11111111-1111-4111-8111-111111111111';
  readonly tenantId = '22222222-2222-4222-8222-222222222222';
  /** The person who deploys. */
  readonly objectId = '33333333-3333-4333-8333-333333333333';
  isRedisBlocked = false;
  /** Every request that changed something, for example `PUT /subscriptions/…`. */
  readonly requests: string[] = [];
  readonly #held = new Map<string, Held>();
  /** Names of deleted vaults, which stay taken until the vault is purged. */
  readonly #deletedVaults = new Set<string>();
  #failures: { plan: PlannedFailure; left: number }[] = [];

  constructor(options: FakeAzureOptions = {}) {
    this.siteUrl = options.siteUrl;
  }

  get now(): Date {
    return new Date();
  }

  all(): readonly Held[] {
    return [...this.#held.values()];
  }

  find(id: unknown): Held | undefined {
    return typeof id === 'string' ? this.#held.get(id.toLowerCase()) : undefined;
  }

  /** Ids of all resources of a type. */
  idsOf(token: string): readonly string[] {
    return this.all()
      .filter((held) => held.token === token)
      .map(({ id }) => id)
      .sort();
  }

  /** The next requests for such a resource fail. */
  fail(plan: PlannedFailure): void {
    this.#failures.push({ plan, left: plan.times ?? 1 });
  }

  /** Deleted vaults give their names free, as `az keyvault purge` does. */
  purgeVaults(): void {
    this.#deletedVaults.clear();
  }

  /** Inputs with a name where none is given, and what the types of the SDK do not allow. */
  check(token: string, resourceName: string, news: Inputs, olds: Inputs): { inputs: Inputs; misfits: Misfit[] } {
    const kind = kindOf(token);
    const nameInput = nameInputOf(kind);
    const inputs = { ...news };
    if (nameInput !== undefined && inputs[nameInput] === undefined) {
      const isGuid = kind.name?.pattern.test(randomUUID()) === true && kind.name.rule === 'a GUID';
      inputs[nameInput] =
        olds[nameInput] ?? (isGuid ? randomUUID() : `${resourceName}${randomBytes(4).toString('hex')}`);
    }
    const misfits = misfitsOf(typesOf(token).inputs, inputs);
    const name = nameInput === undefined ? undefined : text(inputs, nameInput);
    if (nameInput !== undefined && name !== undefined && kind.name !== undefined && !kind.name.pattern.test(name)) {
      misfits.push({ path: nameInput, reason: `the name '${name}' must be ${kind.name.rule}` });
    }
    return { inputs, misfits };
  }

  /** What changed between two sets of checked inputs. */
  diff(token: string, olds: Inputs, news: Inputs): Difference {
    const kind = kindOf(token);
    const names = new Set([...Object.keys(olds), ...Object.keys(news)]);
    const changed = [...names].filter((name) => !isDeepStrictEqual(olds[name], news[name]));
    const addressed = [...kind.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!);
    const isReplacing = (name: string): boolean =>
      name === 'location' || addressed.includes(name) || kind.replaceOn?.includes(name) === true;
    return { changed, replaces: changed.filter(isReplacing) };
  }

  /**
   * Creates a resource.
   *
   * @throws AzureRefusal
   */
  create(token: string, inputs: Inputs): { id: string; outputs: Inputs } {
    const kind = kindOf(token);
    const id = this.#idOf(kind, inputs);
    this.#refuseAsPlanned(token, id);
    if (kind.isPartOfParent !== true && this.find(id) !== undefined) {
      throw new Error(`cannot create already existing resource '${id}'`);
    }
    this.#refuseOrphan(kind, id);
    this.#refuseTakenName(kind, token, id);
    this.#judge(kind, inputs, id);
    return { id, outputs: this.#put(kind, token, inputs, id) };
  }

  /**
   * Changes a resource in place.
   *
   * @throws AzureRefusal
   */
  update(token: string, id: string, inputs: Inputs): Inputs {
    const kind = kindOf(token);
    this.#refuseAsPlanned(token, id);
    const held = this.find(id);
    if (held === undefined) {
      throw new AzureRefusal('PUT', id, { status: 404, code: 'ResourceNotFound', message: `${id} was not found.` });
    }
    const fixed = kind.fixed?.find((name) => !isDeepStrictEqual(held.inputs[name], inputs[name]));
    if (fixed !== undefined) {
      throw new AzureRefusal('PUT', id, { code: 'BadRequest', message: `The property '${fixed}' cannot be changed.` });
    }
    this.#judge(kind, inputs, id);
    return this.#put(kind, token, inputs, id);
  }

  /** Deletes a resource with everything inside it. What is gone already is fine. */
  delete(token: string, id: string): void {
    this.#refuseAsPlanned(token, id);
    this.requests.push(`DELETE ${id}`);
    const self = id.toLowerCase();
    const isInside = (key: string): boolean => kindOf(token).isPartOfParent !== true && key.startsWith(`${self}/`);
    for (const [key, held] of this.#held) {
      if (key !== self && !isInside(key)) continue;
      if (held.token === 'azure-native:keyvault:Vault') this.#deletedVaults.add(nameIn(held.id));
      this.#held.delete(key);
    }
  }

  /** Outputs in a preview: of a resource that is not there yet, or of the one with this id after a change. */
  preview(token: string, inputs: Inputs, id?: string): Inputs {
    return previewOf(typesOf(token).outputs, inputs, this.find(id)?.outputs);
  }

  /**
   * Answers a function of the provider.
   *
   * @throws Error for a function that is not here.
   */
  invoke(token: string): Inputs {
    const { subscriptionId, tenantId, objectId } = this;
    if (token === 'azure-native:authorization:getClientConfig') {
      return { subscriptionId, tenantId, objectId, clientId: '04b07795-8ddb-461a-bbee-02f9e1bf7b46' };
    }
    throw new Error(`unrecognized function: ${token}`);
  }

  #idOf(kind: ResourceKind, inputs: Inputs): string {
    const path = kind.path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
      name === 'subscriptionId' ? this.subscriptionId : String(inputs[name]),
    );
    return `/${path.replace(/^\/+/, '')}`;
  }

  #refuseAsPlanned(token: string, id: string): void {
    const due = this.#failures.find(
      ({ plan, left }) => left > 0 && plan.token === token && (plan.name ?? nameIn(id)) === nameIn(id),
    );
    if (due === undefined) return;
    due.left -= 1;
    this.#failures = this.#failures.filter(({ left }) => left > 0);
    throw new AzureRefusal('PUT', id, due.plan.refusal);
  }

  /** The group, the scope and the parent of a resource exist before it. */
  #refuseOrphan(kind: ResourceKind, id: string): void {
    const [group] = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(id) ?? [];
    const isGroup = group === id;
    if (group !== undefined && !isGroup && this.find(group) === undefined) {
      const message = `Resource group '${nameIn(group)}' could not be found.`;
      throw new AzureRefusal('PUT', id, { status: 404, code: 'ResourceGroupNotFound', message });
    }
    const parent = parentOf(kind, id);
    if (parent !== undefined && this.find(parent) === undefined) {
      const message = `Can not perform requested operation on nested resource. Parent resource '${parent}' not found.`;
      throw new AzureRefusal('PUT', id, { status: 404, code: 'ParentResourceNotFound', message });
    }
  }

  #refuseTakenName(kind: ResourceKind, token: string, id: string): void {
    const name = nameIn(id);
    if (token === 'azure-native:keyvault:Vault' && this.#deletedVaults.has(name)) {
      const message = `A vault with the same name '${name}' already exists in deleted state. You need to either recover or purge existing key vault.`;
      throw new AzureRefusal('PUT', id, { status: 409, code: 'ConflictError', message });
    }
    const isTaken = this.all().some((held) => held.token === token && nameIn(held.id) === name);
    if (kind.isGlobal === true && isTaken) {
      throw new AzureRefusal('PUT', id, {
        status: 409,
        code: 'NameUnavailable',
        message: `The name '${name}' is taken.`,
      });
    }
  }

  #judge(kind: ResourceKind, inputs: Inputs, id: string): void {
    const [refusal] = (kind.refuse?.(inputs, this, id) ?? []).filter((one) => one !== undefined);
    if (refusal !== undefined) throw new AzureRefusal('PUT', id, refusal);
  }

  #put(kind: ResourceKind, token: string, inputs: Inputs, id: string): Inputs {
    this.requests.push(`PUT ${id}`);
    const declared = typesOf(token).outputs;
    const all: Record<string, unknown> = {
      provisioningState: 'Succeeded',
      azureApiVersion: '2026-01-01',
      location: this.#locationOf(id),
      ...inputs,
      name: nameIn(id),
      type: kind.type,
      ...kind.outputs?.(inputs, id, this),
    };
    const outputs = Object.fromEntries(
      Object.entries(all).filter(([name, value]) => declared.has(name) && value !== undefined),
    );
    this.#held.set(id.toLowerCase(), { id, token, inputs, outputs });
    return outputs;
  }

  #locationOf(id: string): unknown {
    const [group] = /^\/subscriptions\/[^/]+\/resourceGroups\/[^/]+/i.exec(id) ?? [];
    return this.find(group)?.inputs['location'];
  }
}

/**
 * The kind of a type.
 *
 * @throws Error for a type that the fake does not know.
 */
function kindOf(token: string): ResourceKind {
  const kind = KINDS[token];
  if (kind === undefined) throw new Error(`the fake provider does not know ${token}: describe it in a table of kinds`);
  return kind;
}

/** The input that holds the name: the last part of the id. */
function nameInputOf(kind: ResourceKind): string | undefined {
  return /\{(\w+)\}$/.exec(kind.path)?.[1];
}

const nameIn = (id: string): string => id.slice(id.lastIndexOf('/') + 1);

/** Id of the resource that this one is inside of; undefined at the top of a provider. */
function parentOf(kind: ResourceKind, id: string): string | undefined {
  const parts = kind.type.split('/').length - 1;
  const extension = /^\/?(.+)\/providers\/Microsoft\.(Authorization|Consumption|Insights\/diagnosticSettings)\//i.exec(
    id,
  );
  if (kind.path.startsWith('/{') && extension !== null) {
    return /^\/subscriptions\/[^/]+$/.test(`/${extension[1]}`) ? undefined : `/${extension[1]}`;
  }
  if (parts < 2) return undefined;
  const isPart = /\/blobServices\/default\/|\/tableServices\/default\//;
  const parent = id.split('/').slice(0, -2).join('/');
  return isPart.test(id) ? id.slice(0, id.search(isPart)) : parent;
}
