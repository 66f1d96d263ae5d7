import * as pulumi from '@pulumi/pulumi';

/** What the provider of a sealing key answers. */
interface CreatedKey {
  readonly id: string;
  readonly outs: { readonly value: string };
}

/**
 * Makes the first sealing key. Pulumi stores the text of this function in the state and runs it there, so it uses globals only: no
 * import, and nothing of this module. It runs at the first `pulumi up`, never in a preview.
 */
export const sealingKeyProvider = {
  create: (): Promise<CreatedKey> => {
    const bytes = crypto.getRandomValues(new Uint8Array(32));
    const value = `k1:${Buffer.from(bytes).toString('base64')}`;
    return Promise.resolve({ id: 'k1', outs: { value } });
  },
};

/** The first sealing key of a stack, `k1:<32 random bytes in base64>`: made once, encrypted in the state. */
export class SealingKey extends pulumi.dynamic.Resource {
  /** Set by Pulumi; a declaration without `declare` would overwrite it. */
  declare readonly value: pulumi.Output<string>;

  constructor(name: string, options?: pulumi.CustomResourceOptions) {
    super(
      sealingKeyProvider,
      name,
      { value: undefined },
      // Pulumi replaces a dynamic resource when the text of its provider changes, for example with another TypeScript: a key must
      // not change with it.
      { ...options, additionalSecretOutputs: ['value'], ignoreChanges: ['__provider'] },
      'adit',
      'SealingKey',
    );
  }
}
