import { Server, ServerCredentials } from '@grpc/grpc-js';
import { LanguageRuntimeService } from '@pulumi/pulumi/proto/language_grpc_pb.js';
import { ResourceProviderService } from '@pulumi/pulumi/proto/provider_grpc_pb.js';
import { languageHost } from './language-host.ts';
import type { FakeAzure } from './provider/azure.ts';
import { providerService } from './provider/service.ts';

export interface AttachmentOptions {
  readonly azure: FakeAzure;
  /** Version of the provider that the SDK asks for. */
  readonly providerVersion: string;
}

/** What the engine dials instead of starting plugins: the provider and the language host, on one port. */
export class Attachments {
  readonly #server: Server;
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async listen(options: AttachmentOptions): Promise<Attachments> {
    const unlimited = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
    const server = new Server(unlimited);
    server.addService(ResourceProviderService, providerService(options.azure, options.providerVersion));
    server.addService(LanguageRuntimeService, languageHost());
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return new Attachments(server, port);
  }

  close(): void {
    this.#server.forceShutdown();
  }
}
