import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import type { IResourceProviderClient } from '@pulumi/pulumi/proto/provider_grpc_pb.js';
import stubs from '@pulumi/pulumi/proto/provider_grpc_pb.js';
import messages from '@pulumi/pulumi/proto/provider_pb.js';

const requireHere = createRequire(import.meta.url);
// Messages are checked with instanceof, so these must be the very copies that the SDK's stubs use.
const requireAsSdk = createRequire(requireHere.resolve('@pulumi/pulumi/package.json'));
const grpc = requireAsSdk('@grpc/grpc-js') as { readonly credentials: { createInsecure(): never } };
const { Struct } = requireAsSdk('google-protobuf/google/protobuf/struct_pb.js') as {
  Struct: { fromJavaScript(value: object): never };
};

/** Values of a resource, the serialised code included. */
export type Values = Readonly<Record<string, unknown>>;

/** What a provider says about a change. */
export interface Difference {
  readonly hasChanges: boolean;
  readonly replaces: readonly string[];
}

/** The SDK's own process for dynamic resources, spoken to as the engine does. */
export class DynamicProvider {
  readonly #child: ChildProcess;
  readonly #client: IResourceProviderClient & { close(): void };
  readonly #said: string[];

  private constructor(child: ChildProcess, port: string, said: string[]) {
    this.#child = child;
    this.#said = said;
    this.#client = new stubs.ResourceProviderClient(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  }

  /** Starts it with `dir` as its working directory, which is where the engine starts it: beside Pulumi.yaml. */
  static async start(dir: string): Promise<DynamicProvider> {
    const program = requireHere.resolve('@pulumi/pulumi/cmd/dynamic-provider/index.js');
    const child = spawn(process.execPath, [program, '127.0.0.1:1'], { cwd: dir, env: {} });
    const said: string[] = [];
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const hear = (chunk: Buffer): void => {
      said.push(chunk.toString());
      const port = /^(\d+)\r?\n/.exec(said.join(''))?.[1];
      if (port !== undefined) resolve(port);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.once('exit', (code) => reject(new Error(`the dynamic provider ended with ${code}: ${said.join('')}`)));
    return new DynamicProvider(child, await promise, said);
  }

  /** Everything that it printed. */
  get said(): string {
    return this.#said.join('');
  }

  async configure(): Promise<void> {
    const request = new messages.ConfigureRequest();
    request.setArgs(Struct.fromJavaScript({}));
    await new Promise((resolve, reject) => this.#client.configure(request, settle(resolve, reject)));
  }

  async check(olds: Values, news: Values): Promise<Values> {
    const request = new messages.CheckRequest();
    request.setOlds(Struct.fromJavaScript(olds));
    request.setNews(Struct.fromJavaScript(news));
    const answer = await new Promise<messages.CheckResponse>((resolve, reject) =>
      this.#client.check(request, settle(resolve, reject)),
    );
    return valuesOf(answer.getInputs());
  }

  async diff(id: string, olds: Values, news: Values): Promise<Difference> {
    const request = new messages.DiffRequest();
    request.setId(id);
    request.setOlds(Struct.fromJavaScript(olds));
    request.setNews(Struct.fromJavaScript(news));
    const answer = await new Promise<messages.DiffResponse>((resolve, reject) =>
      this.#client.diff(request, settle(resolve, reject)),
    );
    const hasChanges = answer.getChanges() === messages.DiffResponse.DiffChanges.DIFF_SOME;
    return { hasChanges, replaces: answer.getReplacesList() };
  }

  async create(inputs: Values): Promise<{ readonly id: string; readonly outputs: Values }> {
    const request = new messages.CreateRequest();
    request.setProperties(Struct.fromJavaScript(inputs));
    const answer = await new Promise<messages.CreateResponse>((resolve, reject) =>
      this.#client.create(request, settle(resolve, reject)),
    );
    return { id: answer.getId(), outputs: valuesOf(answer.getProperties()) };
  }

  async read(id: string, outputs: Values): Promise<Values> {
    const request = new messages.ReadRequest();
    request.setId(id);
    request.setProperties(Struct.fromJavaScript(outputs));
    const answer = await new Promise<messages.ReadResponse>((resolve, reject) =>
      this.#client.read(request, settle(resolve, reject)),
    );
    return valuesOf(answer.getProperties());
  }

  async update(id: string, olds: Values, news: Values): Promise<Values> {
    const request = new messages.UpdateRequest();
    request.setId(id);
    request.setOlds(Struct.fromJavaScript(olds));
    request.setNews(Struct.fromJavaScript(news));
    const answer = await new Promise<messages.UpdateResponse>((resolve, reject) =>
      this.#client.update(request, settle(resolve, reject)),
    );
    return valuesOf(answer.getProperties());
  }

  async delete(id: string, outputs: Values): Promise<void> {
    const request = new messages.DeleteRequest();
    request.setId(id);
    request.setProperties(Struct.fromJavaScript(outputs));
    await new Promise((resolve, reject) => this.#client.delete(request, settle(resolve, reject)));
  }

  async close(): Promise<void> {
    this.#client.close();
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill();
    await ended;
  }
}

function settle<Answer>(resolve: (answer: Answer) => void, reject: (error: Error) => void) {
  return (error: Error | null, answer: Answer): void => (error === null ? resolve(answer) : reject(error));
}

function valuesOf(struct: { toJavaScript(): object } | undefined): Values {
  return (struct?.toJavaScript() ?? {}) as Values;
}
