import { join } from 'node:path';
import { configDefaults, defineConfig } from 'vitest/config';
import { CountReporter } from './count-reporter.ts';

/** Folders with needs of their own. Every other test file below test/ is a unit test, so that none is forgotten. */
const APART = ['architecture', 'contract', 'sim', 'e2e', 'chaos', 'soak', 'engine-level'];

/** Tests with servers wait more than they work, so that two cores carry so many files side by side. */
const SERVER_WORKERS = 4;

const filesIn = (folder: string): string => `test/${folder}/**/*.test.ts`;

export default defineConfig({
  root: join(import.meta.dirname, '..'),
  test: {
    reporters: ['default', new CountReporter()],
    allowOnly: false,
    testTimeout: 20_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...APART.map(filesIn)],
          // Pure functions and fakes leave nothing behind, and sharing a worker is five times faster.
          isolate: false,
        },
      },
      {
        extends: true,
        test: { name: 'architecture', include: [filesIn('architecture')], testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: 'sim',
          include: [filesIn('sim')],
          testTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'contract',
          include: [filesIn('contract')],
          testTimeout: 60_000,
          maxWorkers: SERVER_WORKERS,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: [filesIn('e2e'), filesIn('chaos'), filesIn('soak')],
          testTimeout: 180_000,
          hookTimeout: 180_000,
          maxWorkers: 3,
          sequence: { groupOrder: 3 },
        },
      },
      {
        extends: true,
        test: {
          name: 'engine-level',
          include: [filesIn('engine-level')],
          testTimeout: 300_000,
          hookTimeout: 120_000,
          maxWorkers: SERVER_WORKERS,
          sequence: { groupOrder: 4 },
        },
      },
    ],
  },
});
