import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const PRODUCT = [
  'infra',
  'runtime',
  'policies',
  'package.json',
  'package-lock.json',
  'tsconfig.json',
  'Pulumi.yaml',
  'Pulumi.dev.yaml',
  'Pulumi.prod.yaml',
];

/** A preview that ended. */
export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A copy of the product that a test may edit, with the packages of this repository. */
export class ProductCopy {
  readonly dir: string;

  private constructor(dir: string) {
    this.dir = dir;
  }

  static async make(): Promise<ProductCopy> {
    const dir = await realpath(await mkdtemp(join(tmpdir(), 'adit-product-')));
    for (const name of PRODUCT) await cp(join(process.cwd(), name), join(dir, name), { recursive: true });
    await symlink(join(process.cwd(), 'node_modules'), join(dir, 'node_modules'));
    return new ProductCopy(dir);
  }

  /** Replaces a text that must be there once. */
  async edit(file: string, from: string, to: string): Promise<void> {
    const path = join(this.dir, file);
    const text = await readFile(path, 'utf8');
    if (text.split(from).length !== 2) throw new Error(`${file} has ${JSON.stringify(from)} not exactly once`);
    await writeFile(path, text.replace(from, to));
  }

  /** `npm run preview` in the copy. */
  async preview(...args: readonly string[]): Promise<Ended> {
    const main = join(this.dir, 'infra/preview/main.ts');
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], { cwd: this.dir });
    const texts = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.out += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.err += chunk));
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, ...texts };
  }

  async git(...args: readonly string[]): Promise<string> {
    const author = ['-c', 'user.name=ada', '-c', 'user.email=ada@example.com', '-c', 'commit.gpgsign=false'];
    const { stdout } = await promisify(execFile)('git', ['-C', this.dir, ...author, ...args]);
    return stdout.trim();
  }

  async remove(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}
