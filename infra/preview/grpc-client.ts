import { createRequire } from 'node:module';
import { AnalyzerClient } from '@pulumi/pulumi/proto/analyzer_grpc_pb.js';

/** The part of `@grpc/grpc-js` that a client needs. */
interface GrpcModule {
  readonly credentials: { createInsecure(): ConstructorParameters<typeof AnalyzerClient>[1] };
}

/** The SDK's own limit for one message (runtime/settings.js, maxRPCMessageSize). */
const MESSAGE_LIMIT_BYTES = 400 * 1024 * 1024;

// Credentials are checked with instanceof, so this must be the very copy that the SDK's stubs use.
const requireAsSdk = createRequire(createRequire(import.meta.url).resolve('@pulumi/pulumi/package.json'));
const { credentials } = requireAsSdk('@grpc/grpc-js') as GrpcModule;

/** A client of a policy pack on this machine; the caller closes it. */
export function analyzerClient(port: number): AnalyzerClient {
  return new AnalyzerClient(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MESSAGE_LIMIT_BYTES,
    'grpc.max_send_message_length': MESSAGE_LIMIT_BYTES,
    // No proxy of this machine comes between the two.
    'grpc.enable_http_proxy': 0,
  });
}

/** One call as a promise. */
export function answerOf<Response>(
  call: (done: (error: Error | null, response: Response) => void) => unknown,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}
