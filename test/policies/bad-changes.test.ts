import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Analyzer, startAnalyzer } from '../../infra/preview/analyzer.ts';
import type { Finding } from '../../infra/preview/finding.ts';
import type { ProgramRun } from '../../infra/preview/run-program.ts';
import type { Stage } from '../../policies/stack.ts';
import { rawValues } from '../infra/sample-config.ts';
import { runStackProgram } from '../infra/stack-program.ts';
import { BAD_CHANGES, type BadChange } from './bad-changes.ts';

const LIMIT_MS = 120_000;

function refusalsIn(findings: readonly Finding[]): readonly string[] {
  return [...new Set(findings.filter(({ level }) => level === 'mandatory').map(({ policy }) => policy))];
}

/** A change of the configuration: the program and the pack are started with it. */
async function refusalsOfConfig({ stage, config }: BadChange): Promise<readonly string[]> {
  const [run, analyzer] = await Promise.all([
    runStackProgram(stage, { changes: config ?? {} }),
    startAnalyzer({ dir: process.cwd(), stack: stage, config: rawValues(stage, config) }),
  ]);
  try {
    return refusalsIn(await analyzer.analyze(run.resources));
  } finally {
    analyzer.close();
  }
}

describe.each<Stage>(['dev', 'prod'])('the started pack refuses, in %s,', (stage) => {
  let run: ProgramRun;
  let analyzer: Analyzer;
  beforeAll(async () => {
    const config = rawValues(stage);
    [run, analyzer] = await Promise.all([
      runStackProgram(stage),
      startAnalyzer({ dir: process.cwd(), stack: stage, config }),
    ]);
  }, LIMIT_MS);
  afterAll(() => analyzer.close());

  const changes = BAD_CHANGES.filter((change) => change.stage === stage);

  it('nothing of what is committed', async () => {
    expect(refusalsIn(await analyzer.analyze(run.resources))).toEqual([]);
  });

  it.each(changes.map((change) => [change.what, change.rule, change] as const))(
    '%s: %s',
    async (_, rule, change) => {
      const refusals =
        change.program === undefined
          ? await refusalsOfConfig(change)
          : refusalsIn(await analyzer.analyze(change.program(run.resources)));
      expect(refusals).toContain(rule);
    },
    LIMIT_MS,
  );
});

it('are 25 at least', () => {
  expect(BAD_CHANGES.length).toBeGreaterThanOrEqual(25);
});
