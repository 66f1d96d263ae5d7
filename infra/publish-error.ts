/**
 * Why code did not reach the app: `no-login` no token · `refused` the endpoint will never take this · `not-accepted` it
 * did not take it in time · `failed` the deployment failed · `unfinished` it did not end in time · `unverified` the app
 * does not answer with the version.
 */
export type PublishCode = 'no-login' | 'refused' | 'not-accepted' | 'failed' | 'unfinished' | 'unverified';

/** A publication that failed. The message says what happened and what to do next, and holds no token. */
export class PublishError extends Error {
  override readonly name = 'PublishError';
  readonly code: PublishCode;

  constructor(code: PublishCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A deployment is keyed on the archive's hash and repeated until it succeeds. */
export const RUN_AGAIN = 'Run the same pulumi up again: it converges.';
