import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { miners } from '../runtime/catalog.ts';
import { PRICES } from '../runtime/prices.ts';
import { readArchived } from './archive.ts';
import type { Surroundings } from './stack.ts';
import { parseJson } from '../runtime/core/json.ts';

/** What a pack finds around it: the catalog, the playbook and the packed functions of its own repository. */
export function surroundingsOf(root: string, now: Date): Surroundings {
  return {
    today: now.toISOString().slice(0, 10),
    miners,
    prices: PRICES,
    playbook: sectionsOf(join(root, 'runtime/ops/PLAYBOOK.md')),
    hostJson: (archivePath) => parseJson(readArchived(join(root, archivePath), 'host.json') ?? ''),
  };
}

function sectionsOf(path: string): ReadonlySet<string> {
  const headings = readFileSync(path, 'utf8').matchAll(/^## ([a-z0-9-]+)$/gm);
  return new Set([...headings].map(([, name = '']) => name));
}
