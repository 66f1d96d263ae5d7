/** Service class of a data type: decides drain order, scale and alert severity. */
export type Lane = 'realtime' | 'money' | 'bulk';

/** An account whose data is mined. `accessToken` and `proxyUrl` are secrets on every exit. */
export interface User {
  readonly userId: string;
  readonly accessToken: string;
  /** Every call of this user goes through it. Null: none, calls go direct. */
  readonly proxyUrl: string | null;
  /** Whether calls may go direct for a while when the proxy itself has failed, never when the upstream has. Default false. */
  readonly allowDirect?: boolean;
  readonly status: 'active' | 'inactive';
}

/** One request below the base URL of an upstream, before paging and authorisation are added. */
export interface PageRequest {
  /** Path below the base URL, every segment percent-encoded, with a leading slash. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
}

/** What the items of one page are, once a miner has checked the shape of the body. */
export interface ParsedPage {
  readonly items: readonly unknown[];
}

/** Declaration of how one data type is mined: one file in `miners/`, one line in `catalog.ts`. */
export interface Miner {
  /** Kebab-case, unique in the catalog; queues, topics, lake folders and settings are named after it. */
  readonly name: string;
  /** Name of the upstream (a file in `upstreams/`) that serves it. */
  readonly upstream: string;
  readonly lane: Lane;
  /** Six-field NCRONTAB in UTC. */
  readonly schedule: string;
  /** How long the checkpoint cache may answer for an item, in ms. Never decides correctness. */
  readonly cacheTtlMs: number;
  /** Items asked for per page, 1..1000. Default 100. */
  readonly pageLimit?: number;
  /** Publish to `<name>-data-topic`, whose `lake` subscription forwards to ingestion. Default false: straight to ingestion. */
  readonly dataTopic?: boolean;
  /** Keep one user's messages in order for the topic's subscribers. Default: no sessions. */
  readonly session?: 'per-user';
  /**
   * On its way out: nothing fires it any more, what is queued is still mined, and its line may leave the catalog one
   * deployment later. Default false.
   */
  readonly retired?: boolean;
  /** The request for any page of this user's list. */
  request(userId: string): PageRequest;
  /**
   * The items in a body that was served with status 200.
   * @throws any error when the body is not a page of this data type; the page is then a `page-shape` fault.
   */
  page(body: unknown): ParsedPage;
}
