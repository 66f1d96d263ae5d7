import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differenceOf } from '../../infra/preview/difference.ts';
import type { Finding } from '../../infra/preview/finding.ts';
import { markdownOf } from '../../infra/preview/markdown.ts';
import type { PreviewJson } from '../../infra/preview/tree.ts';
import { ProductCopy } from '../policies/product-copy.ts';

const LIMIT_MS = 180_000;

const queue = (name: string, maxDeliveryCount: number): PreviewJson['resources'][number] => ({
  type: 'azure-native:servicebus:Queue',
  name,
  inputs: { queueName: name, nested: { maxDeliveryCount } },
  parent: null,
});

const FINDING: Finding = {
  policy: 'log-cap',
  level: 'mandatory',
  resource: 'azure-native:a:B c',
  message: 'Too <b>much</b> | @all.',
};

describe('the difference of two previews', () => {
  const before: PreviewJson = { resources: [queue('kept', 10), queue('gone', 10)], outputs: {}, findings: [] };
  const after: PreviewJson = { resources: [queue('kept', 20), queue('new', 10)], outputs: {}, findings: [FINDING] };
  const difference = differenceOf('main', before, after);

  it('names what is added, removed and changed, by input', () => {
    expect(difference).toMatchObject({
      added: ['azure-native:servicebus:Queue new'],
      removed: ['azure-native:servicebus:Queue gone'],
      changed: [
        {
          resource: 'azure-native:servicebus:Queue kept',
          inputs: [{ path: 'nested.maxDeliveryCount', before: 10, after: 20 }],
        },
      ],
      newFindings: [FINDING],
      goneFindings: [],
    });
  });

  it('is nothing between equal ones', () => {
    expect(differenceOf('main', after, after)).toMatchObject({
      added: [],
      removed: [],
      changed: [],
      costs: [],
      newFindings: [],
    });
  });

  it('is Markdown that begins with its mark, and that no message can break out of', () => {
    const text = markdownOf('prod', difference, [FINDING]);
    expect(text.split('\n')[0]).toBe('<!-- adit preview prod -->');
    expect(text).toContain('- `servicebus:Queue kept`: nested.maxDeliveryCount `10` → `20`');
    expect(text).toContain('- **mandatory** `log-cap` on `a:B c`: Too \\<b\\>much\\</b\\> \\| \\@all.');
  });

  it('is cut where a comment would become too long', () => {
    const many = Array.from({ length: 500 }, (_, at) => queue(`queue-${at}`, 1));
    const text = markdownOf('prod', differenceOf('main', before, { resources: many, outputs: {} }), []);
    expect(text).toContain('- and 460 more');
    expect(text.length).toBeLessThan(65_536);
  });
});

describe('npm run preview --against', { timeout: LIMIT_MS }, () => {
  let copy: ProductCopy;
  beforeAll(async () => {
    copy = await ProductCopy.make();
    await writeFile(join(copy.dir, '.gitignore'), 'node_modules\n.adit\n');
    await copy.git('init', '--quiet', '--initial-branch=main');
    await copy.git('add', '.');
    await copy.git('commit', '--quiet', '-m', 'The product as it is');
    await copy.edit('Pulumi.prod.yaml', 'adit:redis: standard-c3', 'adit:redis: managed-b5');
    await copy.edit('package-lock.json', '"lockfileVersion": 3', '"lockfileVersion": 3 ');
  }, LIMIT_MS);
  afterAll(() => copy.remove());

  it('plans a git ref and prints the difference as Markdown', async () => {
    const { code, out, err } = await copy.preview('--stack', 'prod', '--against', 'main');
    expect({ code, err }).toMatchObject({ code: 0 });
    expect(out).toMatch(
      /^<!-- adit preview prod -->\n### Stack `prod`: \$\d+\.\d\d a month \(−\$100\.74, was \$\d+\.\d\d\), budget \$720\.00\n/,
    );
    expect(out).toContain('| redis Standard_C3 | $328.50 | – | −$328.50 |');
    expect(out).toContain('| redis Balanced_B5 | – | $227.76 | +$227.76 |');
    expect(out).toContain('- `redisenterprise:RedisEnterprise redis`');
    expect(out).toContain('- `redis:Redis redis`');
    expect(out).toContain('- **advisory** `no-retired-service` on `redis:Redis redis`');
    expect(err).toContain(
      'main has another package-lock.json; it is planned with the packages that are installed here',
    );
  });

  it('leaves no worktree behind', async () => {
    expect((await copy.git('worktree', 'list')).split('\n')).toHaveLength(1);
  });

  it('compares with a saved preview too, and says it as JSON', async () => {
    const saved = await copy.preview('--stack', 'prod', '--json');
    await writeFile(join(copy.dir, 'saved.json'), saved.out);
    const { code, out } = await copy.preview('--stack', 'prod', '--against', 'saved.json', '--json');
    expect(code).toBe(0);
    const { difference } = JSON.parse(out) as { readonly difference: ReturnType<typeof differenceOf> };
    expect(difference).toMatchObject({ added: [], removed: [], changed: [], costs: [], newFindings: [] });
  });

  it.each([
    ['no-such-ref', 'must name a git ref of this repository or a file, got "no-such-ref"'],
    ['--output=x', 'must name a git ref'],
    ['missing.json', 'missing.json cannot be read'],
    ['corrupt.json', 'is not JSON'],
    ['other.json', 'is no preview'],
  ])('exits with 2 for %s, before anything is planned', async (against, message) => {
    await writeFile(join(copy.dir, 'corrupt.json'), '{"resources": [');
    await writeFile(join(copy.dir, 'other.json'), '{"resources": [{}], "outputs": {}}');
    const { code, out, err } = await copy.preview('--stack', 'prod', `--against=${against}`);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
    expect(err).not.toContain('running the program');
  });
});
