import { createRequire } from 'node:module';
import type { IResourceMonitorServer } from '@pulumi/pulumi/proto/resource_grpc_pb.js';
import type { RegisterResourceResponse } from '@pulumi/pulumi/proto/resource_pb.js';

/** The part of `@grpc/grpc-js` that a server needs. */
interface GrpcModule {
  readonly Server: new (options: Readonly<Record<string, number>>) => GrpcServer;
  readonly ServerCredentials: { createInsecure(): unknown };
}

interface GrpcServer {
  addService(definition: object, implementation: object): void;
  bindAsync(address: string, credentials: unknown, done: (error: Error | null, port: number) => void): void;
  forceShutdown(): void;
}

/** The messages of google-protobuf itself, by way of the SDK's stubs. */
type EmptyMessage = Parameters<IResourceMonitorServer['getDeploymentInfo']>[0]['request'];
type StructMessage = NonNullable<ReturnType<RegisterResourceResponse['getObject']>>;

/** A gRPC server that listens on this machine only. */
export interface ListeningServer {
  /** `127.0.0.1:<port>`. */
  readonly address: string;
  /** Ends every connection at once; idempotent. */
  close(): void;
}

/** One service and its implementation. */
export interface Service {
  readonly definition: object;
  readonly implementation: object;
}

/** gRPC's INVALID_ARGUMENT: the program asked for something that is refused, and trying again is useless. */
const INVALID_ARGUMENT = 3;

/** The SDK's own limit for one message (runtime/settings.js, maxRPCMessageSize). */
const MESSAGE_LIMIT_BYTES = 400 * 1024 * 1024;

// Messages are checked with instanceof, so these must be the very copies that the SDK's stubs use.
const requireAsSdk = createRequire(createRequire(import.meta.url).resolve('@pulumi/pulumi/package.json'));
const grpc = requireAsSdk('@grpc/grpc-js') as GrpcModule;
const { Empty } = requireAsSdk('google-protobuf/google/protobuf/empty_pb.js') as { Empty: new () => EmptyMessage };
const { Struct } = requireAsSdk('google-protobuf/google/protobuf/struct_pb.js') as {
  Struct: { fromJavaScript(value: Readonly<Record<string, unknown>>): StructMessage };
};

/** The answer that says nothing. */
export function emptyMessage(): EmptyMessage {
  return new Empty();
}

/** Plain names and values as a message. */
export function structMessage(values: Readonly<Record<string, unknown>>): StructMessage {
  return Struct.fromJavaScript(values);
}

/** Turns a plain function into a gRPC handler: what it throws is what the program is refused with. */
export function unary<Request, Response>(handle: (request: Request) => Response) {
  return (
    call: { readonly request: Request },
    reply: (error: (Error & { code: number }) | null, response?: Response) => void,
  ): void => {
    let response: Response;
    try {
      response = handle(call.request);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      reply(Object.assign(new Error(message, { cause: error }), { code: INVALID_ARGUMENT }));
      return;
    }
    reply(null, response);
  };
}

/** Serves on 127.0.0.1 and a free port. */
export async function serve(services: readonly Service[]): Promise<ListeningServer> {
  const server = new grpc.Server({
    'grpc.max_receive_message_length': MESSAGE_LIMIT_BYTES,
    'grpc.max_send_message_length': MESSAGE_LIMIT_BYTES,
  });
  for (const { definition, implementation } of services) server.addService(definition, implementation);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
    if (error === null) resolve(port);
    else reject(error);
  });
  const port = await promise;
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}
