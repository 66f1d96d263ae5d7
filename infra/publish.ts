import { setTimeout as sleepFor } from 'node:timers/promises';
import { backoffMs } from '../runtime/core/backoff.ts';
import {
  deploymentStateIn,
  isPassingText,
  isSuccess,
  logEntriesIn,
  logUrlOf,
  mayPass,
  sameOrigin,
  statusTextIn,
  statusUrlOf,
  versionIn,
  type DeploymentState,
} from './deployment-answer.ts';
import { exchange, type Exchange, type Request } from './exchange.ts';
import { PublishError, RUN_AGAIN } from './publish-error.ts';
import { PUBLISH_LIMITS, type PublishLimits } from './publish-limits.ts';

/** What is published, where, and with which parts of the outside world. */
export interface PublishOptions {
  /** Base URL of the deployment endpoint, for example `https://adit-dev.scm.azurewebsites.net`. */
  readonly scmUrl: string;
  /** Base URL of the app, for example `https://adit-dev.azurewebsites.net`. */
  readonly appUrl: string;
  /** The ZIP. */
  readonly archive: Uint8Array<ArrayBuffer>;
  /** What `/api/version` answers once this archive runs. */
  readonly version: string;
  /** A bearer token for the deployment endpoint; asked before each request, so it caches. Never printed. */
  readonly token: () => Promise<string>;
  /** Told of every attempt. Default: nobody. */
  readonly log?: (line: string) => void;
  /** Default: `PUBLISH_LIMITS`. */
  readonly limits?: PublishLimits;
  /** Default: the real clock. */
  readonly clock?: PublishClock;
  /** Default: `Math.random`. */
  readonly random?: () => number;
  /** Default: the `fetch` of Node. */
  readonly fetch?: typeof fetch;
}

/** Time as a publication sees it. */
export interface PublishClock {
  /** In ms, from any fixed moment. */
  now(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

/** How a publication went. */
export interface Published {
  /** Uploads, refused ones included. */
  readonly uploads: number;
}

type Accepted = { readonly statusUrl: string } | 'deployed';
type Ended = 'deployed' | { readonly reason: string; readonly isPassing: boolean };

/** Longest quotation of an answer or a log in a message. */
const QUOTE_MAX_CHARS = 3_000;
/** Entries of a deployment's log whose details are fetched. */
const LOG_DETAILS_COUNT = 5;

const REAL_CLOCK: PublishClock = {
  now: () => performance.now(),
  async sleep(ms, signal) {
    await sleepFor(ms, undefined, { signal }).catch(() => signal.throwIfAborted());
  },
};

/**
 * Puts an archive into a function app and waits until the app answers with its version: upload, follow the deployment,
 * ask the app. Retries what passes by itself. Publishing the same archive twice does no harm.
 * @throws PublishError
 * @throws the signal's reason when it is aborted.
 */
export async function publish(options: PublishOptions, signal: AbortSignal): Promise<Published> {
  const publication = new Publication(options, signal);
  const { deploymentsCount } = publication.limits;
  for (let deployment = 1; ; deployment += 1) {
    const accepted = await publication.upload();
    const ended = accepted === 'deployed' ? 'deployed' : await publication.follow(accepted.statusUrl);
    if (ended === 'deployed') break;
    if (!ended.isPassing || deployment >= deploymentsCount) {
      throw new PublishError('failed', `The deployment of version ${options.version} ${ended.reason} ${RUN_AGAIN}`);
    }
    await publication.retryLater(deployment, `the deployment ${ended.reason}`);
  }
  await publication.verify();
  return { uploads: publication.uploads };
}

/** One publication under way. */
class Publication {
  readonly limits: PublishLimits;
  uploads = 0;
  readonly #options: PublishOptions;
  readonly #signal: AbortSignal;
  readonly #clock: PublishClock;
  /** Every token that was used: none may appear in a text. */
  readonly #tokens = new Set<string>();

  constructor(options: PublishOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#clock = options.clock ?? REAL_CLOCK;
    this.limits = options.limits ?? PUBLISH_LIMITS;
  }

  /** Uploads until the endpoint takes the archive. */
  async upload(): Promise<Accepted> {
    const { scmUrl, archive } = this.#options;
    const { uploadMs, acceptMs } = this.limits;
    const url = `${scmUrl}/api/publish?type=zip&RemoteBuild=false`;
    const request = { method: 'POST', url, headers: { 'content-type': 'application/zip' }, body: archive } as const;
    const endsAt = this.#clock.now() + acceptMs;
    for (let attempt = 1; ; attempt += 1) {
      this.uploads += 1;
      const answer = await this.#asMyself({ ...request, timeoutMs: uploadMs });
      const what = this.#describe(answer);
      this.#log(`upload ${attempt} of ${archive.byteLength} bytes: ${what}`);
      if (answer.kind === 'answer' && answer.status === 202) return { statusUrl: statusUrlOf(scmUrl, answer) };
      if (isSuccess(answer)) return 'deployed';
      if (!mayPass(answer)) {
        throw this.#error('refused', `${scmUrl} refused the archive, which does not pass by itself: ${what}`, answer);
      }
      const waitMs = this.#backoffMs(attempt);
      if (this.#clock.now() + waitMs >= endsAt) {
        const waited = `${scmUrl} did not accept the archive within ${seconds(acceptMs)} (${attempt} attempts)`;
        throw this.#error('not-accepted', `${waited}; last answer: ${what}. ${adviceFor(answer)}`, answer);
      }
      await this.#clock.sleep(waitMs, this.#signal);
    }
  }

  /** Follows an accepted deployment to its end. */
  async follow(statusUrl: string): Promise<Ended> {
    const { requestMs, deployMs, lookMs } = this.limits;
    const endsAt = this.#clock.now() + deployMs;
    let last = '';
    for (;;) {
      const answer = await this.#asMyself({ method: 'GET', url: statusUrl, timeoutMs: requestMs });
      const state = deploymentStateIn(answer);
      const what = state?.text ?? this.#describe(answer);
      if (what !== last) this.#log(`deployment: ${what}`);
      last = what;
      if (state?.kind === 'deployed') return 'deployed';
      if (state?.kind === 'ended') return await this.#failureOf(statusUrl, answer, state);
      if (this.#clock.now() + lookMs >= endsAt) {
        const waited = `The deployment did not end within ${seconds(deployMs)}; last answer: ${what}.`;
        throw this.#error('unfinished', `${waited} ${RUN_AGAIN}`, answer);
      }
      await this.#clock.sleep(lookMs, this.#signal);
    }
  }

  /** Asks the app for its version until it is the new one. The app is asked without a token. */
  async verify(): Promise<void> {
    const { appUrl, version, fetch: fetchOf = fetch } = this.#options;
    const { requestMs, verifyMs, lookMs } = this.limits;
    const url = `${appUrl}/api/version`;
    const endsAt = this.#clock.now() + verifyMs;
    for (;;) {
      const answer = await exchange(fetchOf, { method: 'GET', url, timeoutMs: requestMs }, this.#signal);
      const found = versionIn(answer);
      if (found === version) return this.#log(`the app runs version ${version}`);
      if (this.#clock.now() + lookMs >= endsAt) {
        const instead = found === undefined ? this.#describe(answer) : `version ${found}`;
        const what = `The deployment succeeded, but after ${seconds(verifyMs)} ${url} answers with ${instead} instead of`;
        throw this.#error('unverified', `${what} version ${version}. ${RUN_AGAIN}`, answer);
      }
      await this.#clock.sleep(lookMs, this.#signal);
    }
  }

  /** Waits before the next deployment. */
  async retryLater(attempt: number, why: string): Promise<void> {
    this.#log(`${why} Trying again.`);
    await this.#clock.sleep(this.#backoffMs(attempt), this.#signal);
  }

  async #failureOf(
    statusUrl: string,
    answer: Exchange,
    { text, isPassing }: Extract<DeploymentState, { kind: 'ended' }>,
  ): Promise<Ended> {
    const lines = [statusTextIn(answer), ...(await this.#logOf(statusUrl))];
    const said = this.#quote(lines.filter((line) => line.trim() !== '').join('\n'));
    const reason = said === '' ? `${text}; it left no log.` : `${text}. Its log says:\n${said}\n`;
    return { reason, isPassing: isPassing || isPassingText(said) };
  }

  /** The log of a deployment, as far as it can be had: a missing log must not hide the failure. */
  async #logOf(statusUrl: string): Promise<readonly string[]> {
    const { requestMs: timeoutMs } = this.limits;
    const entries = logEntriesIn(await this.#asMyself({ method: 'GET', url: logUrlOf(statusUrl), timeoutMs }));
    const lines: string[] = [];
    let details = 0;
    for (const { message, detailsUrl } of entries) {
      lines.push(message);
      const url = sameOrigin(detailsUrl, statusUrl);
      if (url === undefined || details >= LOG_DETAILS_COUNT) continue;
      details += 1;
      const inner = logEntriesIn(await this.#asMyself({ method: 'GET', url, timeoutMs }));
      lines.push(...inner.map((entry) => `  ${entry.message}`));
    }
    return lines;
  }

  /** A request with the token, to the deployment endpoint only. */
  async #asMyself(request: Request): Promise<Exchange> {
    const { fetch: fetchOf = fetch } = this.#options;
    const authorization = `Bearer ${await this.#token()}`;
    return await exchange(fetchOf, { ...request, headers: { ...request.headers, authorization } }, this.#signal);
  }

  async #token(): Promise<string> {
    const advice = 'Log in ("az login"; in a pipeline the action azure/login), then run the same pulumi up again.';
    let token: string;
    try {
      token = await this.#options.token();
    } catch (error) {
      // Only the message reaches the person, and which login failed for what stands in its later lines.
      const why = this.#quote(error instanceof Error ? error.message : String(error));
      const message = `There is no Azure login for the deployment. ${advice} What was tried:\n${why}`;
      throw new PublishError('no-login', message, { cause: error });
    }
    // A header would refuse it with a message that quotes it.
    if (!/^[\x21-\x7e]+$/.test(token)) throw new PublishError('no-login', `The Azure login gave no token. ${advice}`);
    this.#tokens.add(token);
    return token;
  }

  #describe(answer: Exchange): string {
    if (answer.kind === 'unreachable') return this.#quote(answer.reason);
    const text = isSuccess(answer) ? '' : this.#quote(answer.text);
    return text === '' ? `HTTP ${answer.status}` : `HTTP ${answer.status}, ${text}`;
  }

  /** The end of a text, where the reason usually stands, without a token. */
  #quote(text: string): string {
    let clean = text.trim();
    for (const token of this.#tokens) clean = clean.replaceAll(token, '***');
    return clean.length > QUOTE_MAX_CHARS ? `… ${clean.slice(-QUOTE_MAX_CHARS)}` : clean;
  }

  #error(code: PublishError['code'], message: string, answer: Exchange): PublishError {
    return new PublishError(code, message, answer.kind === 'unreachable' ? { cause: answer.cause } : {});
  }

  #log(line: string): void {
    this.#options.log?.(line);
  }

  #backoffMs(attempt: number): number {
    const { random = Math.random } = this.#options;
    return backoffMs(this.limits.backoff, attempt, random());
  }
}

/** The role is named, because waiting helps only who has it. */
function adviceFor(answer: Exchange): string {
  const isForbidden = answer.kind === 'answer' && (answer.status === 401 || answer.status === 403);
  return isForbidden
    ? `Deploying needs the role Website Contributor or Contributor on the app. ${RUN_AGAIN}`
    : RUN_AGAIN;
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;
