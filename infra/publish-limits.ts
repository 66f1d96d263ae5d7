import type { Backoff } from '../runtime/core/backoff.ts';

/** Every limit of a publication, in ms unless the name says otherwise. */
export interface PublishLimits {
  /** One upload. */
  readonly uploadMs: number;
  /** Any other request. */
  readonly requestMs: number;
  /** Until the endpoint takes the archive: new roles and a starting app refuse for minutes. */
  readonly acceptMs: number;
  /** Until an accepted deployment is at its end. */
  readonly deployMs: number;
  /** Until the app answers with the new version. */
  readonly verifyMs: number;
  /** Between two looks at a deployment or at the app. */
  readonly lookMs: number;
  /** Deployments that may fail for a reason that passes, all together. */
  readonly deploymentsCount: number;
  readonly backoff: Backoff;
}

/** Limits for Azure: at worst three deployments of 20 minutes and 5 minutes of verification. */
export const PUBLISH_LIMITS: PublishLimits = {
  uploadMs: 300_000,
  requestMs: 30_000,
  acceptMs: 600_000,
  deployMs: 600_000,
  verifyMs: 300_000,
  lookMs: 3_000,
  deploymentsCount: 3,
  backoff: { firstMs: 2_000, maxMs: 30_000, jitter: 0.3 },
};

/** Limits for an endpoint on this machine, which has no roles that propagate. */
export const LOCAL_PUBLISH_LIMITS: PublishLimits = {
  uploadMs: 10_000,
  requestMs: 5_000,
  acceptMs: 30_000,
  deployMs: 30_000,
  verifyMs: 15_000,
  lookMs: 50,
  deploymentsCount: 3,
  backoff: { firstMs: 50, maxMs: 500, jitter: 0.3 },
};
