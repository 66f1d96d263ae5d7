import { callbackify } from 'node:util';
import {
  Client,
  credentials,
  type MethodDefinition,
  type sendUnaryData,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { AnalyzerService } from '@pulumi/pulumi/proto/analyzer_grpc_pb.js';
import analyzer from '@pulumi/pulumi/proto/analyzer_pb.js';
import { unary } from './unary.ts';

/** Messages of the engine hold whole stacks. */
const UNLIMITED = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };

type Method = MethodDefinition<unknown, unknown>;
type Stack = analyzer.AnalyzerStackConfigureRequest;

/**
 * What the engine asks instead of a policy pack, until there is one.
 *
 * Why it exists: a Node pack finds the stack's name and configuration in its environment, but the engine tells them only to
 * a policy pack that already answers. So the language host answers first (sdk/policy_proxy.go of v3.259.0 does it this way),
 * hears the configuration, starts the pack with it, and from then on only passes on.
 */
export class PolicyProxy {
  readonly #server = new Server(UNLIMITED);
  readonly #configured = Promise.withResolvers<Stack | undefined>();
  readonly #pack = Promise.withResolvers<Client>();
  port = 0;

  private constructor() {
    // Whoever asks hears why there is no pack; when nobody asks, nobody needs to.
    this.#pack.promise.catch(() => undefined);
  }

  /** A proxy that listens on a port of its own; the caller closes it. */
  static async listen(): Promise<PolicyProxy> {
    const proxy = new PolicyProxy();
    proxy.#serve();
    proxy.port = await new Promise<number>((resolve, reject) => {
      proxy.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return proxy;
  }

  /** The stack that the pack is to judge; undefined when the engine asks something else first, as `pulumi policy publish` does. */
  configured(): Promise<Stack | undefined> {
    return this.#configured.promise;
  }

  /** Passes everything on to the pack that listens there, and first of all the stack. */
  async attach(port: number): Promise<void> {
    const pack = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), UNLIMITED);
    const stack = await this.configured();
    if (stack !== undefined) await configure(pack, stack);
    this.#pack.resolve(pack);
  }

  /** There will be no pack. */
  fail(error: Error): void {
    this.#pack.reject(error);
  }

  close(): void {
    this.fail(new Error('The policy pack has ended.'));
    void this.#pack.promise.then(
      (pack) => pack.close(),
      () => undefined,
    );
    this.#server.forceShutdown();
  }

  #serve(): void {
    const own: UntypedServiceImplementation = {
      handshake: unary(() => new analyzer.AnalyzerHandshakeResponse()),
      configureStack: unary((request: Stack) => {
        this.#configured.resolve(request);
        return new analyzer.AnalyzerStackConfigureResponse();
      }),
    };
    const methods = Object.entries(AnalyzerService as unknown as Readonly<Record<string, Method>>);
    const passed = methods.filter(([name]) => !(name in own));
    const definition = passed.map(([name, method]) => [name, asBytes(method)] as const);
    const passing = passed.map(([name, { path }]) => [name, this.#passOn(path)] as const);
    this.#server.addService(
      { ...Object.fromEntries(methods), ...Object.fromEntries(definition) },
      { ...own, ...Object.fromEntries(passing) },
    );
  }

  #passOn(path: string): (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => void {
    const packBack = callbackify(() => this.#pack.promise);
    return ({ request }, callback) => {
      this.#configured.resolve(undefined);
      packBack((error, pack) => {
        if (error === null) pack.makeUnaryRequest(path, bytes, bytes, request, callback);
        else callback({ code: status.UNKNOWN, details: error.message });
      });
    };
  }
}

const bytes = (message: Buffer): Buffer => message;

/** What is passed on needs no reading. */
function asBytes(method: Method): MethodDefinition<Buffer, Buffer> {
  return {
    ...method,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
}

function configure(pack: Client, stack: Stack): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = AnalyzerService.configureStack;
  return new Promise((resolve, reject) => {
    pack.makeUnaryRequest(path, requestSerialize, responseDeserialize, stack, (error) =>
      error === null || error.code === status.UNIMPLEMENTED ? resolve() : reject(error),
    );
  });
}
