import Module from 'node:module';

/** Data as the Functions host hands it to a worker. */
export type RpcData =
  | { readonly bytes: Uint8Array }
  | { readonly string: string }
  | { readonly json: string }
  | { readonly http: Readonly<Record<string, unknown>> };

/** What a function tells the host about itself. */
export interface FunctionMetadata {
  readonly name: string;
  readonly bindings: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly retryOptions?: unknown;
}

interface HttpReply {
  readonly statusCode: string;
  readonly body?: { readonly bytes?: Uint8Array; readonly string?: string };
}

interface InvocationModel {
  getArguments(): Promise<{ readonly context: unknown; readonly inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], callback: Callback): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<{ readonly returnValue?: { readonly http?: HttpReply } }>;
}

interface ProgrammingModel {
  getInvocationModel(context: Readonly<Record<string, unknown>>): InvocationModel;
}

type Callback = (...inputs: unknown[]) => unknown;

/** The functions of one app, as the worker of Azure Functions holds them, and a way to invoke them. */
export class FunctionsCore {
  readonly functions = new Map<string, { readonly metadata: FunctionMetadata; readonly callback: Callback }>();
  readonly hooks = new Map<string, Callback[]>();
  model: ProgrammingModel | undefined;
  #invocations = 0;

  /** The one binding that starts a function. */
  trigger(name: string): Readonly<Record<string, unknown>> {
    return this.#trigger(name)[1];
  }

  #trigger(name: string): readonly [string, Readonly<Record<string, unknown>>] {
    const bindings = Object.entries(this.functions.get(name)?.metadata.bindings ?? {});
    const found = bindings.find(([, { type }]) => String(type).endsWith('Trigger'));
    if (found === undefined) throw new Error(`no function ${name} with a trigger is registered`);
    return found;
  }

  /** Invokes a function with the data of its trigger, as the worker does. Rejects when the function does. */
  async invoke(name: string, data: RpcData, triggerMetadata: Readonly<Record<string, RpcData>> = {}): Promise<unknown> {
    const registered = this.functions.get(name);
    if (registered === undefined || this.model === undefined) throw new Error(`no function ${name} is registered`);
    const [binding] = this.#trigger(name);
    this.#invocations += 1;
    const model = this.model.getInvocationModel({
      invocationId: `invocation-${this.#invocations}`,
      metadata: registered.metadata,
      request: { inputData: [{ name: binding, data }], triggerMetadata },
      log: () => undefined,
      state: 'invocation',
    });
    const { context, inputs } = await model.getArguments();
    const result = await model.invokeFunction(context, inputs, registered.callback);
    return (await model.getResponse(context, result)).returnValue;
  }

  tick(name: string): Promise<unknown> {
    const timer = { IsPastDue: false, Schedule: { AdjustForDST: true }, ScheduleStatus: {} };
    return this.invoke(name, { json: JSON.stringify(timer) });
  }

  async get(name: string): Promise<{ readonly status: number; readonly body: unknown }> {
    const http = { method: 'GET', url: 'http://127.0.0.1/api', headers: {}, query: {}, params: {} };
    const { http: reply } = (await this.invoke(name, { http })) as { http?: HttpReply };
    const { bytes, string } = reply?.body ?? {};
    const text = bytes === undefined ? (string ?? '') : Buffer.from(bytes).toString('utf8');
    return { status: Number(reply?.statusCode), body: JSON.parse(text) };
  }

  /** Ends the app as the host does. */
  async terminate(): Promise<void> {
    for (const hook of this.hooks.get('appTerminate') ?? []) await hook({ hookData: {}, appHookData: {} });
  }
}

let loading = new FunctionsCore();
let lastModel: ProgrammingModel | undefined;

/** The library keeps the first module that it is given, so there is one for all apps, and it tells the one being loaded. */
const provided = {
  version: '3.11.0',
  registerFunction: (metadata: FunctionMetadata, callback: Callback) =>
    void loading.functions.set(metadata.name, { metadata, callback }),
  registerHook: (name: string, callback: Callback) => {
    loading.hooks.set(name, [...(loading.hooks.get(name) ?? []), callback]);
    return { dispose: () => undefined };
  },
  setProgrammingModel: (model: ProgrammingModel) => {
    loading.model = model;
    lastModel = model;
  },
  log: () => undefined,
  Disposable: class {
    dispose(): void {
      // Nothing was taken.
    }
  },
};

/** Runs `load`, which registers functions, with the module that only the worker provides; what was registered. */
export async function captureFunctions(load: () => unknown): Promise<FunctionsCore> {
  const core = new FunctionsCore();
  loading = core;
  const { require } = Module.prototype;
  Module.prototype.require = function provide(this: Module, id: string): unknown {
    return id === '@azure/functions-core' ? provided : require.call(this, id);
  } as typeof require;
  try {
    await load();
  } finally {
    Module.prototype.require = require;
  }
  // A copy of the library that was loaded before has told its model already.
  core.model ??= lastModel;
  return core;
}
