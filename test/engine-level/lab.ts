import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Attachments } from './attachments.ts';
import { DeploymentEndpoint } from './deployment-endpoint.ts';
import { type EngineEvents, readEvents } from './engine-events.ts';
import { FakeAzure } from './provider/azure.ts';
import { type Ended, offlineEnv, REPOSITORY, runCli } from './pulumi-cli.ts';

/** What a deployment is made of, beside the installed packages. */
const PRODUCT = [
  'infra',
  'policies',
  'runtime',
  'package.json',
  'tsconfig.json',
  'Pulumi.yaml',
  'Pulumi.dev.yaml',
  'Pulumi.prod.yaml',
] as const;

/** Version of the installed SDK, which asks for its own provider. */
async function providerVersion(): Promise<string> {
  const manifest = await readFile(join(REPOSITORY, 'node_modules/@pulumi/azure-native/package.json'), 'utf8');
  return (JSON.parse(manifest) as { readonly version: string }).version;
}

/** No question, and no preview before the update: the program runs once. */
const YES: readonly string[] = ['--yes', '--skip-preview'];

/** A copy of the product that a test may edit, an empty state, an empty Azure, and the CLI between them. */
export class Lab {
  readonly azure: FakeAzure;
  /** The copy of the product. */
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
  readonly endpoint: DeploymentEndpoint;
  readonly #cli: string;
  readonly #folder: string;
  readonly #attachments: Attachments;
  #commands = 0;

  private constructor(
    cli: string,
    folder: string,
    endpoint: DeploymentEndpoint,
    attachments: Attachments,
    azure: FakeAzure,
  ) {
    this.#cli = cli;
    this.#folder = folder;
    this.root = join(folder, 'product');
    this.endpoint = endpoint;
    this.azure = azure;
    this.#attachments = attachments;
    this.env = offlineEnv(join(folder, 'state'), attachments.port);
  }

  static async open(cli: string): Promise<Lab> {
    const folder = await mkdtemp(join(tmpdir(), 'adit-engine-'));
    await mkdir(join(folder, 'state'));
    await copyProduct(join(folder, 'product'));
    const endpoint = await DeploymentEndpoint.listen();
    const azure = new FakeAzure({ siteUrl: endpoint.url });
    const attachments = await Attachments.listen({ azure, providerVersion: await providerVersion() });
    return new Lab(cli, folder, endpoint, attachments, azure);
  }

  /** One command of the CLI in the product, or in another project of the same state. */
  pulumi(args: readonly string[], folder = this.root): Promise<Ended> {
    return runCli({ cli: this.#cli, folder, env: this.env }, args);
  }

  /** `pulumi up`, `preview`, `refresh` or `destroy` of a stack, with what the engine did. */
  async engine(
    command: 'up' | 'preview' | 'refresh' | 'destroy',
    stack: string,
    flags: readonly string[] = YES,
  ): Promise<Ended & EngineEvents> {
    const log = join(this.#folder, `events-${(this.#commands += 1)}.jsonl`);
    const ended = await this.pulumi([command, '--stack', stack, '--event-log', log, ...flags]);
    return { ...ended, ...readEvents(log) };
  }

  async close(): Promise<void> {
    this.#attachments.close();
    await this.endpoint.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

async function copyProduct(root: string): Promise<void> {
  await mkdir(root);
  for (const name of PRODUCT) await cp(join(REPOSITORY, name), join(root, name), { recursive: true });
  await symlink(join(REPOSITORY, 'node_modules'), join(root, 'node_modules'));
}
